//! Allocation: eviction for a new connection, and SNAT ports.

use super::Nat;
use super::create::ExternalEndpoint;
use crate::address::Address;
use crate::drop_reason::NatDrop;
use crate::limits::{ENDED_VICTIMS_MAX, FAIR_SHARE_FACTOR, PORT_VICTIMS_MAX, TICK_OPERATIONS};
use crate::mapping::Mapping;
use crate::owner::OwnerId;
use crate::port_pool::PortPool;
use crate::table::flow::FlowFlags;
use crate::table::hash::Key;
use crate::table::link::NIL;
use crate::tuple::Transport;
use crate::zone::InternalEndpoint;

impl Nat {
    /// Sees to it that an owner has room for another connection, at the cost of its own only.
    pub(super) fn evict_for(&mut self, owner: OwnerId) -> Result<(), NatDrop> {
        if self.owners.get_or_add(owner).is_none() {
            self.counters.connections_table_full += 1;
            return Err(NatDrop::TableFull);
        }
        let (mut at_quota, mut at_share) = self.limits_reached(owner);
        if (at_quota || at_share) && self.revoked.is_pending() {
            self.reclaim(&mut { TICK_OPERATIONS });
            (at_quota, at_share) = self.limits_reached(owner);
        }
        if !at_quota && !at_share {
            return Ok(());
        }
        let entry = self.owners.at(owner);
        // A quota that became smaller is kept to by degrees.
        if let Some(victim) = entry.eviction_candidate().filter(|_| self.policy.quota() > 0) {
            self.counters.connections_evicted += 1;
            self.end(victim);
            return Ok(());
        }
        if at_quota {
            self.counters.connections_over_quota += 1;
            return Err(NatDrop::Quota);
        }
        self.counters.connections_table_full += 1;
        Err(NatDrop::TableFull)
    }

    /// Whether an owner has its quota of connections, and its share of the table.
    fn limits_reached(&mut self, owner: OwnerId) -> (bool, bool) {
        let quota = self.policy.quota();
        let left = self.flows.capacity() - self.flows.len();
        let flows = self.owners.at(owner).flows;
        (flows >= quota, flows as usize >= left.saturating_mul(FAIR_SHARE_FACTOR))
    }

    /// The endpoint by which the world sees the sender of a packet, at an address of ours.
    pub(super) fn external_endpoint(
        &mut self,
        owner: OwnerId,
        key: &Key,
        snat_addr: Address,
    ) -> Result<ExternalEndpoint, NatDrop> {
        let (transport, internal) = (key.transport, key.sender());
        let addr_idx = self.externals.number(snat_addr).ok_or(NatDrop::NoAddress)?;
        if let Some((port, _)) = self.policy.published_as(transport, internal, snat_addr) {
            return Ok(ExternalEndpoint { addr_idx, port, mapping: None });
        }
        let is_live = |mapping: &Mapping| !self.is_mapping_revoked(mapping);
        let known = self.mappings.find(&self.secrets, transport, internal, addr_idx, is_live);
        if let Some(number) = known {
            let port = self.mappings.at(number).port;
            return Ok(ExternalEndpoint { addr_idx, port, mapping: Some(number) });
        }
        let Some(port) = self.allocate_port(owner, transport, addr_idx, internal.port) else {
            self.counters.connections_no_port += 1;
            return Err(NatDrop::PortsExhausted);
        };
        let number = self.add_mapping(owner, transport, internal, (addr_idx, port));
        Ok(ExternalEndpoint { addr_idx, port, mapping: Some(number) })
    }

    /// Maps an internal endpoint to a port that was taken for it.
    pub(super) fn add_mapping(
        &mut self,
        owner: OwnerId,
        transport: Transport,
        internal: InternalEndpoint,
        (addr_idx, port): (u16, u16),
    ) -> u32 {
        let mapping = Mapping {
            internal,
            port,
            addr_idx,
            transport,
            is_remembered: false,
            owner,
            created_epoch: self.revoked.epoch,
            users: 0,
        };
        let number = self.mappings.insert(&self.secrets, mapping);
        self.port_pool(transport, addr_idx).set_mapping(port, number);
        self.owners.at(owner).ports += 1;
        number
    }

    /// The ports of a transport at an external address.
    pub(super) fn port_pool(&mut self, transport: Transport, addr_idx: u16) -> &mut PortPool {
        let slot = self.externals.port_pool_slot(addr_idx, transport);
        slot.get_or_insert_with(|| Box::new(PortPool::new(self.ports.clone())))
    }

    /// A port for an owner; one of its own, if it has its share.
    fn allocate_port(
        &mut self,
        owner: OwnerId,
        transport: Transport,
        addr_idx: u16,
        like: u16,
    ) -> Option<u16> {
        if self.revoked.awaits_ports() {
            return None;
        }
        if self.ports.is_empty() {
            return None;
        }
        self.port_pool(transport, addr_idx);
        if let Some(port) = self.try_allocate_port(owner, transport, addr_idx, like) {
            return Some(port);
        }
        if self.revoked.is_pending() {
            self.reclaim(&mut { TICK_OPERATIONS });
            if let Some(port) = self.try_allocate_port(owner, transport, addr_idx, like) {
                return Some(port);
            }
        }
        // Also what frees no port of these may have made its share large enough.
        if let Some(victim) = self.port_victim(owner, transport, addr_idx) {
            self.counters.connections_evicted += 1;
            self.end(victim);
        }
        self.try_allocate_port(owner, transport, addr_idx, like)
    }

    fn try_allocate_port(
        &mut self,
        owner: OwnerId,
        transport: Transport,
        addr_idx: u16,
        like: u16,
    ) -> Option<u16> {
        let address = self.externals.address(addr_idx)?;
        let ports = self.externals.port_pool_mut(addr_idx, transport)?;
        let share = ports.available() as usize * FAIR_SHARE_FACTOR;
        if self.mappings.is_full() || self.owners.at(owner).ports as usize >= share {
            return None;
        }
        let policy = &self.policy;
        ports.allocate(like, self.now, &mut self.random, |port| {
            !policy.is_published(transport, address, port)
        })
    }

    /// A connection of an owner whose end frees a port of this transport and address. Those that are over
    /// and free none, as those to a published port, are ended on the way: nobody misses them, and they are
    /// not looked at again.
    fn port_victim(&mut self, owner: OwnerId, transport: Transport, addr_idx: u16) -> Option<u32> {
        for _ in 0..ENDED_VICTIMS_MAX {
            let [over, ..] = self.owners.get(owner)?.firsts();
            if over == NIL {
                break;
            }
            if self.frees_port(over, transport, addr_idx) {
                return Some(over);
            }
            self.counters.connections_evicted += 1;
            self.end(over);
        }
        let [_, unanswered, _] = self.owners.get(owner)?.firsts();
        let first = Some(unanswered).filter(|number| *number != NIL);
        let listed = std::iter::successors(first, |number| {
            Some(self.flows.at(*number).owner_link.next).filter(|next| *next != NIL)
        });
        listed.take(PORT_VICTIMS_MAX).find(|&number| self.frees_port(number, transport, addr_idx))
    }

    /// Whether the end of a connection frees a port of this transport and address.
    fn frees_port(&self, number: u32, transport: Transport, addr_idx: u16) -> bool {
        let Some(ports) = self.externals.port_pool(addr_idx, transport) else { return false };
        let flow = self.flows.at(number);
        let is_like = flow.transport() == transport && flow.aliases[0] == addr_idx;
        let is_last = |mapping: u32| self.mappings.at(mapping).users == 1;
        is_like
            && flow.flags.has(FlowFlags::CLIENT_MAPPED)
            && ports.mapping(flow.ports[1].dst()).is_some_and(is_last)
    }
}
