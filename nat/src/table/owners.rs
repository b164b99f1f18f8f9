//! Owners: quotas, and each owner's connections in the order of eviction.
//!
//! # Theory of operation
//!
//! An owner's connections are in lists, oldest first, by *class*: closed, opening (unanswered), in use. An
//! owner at its limit evicts the oldest closed one, then the oldest opening one, never one in use, and
//! never another owner's.
//!
//! A connection that yields to another for its SNAT port must free a port of that pool. So both classes
//! that may yield have a list for each pool, and one for connections without a mapping: thousands of
//! closed connections to a published port do not hide the one whose end helps. Pools share [`POOLS`]
//! lists by transport and the low bits of their address's index: two pools in one list are possible, but
//! need more than four external addresses.
//!
//! An owner's limits are its quota and a multiple of the free slots: when several owners take all they
//! can, a new one finds as many as each of them has. Mappings have the same rule, and the ports of a pool.

use super::flow::Flow;
use super::link::{HEAD, Link, NIL};
use super::slab::Slab;
use crate::limits::OWNERS_MAX;
use crate::owner::OwnerId;
use crate::state::Class;
use crate::tuple::Transport;

/// Lists of port pools in one class.
const POOLS: usize = 16;

/// Lists of one class: those of the pools, then that of connections without a mapping.
const CLASS_LISTS: usize = POOLS + 1;

/// Lists of an owner: closed, opening, in use.
const LISTS: usize = 2 * CLASS_LISTS + 1;

/// Lists of one transport's pools.
const TRANSPORT_POOLS: usize = POOLS / 4;

/// Port pools that share a list in a class, and a count of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PoolList(usize);

impl PoolList {
    pub(crate) const fn of(transport: Transport, addr_idx: u16) -> Self {
        Self(transport as usize * TRANSPORT_POOLS + addr_idx as usize % TRANSPORT_POOLS)
    }
}

/// The list of a connection.
fn list(flow: &Flow) -> usize {
    let pool = || {
        let mapped = flow.owner_mapped();
        mapped.map_or(POOLS, |(addr_idx, _)| PoolList::of(flow.transport(), addr_idx).0)
    };
    match flow.class() {
        Class::Closed => pool(),
        Class::Opening => CLASS_LISTS + pool(),
        Class::InUse => 2 * CLASS_LISTS,
    }
}

/// One owner.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    /// Head and tail of each list.
    lists: [(u32, u32); LISTS],
    /// Connections.
    pub(crate) flows: u32,
    /// Connections by a published port.
    pub(crate) published: u32,
    /// Hairpin connections with this owner's container as the server.
    pub(crate) hairpins: u32,
    /// Connections with a shared port.
    pub(crate) sharing: u32,
    /// Connections of an earlier epoch are revoked.
    pub(crate) since: u32,
    /// Revoked connections await reclaim.
    pub(crate) awaits_reclaim: bool,
    /// Ports of its mappings, by pool.
    ports: [u32; POOLS],
}

impl Owner {
    const NONE: Self = Self {
        lists: [(NIL, NIL); LISTS],
        flows: 0,
        published: 0,
        hairpins: 0,
        sharing: 0,
        since: 0,
        awaits_reclaim: false,
        ports: [0; POOLS],
    };

    /// The next connection to evict: the least recently refreshed of the first in each list.
    pub(crate) fn eviction_candidate(&self, flows: &Slab) -> Option<u32> {
        let mut classes = self.lists[..2 * CLASS_LISTS].chunks(CLASS_LISTS);
        classes.find_map(|lists| oldest(lists, flows))
    }

    /// The oldest closed connection with a mapping, of these pools or of all.
    pub(crate) fn first_closed(&self, pools: Option<PoolList>, flows: &Slab) -> Option<u32> {
        oldest(pools.map_or(&self.lists[..POOLS], |PoolList(idx)| &self.lists[idx..=idx]), flows)
    }

    /// The opening connections with a mapping, of these pools or of all; each list oldest first.
    pub(crate) fn opening(
        &self,
        pools: Option<PoolList>,
        flows: &Slab,
    ) -> impl Iterator<Item = u32> {
        let lists = &self.lists[CLASS_LISTS..][..POOLS];
        let lists = pools.map_or(lists, |PoolList(idx)| &lists[idx..=idx]);
        lists.iter().flat_map(|(first, _)| {
            std::iter::successors(some(*first), |number| some(flows.at(*number).owner_link.next))
        })
    }

    /// The first connection of each list.
    pub(crate) fn firsts(&self) -> impl Iterator<Item = u32> {
        self.lists.iter().filter_map(|(first, _)| some(*first))
    }

    /// Ports of its mappings in these pools.
    pub(crate) fn ports_mut(&mut self, PoolList(idx): PoolList) -> &mut u32 {
        &mut self.ports[idx]
    }

    /// Ports of all its mappings: as many as mappings.
    pub(crate) fn mappings(&self) -> u32 {
        self.ports.iter().sum()
    }
}

/// The least recently refreshed of the first in each list.
fn oldest(lists: &[(u32, u32)], flows: &Slab) -> Option<u32> {
    let firsts = lists.iter().filter_map(|(first, _)| some(*first));
    firsts.min_by_key(|first| flows.at(*first).seen)
}

/// A number, unless it is [`NIL`].
fn some(number: u32) -> Option<u32> {
    (number != NIL).then_some(number)
}

/// All owners.
#[derive(Debug)]
pub(crate) struct Owners(Vec<Owner>);

impl Owners {
    /// Reserves memory for all owners, touched on first use.
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(OWNERS_MAX))
    }

    /// Finds or adds an owner; none if the table is full.
    pub(crate) fn get_or_add(&mut self, owner: OwnerId) -> Option<&mut Owner> {
        let idx = owner.0 as usize;
        if idx >= OWNERS_MAX {
            return None;
        }
        if idx >= self.0.len() {
            self.0.resize(idx + 1, Owner::NONE);
        }
        self.0.get_mut(idx)
    }

    pub(crate) fn get(&self, owner: OwnerId) -> Option<&Owner> {
        self.0.get(owner.0 as usize)
    }

    /// An owner with connections.
    pub(crate) fn at(&mut self, owner: OwnerId) -> &mut Owner {
        &mut self.0[owner.0 as usize]
    }

    /// Connections of the owner from this epoch are revoked.
    pub(crate) fn is_revoked(&self, owner: OwnerId, created_epoch: u32) -> bool {
        self.get(owner).is_some_and(|owner| created_epoch < owner.since)
    }

    /// Appends a connection to the owner's list for its state.
    pub(crate) fn append(&mut self, flows: &mut Slab, number: u32) {
        let flow = flows.at_mut(number);
        let (first, last) = &mut self.0[flow.owner.idx()].lists[list(flow)];
        let before = std::mem::replace(last, number);
        let prev = if before == NIL { HEAD } else { before };
        flow.owner_link = Link { next: NIL, prev };
        if before == NIL {
            *first = number;
        } else {
            flows.at_mut(before).owner_link.next = number;
        }
    }

    /// Removes a connection from its list.
    pub(crate) fn unlink(&mut self, flows: &mut Slab, number: u32) {
        let flow = flows.at(number);
        let Link { next, prev } = flow.owner_link;
        let (first, last) = &mut self.0[flow.owner.idx()].lists[list(flow)];
        if prev == HEAD {
            *first = next;
        }
        if next == NIL {
            *last = if prev == HEAD { NIL } else { prev };
        }
        if prev != HEAD {
            flows.at_mut(prev).owner_link.next = next;
        }
        if next != NIL {
            flows.at_mut(next).owner_link.prev = prev;
        }
    }
}
