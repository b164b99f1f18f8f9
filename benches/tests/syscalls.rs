//! System calls per frame of the io_uring engine, under loads that are scripted: a ceiling for each,
//! which holds on any machine however loaded it is.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;

use fastpath::engine::uring::UringEngine;
use fastpath::engine::uring::ring::{Completion, Op, Ring};
use fastpath::engine::{Engine, Wait};
use fastpath::limits::POOL_FRAMES;
use fastpath::{Pool, PortIndex, PortQueue, Waker};

const A: PortIndex = PortIndex(0);
const B: PortIndex = PortIndex(1);

/// Frames that one port has waiting; each enter of the ring brings more, as the load says.
struct Load {
    frame_len: u32,
    /// So many frames come ...
    burst: usize,
    /// ... with every so many-th enter.
    every: usize,
    enters: usize,
    waiting: usize,
}

/// A kernel whose port `A` receives by the load, and whose port `B` takes whatever is written.
#[derive(Clone)]
struct Kernel(Rc<RefCell<Load>>, Rc<RefCell<VecDeque<Completion>>>, Rc<RefCell<Vec<Op>>>);

impl Kernel {
    fn new(frame_len: u32, burst: usize, every: usize) -> Self {
        let load = Load { frame_len, burst, every, enters: 0, waiting: 0 };
        Self(Rc::new(RefCell::new(load)), Rc::default(), Rc::default())
    }

    fn read(&self, port: PortIndex) -> Result<u32, i32> {
        let load = &mut *self.0.borrow_mut();
        if port != A || load.waiting == 0 {
            return Err(libc_eagain());
        }
        load.waiting -= 1;
        Ok(load.frame_len)
    }
}

fn libc_eagain() -> i32 {
    rustix::io::Errno::AGAIN.raw_os_error()
}

impl Ring for Kernel {
    fn push(&mut self, _pool: &Pool, op: Op) -> Result<(), Op> {
        let result = match &op {
            Op::Read { port, .. } => self.read(*port),
            Op::Write { frame, .. } => Ok(frame.len() as u32),
            // Ready at once: the load does not stop for long.
            Op::Poll { port: A } => Ok(1),
            Op::Poll { .. }
            | Op::PollWaker
            | Op::Cancel { .. }
            | Op::Receive { .. }
            | Op::Transmit { .. } => {
                self.2.borrow_mut().push(op);
                return Ok(());
            }
        };
        self.1.borrow_mut().push_back(Completion { op, result });
        Ok(())
    }

    fn enter(&mut self, _wait: Wait, _immediate: u32) -> io::Result<()> {
        let load = &mut *self.0.borrow_mut();
        load.enters += 1;
        if load.enters.is_multiple_of(load.every) {
            load.waiting += load.burst;
        }
        Ok(())
    }

    fn complete(&mut self, _pool: &mut Pool) -> Option<Completion> {
        self.1.borrow_mut().pop_front()
    }

    fn register(&mut self, _port: PortIndex, _fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
        Ok(())
    }

    fn ports(&self) -> usize {
        8
    }

    fn stray(&self) -> u64 {
        0
    }
}

fn descriptor() -> OwnedFd {
    std::fs::File::open("/dev/null").expect("there is a /dev/null").into()
}

/// System calls for each frame that went from `A` to `B`, over a few thousand frames.
fn per_frame(frame_len: u32, burst: usize, every: usize) -> f64 {
    let kernel = Kernel::new(frame_len, burst, every);
    let mut pool = Pool::new(POOL_FRAMES).expect("memory for the pool");
    let mut engine = UringEngine::over(kernel, Waker::new().expect("an eventfd"));
    for port in [A, B] {
        engine.attach(port, PortQueue::Tap(descriptor())).expect("a vacant slot");
    }
    let (mut frames, mut received) = (0, Vec::new());
    while frames < 5_000 {
        engine
            .round(&mut pool, Wait::No, &mut received)
            .expect("the scripted kernel does not fail");
        while engine.next_event().is_some() {}
        for one in received.drain(..) {
            frames += 1;
            engine.send(&mut pool, B, one.frame);
        }
        assert!(engine.stats().syscalls < 100_000, "the load stopped after {frames} frames");
    }
    engine.stats().syscalls as f64 / f64::from(frames)
}

#[track_caller]
fn ceiling(frame_len: u32, burst: usize, every: usize, most: f64) {
    let measured = per_frame(frame_len, burst, every);
    assert!(measured <= most, "{measured:.3} system calls per frame, at most {most} are allowed");
}

/// Measured: 0.032. A full queue of small frames: the deepest batch there is.
#[test]
fn a_flood_of_small_frames_is_batched() {
    ceiling(76, 32, 1, 0.04);
}

/// Measured: 0.25. 64 KiB frames come four at a time, since a round is bounded by bytes.
#[test]
fn long_frames_are_batched_by_bytes() {
    ceiling(65_000, 32, 1, 0.3);
}

/// Measured: 1.0. One frame at a time, each with the write of the one before.
#[test]
fn a_steady_trickle_costs_one_call_a_frame() {
    ceiling(76, 1, 1, 1.05);
}

/// Measured: 8.0, seven of them spins. Ping-pong, whose other end takes seven rounds to answer.
#[test]
fn spinning_for_an_answer_adds_nothing_else() {
    ceiling(76, 1, 8, 8.1);
}
