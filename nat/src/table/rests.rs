//! Tuples of shared ports at rest: the peer of an ended connection may still remember it.
//!
//! # Theory of operation
//!
//! A port that is free of connections rests as a whole ([`crate::port_pool`]). One that others still use rests towards
//! one destination only. The tuple of answers is a keyed hash in the slot of that hash; a later one in the same slot
//! cuts its rest short.

use crate::limits::{PORT_REUSE_DELAY, SHARED_RESTS_MAX};
use crate::owner::OwnerId;
use crate::state::{CoarseTime, units};

/// A tuple at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rest {
    tuple: u64,
    /// The owner of the connection.
    pub(crate) owner: OwnerId,
    pub(crate) since: CoarseTime,
}

/// The tuples at rest, by their hash.
#[derive(Debug, Default)]
pub(crate) struct Rests {
    /// Made with the first.
    slots: Box<[Option<Rest>]>,
}

impl Rests {
    pub(crate) fn insert(&mut self, tuple: u64, owner: OwnerId, since: CoarseTime) {
        if self.slots.is_empty() {
            self.slots = vec![None; SHARED_RESTS_MAX].into_boxed_slice();
        }
        self.slots[slot(tuple)] = Some(Rest { tuple, owner, since });
    }

    /// The tuple's rest, unless it is over.
    pub(crate) fn find(&self, tuple: u64, now: CoarseTime) -> Option<Rest> {
        let known = (*self.slots.get(slot(tuple))?)?;
        (known.tuple == tuple && is_resting(known.since, now)).then_some(known)
    }
}

/// A connection that ended at this time may still be remembered.
pub(crate) const fn is_resting(since: CoarseTime, now: CoarseTime) -> bool {
    now.since(since) <= units(PORT_REUSE_DELAY)
}

const fn slot(tuple: u64) -> usize {
    tuple as usize % SHARED_RESTS_MAX
}
