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
//! Limits: [`WAITING_FRAMES_MAX`] frames, [`WAITING_PER_PORT_MAX`] of one port, so that nobody who calls the dead keeps
//! others from waiting, [`WAITING_TIME_MAX`].

use std::collections::VecDeque;

use fastpath::{Nanos, PortIndex};

use crate::datapath::batch::Slot;
use crate::datapath::limits::{WAITING_FRAMES_MAX, WAITING_PER_PORT_MAX, WAITING_TIME_MAX};

/// A frame, and until when it may wait.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) slot: Slot,
    pub(super) until: Nanos,
}

/// Frames in the order in which they came.
#[derive(Debug)]
pub(super) struct Held {
    frames: VecDeque<Waiting>,
    /// Ports of frames that are still in the batch and will come here.
    announced: VecDeque<PortIndex>,
}

impl Held {
    pub(super) fn new() -> Self {
        let frames = VecDeque::with_capacity(WAITING_FRAMES_MAX);
        Self { frames, announced: VecDeque::with_capacity(WAITING_FRAMES_MAX) }
    }

    /// Whether there is room for a frame of a port; then it is to be kept.
    pub(super) fn announce(&mut self, port: PortIndex) -> bool {
        let here = self.frames.iter().filter(|waiting| waiting.slot.port == port).count();
        let coming = self.announced.iter().filter(|&&coming| coming == port).count();
        let is_room = self.len() < WAITING_FRAMES_MAX && here + coming < WAITING_PER_PORT_MAX;
        if is_room {
            self.announced.push_back(port);
        }
        is_room
    }

    /// Whether frames of the batch are to be kept.
    pub(super) fn awaits(&self) -> bool {
        !self.announced.is_empty()
    }

    /// Keeps a frame that was announced.
    pub(super) fn keep(&mut self, slot: Slot, now: Nanos) {
        self.keep_until(slot, now.after(WAITING_TIME_MAX));
    }

    /// The same for one that has waited before.
    pub(super) fn keep_until(&mut self, slot: Slot, until: Nanos) {
        self.announced.pop_front();
        self.frames.push_back(Waiting { slot, until });
    }

    /// Takes out the one that has waited longest.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        self.frames.pop_front()
    }

    /// Puts it back, behind all others: whoever takes them all puts back in order.
    pub(super) fn put_back(&mut self, waiting: Waiting) {
        self.frames.push_back(waiting);
    }

    /// Whether one has waited too long.
    pub(super) fn is_late(&self, now: Nanos) -> bool {
        self.frames.iter().any(|waiting| waiting.until <= now)
    }

    /// Frames that wait.
    pub(super) fn len(&self) -> usize {
        self.frames.len() + self.announced.len()
    }
}
