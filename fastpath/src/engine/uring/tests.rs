//! The engine against a scripted ring: every odd completion, without a kernel.

mod closing;
mod fairness;
mod sleep;
mod udp;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use super::ring::Completion;
use super::*;
use crate::limits::{FRAME_MAX, POOL_FRAMES};

const A: PortIndex = PortIndex(0);
const B: PortIndex = PortIndex(1);

/// What the kernel answers to the next operation of a kind; without a line in the script, reads find
/// nothing, writes succeed, and polls stay pending.
#[derive(Default)]
struct Script {
    reads: VecDeque<Result<u32, i32>>,
    /// Ports with so many frames of such a length, instead of the script's.
    feeds: BTreeMap<PortIndex, (usize, u32)>,
    /// Writes to this port never end.
    stuck: Option<PortIndex>,
    writes: VecDeque<Result<u32, i32>>,
    polls: VecDeque<Result<u32, i32>>,
    queued: VecDeque<Op>,
    /// Submitted operations that have not completed.
    pending: Vec<Op>,
    done: VecDeque<Completion>,
    waits: Vec<Wait>,
    /// Writes that do not end the last wait.
    writes_queued: u32,
    registered: Vec<PortIndex>,
    /// Entries of the submission queue.
    sq_entries: usize,
    /// Operations that may be in flight.
    in_flight_max: usize,
    /// Completions are held back, as by an overflown queue, for so many enters.
    withheld: usize,
    fail_enter: Option<i32>,
    fail_cancel: Option<i32>,
}

#[derive(Clone)]
struct ScriptedRing(Rc<RefCell<Script>>);

impl ScriptedRing {
    fn new() -> Self {
        Self(Rc::new(RefCell::new(Script {
            sq_entries: 64,
            in_flight_max: 256,
            ..Script::default()
        })))
    }
}

impl Script {
    fn submit(&mut self, op: Op) {
        let result = match &op {
            Op::Read { port, .. } | Op::Receive { port, .. } => match self.feeds.get_mut(port) {
                Some((left, len)) if *left > 0 => {
                    *left -= 1;
                    Some(Ok(*len))
                }
                Some(_) => Some(Err(libc::EAGAIN)),
                None => Some(self.reads.pop_front().unwrap_or(Err(libc::EAGAIN))),
            },
            Op::Write { port, .. } if self.stuck == Some(*port) => None,
            Op::Write { frame, .. } => {
                Some(self.writes.pop_front().unwrap_or(Ok(frame.len() as u32)))
            }
            Op::Transmit { part, .. } => Some(self.writes.pop_front().unwrap_or(Ok(part.len))),
            Op::Poll { .. } => self.polls.pop_front(),
            Op::PollWaker => None,
            Op::Cancel { port } => Some(match self.fail_cancel.take() {
                Some(errno) => Err(errno),
                None => {
                    self.cancel(*port);
                    Ok(0)
                }
            }),
        };
        match result {
            Some(result) => self.done.push_back(Completion { op, result }),
            None => self.pending.push(op),
        }
    }

    fn cancel(&mut self, port: PortIndex) {
        let (gone, left) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|op| matches!(op, Op::Poll { port: polled } if *polled == port));
        self.pending = left;
        let gone: Vec<Op> = gone;
        self.done
            .extend(gone.into_iter().map(|op| Completion { op, result: Err(libc::ECANCELED) }));
    }

    /// The poll of a port fires.
    fn fire(&mut self, port: PortIndex, bits: i16) {
        let at = self.pending.iter().position(|op| *op == Op::Poll { port }).expect("it is polled");
        let op = self.pending.remove(at);
        self.done.push_back(Completion { op, result: Ok(bits as u32) });
    }
}

impl Ring for ScriptedRing {
    fn push(&mut self, _pool: &Pool, op: Op) -> Result<(), Op> {
        let mut script = self.0.borrow_mut();
        let in_flight = script.queued.len() + script.done.len() + script.pending.len();
        if script.queued.len() == script.sq_entries || in_flight >= script.in_flight_max {
            return Err(op);
        }
        script.queued.push_back(op);
        Ok(())
    }

    fn enter(&mut self, wait: Wait, writes: u32) -> io::Result<()> {
        let mut script = self.0.borrow_mut();
        if let Some(errno) = script.fail_enter.take() {
            return Err(io::Error::from_raw_os_error(errno));
        }
        script.waits.push(wait);
        script.writes_queued = writes;
        script.withheld = script.withheld.saturating_sub(1);
        while let Some(op) = script.queued.pop_front() {
            script.submit(op);
        }
        Ok(())
    }

    fn complete(&mut self, _pool: &mut Pool) -> Option<Completion> {
        let mut script = self.0.borrow_mut();
        if script.withheld > 0 { None } else { script.done.pop_front() }
    }

    fn register(&mut self, port: PortIndex, fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let registered = &mut self.0.borrow_mut().registered;
        registered.retain(|&other| other != port);
        if fd.is_some() {
            registered.push(port);
        }
        Ok(())
    }

    fn ports(&self) -> usize {
        PORTS_MAX
    }

    fn stray(&self) -> u64 {
        0
    }
}

struct Bench {
    engine: UringEngine<ScriptedRing>,
    script: Rc<RefCell<Script>>,
    pool: Pool,
    received: Vec<Received>,
}

impl Bench {
    /// Ports A and B, polled.
    fn new() -> Self {
        let ring = ScriptedRing::new();
        let script = Rc::clone(&ring.0);
        let mut engine = UringEngine::over(ring, Waker::new().expect("an eventfd"));
        engine.set_spin_rounds(3);
        for port in [A, B] {
            let null = std::fs::File::open("/dev/null").expect("it is there");
            engine.attach(port, PortQueue::Tap(null.into())).expect("the slot is free");
        }
        let pool = Pool::new(POOL_FRAMES).expect("memory");
        let mut bench = Self { engine, script, pool, received: Vec::new() };
        bench.round();
        bench
    }

    fn round(&mut self) {
        self.engine
            .round(&mut self.pool, Wait::Forever, &mut self.received)
            .expect("the ring works");
    }

    /// Port A has frames of these lengths, and is woken.
    fn incoming(&mut self, results: &[Result<u32, i32>]) {
        self.script.borrow_mut().reads.extend(results);
        self.script.borrow_mut().fire(A, libc::POLLIN);
        self.round();
    }

    fn release_all(&mut self) {
        for Received { frame, .. } in self.received.drain(..) {
            self.pool.release(frame);
        }
    }

    fn send(&mut self, port: PortIndex) {
        let frame = self.pool.alloc_with(&[1; 60]).expect("a buffer");
        self.engine.send(&mut self.pool, port, frame);
    }

    fn events(&mut self) -> Vec<EngineEvent> {
        std::iter::from_fn(|| self.engine.next_event()).collect()
    }

    /// Nothing was lost: all buffers are back.
    fn assert_clean(&mut self) {
        self.release_all();
        assert_eq!(self.engine.writes_in_flight(), 0);
        assert_eq!(self.pool.available(), self.pool.capacity());
    }
}

#[test]
fn an_idle_engine_waits_for_ever_and_has_one_poll_a_port() {
    let mut bench = Bench::new();
    bench.round();
    let script = bench.script.borrow();
    assert_eq!(script.waits, [Wait::Forever, Wait::Forever]);
    assert_eq!(script.pending.len(), 3, "two ports and the waker");
}

#[test]
fn depth_doubles_while_reads_succeed_and_falls_to_what_came() {
    let mut bench = Bench::new();
    bench.incoming(&[Ok(72); 7]);
    let mut per_round = Vec::new();
    for _ in 0..5 {
        bench.release_all();
        bench.round();
        per_round.push(bench.received.len());
    }
    // Depths: 1, 2, 4, then a round of 8 finds nothing more.
    assert_eq!(per_round, [1, 2, 4, 0, 0]);
    bench.assert_clean();
}

#[test]
fn a_port_without_frames_is_polled_again_after_its_spin_rounds() {
    let mut bench = Bench::new();
    bench.incoming(&[]);
    for _ in 0..3 {
        assert!(bench.engine.is_busy());
        bench.round();
    }
    assert!(!bench.engine.is_busy());
    bench.round();
    assert_eq!(bench.script.borrow().waits.last(), Some(&Wait::Forever));
    assert_eq!(bench.script.borrow().pending.len(), 3);
    bench.assert_clean();
}

#[test]
fn odd_reads_lose_no_buffer_and_are_counted() {
    let mut bench = Bench::new();
    let odd = [Err(libc::ENOBUFS), Ok(0), Err(libc::ENOMEM), Ok(11), Err(libc::EINTR)];
    bench.incoming(&[]);
    for result in odd {
        bench.script.borrow_mut().reads.push_back(result);
        bench.round();
        if !bench.engine.is_busy() {
            bench.round();
            bench.script.borrow_mut().fire(A, libc::POLLIN);
            bench.round();
        }
    }
    assert!(bench.received.is_empty());
    assert_eq!(bench.engine.port_io(A).rx_errors, 5);
    assert_eq!(bench.engine.port_io(A).traffic.rx_frames, 0);
    bench.assert_clean();
}

#[test]
fn every_write_ends_as_one_count() {
    let mut bench = Bench::new();
    let answers = [
        Ok(72),
        Ok(40),
        Err(libc::EAGAIN),
        Err(libc::ENOBUFS),
        Err(libc::ENOMEM),
        Err(libc::EINVAL),
        Err(libc::EBADFD),
        Err(libc::ECANCELED),
        Err(libc::EIO),
    ];
    bench.script.borrow_mut().writes.extend(answers);
    for _ in answers {
        bench.send(B);
    }
    bench.round();
    let io = bench.engine.port_io(B);
    assert_eq!((io.traffic.tx_frames, io.traffic.tx_bytes), (1, 60));
    let count = |kind: TxDrop| io.tx_drops[kind as usize];
    assert_eq!(count(TxDrop::Short), 1);
    assert_eq!(count(TxDrop::NoRoom), 3);
    assert_eq!(count(TxDrop::Refused), 1);
    assert_eq!(count(TxDrop::Gone), 2);
    assert_eq!(count(TxDrop::Down), 1);
    bench.assert_clean();
}

#[test]
fn completions_held_back_by_an_overflow_arrive_with_the_next_round() {
    let mut bench = Bench::new();
    bench.send(B);
    bench.script.borrow_mut().withheld = 2;
    bench.round();
    assert_eq!(bench.engine.writes_in_flight(), 1);
    bench.round();
    assert_eq!(bench.engine.port_io(B).traffic.tx_frames, 1);
    bench.assert_clean();
}

#[test]
fn more_writes_than_the_queue_holds_are_all_written() {
    let mut bench = Bench::new();
    bench.script.borrow_mut().sq_entries = 4;
    bench.script.borrow_mut().in_flight_max = 8;
    for _ in 0..100 {
        bench.send(B);
    }
    bench.round();
    assert_eq!(bench.engine.port_io(B).traffic.tx_frames, 100);
    bench.assert_clean();
}

#[test]
fn frames_that_arrive_while_room_is_made_are_not_lost() {
    let mut bench = Bench::new();
    bench.incoming(&[]);
    bench.script.borrow_mut().sq_entries = 2;
    bench.script.borrow_mut().reads.push_back(Ok(72));
    // The read of this round is flushed and settled by the writes that need its place.
    bench.engine.submit_reads(&mut bench.pool);
    for _ in 0..5 {
        bench.send(B);
    }
    bench.round();
    assert_eq!(bench.received.len(), 1);
    bench.assert_clean();
}

#[test]
fn a_kernel_that_refuses_the_flush_costs_the_frame_not_the_buffer() {
    let mut bench = Bench::new();
    bench.script.borrow_mut().sq_entries = 1;
    bench.send(B);
    bench.script.borrow_mut().fail_enter = Some(libc::ENXIO);
    bench.send(B);
    bench.round();
    assert_eq!(bench.engine.port_io(B).traffic.tx_frames, 1);
    assert_eq!(bench.engine.port_io(B).tx_drops[TxDrop::NoRoom as usize], 1);
    bench.assert_clean();
}

#[test]
fn a_cancelled_poll_of_an_open_port_is_armed_again() {
    let mut bench = Bench::new();
    bench.script.borrow_mut().cancel(A);
    bench.round();
    bench.round();
    assert_eq!(bench.script.borrow().pending.len(), 3);
}

#[test]
fn an_empty_pool_stops_reading_and_starts_again() {
    let mut bench = Bench::new();
    let mut hoard: Vec<Frame> = std::iter::from_fn(|| bench.pool.alloc()).collect();
    bench.incoming(&[Ok(72)]);
    bench.round();
    assert!(bench.received.is_empty() && bench.engine.is_busy());
    for frame in hoard.drain(..) {
        bench.pool.release(frame);
    }
    bench.round();
    assert_eq!(bench.received.len(), 1);
    bench.assert_clean();
}

#[test]
fn an_unusable_ring_is_an_error() {
    let mut bench = Bench::new();
    bench.script.borrow_mut().fail_enter = Some(libc::ENXIO);
    let round = bench.engine.round(&mut bench.pool, Wait::No, &mut bench.received);
    assert_eq!(round.map_err(|error| error.raw_os_error()), Err(Some(libc::ENXIO)));
}
