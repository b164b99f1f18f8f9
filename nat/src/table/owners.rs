//! Owners: quotas, and each owner's connections in the order of eviction.
//!
//! # Theory of operation
//!
//! The connections of an owner are in three lists, oldest first: those that are over, those that were
//! never answered or are being opened, those that are in use. Where an owner has no room for another one,
//! the oldest of the first list goes, then of the second; those in use never do. Nobody's connection
//! goes for another owner's.
//!
//! An owner may have as many connections as its quota says, and no more than the table has room for
//! yet: however many owners take all they can get, the next one finds as much as each of them has.
//! The same holds for ports.

use super::link::{HEAD, Link, NIL};
use super::slab::Slab;
use crate::limits::OWNERS_MAX;
use crate::owner::OwnerId;

/// How many lists an owner has.
pub(crate) const LISTS: usize = 3;

/// The lists of one owner.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    /// First and last of each list.
    lists: [(u32, u32); LISTS],
    /// Connections.
    pub(crate) flows: u32,
    /// Those of them that are translated by what is published.
    pub(crate) published: u32,
    /// Connections of others, or its own, whose server it is by way of a hairpin.
    pub(crate) hairpins: u32,
    /// Its connections that began before this epoch are revoked.
    pub(crate) since: u32,
    /// It waits for those to be taken out.
    pub(crate) awaits_reclaim: bool,
    /// Ports that its endpoints are mapped to.
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

    /// What goes first if one must.
    pub(crate) fn eviction_candidate(&self) -> Option<u32> {
        self.lists[..LISTS - 1].iter().map(|(first, _)| *first).find(|first| *first != NIL)
    }

    /// The first of each list.
    pub(crate) fn firsts(&self) -> [u32; LISTS] {
        self.lists.map(|(first, _)| first)
    }
}

/// All owners.
#[derive(Debug)]
pub(crate) struct Owners(Vec<Owner>);

impl Owners {
    /// None yet. Room for all is reserved, and touched as it is used.
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(OWNERS_MAX))
    }

    /// An owner; none if there are too many.
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

    /// An owner that has connections.
    pub(crate) fn at(&mut self, owner: OwnerId) -> &mut Owner {
        &mut self.0[owner.0 as usize]
    }

    /// Whether what began in an epoch is revoked with its owner.
    pub(crate) fn is_revoked(&self, owner: OwnerId, created_epoch: u32) -> bool {
        self.get(owner).is_some_and(|owner| created_epoch < owner.since)
    }

    /// Puts a connection last in the list of its owner that its state says.
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

    /// Takes a connection out of its list.
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
