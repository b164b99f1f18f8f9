//! How connections end: by time, or since somebody says so.

use super::Nat;
use super::begin::Outer;
use crate::address::Address;
use crate::policy::Policy;
use crate::state::Moment;
use crate::table::flow::{Traits, Way};
use crate::table::hash::{Key, Ports};
use crate::table::locals;
use crate::time::Time;
use crate::tuple::Transport;

impl Nat {
    /// Ends connections that have expired or are withdrawn, doing this many operations at most: each looks
    /// at a connection, moves it on, or ends it. What is not done comes first the next time. Operations that
    /// are left touch memory that will be needed.
    pub fn tick(&mut self, now: Time, policy: &Policy, operations_max: usize) {
        self.enter(now, policy);
        // Half of them, so that neither waits for the other.
        let mut operations = operations_max.div_ceil(2);
        self.take_back(&mut operations);
        operations += operations_max / 2;
        if self.is_empty() {
            self.wheel.reset(self.now);
        }
        while let Some(number) = self.wheel.expired(&mut self.flows, self.now, &mut operations) {
            self.counters.expired += 1;
            self.end(number);
        }
        self.take_back(&mut operations);
        self.touch_ahead(operations);
    }

    /// Whether [`Self::tick`] has more to do than to wait for what will expire.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.withdrawn.is_pending() || self.awaits_touch()
    }

    /// Ends a connection that is over already ([`Self::is_over`]), or gives way to another one.
    pub(super) fn end_over(&mut self, number: u32) {
        let flow = self.flows.at(number);
        let has_expired = flow.state.has_expired(flow.transport, Moment(flow.seen), self.now);
        let count = if has_expired { &mut self.counters.expired } else { &mut self.counters.ended };
        *count += 1;
        self.end(number);
    }

    /// Ends a connection.
    pub(super) fn end(&mut self, number: u32) {
        let flow = self.flows.at(number);
        let keys = [Way::Forward, Way::Back].map(|way| flow.key(way, &self.locals));
        let (owner, peer_owner) = (flow.owner.id(), flow.peer_owner.id());
        let (traits, aliases) = (flow.traits, flow.aliases);
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
        held.published -= u32::from(traits.has(Traits::PUBLISHED));
        if traits.has(Traits::HAIRPIN) {
            self.owners.at(peer_owner).reached -= 1;
        }
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
}
