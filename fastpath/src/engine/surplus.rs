//! Buffers of datagrams beyond the frames of a round.
//!
//! A read of a port of datagrams brings up to 64 of them (`UDP_GRO`), and only the read tells how many. The depth follows
//! the last round, so that the first one after a stall may bring 2,000 frames, where a TAP takes
//! [`WRITES_PER_PORT_MAX`](crate::limits::WRITES_PER_PORT_MAX). Surplus buffers wait for the next rounds, in their order;
//! meanwhile ports of datagrams are not read.

use std::collections::VecDeque;

use super::Received;
use super::port_queue::Framing;
use crate::limits::ROUND_FRAMES_MAX;
use crate::pool::Pool;
use crate::port::PortIndex;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Surplus {
    waiting: VecDeque<Received>,
    /// Datagrams in them.
    datagrams: u64,
    /// Frames that were read since the last round ended.
    read: u64,
}

impl Surplus {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Datagrams that wait.
    pub(super) const fn datagrams(&self) -> usize {
        self.datagrams as usize
    }

    /// Counts the frames of a read.
    #[inline]
    pub(super) const fn count(&mut self, frames: u64) {
        self.read += frames;
    }

    /// Ends a round: `received` keeps the frames of TAPs, and as many datagrams as a round has frames.
    #[inline]
    pub(super) fn end_round(
        &mut self,
        pool: &Pool,
        received: &mut Vec<Received>,
        framing: impl Fn(PortIndex) -> Framing,
    ) {
        let read = std::mem::take(&mut self.read);
        if read > ROUND_FRAMES_MAX as u64 || !self.is_empty() {
            self.keep_back(pool, received, framing);
        }
    }

    #[cold]
    fn keep_back(
        &mut self,
        pool: &Pool,
        received: &mut Vec<Received>,
        framing: impl Fn(PortIndex) -> Framing,
    ) {
        let datagrams = |it: &Received| Framing::Datagram.measure(pool, &it.frame).0;
        let new = received.extract_if(.., |it| framing(it.port) == Framing::Datagram);
        self.waiting.extend(new);
        // A buffer has fewer datagrams than a round has frames, or is forged: the first one goes in any case.
        let (mut count, mut total) = (0, 0);
        for waiting in &self.waiting {
            total += datagrams(waiting);
            if count > 0 && total > ROUND_FRAMES_MAX as u64 {
                break;
            }
            count += 1;
        }
        received.extend(self.waiting.drain(..count));
        self.datagrams = self.waiting.iter().map(datagrams).sum();
    }
}
