//! Frames that wait for the MAC address of their next hop.
//!
//! # Theory of operation
//!
//! ```text
//!            next hop unknown              a snapshot in which it is known
//!   pending -----------------> waiting ------------------------------------> routed again
//!                                 |  WAITING_TIME_MAX
//!                                 +------------------> dropped, host unreachable to the sender
//! ```
//!
//! A frame waits as it came, not translated: it may still be that it cannot leave, and then its sender is
//! told about the packet that it knows. Frames that wait keep their order; those of the round in which they
//! are routed again may leave before them.
//!
//! Limits: [`WAITING_FRAMES_MAX`] frames, [`WAITING_PER_PORT_MAX`] of one port, [`WAITING_TIME_MAX`]. Where all places are
//! taken, a frame of a port that has few gets that of the newest frame of the port that has most, so that nobody who
//! calls the dead keeps others from waiting, however many do so.

use std::collections::VecDeque;

use fastpath::{Nanos, PortIndex};

use super::occupancy::Shares;
use crate::datapath::batch::Slot;
use crate::datapath::limits::{WAITING_FRAMES_MAX, WAITING_PER_PORT_MAX, WAITING_TIME_MAX};

/// A frame, and until when it may wait.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) slot: Slot,
    pub(super) until: Nanos,
}

/// A frame that is still in the batch and will come here.
#[derive(Debug)]
struct Announced {
    port: PortIndex,
    /// Somebody else has got its place.
    is_ousted: bool,
}

/// Whether a frame may wait.
#[derive(Debug)]
pub(super) enum Place {
    /// It is to be kept.
    Free,
    /// The same, and this one is to be dropped for it.
    Instead(Slot),
    /// It may not.
    None,
}

/// Frames in the order in which they came.
#[derive(Debug)]
pub(super) struct Held {
    frames: VecDeque<Waiting>,
    announced: VecDeque<Announced>,
    /// Of both, without those that are ousted.
    shares: Shares,
}

impl Held {
    pub(super) fn new() -> Self {
        let frames = VecDeque::with_capacity(WAITING_FRAMES_MAX);
        let announced = VecDeque::with_capacity(WAITING_FRAMES_MAX);
        Self { frames, announced, shares: Shares::new(WAITING_FRAMES_MAX) }
    }

    /// Whether there is a place for a frame of a port; then it is to be kept.
    pub(super) fn announce(&mut self, port: PortIndex) -> Place {
        if self.shares.of(port) >= WAITING_PER_PORT_MAX {
            return Place::None;
        }
        let mut place = Place::Free;
        if self.len() >= WAITING_FRAMES_MAX {
            match self.shares.richer_than(port) {
                Some(richest) => place = self.oust(richest),
                None => return Place::None,
            }
        }
        self.announced.push_back(Announced { port, is_ousted: false });
        self.shares.add(port);
        place
    }

    /// Takes the place of the newest frame of a port. One that is still in the batch learns it when it comes.
    fn oust(&mut self, port: PortIndex) -> Place {
        self.shares.take(port);
        let mut coming = self.announced.iter_mut().rev();
        if let Some(last) = coming.find(|one| one.port == port && !one.is_ousted) {
            last.is_ousted = true;
            return Place::Free;
        }
        let last = self.frames.iter().rposition(|waiting| waiting.slot.port == port);
        let ousted = last.and_then(|at| self.frames.remove(at));
        ousted.map_or(Place::Free, |waiting| Place::Instead(waiting.slot))
    }

    /// Whether frames of the batch are to be kept.
    pub(super) fn awaits(&self) -> bool {
        !self.announced.is_empty()
    }

    /// Keeps a frame that was announced; gives it back where it has lost its place.
    pub(super) fn keep(&mut self, slot: Slot, now: Nanos) -> Option<Slot> {
        self.keep_until(slot, now.after(WAITING_TIME_MAX))
    }

    /// The same for one that has waited before.
    pub(super) fn keep_until(&mut self, slot: Slot, until: Nanos) -> Option<Slot> {
        let at = self.announced.iter().position(|one| one.port == slot.port);
        if at.and_then(|at| self.announced.remove(at)).is_some_and(|one| one.is_ousted) {
            return Some(slot);
        }
        self.frames.push_back(Waiting { slot, until });
        None
    }

    /// Takes out the one that has waited longest.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.frames.pop_front()?;
        self.shares.take(waiting.slot.port);
        Some(waiting)
    }

    /// Puts it back, behind all others: whoever takes them all puts back in order.
    pub(super) fn put_back(&mut self, waiting: Waiting) {
        self.shares.add(waiting.slot.port);
        self.frames.push_back(waiting);
    }

    /// Whether one has waited too long.
    pub(super) fn is_late(&self, now: Nanos) -> bool {
        self.frames.iter().any(|waiting| waiting.until <= now)
    }

    /// Frames that wait.
    pub(super) fn len(&self) -> usize {
        let coming = self.announced.iter().filter(|one| !one.is_ousted).count();
        self.frames.len() + coming
    }
}
