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
//! Frames wait untranslated, so that an ICMP error quotes the packet as sent. They keep their order;
//! frames of the round that routes them again may overtake them.
//!
//! Limits: [`NEIGHBOUR_QUEUE_MAX`] frames, [`NEIGHBOUR_QUEUE_PER_PORT_MAX`] of one port, [`NEIGHBOUR_QUEUE_TIMEOUT`].
//! When full, a frame evicts the newest of the port that holds most, so that ports probing dead hosts cannot
//! starve others.

use std::collections::VecDeque;

use fastpath::{Nanos, PortIndex};

use super::occupancy::PortOccupancy;
use crate::datapath::batch::FrameCtx;
use crate::datapath::limits::{
    NEIGHBOUR_QUEUE_MAX, NEIGHBOUR_QUEUE_PER_PORT_MAX, NEIGHBOUR_QUEUE_TIMEOUT,
};

/// A frame and its deadline.
#[derive(Debug)]
pub(super) struct QueuedFrame {
    pub(super) ctx: FrameCtx,
    pub(super) until: Nanos,
}

/// A slot for a frame that is still in the batch.
#[derive(Debug)]
struct Reservation {
    port: PortIndex,
    /// Another frame has taken the slot.
    is_evicted: bool,
}

/// The decision on a frame.
#[derive(Debug)]
pub(super) enum QueueDecision {
    /// Queue it.
    Queue,
    /// Queue it, and drop this frame.
    Evict(FrameCtx),
    /// Drop it.
    Refuse,
}

/// Frames in order of arrival.
#[derive(Debug)]
pub(super) struct NeighbourQueue {
    frames: VecDeque<QueuedFrame>,
    reservations: VecDeque<Reservation>,
    /// Frames and reservations, without evicted ones.
    occupancy: PortOccupancy,
}

impl NeighbourQueue {
    pub(super) fn new() -> Self {
        let frames = VecDeque::with_capacity(NEIGHBOUR_QUEUE_MAX);
        let reservations = VecDeque::with_capacity(NEIGHBOUR_QUEUE_MAX);
        Self { frames, reservations, occupancy: PortOccupancy::new(NEIGHBOUR_QUEUE_MAX) }
    }

    /// Reserves a slot for a port's frame.
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

    /// Evicts the newest frame of a port; a reservation is only marked.
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

    /// Frames of the batch have reservations.
    pub(super) fn has_reservations(&self) -> bool {
        !self.reservations.is_empty()
    }

    /// Queues a frame with a reservation; returns it if evicted.
    pub(super) fn push(&mut self, ctx: FrameCtx, now: Nanos) -> Option<FrameCtx> {
        self.push_until(ctx, now.after(NEIGHBOUR_QUEUE_TIMEOUT))
    }

    /// The same with a given deadline.
    pub(super) fn push_until(&mut self, ctx: FrameCtx, until: Nanos) -> Option<FrameCtx> {
        let at = self.reservations.iter().position(|it| it.port == ctx.port);
        if at.and_then(|at| self.reservations.remove(at)).is_some_and(|it| it.is_evicted) {
            return Some(ctx);
        }
        self.frames.push_back(QueuedFrame { ctx, until });
        None
    }

    /// Removes the oldest frame.
    pub(super) fn pop(&mut self) -> Option<QueuedFrame> {
        let queued = self.frames.pop_front()?;
        self.occupancy.remove(queued.ctx.port);
        Some(queued)
    }

    /// Appends a frame again; a caller that pops all keeps their order.
    pub(super) fn put_back(&mut self, queued: QueuedFrame) {
        self.occupancy.add(queued.ctx.port);
        self.frames.push_back(queued);
    }

    /// A frame has timed out.
    pub(super) fn has_expired(&self, now: Nanos) -> bool {
        self.frames.iter().any(|queued| queued.until <= now)
    }

    /// Frames and valid reservations.
    pub(super) fn len(&self) -> usize {
        let coming = self.reservations.iter().filter(|reservation| !reservation.is_evicted).count();
        self.frames.len() + coming
    }
}
