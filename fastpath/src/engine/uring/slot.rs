//! The state of one port in the io_uring engine.

use super::ring::Op;
use crate::engine::PortQueue;
use crate::engine::deficit::{Deficit, Quantum};
use crate::engine::port_queue::Framing;
use crate::engine::segmentation::Segmentation;
use crate::limits::READ_DEPTH_MAX;
use crate::pool::Frame;
use crate::port::{PortIndex, PortIoCounters};

/// See the theory of operation in [`super`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum State {
    #[default]
    Vacant,
    Open,
    Dead,
    Closing,
}

#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) state: State,
    /// Active (true) or idle (false).
    pub(super) active: bool,
    /// A poll is in flight.
    pub(super) polled: bool,
    /// Operations in flight, the poll and the cancellation included.
    pub(super) in_flight: u32,
    /// Writes among them.
    pub(super) writes: usize,
    /// Reads wanted per round.
    pub(super) depth: u16,
    /// Reads of this round within the quantum.
    pub(super) granted: u16,
    /// Bytes read in excess of the quantum.
    pub(super) deficit: Deficit,
    /// Frames left to read; `None` without a bound.
    pub(super) rx_budget: Option<u32>,
    /// Empty rounds in a row.
    empty_rounds: u16,
    /// Reads of this round that were submitted, and that brought a frame, of so many bytes.
    pub(super) asked: u16,
    pub(super) got: u16,
    pub(super) got_bytes: usize,
    pub(super) queue: Option<PortQueue>,
    /// Frames with datagrams that wait for the end of the round.
    pub(super) outgoing: Vec<Frame>,
    /// Whether the kernel cuts payloads into datagrams.
    pub(super) segmentation: Segmentation,
    /// Form of its frames, known as long as operations are in flight.
    pub(super) framing: Framing,
    pub(super) io: PortIoCounters,
}

impl Slot {
    pub(super) fn open(queue: PortQueue) -> Self {
        Self {
            state: State::Open,
            depth: 1,
            framing: queue.framing(),
            segmentation: Segmentation::of(&queue),
            queue: Some(queue),
            ..Self::default()
        }
    }

    /// Its counters.
    pub(super) fn io(&self) -> PortIoCounters {
        let overflow = self.queue.as_ref().map_or(0, PortQueue::overflow);
        PortIoCounters { rx_overflow: self.io.rx_overflow + overflow, ..self.io }
    }

    /// Whether poll bits ask for a read. A read clears an ICMP error of a UDP socket; an error of a TAP means
    /// that the device vanished.
    pub(super) fn is_readable(&self, bits: u32) -> bool {
        let errors = if self.framing == Framing::Datagram { libc::POLLERR } else { 0 };
        bits & (libc::POLLIN | errors) as u32 != 0
    }

    /// Operation that reads one frame.
    #[inline]
    pub(super) fn read(&self, port: PortIndex, mut frame: Frame) -> Op {
        self.framing.before_read(&mut frame);
        match self.framing {
            Framing::Vnet => Op::Read { port, frame },
            Framing::Datagram => Op::Receive { port, frame },
        }
    }

    /// Becomes active.
    pub(super) fn activate(&mut self) {
        self.active = true;
        self.depth = self.depth.max(1);
        self.empty_rounds = 0;
    }

    /// Reads wanted in excess of the quantum; none in deficit.
    pub(super) fn extra_demand(&self) -> u16 {
        if self.granted == 0 { 0 } else { self.within_budget(self.depth) - self.granted }
    }

    /// Whether the read budget is used up.
    pub(super) fn is_throttled(&self) -> bool {
        self.rx_budget == Some(0)
    }

    /// `reads`, bounded by the budget.
    pub(super) fn within_budget(&self, reads: u16) -> u16 {
        self.rx_budget.map_or(reads, |frames| reads.min(frames.min(u16::MAX.into()) as u16))
    }

    /// Sets the next depth of an active port. False if it becomes idle: after `spin_rounds` empty rounds, or
    /// with none as soon as a read finds nothing.
    pub(super) fn adapt(&mut self, spin_rounds: u16, quantum: Quantum) -> bool {
        let (asked, got, bytes) = (self.asked, self.got, self.got_bytes);
        (self.asked, self.got, self.got_bytes) = (0, 0, 0);
        if asked == 0 {
            // No buffer, or no part of the round was left: there was no chance to find anything.
            return true;
        }
        self.deficit.charge(bytes, quantum);
        if got == 0 {
            self.empty_rounds += 1;
        } else {
            self.empty_rounds = 0;
        }
        let wanted = if got == asked { got.saturating_mul(2) } else { got + 1 };
        let affordable = quantum.depth(bytes / usize::from(got.max(1)));
        // Without spin rounds a lone frame and the end behind it are read in one round.
        let least = if spin_rounds == 0 { 2 } else { 1 };
        self.depth = wanted.max(least).min(READ_DEPTH_MAX as u16).min(affordable);
        self.active = match spin_rounds {
            0 => got == asked,
            _ => self.empty_rounds < spin_rounds,
        };
        self.active
    }
}
