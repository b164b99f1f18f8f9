//! Owners: quotas, and each owner's connections in the order of eviction.
//!
//! # Theory of operation
//!
//! An owner's connections are in three lists, oldest first: closed, unanswered or opening, in use. An
//! owner at its limit evicts the oldest of the first list, then of the second, never one in use, and
//! never another owner's.
//!
//! An owner's limits are its quota and a multiple of the free slots: when several owners take all they
//! can, a new one finds as many as each of them has. Ports have the same rule.

use super::link::{HEAD, Link, NIL};
use super::slab::Slab;
use crate::limits::OWNERS_MAX;
use crate::owner::OwnerId;

/// Lists of an owner.
pub(crate) const LISTS: usize = 3;

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
    /// Connections of an earlier epoch are revoked.
    pub(crate) since: u32,
    /// Revoked connections await reclaim.
    pub(crate) awaits_reclaim: bool,
    /// Ports of its mappings.
    pub(crate) ports: u32,
}

impl Owner {
    const NONE: Self = Self {
        lists: [(NIL, NIL); LISTS],
        flows: 0,
        published: 0,
        hairpins: 0,
        since: 0,
        awaits_reclaim: false,
        ports: 0,
    };

    /// The next connection to evict.
    pub(crate) fn eviction_candidate(&self) -> Option<u32> {
        self.lists[..LISTS - 1].iter().map(|(first, _)| *first).find(|first| *first != NIL)
    }

    /// The head of each list.
    pub(crate) fn firsts(&self) -> [u32; LISTS] {
        self.lists.map(|(first, _)| first)
    }
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
        let list = flow.list();
        let (first, last) = &mut self.0[flow.owner.idx()].lists[usize::from(list)];
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
        let (first, last) = &mut self.0[flow.owner.idx()].lists[usize::from(flow.list())];
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
