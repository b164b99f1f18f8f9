//! What is withdrawn: at once for packets, by degrees for memory.
//!
//! # Theory of operation
//!
//! Hundreds of thousands of connections may be withdrawn by one word: a container goes, a port is no longer
//! published, an address is no longer ours. To end them all then and there would hold up the frames of
//! everybody else. So time is cut into *epochs*, each connection knows that in which it began, and
//! what is withdrawn is noted where it is known:
//!
//! | what | where it is noted | which connections |
//! |---|---|---|
//! | an owner | [`Owner::since`](crate::table::owners::Owner) | its own and those to it that began in an earlier epoch |
//! | an address of ours | [`Locals::withdraw`](crate::table::locals::Locals::withdraw) | those that name it, likewise |
//! | a published range | [`Rules`](crate::rules::Rules) | those that it translated, if what is published now does not translate them so since before they began |
//! | the range of ports | here | those that have a port of it |
//!
//! From then on such a connection is over for whoever finds it, as one is that has expired: a packet begins
//! anew or is refused. The same holds for mappings, which die with what they are of. What is left is memory,
//! which is taken back a bounded number of operations at a time: at once as far as
//! [`WITHDRAW_OPERATIONS`] go, which is all in a table of ordinary size, then by [`Nat::tick`], and by whoever
//! needs room or a port.
//!
//! An owner's withdrawn connections are the first of its lists, since nothing moves them any more. The
//! others are found by a lap of the whole table. Epochs are compared only while there is something to
//! take back; 32 bits of them are more than there will be withdrawals.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::Nat;
use crate::limits::WITHDRAW_OPERATIONS;
use crate::mapping::Mapping;
use crate::state::Moment;
use crate::table::flow::{Flow, Traits, Way};
use crate::table::locals;
use crate::table::owners::LISTS;
use crate::table::slab::FREE;
use crate::table::wheel::NIL;
use crate::tuple::OwnerId;

/// What waits to be taken back.
#[derive(Debug, Default)]
pub(super) struct Withdrawn {
    /// That which comes next is the epoch of connections that begin.
    pub(super) epoch: u32,
    owners: VecDeque<OwnerId>,
    /// Where the lap is, at which place it goes on from the first one, and how many places are left of it. What
    /// begins behind that end is younger than what is withdrawn.
    at: u32,
    end: u32,
    left: u32,
    /// Another range of ports is to be used once those of the old one are back: what began before this epoch has
    /// one of them.
    range_since: Option<u32>,
    /// Places that were looked at so far.
    #[cfg(test)]
    looked_at: u64,
}

impl Withdrawn {
    /// Whether there is anything.
    #[inline]
    pub(super) fn is_pending(&self) -> bool {
        self.left > 0 || !self.owners.is_empty()
    }

    /// Whether ports of an old range are not back yet.
    pub(super) fn awaits_ports(&self) -> bool {
        self.range_since.is_some()
    }

    /// What begins now is told from what began before.
    pub(super) fn next_epoch(&mut self) -> u32 {
        self.epoch += 1;
        self.epoch
    }
}

impl Nat {
    /// Withdraws all connections of an owner, and those of others to it.
    pub fn remove_owner(&mut self, owner: OwnerId) {
        let Some(held) = self.owners.get(owner) else { return };
        let is_reached = held.reached > 0;
        if held.flows > 0 || is_reached {
            let epoch = self.withdrawn.next_epoch();
            let held = self.owners.at(owner);
            held.since = epoch;
            if !std::mem::replace(&mut held.is_leaving, true) {
                self.withdrawn.owners.push_back(owner);
            }
            if is_reached {
                self.begin_lap();
            }
            self.take_back(&mut { WITHDRAW_OPERATIONS });
        }
    }

    /// The connections of an earlier range of ports are withdrawn.
    pub(super) fn withdraw_range(&mut self, epoch: u32) {
        self.withdrawn.range_since = Some(epoch);
        self.begin_lap();
    }

    /// Each place of the table is to be looked at once from now on.
    pub(super) fn begin_lap(&mut self) {
        let end = self.flows.numbers().end;
        (self.withdrawn.end, self.withdrawn.left) = (end, end);
    }

    /// Whether a connection is over: it has expired or is withdrawn, but is still there.
    #[inline]
    pub(super) fn is_over(&self, flow: &Flow) -> bool {
        flow.state.has_expired(flow.transport, Moment(flow.seen), self.now)
            || self.withdrawn.is_pending() && self.is_withdrawn(flow)
    }

    /// Whether a connection that has not been taken back is withdrawn.
    #[cold]
    fn is_withdrawn(&self, flow: &Flow) -> bool {
        let is_gone = |local: &u16| self.locals.is_withdrawn(*local, flow.born);
        let is_hairpin = flow.traits.has(Traits::HAIRPIN);
        let is_mapped = flow.traits.has(Traits::CLIENT_MAPPED | Traits::SERVER_MAPPED);
        self.owners.has_left(flow.owner.id(), flow.born)
            || is_hairpin && self.owners.has_left(flow.peer_owner.id(), flow.born)
            || flow.aliases.iter().any(is_gone)
            || is_mapped && self.withdrawn.range_since.is_some_and(|since| flow.born < since)
            || flow.traits.has(Traits::PUBLISHED) && !self.is_still_published(flow)
    }

    /// Whether a mapping is as good as gone.
    #[inline]
    pub(super) fn is_mapping_withdrawn(&self, mapping: &Mapping) -> bool {
        self.withdrawn.is_pending()
            && (self.owners.has_left(mapping.owner, mapping.born)
                || self.locals.is_withdrawn(mapping.local, mapping.born)
                || self.withdrawn.range_since.is_some_and(|since| mapping.born < since))
    }

    /// Whether what is published still translates a connection as it is.
    fn is_still_published(&self, flow: &Flow) -> bool {
        let forward = flow.key(Way::Forward, &self.locals);
        let back = flow.key(Way::Back, &self.locals);
        let by_rule = |alias: u16, mapped: u8| alias != locals::NONE && !flow.traits.has(mapped);
        if by_rule(flow.aliases[1], Traits::SERVER_MAPPED) {
            let port = forward.ports.dst();
            let target = self.rules.target(flow.transport, forward.src, forward.dst, port);
            let server = (back.src, back.ports.src());
            let leads_there = target.is_some_and(|target| {
                target.is_allowed
                    && (target.address, target.port) == server
                    && target.since <= flow.born
            });
            if !leads_there {
                return false;
            }
        }
        if by_rule(flow.aliases[0], Traits::CLIENT_MAPPED) {
            let inner = (forward.src, forward.ports.src());
            let known = self.rules.published_as(flow.transport, inner, back.dst);
            return known
                .is_some_and(|(port, since)| port == back.ports.dst() && since <= flow.born);
        }
        true
    }

    /// Ends what is withdrawn, doing this many operations at most: each looks at a connection or ends it.
    pub(super) fn take_back(&mut self, operations: &mut usize) {
        while *operations > 0
            && let Some(&owner) = self.withdrawn.owners.front()
        {
            *operations -= 1;
            if let Some(number) = self.first_withdrawn(owner) {
                self.counters.ended += 1;
                self.end(number);
            } else {
                self.owners.at(owner).is_leaving = false;
                self.withdrawn.owners.pop_front();
            }
        }
        while *operations > 0 && self.withdrawn.left > 0 {
            *operations -= 1;
            #[cfg(test)]
            {
                self.withdrawn.looked_at += 1;
            }
            let number = if self.withdrawn.at < self.withdrawn.end { self.withdrawn.at } else { 0 };
            self.withdrawn.at = number + 1;
            let flow = self.flows.at(number);
            if flow.list != FREE && self.is_withdrawn(flow) {
                self.counters.ended += 1;
                self.end(number);
            }
            self.withdrawn.left -= 1;
        }
        if self.withdrawn.left == 0 && self.withdrawn.range_since.take().is_some() {
            self.locals.forget_ports();
        }
    }

    /// The first connection of an owner that went with it.
    fn first_withdrawn(&self, owner: OwnerId) -> Option<u32> {
        let held = self.owners.get(owner)?;
        let firsts: [u32; LISTS] = held.firsts();
        let went = |number: &u32| *number != NIL && self.flows.at(*number).born < held.since;
        firsts.into_iter().find(went)
    }
}
