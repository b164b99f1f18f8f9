//! Packet I/O behind one trait.
//!
//! An engine belongs to one worker. It reads frames into pool buffers, writes frames and releases their
//! buffers. All engines guarantee:
//!
//! - Order: frames of one port arrive as read, and leave as sent by [`Engine::send`].
//! - Counters: each sent frame counts once, in `tx_frames` or in `tx_drops`. Several datagrams in one buffer
//!   count one by one.
//! - Blocking: only [`Engine::round`] blocks, as [`Wait`] says, and only while no port is active.
//!
//! | engine | ports | use |
//! |---|---|---|
//! | [`uring::UringEngine`] | TAP queues, UDP sockets | default |
//! | [`epoll::EpollEngine`] | TAP queues, UDP sockets | kernels that refuse io_uring |
//! | [`memory::MemoryEngine`] | queues in memory | tests, simulator, benchmarks |
//! | [`pcap::PcapEngine`] | capture files | replay |

mod deficit;
pub mod epoll;
mod join;
pub mod memory;
pub mod pcap;
mod port_queue;
mod segmentation;
mod surplus;
pub mod uring;

use std::io;
use std::time::Duration;

pub use port_queue::{PortQueue, UdpSockets};

use crate::datagram::Unsent;
use crate::pool::{Frame, Pool};
use vswitch_counters::EngineCounters;

use crate::port::{PortIndex, PortIoCounters};

/// How long a round may block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    No,
    /// For this time at most.
    For(Duration),
    /// Until a frame or an event comes.
    Forever,
}

/// Received frame.
#[derive(Debug)]
pub struct Received {
    /// Ingress port.
    pub port: PortIndex,
    /// Frame with its virtio-net header; payload with its [`crate::datagram::Header`] from a port of
    /// datagrams.
    pub frame: Frame,
}

/// Event of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineEvent {
    /// The port's device vanished, for example with its namespace. Reported once.
    Gone(PortIndex),
    /// Detached port without I/O in flight. [`Engine::take_closed`] has its descriptors.
    Detached(PortIndex),
    /// [`crate::Waker`] woke the worker.
    Woken,
}

/// Packet I/O of one worker.
pub trait Engine {
    /// Attaches a port's queue; reads begin with the next round.
    ///
    /// # Errors
    /// `EBUSY` for a slot in use, `EINVAL` for one out of range, or the kernel's error.
    fn attach(&mut self, port: PortIndex, queue: PortQueue) -> io::Result<()>;

    /// Starts to close a port; [`EngineEvent::Detached`] follows. Frames sent earlier are still written.
    /// Later frames count as [`crate::TxDrop::Gone`].
    fn detach(&mut self, port: PortIndex);

    /// Whether a port is attached and not closing. Frames to other ports count as
    /// [`crate::TxDrop::Gone`].
    fn is_open(&self, port: PortIndex) -> bool;

    /// Writes a frame within this round or the next, then releases it.
    fn send(&mut self, pool: &mut Pool, port: PortIndex, frame: Frame);

    /// Runs one round: flushes writes, appends frames of active ports to `received`. Blocks as `wait`
    /// says if no port is active.
    ///
    /// # Errors
    /// Fatal errors only: the engine is unusable.
    fn round(
        &mut self,
        pool: &mut Pool,
        wait: Wait,
        received: &mut Vec<Received>,
    ) -> io::Result<()>;

    /// Next event.
    fn next_event(&mut self) -> Option<EngineEvent>;

    /// Descriptors of a detached port. The caller closes them on another thread, since `close(2)` of a TAP
    /// may block for tens of milliseconds on a kernel lock.
    fn take_closed(&mut self, port: PortIndex) -> Option<PortQueue>;

    /// Whether a port is active: then a round does not block.
    fn is_busy(&self) -> bool;

    /// Active ports, which [`Engine::set_rx_budget`] can bound. Memory ports are not listed.
    fn active(&self) -> &[PortIndex] {
        &[]
    }

    /// Bounds the frames read from a port until the next call; `None` lifts the bound. A port at its
    /// budget does not keep a round from blocking.
    fn set_rx_budget(&mut self, _port: PortIndex, _frames: Option<u32>) {}

    /// Empty rounds after which a port is polled instead of read; 0: as soon as it is empty.
    fn set_spin_rounds(&mut self, rounds: u16);

    /// Writes in flight, and datagrams that were read beyond the frames of a round.
    fn writes_in_flight(&self) -> usize;

    /// Counters of a port, kept until the slot is attached again; zeros for an unused slot.
    fn port_io(&self, port: PortIndex) -> PortIoCounters;

    /// Moves what could not be sent to other nodes since the last call to the end of `unsent`. Each is counted at the
    /// port, too.
    fn take_unsent(&mut self, _unsent: &mut Vec<Unsent>) {}

    /// Number of slots: ports `0..capacity()`.
    fn capacity(&self) -> usize;

    /// Slots used so far: ports `0..slots()`.
    fn slots(&self) -> usize;

    /// Counters of the engine.
    fn stats(&self) -> EngineCounters;
}
