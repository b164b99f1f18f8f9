//! Revocation: at once for packets, in bounded steps for memory.
//!
//! # Theory of operation
//!
//! One change may revoke hundreds of thousands of connections: a container leaves, a port is unpublished,
//! an external address goes. Ending them all at once would stall every other frame. So *epochs* number
//! the changes, each connection has the epoch of its creation, and a revocation is one note:
//!
//! | revoked | note | connections |
//! |---|---|---|
//! | owner | [`Owner::since`](crate::table::owners::Owner) | from and to the owner, of an earlier epoch |
//! | external address | [`ExternalAddrs::revoke`](crate::table::external_addrs::ExternalAddrs::revoke) | with the address, likewise |
//! | published range | [`CompiledPolicy`](crate::CompiledPolicy) | translated by it, unless the policy has translated them so since their creation |
//! | SNAT port range | this file | with a port of it |
//! | SNAT addresses by destination | this file | of an earlier epoch, as [`super::reroute`] says |
//!
//! From then on a lookup treats such a connection as expired: the packet opens a new one or is refused.
//! Mappings follow their owner or address. Memory is reclaimed in bounded steps: [`REVOKE_OPERATIONS`] at
//! once, which covers a table of ordinary size, then in [`Nat::tick`] and before evictions.
//!
//! Nothing moves an owner's revoked connections, so they are first in its lists. A sweep of the whole
//! table finds the others. Epochs are compared only while something awaits reclaim; 32 bits suffice.

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

/// Revocations that await reclaim.
#[derive(Debug, Default)]
pub(super) struct Revoked {
    /// The epoch of new connections.
    pub(super) epoch: u32,
    owners: VecDeque<OwnerId>,
    /// Position of the sweep, and its slots left. Later connections are younger than the revocation.
    at: u32,
    end: u32,
    left: u32,
    /// The last epoch with ports of the old range; the new range waits for them.
    range_since: Option<u32>,
    /// The epoch of the last change of SNAT addresses by destination, until the sweep is done.
    pub(super) routes_since: Option<u32>,
    /// Adopted policies in order: the epoch of each, and the table's epoch at adoption. Policies before
    /// the last completed sweep are one entry: their revoked connections are gone.
    adopted: Vec<(u64, u32)>,
    /// Slots visited.
    #[cfg(test)]
    scanned: u64,
}

impl Revoked {
    /// Something awaits reclaim.
    #[inline]
    pub(super) fn is_pending(&self) -> bool {
        self.left > 0 || !self.owners.is_empty()
    }

    /// Ports of an old range await reclaim.
    pub(super) fn awaits_ports(&self) -> bool {
        self.range_since.is_some()
    }

    /// Adopts a policy; returns the table's new epoch.
    pub(super) fn adopt(&mut self, former: u64, policy: u64) -> u32 {
        if !self.is_pending() {
            self.adopted.clear();
            self.adopted.push((former, 0));
        }
        let epoch = self.next_epoch();
        self.adopted.push((policy, epoch));
        epoch
    }

    /// The table's epoch from which entries of a generation hold.
    fn since(&self, generation: u64) -> u32 {
        let first = self.adopted.partition_point(|(policy, _)| *policy < generation);
        self.adopted.get(first).map_or(0, |(_, epoch)| *epoch)
    }

    /// Starts a new epoch.
    pub(super) fn next_epoch(&mut self) -> u32 {
        self.epoch += 1;
        self.epoch
    }
}

impl Nat {
    /// Revokes the connections from and to an owner.
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

    /// Revokes the connections with ports of the old range.
    pub(super) fn revoke_range(&mut self, epoch: u32) {
        self.revoked.range_since = Some(epoch);
        self.start_sweep();
    }

    /// Restarts the sweep over all slots.
    pub(super) fn start_sweep(&mut self) {
        let end = self.flows.numbers().end;
        (self.revoked.end, self.revoked.left) = (end, end);
    }

    /// The connection has expired or is revoked.
    #[inline]
    pub(super) fn is_over(&self, flow: &Flow) -> bool {
        flow.state.has_expired(flow.transport(), CoarseTime(flow.seen), self.now)
            || self.revoked.is_pending() && self.is_revoked(flow)
    }

    /// The connection is revoked and awaits reclaim.
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
            || self.revoked.routes_since.is_some() && self.is_rerouted(flow)
    }

    /// The mapping is revoked.
    #[inline]
    pub(super) fn is_mapping_revoked(&self, mapping: &Mapping) -> bool {
        self.revoked.is_pending()
            && (self.owners.is_revoked(mapping.owner, mapping.created_epoch)
                || self.externals.is_revoked(mapping.addr_idx, mapping.created_epoch)
                || self.revoked.range_since.is_some_and(|since| mapping.created_epoch < since))
    }

    /// The policy still translates the connection as it does.
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

    /// Ends revoked connections in at most this many operations: each visits or ends one.
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
        if self.revoked.left == 0 {
            self.revoked.routes_since = None;
            if self.revoked.range_since.take().is_some() {
                self.externals.clear_port_pools();
                self.blocks = super::blocks::of(&self.ports, self.is_claiming);
            }
        }
    }

    /// The owner's first revoked connection.
    fn first_revoked(&self, owner: OwnerId) -> Option<u32> {
        let entry = self.owners.get(owner)?;
        entry.firsts().find(|number| self.flows.at(*number).created_epoch < entry.since)
    }
}
