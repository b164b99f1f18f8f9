//! Expiry and removal of connections.

use super::Nat;
use crate::address::Address;
use crate::direction::Direction;
use crate::state::CoarseTime;
use crate::table::external_addrs;
use crate::table::external_addrs::{ExternalEndpoint, Origin};
use crate::table::flow::FlowFlags;
use crate::table::hash::{Key, PortPair};
use crate::table::owners::PoolList;
use crate::time::Time;
use crate::tuple::Transport;
use crate::zone::Zone;

impl Nat {
    /// Ends expired and revoked connections in at most this many operations: each visits, moves or ends a
    /// connection. The next call continues. Leftover operations prefault memory.
    pub fn tick(&mut self, now: Time, operations_max: usize) {
        self.advance(now);
        if !self.gone.is_empty() {
            self.revoke_gone();
        }
        // Half for each, so that neither starves.
        let mut operations = operations_max.div_ceil(2);
        self.reclaim(&mut operations);
        operations += operations_max / 2;
        if self.is_empty() {
            self.wheel.reset(self.now);
        }
        while let Some(number) = self.wheel.expired(&mut self.flows, self.now, &mut operations) {
            self.counters.connections_expired += 1;
            self.end(number);
        }
        self.reclaim(&mut operations);
        self.prefault(operations);
    }

    /// [`Self::tick`] has work left before the next expiry.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.revoked.is_pending() || self.awaits_prefault() || !self.gone.is_empty()
    }

    /// Ends a closed connection ([`Self::is_over`]), or one that yields to another.
    pub(super) fn end_over(&mut self, number: u32) {
        let flow = self.flows.at(number);
        let has_expired = flow.state.has_expired(flow.transport(), CoarseTime(flow.seen), self.now);
        let count = if has_expired {
            &mut self.counters.connections_expired
        } else {
            &mut self.counters.connections_ended
        };
        *count += 1;
        self.end(number);
    }

    /// Ends a connection.
    pub(super) fn end(&mut self, number: u32) {
        let flow = self.flows.at(number);
        let keys =
            [Direction::Original, Direction::Reply].map(|dir| flow.key(dir, &self.externals));
        let (owner, peer_owner) = (flow.owner.id(), flow.peer_owner.id());
        let (flags, aliases) = (flow.flags, flow.aliases);
        let (transport, is_remembered) = (flow.transport(), flow.state.is_remembered());
        let (mapped, shared) = (flow.mapped(), flow.shared());
        if flags.has(FlowFlags::IN_FILTER) {
            self.filter.remove(self.filter_key_of(number));
        }
        for (dir, key) in (0..).zip(&keys) {
            self.index.remove(self.secrets.hash(key), number << 1 | dir);
        }
        self.wheel.remove(&mut self.flows, number);
        self.owners.unlink(&mut self.flows, number);
        let entry = self.owners.at(owner);
        entry.flows -= 1;
        entry.published -= u32::from(flags.has(FlowFlags::PUBLISHED));
        entry.sharing -= u32::from(flags.is_shared());
        if flags.has(FlowFlags::HAIRPIN) {
            self.owners.at(peer_owner).hairpins -= 1;
        }
        self.flows.remove(number);
        for (addr_idx, port) in mapped.into_iter().flatten() {
            self.release_mapping(transport, addr_idx, port, is_remembered);
        }
        if let Some((addr_idx, port)) = shared {
            let now = self.now;
            self.shared -= 1;
            self.port_pool(transport, addr_idx).unshare(port, is_remembered, now);
        }
        for addr_idx in aliases.into_iter().filter(|addr_idx| *addr_idx != external_addrs::NONE) {
            self.externals.release(addr_idx);
        }
    }

    /// Drops a connection's use of a mapping; the last use removes it.
    fn release_mapping(
        &mut self,
        transport: Transport,
        addr_idx: u16,
        port: u16,
        is_remembered: bool,
    ) {
        let ports = self.externals.port_pool_mut(addr_idx, transport);
        let Some(number) = ports.and_then(|ports| ports.mapping(port)) else { return };
        let mapping = self.mappings.at_mut(number);
        mapping.users -= 1;
        mapping.is_remembered |= is_remembered;
        if mapping.users == 0 {
            self.drop_mapping(number);
        }
    }

    /// Removes a mapping or a port whose connection failed.
    pub(super) fn drop_unused(&mut self, transport: Transport, external: ExternalEndpoint) {
        match external.origin {
            Origin::Mapped(number) if self.mappings.at(number).users == 0 => {
                self.drop_mapping(number);
            }
            Origin::Shared => {
                let now = self.now;
                self.port_pool(transport, external.addr_idx).release_unused(
                    external.port,
                    false,
                    now,
                );
            }
            Origin::Mapped(_) | Origin::Published => {}
        }
    }

    fn drop_mapping(&mut self, number: u32) {
        let mapping = self.mappings.remove(&self.secrets, number);
        let pools = PoolList::of(mapping.transport, mapping.addr_idx);
        *self.owners.at(mapping.owner).ports_mut(pools) -= 1;
        if let Some(ports) = self.externals.port_pool_mut(mapping.addr_idx, mapping.transport) {
            ports.release(mapping.port, mapping.is_remembered, self.now);
        }
    }

    /// The filter key of an external endpoint with a remote address.
    pub(super) fn filter_key(
        &self,
        transport: Transport,
        addr_idx: u16,
        port: u16,
        remote: Address,
    ) -> u64 {
        let dst = Address { high: 0, low: addr_idx.into() };
        let (zone, ports) = (Zone::EXTERNAL, PortPair::new(0, port));
        self.secrets.hash(&Key { transport, zone, src: remote, dst, ports })
    }

    /// The filter key of a connection: the client's mapping with the server's address, or the server's
    /// mapping with the client's.
    pub(super) fn filter_key_of(&self, number: u32) -> u64 {
        let flow = self.flows.at(number);
        let original = flow.key(Direction::Original, &self.externals);
        let reply = flow.key(Direction::Reply, &self.externals);
        let (addr_idx, port, remote) = if flow.flags.has(FlowFlags::CLIENT_MAPPED) {
            (flow.aliases[0], reply.ports.dst(), original.dst)
        } else {
            (flow.aliases[1], original.ports.dst(), reply.dst)
        };
        self.filter_key(flow.transport(), addr_idx, port, remote)
    }
}
