//! Room for a connection, and a port for its client.

use super::Nat;
use super::begin::Outer;
use crate::address::Address;
use crate::limits::{ENDED_VICTIMS_MAX, PORT_VICTIMS_MAX, SHARE_OF_WHAT_IS_LEFT, TICK_OPERATIONS};
use crate::mapping::Mapping;
use crate::ports::Ports;
use crate::refusal::Refusal;
use crate::table::flow::Traits;
use crate::table::hash::Key;
use crate::table::wheel::NIL;
use crate::tuple::{OwnerId, Transport};

impl Nat {
    /// Sees to it that an owner has room for another connection, at the cost of its own only.
    pub(super) fn make_room(&mut self, owner: OwnerId, quota: u32) -> Result<(), Refusal> {
        if self.owners.get_or_add(owner).is_none() {
            self.counters.full_hits += 1;
            return Err(Refusal::TableFull);
        }
        let (mut has_quota, mut has_share) = self.lacks_room(owner, quota);
        if (has_quota || has_share) && self.withdrawn.is_pending() {
            self.take_back(&mut { TICK_OPERATIONS });
            (has_quota, has_share) = self.lacks_room(owner, quota);
        }
        if !has_quota && !has_share {
            return Ok(());
        }
        let held = self.owners.at(owner);
        // A quota that became smaller is kept to by degrees.
        if let Some(victim) = held.least_missed().filter(|_| quota > 0) {
            self.counters.evicted += 1;
            self.end(victim);
            return Ok(());
        }
        if has_quota {
            self.counters.quota_hits += 1;
            return Err(Refusal::Quota);
        }
        self.counters.full_hits += 1;
        Err(Refusal::TableFull)
    }

    /// Whether an owner has its quota of connections, and its share of the table.
    fn lacks_room(&mut self, owner: OwnerId, quota: u32) -> (bool, bool) {
        let left = self.flows.capacity() - self.flows.len();
        let held = self.owners.at(owner).flows;
        (held >= quota, held as usize >= left.saturating_mul(SHARE_OF_WHAT_IS_LEFT))
    }

    /// The endpoint by which the world sees the sender of a packet, at an address of ours.
    pub(super) fn outer(
        &mut self,
        owner: OwnerId,
        key: &Key,
        appears_at: Address,
    ) -> Result<Outer, Refusal> {
        let (transport, inner) = (key.transport, (key.src, key.ports.src()));
        let local = self.locals.number(appears_at).ok_or(Refusal::NoAddress)?;
        if let Some(port) = self.rules.port_of(transport, inner, appears_at) {
            return Ok(Outer { local, port, mapping: None });
        }
        let is_live = |mapping: &Mapping| !self.is_mapping_withdrawn(mapping);
        let known = self.mappings.find(&self.secrets, transport, inner, local, is_live);
        if let Some(number) = known {
            let port = self.mappings.at(number).port;
            return Ok(Outer { local, port, mapping: Some(number) });
        }
        let Some(port) = self.take_port(owner, transport, local, inner.1) else {
            self.counters.port_hits += 1;
            return Err(Refusal::PortsExhausted);
        };
        let mapping = Mapping {
            inner: inner.0,
            inner_port: inner.1,
            port,
            local,
            transport,
            is_remembered: false,
            owner,
            born: self.withdrawn.epoch,
            users: 0,
        };
        let number = self.mappings.insert(&self.secrets, mapping);
        if let Some(ports) = self.locals.ports(local, transport) {
            ports.set_mapping(port, number);
        }
        self.owners.at(owner).ports += 1;
        Ok(Outer { local, port, mapping: Some(number) })
    }

    /// A port for an owner; one of its own, if it has its share.
    fn take_port(
        &mut self,
        owner: OwnerId,
        transport: Transport,
        local: u16,
        like: u16,
    ) -> Option<u16> {
        if self.withdrawn.awaits_ports() {
            return None;
        }
        let range = self.rules.ports().filter(|range| !range.is_empty())?.clone();
        let slot = self.locals.ports_slot(local, transport);
        slot.get_or_insert_with(|| Box::new(Ports::new(range)));
        if let Some(port) = self.try_port(owner, transport, local, like) {
            return Some(port);
        }
        if self.withdrawn.is_pending() {
            self.take_back(&mut { TICK_OPERATIONS });
            if let Some(port) = self.try_port(owner, transport, local, like) {
                return Some(port);
            }
        }
        // Also what frees no port of these may have made its share large enough.
        if let Some(victim) = self.port_victim(owner, transport, local) {
            self.counters.evicted += 1;
            self.end(victim);
        }
        self.try_port(owner, transport, local, like)
    }

    fn try_port(
        &mut self,
        owner: OwnerId,
        transport: Transport,
        local: u16,
        like: u16,
    ) -> Option<u16> {
        let address = self.locals.address(local)?;
        let ports = self.locals.ports(local, transport)?;
        let share = ports.available() as usize * SHARE_OF_WHAT_IS_LEFT;
        if self.mappings.is_full() || self.owners.at(owner).ports as usize >= share {
            return None;
        }
        let rules = &self.rules;
        ports.take(like, self.now, &mut self.random, |port| {
            !rules.is_published(transport, address, port)
        })
    }

    /// A connection of an owner whose end frees a port of this transport and address. Those that are over
    /// and free none, as those to a published port, are ended on the way: nobody misses them, and they are
    /// not looked at again.
    fn port_victim(&mut self, owner: OwnerId, transport: Transport, local: u16) -> Option<u32> {
        for _ in 0..ENDED_VICTIMS_MAX {
            let [over, ..] = self.owners.get(owner)?.firsts();
            if over == NIL {
                break;
            }
            if self.frees_port(over, transport, local) {
                return Some(over);
            }
            self.counters.evicted += 1;
            self.end(over);
        }
        let [_, unanswered, _] = self.owners.get(owner)?.firsts();
        let first = Some(unanswered).filter(|number| *number != NIL);
        let listed = std::iter::successors(first, |number| {
            Some(self.flows.at(*number).owned.next).filter(|next| *next != NIL)
        });
        listed.take(PORT_VICTIMS_MAX).find(|&number| self.frees_port(number, transport, local))
    }

    /// Whether the end of a connection frees a port of this transport and address.
    fn frees_port(&self, number: u32, transport: Transport, local: u16) -> bool {
        let Some(ports) = self.locals.ports_of(local, transport) else { return false };
        let flow = self.flows.at(number);
        let is_like = flow.transport == transport && flow.aliases[0] == local;
        let is_last = |mapping: u32| self.mappings.at(mapping).users == 1;
        is_like
            && flow.traits.has(Traits::CLIENT_MAPPED)
            && ports.mapping(flow.ports[1].dst()).is_some_and(is_last)
    }
}
