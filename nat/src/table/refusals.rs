//! Searches for a shared port that found none a moment ago.
//!
//! # Theory of operation
//!
//! Such a search tries many ports. A container that goes on asking for a destination without a port would make each of
//! its packets as costly, so the table remembers the last refusal of each slot for one unit of [`CoarseTime`].

use crate::limits::SHARED_REFUSALS_MAX;
use crate::owner::OwnerId;
use crate::state::CoarseTime;

/// A destination by its hash, and who wanted a port towards it.
pub(crate) type Wanted = (u64, OwnerId);

/// The last refusal of each slot.
#[derive(Debug)]
pub(crate) struct Refusals {
    slots: [Option<(Wanted, CoarseTime)>; SHARED_REFUSALS_MAX],
}

impl Refusals {
    pub(crate) const fn new() -> Self {
        Self { slots: [None; SHARED_REFUSALS_MAX] }
    }

    pub(crate) fn has(&self, wanted: Wanted, now: CoarseTime) -> bool {
        self.slots[slot(wanted)] == Some((wanted, now))
    }

    pub(crate) fn insert(&mut self, wanted: Wanted, now: CoarseTime) {
        self.slots[slot(wanted)] = Some((wanted, now));
    }
}

const fn slot((destination, owner): Wanted) -> usize {
    (destination as usize).wrapping_add(owner.0 as usize) % SHARED_REFUSALS_MAX
}
