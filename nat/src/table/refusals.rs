//! Searches for a shared port that found none a moment ago.
//!
//! # Theory of operation
//!
//! Such a search tries many ports. A container that goes on asking for a destination without a port would make each of
//! its packets as costly, so the table remembers the last refusal of each slot for one unit of [`CoarseTime`].

use crate::limits::SHARED_REFUSALS_MAX;
use crate::owner::OwnerId;
use crate::state::CoarseTime;

/// A destination by its hash, and who was refused a port towards it.
pub(crate) type Refused = (u64, OwnerId);

/// The last refusal of each slot.
#[derive(Debug)]
pub(crate) struct Refusals {
    slots: [Option<(Refused, CoarseTime)>; SHARED_REFUSALS_MAX],
}

impl Refusals {
    pub(crate) const fn new() -> Self {
        Self { slots: [None; SHARED_REFUSALS_MAX] }
    }

    pub(crate) fn has(&self, refused: Refused, now: CoarseTime) -> bool {
        self.slots[slot(refused)] == Some((refused, now))
    }

    pub(crate) fn insert(&mut self, refused: Refused, now: CoarseTime) {
        self.slots[slot(refused)] = Some((refused, now));
    }
}

const fn slot((destination, owner): Refused) -> usize {
    (destination as usize).wrapping_add(owner.0 as usize) % SHARED_REFUSALS_MAX
}
