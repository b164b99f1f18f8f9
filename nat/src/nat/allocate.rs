//! Allocation: eviction for a new connection, and SNAT ports.

use super::Nat;
use super::port_request::{PoolKey, PortRequest};
use crate::address::Address;
use crate::drop_reason::NatDrop;
use crate::limits::{ENDED_VICTIMS_MAX, FAIR_SHARE_FACTOR, PORT_VICTIMS_MAX, TICK_OPERATIONS};
use crate::mapping::Mapping;
use crate::owner::OwnerId;
use crate::port_pool::PortPool;
use crate::table::external_addrs::{ExternalEndpoint, Origin};
use crate::table::hash::Key;
use crate::tuple::Transport;
use crate::zone::InternalEndpoint;

/// A port that was taken from another connection, or with others.
#[derive(Clone, Copy, Debug)]
enum Taken {
    Free(u16),
    Shared(u16),
}

/// Limits that an owner's connections have reached.
#[derive(Clone, Copy, Debug)]
struct Reached {
    quota: bool,
    fair_share: bool,
}

impl Reached {
    const fn any(self) -> bool {
        self.quota || self.fair_share
    }
}

impl Nat {
    /// Admits one more connection of an owner, which at a limit evicts one of its own.
    pub(super) fn evict_for(&mut self, owner: OwnerId) -> Result<(), NatDrop> {
        if self.owners.get_or_add(owner).is_none() {
            self.counters.connections_table_full += 1;
            return Err(NatDrop::TableFull);
        }
        let mut reached = self.limits_reached(owner);
        if reached.any() && self.revoked.is_pending() {
            self.reclaim(&mut { TICK_OPERATIONS });
            reached = self.limits_reached(owner);
        }
        if !reached.any() {
            return Ok(());
        }
        let victim = self.owners.at(owner).eviction_candidate(&self.flows);
        // One victim a call: a lowered quota takes effect by degrees.
        if let Some(victim) = victim.filter(|_| self.policy.quota() > 0) {
            self.counters.connections_evicted += 1;
            self.end(victim);
            return Ok(());
        }
        if reached.quota {
            self.counters.connections_over_quota += 1;
            return Err(NatDrop::Quota);
        }
        self.counters.connections_table_full += 1;
        Err(NatDrop::TableFull)
    }

    fn limits_reached(&mut self, owner: OwnerId) -> Reached {
        let flows = self.owners.at(owner).flows;
        let left = self.flows.capacity() - self.flows.len();
        let fair_share = left.saturating_mul(FAIR_SHARE_FACTOR);
        Reached { quota: flows >= self.policy.quota(), fair_share: flows as usize >= fair_share }
    }

    /// The SNAT endpoint of a packet's sender at an external address.
    pub(super) fn external_endpoint(
        &mut self,
        owner: OwnerId,
        key: &Key,
        snat_addr: Address,
        server: InternalEndpoint,
    ) -> Result<ExternalEndpoint, NatDrop> {
        let (transport, internal) = (key.transport, key.sender());
        let addr_idx = self.externals.number(snat_addr).ok_or(NatDrop::NoAddress)?;
        if let Some((port, _)) = self.policy.published_as(transport, internal, snat_addr) {
            return Ok(ExternalEndpoint { addr_idx, port, origin: Origin::Published });
        }
        let is_live = |mapping: &Mapping| !self.is_mapping_revoked(mapping);
        let known = self.mappings.find(&self.secrets, transport, internal, addr_idx, is_live);
        let pool = PoolKey { owner, transport, addr_idx };
        let request = PortRequest { pool, server, preferred: internal.port };
        if let Some(number) = known {
            let port = self.mappings.at(number).port;
            if self.is_taken(&request, port) {
                return self.port_beside_mapping(&request);
            }
            return Ok(ExternalEndpoint { addr_idx, port, origin: Origin::Mapped(number) });
        }
        if self.revoked.awaits_ports() || self.ports.is_empty() {
            return Err(self.no_port());
        }
        if transport == Transport::Tcp
            && self.are_ports_short(pool)
            && let Some(port) = self.share_soon(&request)
        {
            return Ok(request.shared(port));
        }
        let port = match self.allocate_port(pool, internal.port) {
            Some(port) => port,
            None if self.awaits_blocks(pool) => return Err(self.port_awaited()),
            None => match self.take_port(&request) {
                Some(Taken::Free(port)) => port,
                Some(Taken::Shared(port)) => return Ok(request.shared(port)),
                None => return Err(self.no_port()),
            },
        };
        let number = self.add_mapping(pool, internal, port);
        Ok(ExternalEndpoint { addr_idx, port, origin: Origin::Mapped(number) })
    }

    /// Another port than that of the endpoint's mapping, which is taken towards this destination.
    #[cold]
    fn port_beside_mapping(&mut self, request: &PortRequest) -> Result<ExternalEndpoint, NatDrop> {
        let PoolKey { owner, transport, addr_idx } = request.pool;
        if transport == Transport::Tcp
            && let Some(port) = self.share_soon(request)
        {
            return Ok(request.shared(port));
        }
        if let Some(port) = self.allocate_port(request.pool, request.preferred) {
            self.port_pool(transport, addr_idx).charge(port, Some(owner));
            *self.owners.at(owner).ports_mut(request.pool.list()) += 1;
            return Ok(request.shared(port));
        }
        if self.awaits_blocks(request.pool) {
            return Err(self.port_awaited());
        }
        self.share_late(request).map(|port| request.shared(port)).ok_or_else(|| self.no_port())
    }

    fn port_awaited(&mut self) -> NatDrop {
        self.counters.connections_port_awaited += 1;
        NatDrop::PortAwaited
    }

    fn no_port(&mut self) -> NatDrop {
        self.counters.connections_no_port += 1;
        NatDrop::PortsExhausted
    }

    /// Maps an internal endpoint to an external port that is already allocated.
    pub(super) fn add_mapping(
        &mut self,
        pool: PoolKey,
        internal: InternalEndpoint,
        port: u16,
    ) -> u32 {
        let PoolKey { owner, transport, addr_idx } = pool;
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
        *self.owners.at(owner).ports_mut(pool.list()) += 1;
        number
    }

    /// The port pool of a transport at an external address, made on first use.
    pub(super) fn port_pool(&mut self, transport: Transport, addr_idx: u16) -> &mut PortPool {
        let slot = self.externals.port_pool_slot(addr_idx, transport);
        slot.get_or_insert_with(|| Box::new(PortPool::new(self.ports.clone())))
    }

    /// Allocates a free SNAT port.
    fn allocate_port(&mut self, pool: PoolKey, preferred: u16) -> Option<u16> {
        self.port_pool(pool.transport, pool.addr_idx);
        if let Some(port) = self.try_allocate_port(pool, preferred) {
            return Some(port);
        }
        if self.revoked.is_pending() {
            self.reclaim(&mut { TICK_OPERATIONS });
            return self.try_allocate_port(pool, preferred);
        }
        None
    }

    /// A port where none is free, or where the owner is at its fair share: one of its own connections yields, at most, or
    /// the port is shared.
    #[cold]
    fn take_port(&mut self, request: &PortRequest) -> Option<Taken> {
        let PortRequest { pool, preferred, .. } = *request;
        let of_pool = Some(pool).filter(|pool| !self.lacks_mappings(pool.owner));
        let closed = self.closed_victim(pool.owner, of_pool);
        self.evict(closed);
        // Retry without a victim too: evicted connections of a pool in the same list count no longer.
        if let Some(port) = self.try_allocate_port(pool, preferred) {
            return Some(Taken::Free(port));
        }
        let is_tcp = pool.transport == Transport::Tcp;
        if is_tcp && let Some(port) = self.share_late(request) {
            return Some(Taken::Shared(port));
        }
        if closed.is_none() {
            let opening = self.opening_victim(pool.owner, of_pool);
            self.evict(opening);
            if let Some(port) = self.try_allocate_port(pool, preferred) {
                return Some(Taken::Free(port));
            }
        }
        if is_tcp { None } else { self.share_late(request).map(Taken::Shared) }
    }

    pub(super) fn evict(&mut self, victim: Option<u32>) {
        if let Some(victim) = victim {
            self.counters.connections_evicted += 1;
            self.end(victim);
        }
    }

    fn try_allocate_port(&mut self, pool: PoolKey, preferred: u16) -> Option<u16> {
        let PoolKey { transport, addr_idx, .. } = pool;
        if self.has_port_share(pool) {
            return None;
        }
        let policy = &self.policy;
        let ports = self.externals.port_pool_mut(addr_idx, transport)?;
        let blocks = &mut self.blocks[transport as usize];
        ports.allocate(blocks, preferred, self.now, &mut self.random, |port| {
            !policy.names_port(transport, port)
        })
    }

    /// The owner has its fair share of the pool's ports, or of the mappings. The share is of all ports that may be had.
    fn has_port_share(&mut self, pool: PoolKey) -> bool {
        let PoolKey { owner, transport, addr_idx } = pool;
        let blocks = &self.blocks[transport as usize];
        let ports = self.externals.port_pool(addr_idx, transport);
        let share = ports.map_or(0, |ports| ports.available(blocks)) as usize;
        *self.owners.at(owner).ports_mut(pool.list()) as usize >= share * FAIR_SHARE_FACTOR
            || self.lacks_mappings(owner)
    }

    /// Control may claim further blocks, and the owner may have ports of them.
    fn awaits_blocks(&mut self, pool: PoolKey) -> bool {
        !self.revoked.awaits_ports()
            && self.blocks[pool.transport as usize].may_grow()
            && !self.has_port_share(pool)
    }

    /// The owner has its fair share of the mappings.
    fn lacks_mappings(&self, owner: OwnerId) -> bool {
        let left = self.mappings.capacity() - self.mappings.len();
        let share = left.saturating_mul(FAIR_SHARE_FACTOR);
        self.owners.get(owner).is_none_or(|entry| entry.mappings() as usize >= share)
    }

    /// The owner's closed connection whose end frees a port of the pool, or of any. Ends closed connections that
    /// free none (another uses their mapping), so that no later search visits them.
    fn closed_victim(&mut self, owner: OwnerId, pool: Option<PoolKey>) -> Option<u32> {
        let pools = pool.map(PoolKey::list);
        for _ in 0..ENDED_VICTIMS_MAX {
            let Some(closed) = self.owners.get(owner)?.first_closed(pools, &self.flows) else {
                break;
            };
            if self.frees_port(closed, pool) {
                return Some(closed);
            }
            self.counters.connections_evicted += 1;
            self.end(closed);
        }
        None
    }

    /// The owner's unanswered connection whose end frees a port.
    fn opening_victim(&self, owner: OwnerId, pool: Option<PoolKey>) -> Option<u32> {
        let pools = pool.map(PoolKey::list);
        let opening = self.owners.get(owner)?.opening(pools, &self.flows);
        opening.take(PORT_VICTIMS_MAX).find(|&number| self.frees_port(number, pool))
    }

    /// The connection is the last user of its owner's mapping, of the pool or of any, and nobody shares the port.
    fn frees_port(&self, number: u32, pool: Option<PoolKey>) -> bool {
        let flow = self.flows.at(number);
        let Some((addr_idx, port)) = flow.owner_mapped() else { return false };
        let is_in = |pool: PoolKey| (pool.transport, pool.addr_idx) == (flow.transport(), addr_idx);
        let ports = self.externals.port_pool(addr_idx, flow.transport());
        let mapping = ports.and_then(|ports| ports.mapping(port));
        pool.is_none_or(is_in)
            && ports.is_some_and(|ports| !ports.is_shared(port))
            && mapping.is_some_and(|mapping| self.mappings.at(mapping).users == 1)
    }
}
