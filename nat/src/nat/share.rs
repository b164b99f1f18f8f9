//! Ports that connections to different destinations share, when ports are short.
//!
//! # Theory of operation
//!
//! While there is room an internal endpoint has one external port, and has it alone (endpoint-independent mapping). When
//! less than a quarter of the claimed ports is free and no further block is to be had, a new TCP connection *shares* a
//! port that is in use, as with Linux: no two connections have the same external port and remote endpoint, so that the
//! answers' tuples tell them apart (address- and port-dependent mapping; RFC 5382, REQ-7, is met by that).
//!
//! | wants a port | gets, the first that there is |
//! |---|---|
//! | TCP | a shared one of few tries; a free one; that of a closed connection of its owner; a shared one of many tries; that of an unanswered connection of its owner |
//! | others | a free one; that of a closed, then of an unanswered connection of its owner; a shared one of many tries |
//! | an endpoint whose mapped port another connection shares towards the same remote endpoint | a shared one of few tries; a free one; a shared one of many tries |
//!
//! A shared port has no mapping and no filter entry: from outside only answers come in. A port may have a mapping, of the
//! endpoint that had it first, and sharers too.
//!
//! An owner has at most four fifths of the ports towards a remote endpoint, like of the ports themselves. They are not
//! counted but estimated, and only if it has half as many connections as there are ports: by [`SHARED_SAMPLE_MAX`] ports
//! that are random, but always the same ones, so that nobody gains by asking again.

use super::Nat;
use super::port_request::{PoolKey, PortRequest};
use crate::limits::{
    FAIR_SHARE_FACTOR, SHARED_SAMPLE_MAX, SHARED_SAMPLE_MIN, SHARED_TRIES_FIRST, SHARED_TRIES_MAX,
};
use crate::state::Class;
use crate::table::flow::Flow;
use crate::table::hash::random;

/// What a search found.
#[derive(Debug, Default)]
struct Found {
    free: Option<u16>,
    /// The port of the owner's least recently used closed connection, and its time.
    closed: Option<(u32, u16)>,
}

impl Nat {
    /// Ports are so short that TCP connections share them.
    pub(super) fn are_ports_short(&mut self, pool: PoolKey) -> bool {
        let now = self.now;
        let ports = self.port_pool(pool.transport, pool.addr_idx);
        ports.release_some_due(now);
        let used = ports.used();
        let blocks = &mut self.blocks[pool.transport as usize];
        blocks.note_used(used);
        blocks.are_short(used)
    }

    /// A port in use that no connection uses towards the destination, by few tries.
    pub(super) fn share_soon(&mut self, request: &PortRequest) -> Option<u16> {
        let found = self.try_shared(request, SHARED_TRIES_FIRST);
        found.free.filter(|_| self.is_fair(request))
    }

    /// The same by many tries, or the port of a closed connection of the owner to that destination.
    pub(super) fn share_late(&mut self, request: &PortRequest) -> Option<u16> {
        let PoolKey { owner, transport, addr_idx } = request.pool;
        let destination = self.secrets.hash_endpoint(transport, request.server, addr_idx);
        if self.refusals.has((destination, owner), self.now) {
            return None;
        }
        let found = self.try_shared(request, SHARED_TRIES_MAX);
        let free = found.free.filter(|_| self.is_fair(request));
        let port = free.or(found.closed.map(|(_, port)| port));
        if port.is_none() {
            self.refusals.insert((destination, owner), self.now);
        }
        port
    }

    /// A connection that shares the mapped port of another endpoint has the destination of a new one of that endpoint.
    #[inline]
    pub(super) fn is_taken(&self, request: &PortRequest, port: u16) -> bool {
        let PoolKey { transport, addr_idx, .. } = request.pool;
        let ports = self.externals.port_pool(addr_idx, transport);
        ports.is_some_and(|ports| ports.is_shared(port)) && self.has_answers(request, port)
    }

    #[cold]
    fn has_answers(&self, request: &PortRequest, port: u16) -> bool {
        let Some(external) = self.externals.address(request.pool.addr_idx) else { return false };
        let known = self.find(&request.answers(external, port));
        known.is_some_and(|(number, _)| !self.is_over(self.flows.at(number)))
    }

    /// Tries so many ports in use, at random, until one is free towards the destination.
    fn try_shared(&mut self, request: &PortRequest, tries: usize) -> Found {
        let random = random(&mut self.random);
        let mut found = Found::default();
        for (port, known) in self.shareable(request, random).take(tries) {
            let Some(flow) = known else {
                found.free = Some(port);
                break;
            };
            let is_own = flow.owner.id() == request.pool.owner && flow.class() == Class::Closed;
            if is_own && found.closed.is_none_or(|(seen, _)| flow.seen < seen) {
                found.closed = Some((flow.seen, port));
            }
        }
        found
    }

    /// The owner has less than its share of the ports towards the destination.
    fn is_fair(&mut self, request: &PortRequest) -> bool {
        let PoolKey { owner, transport, addr_idx } = request.pool;
        let entry = self.owners.at(owner);
        let has = entry.sharing + *entry.ports_mut(request.pool.list());
        if has < self.blocks[transport as usize].obtainable_ports() / 2 {
            return true;
        }
        let seed = self.secrets.hash_endpoint(transport, request.server, addr_idx);
        let seed = seed.rotate_left(owner.0 % 64) ^ u64::from(owner.0);
        let (mut own, mut free) = (0, 0);
        for (tried, (_, known)) in self.shareable(request, seed).take(SHARED_SAMPLE_MAX).enumerate()
        {
            if tried == SHARED_SAMPLE_MIN && own < SHARED_SAMPLE_MIN / 4 {
                return true;
            }
            own += usize::from(known.is_some_and(|flow| flow.owner.id() == owner));
            free += usize::from(known.is_none());
        }
        own < free * FAIR_SHARE_FACTOR
    }

    /// Ports in use, in an order that the number gives, and the connection that has each towards the destination.
    fn shareable(
        &self,
        request: &PortRequest,
        random: u64,
    ) -> impl Iterator<Item = (u16, Option<&Flow>)> {
        let PoolKey { transport, addr_idx, .. } = request.pool;
        let pool = self.externals.port_pool(addr_idx, transport);
        let ends = pool.zip(self.externals.address(addr_idx));
        let active = self.blocks[transport as usize].active();
        let ports = ends.map(|(pool, external)| {
            pool.shareable(active, random)
                .filter(move |port| !self.policy.is_published(transport, external, *port))
                .map(move |port| {
                    let known = self.find(&request.answers(external, port));
                    let flow = known.map(|(number, _)| self.flows.at(number));
                    (port, flow.filter(|flow| !self.is_over(flow)))
                })
        });
        ports.into_iter().flatten()
    }
}
