//! Frames that wait for the MAC address of their next hop.
//!
//! # Theory of operation
//!
//! ```text
//!            next hop unknown              a snapshot in which it is known
//!   pending -----------------> waiting ------------------------------------> routed again
//!                                 |  NEIGHBOUR_QUEUE_TIMEOUT
//!                                 +------------------> dropped, host unreachable to the sender
//! ```
//!
//! A frame waits as it came, not translated: it may still be that it cannot leave, and then its sender is
//! told about the packet that it knows. Frames that wait keep their order; those of the round in which they
//! are routed again may leave before them.
//!
//! Limits: [`NEIGHBOUR_QUEUE_MAX`] frames, [`NEIGHBOUR_QUEUE_PER_PORT_MAX`] of one port, [`NEIGHBOUR_QUEUE_TIMEOUT`]. Where all places are
//! taken, a frame of a port that has few gets that of the newest frame of the port that has most, so that nobody who
//! calls the dead keeps others from waiting, however many do so.

use std::collections::VecDeque;

use fastpath::{Nanos, PortIndex};

use super::occupancy::PortOccupancy;
use crate::datapath::batch::FrameCtx;
use crate::datapath::limits::{
    NEIGHBOUR_QUEUE_MAX, NEIGHBOUR_QUEUE_PER_PORT_MAX, NEIGHBOUR_QUEUE_TIMEOUT,
};

/// A frame, and until when it may wait.
#[derive(Debug)]
pub(super) struct QueuedFrame {
    pub(super) ctx: FrameCtx,
    pub(super) until: Nanos,
}

/// A frame that is still in the batch and will come here.
#[derive(Debug)]
struct Reservation {
    port: PortIndex,
    /// Somebody else has got its place.
    is_evicted: bool,
}

/// Whether a frame may wait.
#[derive(Debug)]
pub(super) enum QueueDecision {
    /// It is to be kept.
    Queue,
    /// The same, and this one is to be dropped for it.
    Evict(FrameCtx),
    /// It may not.
    Refuse,
}

/// Frames in the order in which they came.
#[derive(Debug)]
pub(super) struct NeighbourQueue {
    frames: VecDeque<QueuedFrame>,
    reservations: VecDeque<Reservation>,
    /// Of both, without those that are evicted.
    occupancy: PortOccupancy,
}

impl NeighbourQueue {
    pub(super) fn new() -> Self {
        let frames = VecDeque::with_capacity(NEIGHBOUR_QUEUE_MAX);
        let reservations = VecDeque::with_capacity(NEIGHBOUR_QUEUE_MAX);
        Self { frames, reservations, occupancy: PortOccupancy::new(NEIGHBOUR_QUEUE_MAX) }
    }

    /// Whether there is a place for a frame of a port; then it is to be kept.
    pub(super) fn reserve(&mut self, port: PortIndex) -> QueueDecision {
        if self.occupancy.count(port) >= NEIGHBOUR_QUEUE_PER_PORT_MAX {
            return QueueDecision::Refuse;
        }
        let mut decision = QueueDecision::Queue;
        if self.len() >= NEIGHBOUR_QUEUE_MAX {
            match self.occupancy.fullest_above(port) {
                Some(fullest) => decision = self.evict(fullest),
                None => return QueueDecision::Refuse,
            }
        }
        self.reservations.push_back(Reservation { port, is_evicted: false });
        self.occupancy.add(port);
        decision
    }

    /// Takes the place of the newest frame of a port. One that is still in the batch learns it when it comes.
    fn evict(&mut self, port: PortIndex) -> QueueDecision {
        self.occupancy.remove(port);
        let mut coming = self.reservations.iter_mut().rev();
        if let Some(last) = coming.find(|it| it.port == port && !it.is_evicted) {
            last.is_evicted = true;
            return QueueDecision::Queue;
        }
        let last = self.frames.iter().rposition(|queued| queued.ctx.port == port);
        let evicted = last.and_then(|at| self.frames.remove(at));
        evicted.map_or(QueueDecision::Queue, |queued| QueueDecision::Evict(queued.ctx))
    }

    /// Whether frames of the batch are to be kept.
    pub(super) fn has_reservations(&self) -> bool {
        !self.reservations.is_empty()
    }

    /// Keeps a frame that has a reservation; gives it back where it has lost its place.
    pub(super) fn push(&mut self, ctx: FrameCtx, now: Nanos) -> Option<FrameCtx> {
        self.push_until(ctx, now.after(NEIGHBOUR_QUEUE_TIMEOUT))
    }

    /// The same for one that has waited before.
    pub(super) fn push_until(&mut self, ctx: FrameCtx, until: Nanos) -> Option<FrameCtx> {
        let at = self.reservations.iter().position(|it| it.port == ctx.port);
        if at.and_then(|at| self.reservations.remove(at)).is_some_and(|it| it.is_evicted) {
            return Some(ctx);
        }
        self.frames.push_back(QueuedFrame { ctx, until });
        None
    }

    /// Takes out the one that has waited longest.
    pub(super) fn pop(&mut self) -> Option<QueuedFrame> {
        let queued = self.frames.pop_front()?;
        self.occupancy.remove(queued.ctx.port);
        Some(queued)
    }

    /// Puts it back, behind all others: whoever takes them all puts back in order.
    pub(super) fn put_back(&mut self, queued: QueuedFrame) {
        self.occupancy.add(queued.ctx.port);
        self.frames.push_back(queued);
    }

    /// Whether one has waited too long.
    pub(super) fn has_expired(&self, now: Nanos) -> bool {
        self.frames.iter().any(|queued| queued.until <= now)
    }

    /// Frames that wait.
    pub(super) fn len(&self) -> usize {
        let coming = self.reservations.iter().filter(|reservation| !reservation.is_evicted).count();
        self.frames.len() + coming
    }
}
