//! How connections end: by time, with their owner, or by command.

use super::begin::Outer;
use super::{Nat, Row};
use crate::address::Address;
use crate::policy::Policy;
use crate::table::flow::{Flow, Traits, Way};
use crate::table::hash::{Key, Ports};
use crate::table::locals;
use crate::table::owners::LISTS;
use crate::table::slab::FREE;
use crate::table::wheel::NIL;
use crate::time::Time;
use crate::tuple::{OwnerId, Transport};

impl Nat {
    /// Ends connections that have expired, doing this many operations at most: each looks at a connection,
    /// moves it on, or ends it. What is left comes first the next time.
    pub fn tick(&mut self, now: Time, policy: &Policy, operations_max: usize) {
        self.enter(now, policy);
        if self.is_empty() {
            self.wheel.reset(self.now);
            return;
        }
        let mut operations = operations_max;
        while let Some(number) = self.wheel.expired(&mut self.flows, self.now, &mut operations) {
            self.counters.expired += 1;
            self.end(number);
        }
    }

    /// Ends all connections of an owner, and those of others to it.
    pub fn remove_owner(&mut self, owner: OwnerId) {
        self.end_owned(owner, |_, _| true);
        let others: Vec<OwnerId> = self.owners.with_hairpins().collect();
        for other in others {
            self.end_owned(other, |_, flow| {
                flow.traits.has(Traits::HAIRPIN) && flow.peer_owner == owner
            });
        }
    }

    /// Ends the connections for which `is_one` holds, and says how many they were.
    pub fn flush(&mut self, is_one: impl Fn(&Row) -> bool) -> usize {
        self.end_where(|nat, flow| is_one(&nat.row(flow)))
    }

    /// Ends a connection.
    pub(super) fn end(&mut self, number: u32) {
        let flow = self.flows.at(number);
        let keys = [Way::Forward, Way::Back].map(|way| flow.key(way, &self.locals));
        let (owner, traits, aliases) = (flow.owner, flow.traits, flow.aliases);
        let (transport, is_remembered) = (flow.transport, flow.state.is_remembered());
        let mapped = flow.mapped();
        if traits.has(Traits::CONTACT) {
            self.contacts.remove(self.contact_of(number));
        }
        for (way, key) in (0..).zip(&keys) {
            self.index.remove(self.secrets.hash(key), number << 1 | way);
        }
        self.wheel.remove(&mut self.flows, number);
        self.owners.unlink(&mut self.flows, number);
        let held = self.owners.at(owner);
        held.flows -= 1;
        held.hairpins -= u32::from(traits.has(Traits::HAIRPIN));
        self.flows.remove(number);
        for (local, port) in mapped.into_iter().flatten() {
            self.leave_mapping(transport, local, port, is_remembered);
        }
        for local in aliases.into_iter().filter(|local| *local != locals::NONE) {
            self.locals.release(local);
        }
    }

    /// A mapping loses a connection, and goes with the last.
    fn leave_mapping(&mut self, transport: Transport, local: u16, port: u16, is_remembered: bool) {
        let ports = self.locals.ports(local, transport);
        let Some(number) = ports.and_then(|ports| ports.mapping(port)) else { return };
        let mapping = self.mappings.at_mut(number);
        mapping.users -= 1;
        mapping.is_remembered |= is_remembered;
        if mapping.users == 0 {
            self.drop_mapping(number);
        }
    }

    /// Takes back a mapping that was made for a connection that did not come about.
    pub(super) fn drop_unused(&mut self, outer: Outer) {
        if let Some(number) = outer.mapping.filter(|n| self.mappings.at(*n).users == 0) {
            self.drop_mapping(number);
        }
    }

    fn drop_mapping(&mut self, number: u32) {
        let mapping = self.mappings.remove(&self.secrets, number);
        self.owners.at(mapping.owner).ports -= 1;
        if let Some(ports) = self.locals.ports(mapping.local, mapping.transport) {
            ports.give_back(mapping.port, mapping.is_remembered, self.now);
        }
    }

    /// The contact of an outer endpoint with a remote address.
    pub(super) fn contact(
        &self,
        transport: Transport,
        local: u16,
        port: u16,
        remote: Address,
    ) -> u64 {
        let dst = Address { high: 0, low: local.into() };
        self.secrets.hash(&Key { transport, src: remote, dst, ports: Ports::new(0, port) })
    }

    /// The contact that a connection is: of the client's mapping with the address that the client asked for, or
    /// of the server's with the client.
    pub(super) fn contact_of(&self, number: u32) -> u64 {
        let flow = self.flows.at(number);
        let forward = flow.key(Way::Forward, &self.locals);
        let back = flow.key(Way::Back, &self.locals);
        let (local, port, remote) = if flow.traits.has(Traits::CLIENT_MAPPED) {
            (flow.aliases[0], back.ports.dst(), forward.dst)
        } else {
            (flow.aliases[1], forward.ports.dst(), back.dst)
        };
        self.contact(flow.transport, local, port, remote)
    }

    /// Ends those of all connections for which `is_one` holds.
    pub(super) fn end_where(&mut self, is_one: impl Fn(&Self, &Flow) -> bool) -> usize {
        let mut ended = 0;
        for number in self.flows.numbers() {
            let flow = self.flows.at(number);
            if flow.list != FREE && is_one(self, flow) {
                self.end(number);
                ended += 1;
            }
        }
        self.counters.ended += ended as u64;
        ended
    }

    /// Ends those of an owner's connections for which `is_one` holds.
    pub(super) fn end_owned(&mut self, owner: OwnerId, is_one: impl Fn(&Self, &Flow) -> bool) {
        for list in 0..LISTS {
            let Some(held) = self.owners.get(owner) else { return };
            let mut number = held.firsts()[list];
            while number != NIL {
                let flow = self.flows.at(number);
                let next = flow.owned.next;
                if is_one(self, flow) {
                    self.end(number);
                    self.counters.ended += 1;
                }
                number = next;
            }
        }
    }
}
