//! Where frames begin and end: buffers, counters, and an observer of both.

use fastpath::{Frame, Pool, PortIndex};

use super::{DropReason, Stats};

/// Sees frames as they enter and leave the datapath: for captures, mirrors and traces. `frame` begins
/// with the virtio-net header; at the tunnel port, with the datagram header ([`fastpath::datagram`]).
pub trait Observer {
    /// False lets the compiler remove every call.
    const IS_ON: bool = true;

    /// A frame came in on a port, before any stage.
    fn on_rx(&mut self, _port: PortIndex, _frame: &[u8]) {}

    /// A frame was dropped. `port` is the ingress port, or the egress port of a limit that refused it.
    /// A copy of a flood for which there is no buffer is a drop, too.
    fn on_drop(&mut self, _port: PortIndex, _reason: DropReason, _frame: &[u8]) {}

    /// A frame goes to the engine, with its final bytes. The engine counts a write that fails.
    fn on_tx(&mut self, _port: PortIndex, _frame: &[u8]) {}
}

/// No observer, at no cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    const IS_ON: bool = false;
}

/// Buffers, counters and observer of one worker.
#[derive(Debug)]
pub struct FrameIo<'a, O> {
    /// Buffers of all frames.
    pub pool: &'a mut Pool,
    /// Counters.
    pub stats: &'a mut Stats,
    /// Sees every frame.
    pub observer: &'a mut O,
}

impl<O: Observer> FrameIo<'_, O> {
    /// Drops a frame. Every drop of the datapath comes here, or to one of its siblings.
    #[inline]
    pub fn drop_frame(&mut self, port: PortIndex, frame: Frame, reason: DropReason) {
        self.drop_copy(port, &frame, reason);
        self.pool.release(frame);
    }

    /// Counts the drop of a copy of `frame` for which there was no buffer.
    #[inline]
    pub(crate) fn drop_copy(&mut self, port: PortIndex, frame: &Frame, reason: DropReason) {
        if O::IS_ON {
            self.observer.on_drop(port, reason, self.pool.bytes(frame));
        }
        self.stats.drop(port, reason);
    }

    /// Counts the drop of so many copies of `frame`.
    pub(super) fn drop_copies(
        &mut self,
        port: PortIndex,
        frame: &Frame,
        reason: DropReason,
        count: u64,
    ) {
        (0..count).for_each(|_| self.drop_copy(port, frame, reason));
    }

    /// Counts the drop of a frame that is in no buffer of the pool.
    pub(crate) fn drop_bytes(&mut self, port: PortIndex, frame: &[u8], reason: DropReason) {
        self.observer.on_drop(port, reason, frame);
        self.stats.drop(port, reason);
    }

    /// Drops a frame that a limit of its egress port refuses.
    pub(super) fn drop_at_egress(&mut self, port: PortIndex, frame: Frame, reason: DropReason) {
        if O::IS_ON {
            self.observer.on_drop(port, reason, self.pool.bytes(&frame));
        }
        self.stats.egress_drops.count(port, reason);
        self.pool.release(frame);
    }
}
