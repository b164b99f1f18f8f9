//! Packet input and output behind one trait.
//!
//! An engine belongs to one worker. It reads frames from ports into the pool's buffers, writes
//! frames to ports and gives the buffers back. All engines keep these promises:
//!
//! - Frames of one port arrive in the order in which they were read, and frames sent to one port are
//!   written in the order of [`Engine::send`].
//! - A frame that was sent ends as one count: `tx_frames`, or one of `tx_drops`.
//! - Nothing waits inside an engine but [`Engine::round`], and that only as long as [`Wait`] says
//!   and only while no port is active.
//!
//! | engine | ports | used for |
//! |---|---|---|
//! | [`uring::UringEngine`] | TAP queues, UDP sockets | the tuned path |
//! | [`epoll::EpollEngine`] | TAP queues, UDP sockets | where the kernel refuses io_uring |
//! | [`memory::MemoryEngine`] | queues in memory | tests, simulator, benchmarks |
//! | [`pcap::PcapEngine`] | capture files | replay |

mod deficit;
pub mod epoll;
pub mod memory;
pub mod pcap;
mod port_queue;
pub mod uring;

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

pub use port_queue::PortQueue;

use crate::pool::{Frame, Pool};
use vswitch_counters::EngineCounters;

use crate::port::{PortIndex, PortIoCounters};

/// How long a round may wait for something to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    No,
    /// At most so long.
    For(Duration),
    /// Until something happens.
    Forever,
}

/// A frame that came in, and where.
#[derive(Debug)]
pub struct Received {
    /// The port it was read from.
    pub port: PortIndex,
    /// The frame.
    pub frame: Frame,
}

/// What else a round may find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineEvent {
    /// The device behind the port is gone, as when its namespace died. Reported once.
    Gone(PortIndex),
    /// [`Engine::detach`] is done: nothing of the port is in flight. Its descriptor waits in
    /// [`Engine::take_closed`].
    Detached(PortIndex),
    /// Somebody woke the worker ([`crate::Waker`]).
    Woken,
}

/// Input and output of one worker.
pub trait Engine {
    /// Takes a port's queue over; reading begins with the next round.
    ///
    /// # Errors
    /// When the slot is taken, or what the kernel says of the descriptor.
    fn attach(&mut self, port: PortIndex, queue: PortQueue) -> io::Result<()>;

    /// Begins to close a port. [`EngineEvent::Detached`] tells when that is done. Frames that were
    /// sent before are still written; later ones count as [`crate::TxDrop::Gone`].
    fn detach(&mut self, port: PortIndex);

    /// Whether a port is attached, and not on its way out. What is sent to any other counts as
    /// [`crate::TxDrop::Gone`].
    fn is_open(&self, port: PortIndex) -> bool;

    /// Hands a frame over for writing, within this round or the next. The engine releases it.
    fn send(&mut self, pool: &mut Pool, port: PortIndex, frame: Frame);

    /// One round: flushes what was sent, reads from active ports and appends to `received`. Waits
    /// as `wait` says if no port is active.
    ///
    /// # Errors
    /// Only what leaves the engine unusable.
    fn round(
        &mut self,
        pool: &mut Pool,
        wait: Wait,
        received: &mut Vec<Received>,
    ) -> io::Result<()>;

    /// The next thing that happened.
    fn next_event(&mut self) -> Option<EngineEvent>;

    /// The descriptor of a port that was detached, to be closed by the caller: closing a TAP waits
    /// for a lock of the kernel that others may hold for tens of milliseconds.
    fn take_closed(&mut self, port: PortIndex) -> Option<OwnedFd>;

    /// Whether a port has been read with success lately: then a round does not wait.
    fn is_busy(&self) -> bool;

    /// Ports that have brought frames lately, and can be bounded by [`Engine::set_rx_budget`]. Ports in memory
    /// cannot.
    fn active(&self) -> &[PortIndex] {
        &[]
    }

    /// Bounds the frames that are read from a port until this is called again; `None` lifts the bound.
    /// A port that has had what it may counts as quiet: a round may wait.
    fn set_rx_budget(&mut self, _port: PortIndex, _frames: Option<u32>) {}

    /// Empty rounds after which a port is polled instead of read.
    fn set_spin_rounds(&mut self, rounds: u16);

    /// Frames that were sent and have not ended yet.
    fn writes_in_flight(&self) -> usize;

    /// What a port has counted; zeros for a slot never used. Kept until the slot is attached again.
    fn port_io(&self, port: PortIndex) -> PortIoCounters;

    /// Slots that may be attached: ports `0..capacity()`.
    fn capacity(&self) -> usize;

    /// Slots that have counted anything: ports `0..slots()`.
    fn slots(&self) -> usize;

    /// What the engine has counted.
    fn stats(&self) -> EngineCounters;
}
