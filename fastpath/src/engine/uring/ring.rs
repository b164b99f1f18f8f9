//! Ring of an engine: a queue of operations that own their frames.
//!
//! `sys::uring::KernelRing` asks the kernel; the tests script every odd answer.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use crate::datagram::Part;
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
        /// Buffer; its length bounds the read.
        frame: Frame,
    },
    /// Write one frame without waiting.
    Write {
        /// The port.
        port: PortIndex,
        /// The bytes.
        frame: Frame,
    },
    /// Receive a datagram, or several of one size, without waiting. The ring writes the datagram header
    /// in front of the payload, and the result counts it; a datagram that was longer ends with `EMSGSIZE`.
    Receive {
        /// The port.
        port: PortIndex,
        /// Buffer; its length bounds the read.
        frame: Frame,
    },
    /// Send a part of a frame, without waiting, to the peer that its datagram header names.
    Transmit {
        /// The port.
        port: PortIndex,
        /// The header and the payload.
        frame: Frame,
        /// The socket, open until the operation ends.
        socket: RawFd,
        /// Part of the payload.
        part: Part,
    },
    /// One-shot poll of the port.
    Poll {
        /// The port.
        port: PortIndex,
    },
    /// One-shot poll of the waker.
    PollWaker,
    /// Cancel all operations of the port.
    Cancel {
        /// The port.
        port: PortIndex,
    },
}

/// The end of an operation.
#[derive(Debug, PartialEq, Eq)]
pub struct Completion {
    /// Operation that ended.
    pub op: Op,
    /// Bytes, or poll bits; or a positive error number.
    pub result: Result<u32, i32>,
}

/// A queue of operations.
pub trait Ring {
    /// Queues an operation; it comes back as `Err` when there is no room before an
    /// [`Ring::enter`].
    fn push(&mut self, pool: &Pool, op: Op) -> Result<(), Op>;

    /// Hands the queue to the kernel, and waits as `wait` says for one completion beside those of
    /// `writes` queued writes, which end within this call: they have room or fail.
    fn enter(&mut self, wait: Wait, writes: u32) -> io::Result<()>;

    /// The next completion that has arrived. `pool` is that of the frames.
    fn complete(&mut self, pool: &mut Pool) -> Option<Completion>;

    /// Puts a descriptor into the port's place, or empties it.
    fn register(&mut self, port: PortIndex, fd: Option<BorrowedFd<'_>>) -> io::Result<()>;

    /// Ports that have a place: `0..ports()`.
    fn ports(&self) -> usize;

    /// Completions that belonged to no operation.
    fn stray(&self) -> u64;
}
