//! The ring that asks the kernel (`io_uring(7)`).
//!
//! # Who may touch a buffer
//!
//! [`KernelRing::push`] takes the [`Frame`] of a read or write into `in_flight` and gives the kernel
//! the buffer's address; the frame comes out again only with the completion of that very operation.
//! So as long as the kernel may touch a buffer nobody has the frame that would give access to it.
//! The ring keeps the pool's memory mapped (`region`); dropping the ring first cancels and reaps what
//! is in flight, and where that fails it leaks the mapping rather than let the kernel write into
//! memory that has been given to somebody else.
//!
//! A receive or a transmission also has a [`Message`], which the kernel reads and writes: the one of the
//! frame's index in `in_flight`. Nobody else touches it while that index is taken. Messages lie in a box, so
//! that they do not move, and are leaked with the mapping.

use std::cell::UnsafeCell;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fd, Fixed, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, Probe, opcode, squeue};

use super::message::Message;
use crate::datagram::{self, Header};
use crate::engine::Wait;
use crate::engine::uring::ring::{Completion, Op, Ring};
use crate::limits::{CQ_ENTRIES, OPS_MAX, PORTS_MAX, SQ_ENTRIES};
use crate::pool::{Frame, Pool, Region};
use crate::port::PortIndex;

/// `RWF_NOWAIT` of `preadv2(2)` and `pwritev2(2)`: an operation that would wait ends with `EAGAIN`.
const RWF_NOWAIT: i32 = 8;

/// The operation of a completion: the kind in the upper half, a port or an index in the lower.
mod tag {
    pub(super) const FRAME: u64 = 1 << 32;
    pub(super) const POLL: u64 = 2 << 32;
    pub(super) const WAKER: u64 = 3 << 32;
    pub(super) const CANCEL: u64 = 4 << 32;
    pub(super) const KIND: u64 = 0xffff_ffff << 32;
}

/// A ring of one thread: created, used and dropped there (`IORING_SETUP_SINGLE_ISSUER`).
pub struct KernelRing {
    ring: IoUring,
    /// Frames that the kernel works on; the completion's tag is the index.
    in_flight: Vec<Option<Op>>,
    vacant: Vec<u32>,
    /// Message of the operation at each index; empty until an operation needs one.
    messages: Box<[UnsafeCell<Message>]>,
    /// Polls and cancellations in flight.
    others: usize,
    files: usize,
    stray: u64,
    region: Arc<Region>,
}

impl KernelRing {
    /// A ring for frames of `pool`, woken by the descriptor `waker`.
    ///
    /// # Errors
    /// Where the kernel refuses io_uring or lacks an operation that the engine needs; the error's
    /// text says what.
    pub(crate) fn new(pool: &Pool, waker: BorrowedFd<'_>) -> io::Result<Self> {
        let ring = build()?;
        require(&ring)?;
        let files = table_len();
        ring.submitter().register_files_sparse(files as u32)?;
        ring.submitter().register_files_update(files as u32 - 1, &[waker.as_raw_fd()])?;
        let mut this = Self {
            ring,
            in_flight: (0..OPS_MAX).map(|_| None).collect(),
            vacant: (0..OPS_MAX as u32).rev().collect(),
            messages: Box::default(),
            others: 0,
            files,
            stray: 0,
            region: pool.region(),
        };
        this.require_cancel()?;
        Ok(this)
    }

    /// Tries a cancellation by registered file, which Linux knows from 6.0 on: closing a port needs it,
    /// and the probe cannot tell.
    fn require_cancel(&mut self) -> io::Result<()> {
        let entry = opcode::AsyncCancel2::new(CancelBuilder::fd(Fixed(0)).all()).build();
        // SAFETY: a cancellation refers to no memory.
        let pushed = unsafe { self.ring.submission().push(&entry.user_data(0)) };
        pushed.map_err(io::Error::other)?;
        self.enter(Wait::For(Duration::from_secs(1)), 0)?;
        match self.ring.completion().next().map(|entry| -entry.result()) {
            Some(libc::EINVAL) | None => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "io_uring of this kernel cannot cancel by file (Linux 6.0 or later is needed)",
            )),
            Some(_) => Ok(()),
        }
    }

    fn waker(&self) -> Fixed {
        Fixed(self.files as u32 - 1)
    }

    /// The entry for an operation whose frame, if any, will lie at `index`. `None` for a datagram without
    /// a header.
    #[inline]
    fn entry(&self, pool: &Pool, op: &Op, index: u64) -> Option<squeue::Entry> {
        let file = |port: &PortIndex| Fixed(u32::from(port.0));
        Some(match op {
            Op::Read { port, frame } => {
                opcode::Read::new(file(port), pool.pointer(frame), frame.len() as u32)
                    .rw_flags(RWF_NOWAIT)
                    .build()
                    .user_data(tag::FRAME | index)
            }
            Op::Write { port, frame } => {
                opcode::Write::new(file(port), pool.pointer(frame), frame.len() as u32)
                    .rw_flags(RWF_NOWAIT)
                    .build()
                    .user_data(tag::FRAME | index)
            }
            Op::Receive { .. } | Op::Transmit { .. } => return self.message_entry(pool, op, index),
            Op::Poll { port } => opcode::PollAdd::new(file(port), libc::POLLIN as u32)
                .build()
                .user_data(tag::POLL | u64::from(port.0)),
            Op::PollWaker => opcode::PollAdd::new(self.waker(), libc::POLLIN as u32)
                .build()
                .user_data(tag::WAKER),
            Op::Cancel { port } => opcode::AsyncCancel2::new(CancelBuilder::fd(file(port)).all())
                .build()
                .user_data(tag::CANCEL | u64::from(port.0)),
        })
    }

    /// Makes the messages, before the first operation that needs one.
    #[cold]
    fn make_messages(&mut self) {
        self.messages = (0..OPS_MAX).map(|_| UnsafeCell::new(Message::new())).collect();
    }

    /// The entry for an operation with a message, which is that of the vacant `index`.
    fn message_entry(&self, pool: &Pool, op: &Op, index: u64) -> Option<squeue::Entry> {
        // SAFETY: the index is vacant, so that the kernel is done with its message, and no other reference
        // to it exists: they end within this function and within `complete`.
        let message = unsafe { &mut *self.messages.get(index as usize)?.get() };
        let entry = match op {
            Op::Receive { port, frame } => {
                let len = frame.len().checked_sub(datagram::LEN)?;
                let payload = pool.pointer(frame).wrapping_add(datagram::LEN);
                let message = message.receive(payload, len);
                opcode::RecvMsg::new(Fixed(u32::from(port.0)), message)
                    .flags(libc::MSG_DONTWAIT as u32)
                    .build()
            }
            Op::Transmit { frame, socket, part, .. } => {
                let bytes = pool.bytes(frame);
                let (to, len) = (Header::read(bytes)?, part.of(bytes)?.len());
                let payload = pool.pointer(frame).wrapping_add(datagram::LEN + part.start as usize);
                let message = message.send(&to, payload, len, part.segment);
                opcode::SendMsg::new(Fd(*socket), message)
                    .flags((libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as u32)
                    .build()
            }
            _ => return None,
        };
        Some(entry.user_data(tag::FRAME | index))
    }

    /// Puts the header in front of what a receive brought; its bytes together, or an error.
    fn received(&self, pool: &mut Pool, index: u32, frame: &Frame, len: u32) -> Result<u32, i32> {
        let message = self.messages.get(index as usize).ok_or(libc::EINVAL)?;
        // SAFETY: the operation at the index has ended, so that the kernel is done with its message; the
        // references of `message_entry` have ended with it.
        let header = unsafe { &*message.get() }.received(len as usize).ok_or(libc::EMSGSIZE)?;
        let bytes = pool.bytes_mut(frame).ok_or(libc::EINVAL)?;
        if header.write(bytes) { Ok(datagram::LEN as u32 + len) } else { Err(libc::EINVAL) }
    }

    fn owner(&mut self, user_data: u64) -> Option<Op> {
        let low = user_data as u32;
        let port = PortIndex(low as u16);
        match user_data & tag::KIND {
            tag::FRAME => {
                let op = self.in_flight.get_mut(low as usize)?.take()?;
                self.vacant.push(low);
                return Some(op);
            }
            tag::POLL => self.others -= 1,
            tag::CANCEL => self.others -= 1,
            tag::WAKER => {
                self.others -= 1;
                return Some(Op::PollWaker);
            }
            _ => return None,
        }
        Some(if user_data & tag::KIND == tag::POLL {
            Op::Poll { port }
        } else {
            Op::Cancel { port }
        })
    }

    fn next_user_data(&mut self) -> Option<u64> {
        self.ring.completion().next().map(|entry| entry.user_data())
    }

    fn busy(&self) -> usize {
        OPS_MAX - self.vacant.len() + self.others
    }

    /// Cancels everything and reaps it, for at most a second.
    fn drain(&mut self) -> bool {
        let cancel = opcode::AsyncCancel2::new(CancelBuilder::any()).build().user_data(0);
        for _ in 0..100 {
            if self.busy() == 0 {
                return true;
            }
            // SAFETY: a cancellation refers to no memory.
            let _ = unsafe { self.ring.submission().push(&cancel) };
            let _ = self.enter(Wait::For(Duration::from_millis(10)), 0);
            while let Some(user_data) = self.next_user_data() {
                self.owner(user_data);
            }
        }
        false
    }
}

impl Ring for KernelRing {
    #[inline]
    fn push(&mut self, pool: &Pool, op: Op) -> Result<(), Op> {
        assert!(pool.is_in(&self.region), "a ring works on the memory of one pool");
        let has_message = matches!(op, Op::Receive { .. } | Op::Transmit { .. });
        let has_frame = has_message || matches!(op, Op::Read { .. } | Op::Write { .. });
        if has_message && self.messages.is_empty() {
            self.make_messages();
        }
        let index = match (has_frame, self.vacant.last()) {
            (true, None) => return Err(op),
            (true, Some(&index)) => index,
            (false, _) => 0,
        };
        let Some(entry) = self.entry(pool, &op, u64::from(index)) else { return Err(op) };
        // SAFETY: the buffer lies in `pool`'s region, which is ours, by the assertion, and which
        // `self.region` keeps mapped; it is long enough (`Frame::set_len` bounds it, and a message has the
        // bounds of the frame's bytes). The frame stays in `in_flight` until the completion, so for a read
        // nobody else has access to the bytes, and for a write nobody can change them. The message stays
        // in `messages`, and its index is taken until then.
        if unsafe { self.ring.submission().push(&entry) }.is_err() {
            return Err(op);
        }
        if has_frame {
            self.vacant.pop();
            self.in_flight[index as usize] = Some(op);
        } else {
            self.others += 1;
        }
        Ok(())
    }

    fn enter(&mut self, wait: Wait, writes: u32) -> io::Result<()> {
        let queued = self.ring.submission().len() as u32;
        let events = EnterFlags::GETEVENTS.bits();
        let wanted = writes + 1;
        let submitter = self.ring.submitter();
        let entered = match wait {
            // GETEVENTS even without waiting: it runs deferred task work and fetches overflown
            // completions.
            // SAFETY: no argument is passed; every queued entry was vouched for when it was pushed.
            Wait::No => unsafe { submitter.enter::<libc::sigset_t>(queued, 0, events, None) },
            // SAFETY: as above.
            Wait::Forever => unsafe {
                submitter.enter::<libc::sigset_t>(queued, wanted, events, None)
            },
            Wait::For(time) => {
                let time = Timespec::from(time);
                let args = SubmitArgs::new().timespec(&time);
                let flags = events | EnterFlags::EXT_ARG.bits();
                // SAFETY: `args` and the time that it points to live until the call returns.
                unsafe { submitter.enter(queued, wanted, flags, Some(&args)) }
            }
        };
        match entered {
            Ok(_) => Ok(()),
            // EBUSY: completions must be reaped first; EAGAIN: memory; what is queued stays queued.
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    #[inline]
    fn complete(&mut self, pool: &mut Pool) -> Option<Completion> {
        loop {
            let entry = self.ring.completion().next()?;
            let result = entry.result();
            let result = if result < 0 { Err(-result) } else { Ok(result as u32) };
            match self.owner(entry.user_data()) {
                Some(Op::Receive { port, frame }) => {
                    let index = entry.user_data() as u32;
                    let result = result.and_then(|len| self.received(pool, index, &frame, len));
                    return Some(Completion { op: Op::Receive { port, frame }, result });
                }
                Some(op) => return Some(Completion { op, result }),
                None if entry.user_data() == 0 => {}
                None => self.stray += 1,
            }
        }
    }

    fn register(&mut self, port: PortIndex, fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
        if port.get() + 1 >= self.files {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                format!(
                    "port slot {port} needs a limit of open files above {}: raise RLIMIT_NOFILE",
                    self.files
                ),
            ));
        }
        let fd = fd.map_or(-1, |fd| fd.as_raw_fd());
        self.ring.submitter().register_files_update(u32::from(port.0), &[fd])?;
        Ok(())
    }

    fn ports(&self) -> usize {
        self.files - 1
    }

    fn stray(&self) -> u64 {
        self.stray
    }
}

impl Drop for KernelRing {
    fn drop(&mut self) {
        if !self.drain() {
            mem::forget(Arc::clone(&self.region));
            mem::forget(mem::take(&mut self.messages));
        }
    }
}

/// A ring with the flags that fit one busy thread, or with fewer where the kernel is older.
fn build() -> io::Result<IoUring> {
    let mut tuned = IoUring::builder();
    tuned.setup_cqsize(CQ_ENTRIES).setup_clamp().setup_single_issuer().setup_defer_taskrun();
    match tuned.build(SQ_ENTRIES) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            IoUring::builder().setup_cqsize(CQ_ENTRIES).setup_clamp().build(SQ_ENTRIES)
        }
        other => other,
    }
}

/// Refuses a kernel that lacks an operation or a feature.
fn require(ring: &IoUring) -> io::Result<()> {
    let lacking = |what: &str| Err(io::Error::new(io::ErrorKind::Unsupported, what.to_owned()));
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    let needed = [
        ("read", opcode::Read::CODE),
        ("write", opcode::Write::CODE),
        ("recvmsg", opcode::RecvMsg::CODE),
        ("sendmsg", opcode::SendMsg::CODE),
        ("poll", opcode::PollAdd::CODE),
        ("cancel", opcode::AsyncCancel2::CODE),
    ];
    for (name, code) in needed {
        if !probe.is_supported(code) {
            return lacking(&format!("io_uring of this kernel lacks the operation {name}"));
        }
    }
    let params = ring.params();
    if !params.is_feature_nodrop() || !params.is_feature_ext_arg() {
        return lacking(
            "io_uring of this kernel may lose completions (Linux 5.19 or later is needed)",
        );
    }
    Ok(())
}

/// Entries of the file table: a slot for each port and one for the waker, as far as the limit of open
/// files lets it grow.
fn table_len() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let open_files = limit.current.map_or(usize::MAX, |n| n as usize);
    (PORTS_MAX + 1).min(open_files).max(2)
}
