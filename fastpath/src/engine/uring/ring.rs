//! What the engine asks of a ring: a queue of operations that own their frames.
//!
//! `sys::uring::KernelRing` asks the kernel; the tests script every odd answer.

use std::io;
use std::os::fd::BorrowedFd;

use crate::engine::Wait;
use crate::pool::{Frame, Pool};
use crate::port::PortIndex;

/// One operation. It owns its frame until it comes back in a [`Completion`].
#[derive(Debug, PartialEq, Eq)]
pub enum Op {
    /// Read one frame without waiting.
    Read {
        /// The port.
        port: PortIndex,
        /// Where the bytes go; its length is the most that may come.
        frame: Frame,
    },
    /// Write one frame.
    Write {
        /// The port.
        port: PortIndex,
        /// The bytes.
        frame: Frame,
    },
    /// Tell, once, when the port can be read or is broken.
    Poll {
        /// The port.
        port: PortIndex,
    },
    /// Tell, once, when the waker is woken.
    PollWaker,
    /// Cancel whatever of this port is in flight.
    Cancel {
        /// The port.
        port: PortIndex,
    },
}

/// The end of an operation.
#[derive(Debug, PartialEq, Eq)]
pub struct Completion {
    /// What it was.
    pub op: Op,
    /// Bytes, or poll bits; or a positive error number.
    pub result: Result<u32, i32>,
}

/// A queue of operations.
pub trait Ring {
    /// Queues an operation; it comes back as `Err` when there is no room before an
    /// [`Ring::enter`].
    fn push(&mut self, pool: &Pool, op: Op) -> Result<(), Op>;

    /// Hands the queue to the kernel, and waits for one completion as `wait` says.
    fn enter(&mut self, wait: Wait) -> io::Result<()>;

    /// The next completion that has arrived.
    fn complete(&mut self) -> Option<Completion>;

    /// Puts a descriptor into the port's place, or empties it.
    fn register(&mut self, port: PortIndex, fd: Option<BorrowedFd<'_>>) -> io::Result<()>;

    /// Ports that have a place: `0..ports()`.
    fn ports(&self) -> usize;

    /// Completions that belonged to no operation.
    fn stray(&self) -> u64;
}
