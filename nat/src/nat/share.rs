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
//! | an endpoint whose mapped port another connection shares towards the same remote endpoint | TCP: a shared one of few tries; all: a free one; a shared one of many tries |
//!
//! A shared port has no mapping and no filter entry: from outside only answers come in. A port may have a mapping, of the
//! endpoint that had it first, and sharers too. Once it has had sharers, only answers reach that endpoint, too, until the
//! port has been free: the filter knows addresses, and would let late data of an ended sharer in.
//!
//! The port is free when all have ended. Meanwhile it rests towards the destination of each that a peer may remember
//! ([`Rests`](crate::table::rests::Rests)), for all but the owner. It counts for the owner that allocated it.
//!
//! An owner has at most four fifths of the ports towards a remote endpoint, like of the ports themselves. They are not
//! counted but estimated, and only if it has half as many connections as there are ports: by [`SHARED_SAMPLE_MAX`] ports
//! that are random, but always the same ones, so that nobody gains by asking again.

#[cfg(test)]
mod tests;

use super::Nat;
use super::port_request::{PoolKey, PortRequest};
use crate::limits::{
    FAIR_SHARE_FACTOR, SHARED_SAMPLE_MAX, SHARED_SAMPLE_MIN, SHARED_TRIES_FIRST, SHARED_TRIES_MAX,
};
use crate::owner::OwnerId;
use crate::state::{Class, CoarseTime};
use crate::table::flow::Flow;
use crate::table::hash::{Key, random};
use crate::tuple::Transport;

/// The result of a search.
#[derive(Debug, Default)]
struct Found {
    free: Option<u16>,
    /// The port of the owner's least recently used connection that is closed or at rest, and its time.
    closed: Option<(u32, u16)>,
}

/// A port in use, towards one destination.
#[derive(Clone, Copy, Debug)]
enum Tuple<'a> {
    Free,
    /// Its last connection has ended, but the peer may remember it.
    AtRest(OwnerId, CoarseTime),
    Used(&'a Flow),
}

impl Tuple<'_> {
    /// A connection of the owner has it, or had it.
    fn is_of(self, owner: OwnerId) -> bool {
        match self {
            Self::Free => false,
            Self::AtRest(known, _) => known == owner,
            Self::Used(flow) => flow.owner.id() == owner,
        }
    }
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
        let refused = (self.destination(request), request.pool.owner);
        if self.soon_refusals.has(refused, self.now) || self.late_refusals.has(refused, self.now) {
            return None;
        }
        let found = self.try_shared(request, SHARED_TRIES_FIRST);
        let port = found.free.filter(|_| self.is_fair(request));
        if port.is_none() {
            self.soon_refusals.insert(refused, self.now);
        }
        port
    }

    /// The hash of the destination.
    fn destination(&self, request: &PortRequest) -> u64 {
        let PoolKey { transport, addr_idx, .. } = request.pool;
        let mut server = request.server;
        if transport == Transport::Echo {
            // An identifier is no part of the destination.
            server.port = 0;
        }
        self.secrets.hash_endpoint(transport, server, addr_idx)
    }

    /// The same by many tries, or the port of a closed connection of the owner to that destination.
    pub(super) fn share_late(&mut self, request: &PortRequest) -> Option<u16> {
        let refused = (self.destination(request), request.pool.owner);
        if self.late_refusals.has(refused, self.now) {
            return None;
        }
        let found = self.try_shared(request, SHARED_TRIES_MAX);
        let free = found.free.filter(|_| self.is_fair(request));
        let port = free.or(found.closed.map(|(_, port)| port));
        if port.is_none() {
            self.late_refusals.insert(refused, self.now);
        }
        port
    }

    /// Connections share an allocated port, or did.
    #[inline]
    pub(super) fn has_been_shared(&self, transport: Transport, addr_idx: u16, port: u16) -> bool {
        let ports = self.externals.port_pool(addr_idx, transport);
        ports.is_some_and(|ports| ports.has_been_shared(port))
    }

    /// A connection that shares the mapped port of another endpoint has the destination of a new one of that endpoint.
    #[inline]
    pub(super) fn is_taken(&self, request: &PortRequest, port: u16) -> bool {
        let PoolKey { transport, addr_idx, .. } = request.pool;
        self.has_been_shared(transport, addr_idx, port) && self.has_answers(request, port)
    }

    #[cold]
    fn has_answers(&self, request: &PortRequest, port: u16) -> bool {
        let Some(external) = self.externals.address(request.pool.addr_idx) else { return false };
        match self.tuple(&request.answers(external, port)) {
            Tuple::Free => false,
            Tuple::AtRest(owner, _) => owner != request.pool.owner,
            Tuple::Used(_) => true,
        }
    }

    fn tuple(&self, answers: &Key) -> Tuple<'_> {
        let Some((number, _)) = self.find(answers) else {
            let rest = self.rests.find(self.secrets.hash(answers), self.now);
            return rest.map_or(Tuple::Free, |rest| Tuple::AtRest(rest.owner, rest.since));
        };
        let flow = self.flows.at(number);
        if !self.is_over(flow) {
            return Tuple::Used(flow);
        }
        let since = self.remembered_since(flow);
        since.map_or(Tuple::Free, |since| Tuple::AtRest(flow.owner.id(), since))
    }

    /// Tries so many ports in use, at random, until one is free towards the destination.
    fn try_shared(&mut self, request: &PortRequest, tries: usize) -> Found {
        let random = random(&mut self.random);
        let mut found = Found::default();
        for (port, tuple) in self.shareable(request, random).take(tries) {
            let seen = match tuple {
                Tuple::Free => {
                    found.free = Some(port);
                    break;
                }
                Tuple::AtRest(_, since) => since.0,
                Tuple::Used(flow) if flow.class() == Class::Closed => flow.seen,
                Tuple::Used(_) => continue,
            };
            let is_older = found.closed.is_none_or(|(oldest, _)| seen < oldest);
            if is_older && tuple.is_of(request.pool.owner) {
                found.closed = Some((seen, port));
            }
        }
        found
    }

    /// The owner has less than its share of the ports towards the destination.
    fn is_fair(&mut self, request: &PortRequest) -> bool {
        let PoolKey { owner, transport, .. } = request.pool;
        let entry = self.owners.at(owner);
        let has = entry.sharing + *entry.ports_mut(request.pool.list());
        if has < self.blocks[transport as usize].obtainable_ports() / 2 {
            return true;
        }
        let seed = self.destination(request);
        let seed = seed.rotate_left(owner.0 % 64) ^ u64::from(owner.0);
        let (mut own, mut free) = (0, 0);
        for (tried, (_, tuple)) in self.shareable(request, seed).take(SHARED_SAMPLE_MAX).enumerate()
        {
            if tried == SHARED_SAMPLE_MIN && own < SHARED_SAMPLE_MIN / 4 {
                return true;
            }
            own += usize::from(tuple.is_of(owner));
            free += usize::from(matches!(tuple, Tuple::Free));
        }
        own < free * FAIR_SHARE_FACTOR
    }

    /// Ports in use, in an order that the number gives, and each one's tuple with the destination.
    fn shareable(
        &self,
        request: &PortRequest,
        random: u64,
    ) -> impl Iterator<Item = (u16, Tuple<'_>)> {
        let PoolKey { transport, addr_idx, .. } = request.pool;
        let pool = self.externals.port_pool(addr_idx, transport);
        let ends = pool.zip(self.externals.address(addr_idx));
        let active = self.blocks[transport as usize].active();
        let ports = ends.map(|(pool, external)| {
            pool.shareable(active, random)
                .filter(move |port| !self.policy.names_port(transport, *port))
                .map(move |port| (port, self.tuple(&request.answers(external, port))))
        });
        ports.into_iter().flatten()
    }
}
