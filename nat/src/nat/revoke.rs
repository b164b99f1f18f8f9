//! Revocation: at once for packets, in bounded steps for memory.
//!
//! # Theory of operation
//!
//! Hundreds of thousands of connections may be revoked by one word: a container goes, a port is no longer
//! published, an address is no longer ours. To end them all then and there would hold up the frames of
//! everybody else. So time is cut into *epochs*, each connection knows that in which it began, and
//! what is revoked is noted where it is known:
//!
//! | what | where it is noted | which connections |
//! |---|---|---|
//! | an owner | [`Owner::since`](crate::table::owners::Owner) | its own and those to it that began in an earlier epoch |
//! | an address of ours | [`ExternalAddrs::revoke`](crate::table::external_addrs::ExternalAddrs::revoke) | those that name it, likewise |
//! | a published range | [`CompiledPolicy`](crate::CompiledPolicy) | those that it translated, if what is published now does not translate them so since before they began |
//! | the range of ports | here | those that have a port of it |
//!
//! From then on such a connection is over for whoever finds it, as one is that has expired: a packet begins
//! anew or is refused. The same holds for mappings, which die with what they are of. What is left is memory,
//! which is reclaimed a bounded number of operations at a time: at once as far as
//! [`REVOKE_OPERATIONS`] go, which is all in a table of ordinary size, then by [`Nat::tick`], and by whoever
//! needs room or a port.
//!
//! An owner's revoked connections are the first of its lists, since nothing moves them any more. The
//! others are found by a sweep of the whole table. Epochs are compared only while there is something to
//! reclaim; 32 bits of them are more than there will be revocations.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::Nat;
use crate::direction::Direction;
use crate::limits::REVOKE_OPERATIONS;
use crate::mapping::Mapping;
use crate::owner::OwnerId;
use crate::state::CoarseTime;
use crate::table::external_addrs;
use crate::table::flow::{Flow, FlowFlags};
use crate::table::link::NIL;
use crate::table::owners::LISTS;

/// What waits to be reclaimed.
#[derive(Debug, Default)]
pub(super) struct Revoked {
    /// That which comes next is the epoch of connections that begin.
    pub(super) epoch: u32,
    owners: VecDeque<OwnerId>,
    /// Where the sweep is, at which slot it goes on from the first one, and how many slots are left of it. What
    /// begins behind that end is younger than what is revoked.
    at: u32,
    end: u32,
    left: u32,
    /// Another range of ports is to be used once those of the old one are back: what began before this epoch has
    /// one of them.
    range_since: Option<u32>,
    /// Policies in the order of their adoption: the epoch of each, and the table's epoch at that moment.
    /// Those before the last completed sweep count as one: what they revoked is gone.
    adopted: Vec<(u64, u32)>,
    /// Slots that were looked at so far.
    #[cfg(test)]
    scanned: u64,
}

impl Revoked {
    /// Whether there is anything.
    #[inline]
    pub(super) fn is_pending(&self) -> bool {
        self.left > 0 || !self.owners.is_empty()
    }

    /// Whether ports of an old range are not back yet.
    pub(super) fn awaits_ports(&self) -> bool {
        self.range_since.is_some()
    }

    /// A policy is adopted; returns the table's epoch from now on.
    pub(super) fn adopt(&mut self, former: u64, policy: u64) -> u32 {
        if !self.is_pending() {
            self.adopted.clear();
            self.adopted.push((former, 0));
        }
        let epoch = self.next_epoch();
        self.adopted.push((policy, epoch));
        epoch
    }

    /// The table's epoch since which entries of a generation are in force.
    fn since(&self, generation: u64) -> u32 {
        let first = self.adopted.partition_point(|(policy, _)| *policy < generation);
        self.adopted.get(first).map_or(0, |(_, epoch)| *epoch)
    }

    /// What begins now is told from what began before.
    pub(super) fn next_epoch(&mut self) -> u32 {
        self.epoch += 1;
        self.epoch
    }
}

impl Nat {
    /// Revokes all connections of an owner, and those of others to it.
    pub fn remove_owner(&mut self, owner: OwnerId) {
        let Some(entry) = self.owners.get(owner) else { return };
        let has_hairpins = entry.hairpins > 0;
        if entry.flows > 0 || has_hairpins {
            let epoch = self.revoked.next_epoch();
            let entry = self.owners.at(owner);
            entry.since = epoch;
            if !std::mem::replace(&mut entry.awaits_reclaim, true) {
                self.revoked.owners.push_back(owner);
            }
            if has_hairpins {
                self.start_sweep();
            }
            self.reclaim(&mut { REVOKE_OPERATIONS });
        }
    }

    /// The connections of an earlier range of ports are revoked.
    pub(super) fn revoke_range(&mut self, epoch: u32) {
        self.revoked.range_since = Some(epoch);
        self.start_sweep();
    }

    /// Each slot of the table is to be looked at once from now on.
    pub(super) fn start_sweep(&mut self) {
        let end = self.flows.numbers().end;
        (self.revoked.end, self.revoked.left) = (end, end);
    }

    /// Whether a connection is over: it has expired or is revoked, but is still there.
    #[inline]
    pub(super) fn is_over(&self, flow: &Flow) -> bool {
        flow.state.has_expired(flow.transport(), CoarseTime(flow.seen), self.now)
            || self.revoked.is_pending() && self.is_revoked(flow)
    }

    /// Whether a connection that has not been reclaimed is revoked.
    #[cold]
    fn is_revoked(&self, flow: &Flow) -> bool {
        let is_gone = |addr_idx: &u16| self.externals.is_revoked(*addr_idx, flow.created_epoch);
        let is_hairpin = flow.flags.has(FlowFlags::HAIRPIN);
        let is_mapped = flow.flags.has(FlowFlags::CLIENT_MAPPED | FlowFlags::SERVER_MAPPED);
        self.owners.is_revoked(flow.owner.id(), flow.created_epoch)
            || is_hairpin && self.owners.is_revoked(flow.peer_owner.id(), flow.created_epoch)
            || flow.aliases.iter().any(is_gone)
            || is_mapped && self.revoked.range_since.is_some_and(|since| flow.created_epoch < since)
            || flow.flags.has(FlowFlags::PUBLISHED) && !self.is_still_published(flow)
    }

    /// Whether a mapping is as good as gone.
    #[inline]
    pub(super) fn is_mapping_revoked(&self, mapping: &Mapping) -> bool {
        self.revoked.is_pending()
            && (self.owners.is_revoked(mapping.owner, mapping.created_epoch)
                || self.externals.is_revoked(mapping.addr_idx, mapping.created_epoch)
                || self.revoked.range_since.is_some_and(|since| mapping.created_epoch < since))
    }

    /// Whether what is published still translates a connection as it is.
    pub(super) fn is_still_published(&self, flow: &Flow) -> bool {
        let original = flow.key(Direction::Original, &self.externals);
        let reply = flow.key(Direction::Reply, &self.externals);
        let by_rule =
            |alias: u16, mapped: u8| alias != external_addrs::NONE && !flow.flags.has(mapped);
        if by_rule(flow.aliases[1], FlowFlags::SERVER_MAPPED) {
            let port = original.ports.dst();
            let target = self.policy.target(flow.transport(), original.src, original.dst, port);
            let server = reply.sender();
            let leads_there = target.is_some_and(|target| {
                target.is_allowed
                    && target.server == server
                    && self.revoked.since(target.generation) <= flow.created_epoch
            });
            if !leads_there {
                return false;
            }
        }
        if by_rule(flow.aliases[0], FlowFlags::CLIENT_MAPPED) {
            let internal = original.sender();
            let known = self.policy.published_as(flow.transport(), internal, reply.dst);
            return known.is_some_and(|(port, generation)| {
                port == reply.ports.dst() && self.revoked.since(generation) <= flow.created_epoch
            });
        }
        true
    }

    /// Ends what is revoked, doing this many operations at most: each looks at a connection or ends it.
    pub(super) fn reclaim(&mut self, operations: &mut usize) {
        while *operations > 0
            && let Some(&owner) = self.revoked.owners.front()
        {
            *operations -= 1;
            if let Some(number) = self.first_revoked(owner) {
                self.counters.connections_ended += 1;
                self.end(number);
            } else {
                self.owners.at(owner).awaits_reclaim = false;
                self.revoked.owners.pop_front();
            }
        }
        while *operations > 0 && self.revoked.left > 0 {
            *operations -= 1;
            #[cfg(test)]
            {
                self.revoked.scanned += 1;
            }
            let number = if self.revoked.at < self.revoked.end { self.revoked.at } else { 0 };
            self.revoked.at = number + 1;
            let flow = self.flows.at(number);
            if !self.flows.is_free(number) && self.is_revoked(flow) {
                self.counters.connections_ended += 1;
                self.end(number);
            }
            self.revoked.left -= 1;
        }
        if self.revoked.left == 0 && self.revoked.range_since.take().is_some() {
            self.externals.clear_port_pools();
        }
    }

    /// The first connection of an owner that went with it.
    fn first_revoked(&self, owner: OwnerId) -> Option<u32> {
        let entry = self.owners.get(owner)?;
        let firsts: [u32; LISTS] = entry.firsts();
        let went =
            |number: &u32| *number != NIL && self.flows.at(*number).created_epoch < entry.since;
        firsts.into_iter().find(went)
    }
}
