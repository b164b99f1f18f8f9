//! The io_uring engine.
//!
//! # Theory of operation
//!
//! A port is *idle* or *active*.
//!
//! - An idle port has one poll in flight. A readable port becomes active.
//! - An active port submits `depth` nonblocking reads (`RWF_NOWAIT`) per round; one system call takes them
//!   and the writes of the last round. If all reads bring a frame, depth doubles; else it becomes their
//!   number plus one. After `spin_rounds` empty rounds the port is idle; with none of them, as soon as a read
//!   finds nothing. `engine/deficit.rs` divides a round between ports.
//! - The ring blocks only while no port is active; a poll wakes it, not a timer. The same system call takes
//!   the last writes: it waits for one completion more than these have.
//!
//! A port has one poll and no blocking reads, since each frame would wake all of those.
//!
//! Detach: `Open -> Closing` cancels all I/O. Then the descriptor is unregistered, and the slot is free. A
//! vanished device makes its port `Dead`: reported once and not read until it is detached.
//!
//! A port that has used its budget ([`Engine::set_rx_budget`]) stays active, but is neither read nor
//! polled, and the ring may block.
//!
//! A port whose queue is full holds [`WRITES_PER_PORT_MAX`] buffers at most; surplus writes are dropped.
//!
//! Limits: [`READ_DEPTH_MAX`](crate::limits::READ_DEPTH_MAX), [`ROUND_FRAMES_MAX`],
//! [`ROUND_BYTES_PER_PORT`](crate::limits::ROUND_BYTES_PER_PORT). A full submission queue is flushed; an
//! empty pool cuts the reads of the round.

mod completions;
mod datagrams;
pub mod ring;
mod slot;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;

use self::ring::{Op, Ring};
use self::slot::{Slot, State};
use super::deficit::Quantum;
use super::port_queue::Framing;
use super::surplus::Surplus;
use super::{Engine, EngineCounters, EngineEvent, PortQueue, Received, Wait};
use crate::datagram::Unsent;
use crate::limits::{PORTS_MAX, ROUND_FRAMES_MAX, SPIN_ROUNDS, WRITES_PER_PORT_MAX};
use crate::pool::{Frame, Pool};
use crate::port::{PortIndex, PortIoCounters, TxDrop};
use crate::sys::uring::KernelRing;
use crate::waker::Waker;

/// Packet I/O by io_uring.
pub struct UringEngine<R = KernelRing> {
    ring: R,
    waker: Waker,
    waker_armed: bool,
    slots: Vec<Slot>,
    /// Active ports.
    active: Vec<PortIndex>,
    /// Ports whose poll must be armed before the ring may wait.
    to_arm: Vec<PortIndex>,
    /// Closing ports whose cancellation is not submitted yet.
    to_cancel: Vec<PortIndex>,
    /// Frames that arrived during a flush of the submission queue.
    early: Vec<Received>,
    surplus: Surplus,
    events: VecDeque<EngineEvent>,
    spin_rounds: u16,
    writes: usize,
    /// Ports of datagrams with frames that wait for the end of the round, and the number of these.
    to_flush: Vec<PortIndex>,
    waiting: usize,
    /// Datagrams that the kernel refused to segment, to be sent one by one.
    to_resend: VecDeque<(PortIndex, Frame)>,
    /// Datagrams that could not be sent.
    unsent: Vec<Unsent>,
    /// Queued writes, which end within the next system call: they have room or fail.
    queued_writes: u32,
    /// Quantum of each port in this round.
    quantum: Quantum,
    stats: EngineCounters,
}

impl UringEngine<KernelRing> {
    /// An engine over a ring of its own, which only the calling thread may use.
    ///
    /// # Errors
    /// Where the kernel refuses io_uring, or lacks what the engine needs.
    pub fn new(pool: &Pool, waker: Waker) -> io::Result<Self> {
        let ring = KernelRing::new(pool, waker.as_fd())?;
        Ok(Self::over(ring, waker))
    }
}

impl<R: Ring> UringEngine<R> {
    /// An engine over any ring.
    pub fn over(ring: R, waker: Waker) -> Self {
        Self {
            ring,
            waker,
            waker_armed: false,
            slots: Vec::new(),
            active: Vec::new(),
            to_arm: Vec::new(),
            to_cancel: Vec::new(),
            early: Vec::new(),
            surplus: Surplus::default(),
            events: VecDeque::new(),
            spin_rounds: SPIN_ROUNDS,
            writes: 0,
            to_flush: Vec::new(),
            waiting: 0,
            to_resend: VecDeque::new(),
            unsent: Vec::new(),
            queued_writes: 0,
            quantum: Quantum::of(0),
            stats: EngineCounters::default(),
        }
    }

    /// Queues an operation. A full submission queue is flushed, and what has ended is settled, so
    /// that there is room again; frames that came meanwhile wait in `early` for the next round.
    fn push(&mut self, pool: &mut Pool, op: Op) -> Result<(), Op> {
        let Err(op) = self.ring.push(pool, op) else { return Ok(()) };
        self.stats.syscalls += 1;
        self.stats.queue_flushes += 1;
        if self.ring.enter(Wait::No, 0).is_err() {
            return Err(op);
        }
        self.queued_writes = 0;
        let mut early = std::mem::take(&mut self.early);
        self.reap_completions(pool, &mut early);
        self.early = early;
        self.ring.push(pool, op)
    }

    fn reap_completions(&mut self, pool: &mut Pool, received: &mut Vec<Received>) {
        while let Some(done) = self.ring.complete(pool) {
            self.completed(pool, done, received);
        }
    }

    fn grow_to(&mut self, port: PortIndex) {
        if self.slots.len() <= port.get() {
            self.slots.resize_with(port.get() + 1, Slot::default);
        }
    }

    /// Submits the reads of every active port; busy ports take turns at the rest of the round.
    fn submit_reads(&mut self, pool: &mut Pool) {
        self.quantum = Quantum::of(self.active.len());
        let (mut budget, mut spare) = (ROUND_FRAMES_MAX, self.grant_reads());
        let mut served = 0;
        while served < self.active.len() && budget > 0 {
            let port = self.active[served];
            served += 1;
            let slot = &self.slots[port.get()];
            let extra = usize::from(slot.extra_demand()).min(spare);
            spare -= extra;
            let depth = (usize::from(slot.granted) + extra).min(budget);
            for _ in 0..depth {
                // Making room for a read settles what has ended, which may close the port.
                if self.slots[port.get()].state != State::Open {
                    break;
                }
                let Some(frame) = pool.alloc() else { return self.rotate(served) };
                let read = self.slots[port.get()].read(port, frame);
                if let Err(Op::Read { frame, .. } | Op::Receive { frame, .. }) =
                    self.push(pool, read)
                {
                    pool.release(frame);
                    return self.rotate(served);
                }
                let slot = &mut self.slots[port.get()];
                slot.in_flight += 1;
                slot.asked += 1;
                budget -= 1;
            }
        }
        self.stats.rounds_full += u64::from(budget == 0);
        self.rotate(served);
    }

    /// Grants every active port its quantum; returns the rest of the round.
    fn grant_reads(&mut self) -> usize {
        let mut granted = 0;
        for port in &self.active {
            let slot = &mut self.slots[port.get()];
            let may_read = slot.deficit.replenish(self.quantum);
            self.stats.deficit_skips += u64::from(!may_read);
            let part = slot.within_budget(slot.depth.min(self.quantum.frames as u16));
            slot.granted = if may_read { part } else { 0 };
            if slot.framing == Framing::Datagram && !self.surplus.is_empty() {
                slot.granted = 0;
            }
            granted += usize::from(slot.granted);
        }
        ROUND_FRAMES_MAX.saturating_sub(granted)
    }

    fn push_write(&mut self, pool: &mut Pool, port: PortIndex, frame: Frame) {
        if let Err(Op::Write { frame, .. }) = self.push(pool, Op::Write { port, frame }) {
            self.slots[port.get()].io.drop_tx(TxDrop::NoRoom);
            return pool.release(frame);
        }
        self.write_queued(port);
    }

    fn write_queued(&mut self, port: PortIndex) {
        let slot = &mut self.slots[port.get()];
        slot.in_flight += 1;
        slot.writes += 1;
        self.writes += 1;
        self.queued_writes += 1;
    }

    /// Rotates the order of ports; those without a turn come first.
    fn rotate(&mut self, served: usize) {
        let len = self.active.len();
        if len > 1 {
            self.active.rotate_left(if served < len { served } else { 1 });
        }
    }

    fn arm_polls(&mut self, pool: &mut Pool) {
        if !self.waker_armed && self.push(pool, Op::PollWaker).is_ok() {
            self.waker_armed = true;
        }
        while let Some(port) = self.to_arm.pop() {
            let slot = &self.slots[port.get()];
            if slot.state != State::Open || slot.polled || slot.active {
                continue;
            }
            if self.push(pool, Op::Poll { port }).is_err() {
                self.to_arm.push(port);
                return;
            }
            let slot = &mut self.slots[port.get()];
            slot.polled = true;
            slot.in_flight += 1;
        }
    }

    /// Ends a round: sets new depths and makes empty ports idle.
    fn adapt(&mut self) {
        let (slots, to_arm, spin_rounds) = (&mut self.slots, &mut self.to_arm, self.spin_rounds);
        let quantum = self.quantum;
        self.active.retain(|&port| {
            let slot = &mut slots[port.get()];
            if slot.state != State::Open {
                slot.active = false;
                return false;
            }
            if slot.adapt(spin_rounds, quantum) {
                return true;
            }
            to_arm.push(port);
            false
        });
    }
}

impl<R: Ring> Engine for UringEngine<R> {
    fn attach(&mut self, port: PortIndex, queue: PortQueue) -> io::Result<()> {
        if port.get() >= PORTS_MAX {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        self.grow_to(port);
        if self.slots[port.get()].state != State::Vacant {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        self.ring.register(port, Some(queue.as_fd()))?;
        self.slots[port.get()] = Slot::open(queue);
        self.to_arm.push(port);
        Ok(())
    }

    fn detach(&mut self, port: PortIndex) {
        let Some(slot) = self.slots.get_mut(port.get()) else { return };
        if matches!(slot.state, State::Vacant | State::Closing) {
            return;
        }
        slot.state = State::Closing;
        // The cancellation is itself in flight, so that a port with nothing else closes by it.
        slot.in_flight += 1;
        self.to_cancel.push(port);
    }

    fn is_open(&self, port: PortIndex) -> bool {
        self.slots.get(port.get()).is_some_and(|slot| slot.state == State::Open)
    }

    fn send(&mut self, pool: &mut Pool, port: PortIndex, frame: Frame) {
        self.grow_to(port);
        if self.slots[port.get()].framing == Framing::Datagram {
            self.send_datagrams(pool, port, frame);
        } else if self.slots[port.get()].state != State::Open {
            self.slots[port.get()].io.drop_tx(TxDrop::Gone);
            pool.release(frame);
        } else if self.slots[port.get()].writes >= WRITES_PER_PORT_MAX {
            self.stats.writes_cut += 1;
            self.slots[port.get()].io.drop_tx(TxDrop::NoRoom);
            pool.release(frame);
        } else {
            self.push_write(pool, port, frame);
        }
    }

    fn round(
        &mut self,
        pool: &mut Pool,
        wait: Wait,
        received: &mut Vec<Received>,
    ) -> io::Result<()> {
        self.resend(pool);
        self.flush(pool);
        self.cancel_closing(pool);
        self.arm_polls(pool);
        self.submit_reads(pool);
        received.append(&mut self.early);
        let armed = self.waker_armed && self.to_arm.is_empty() && self.to_cancel.is_empty();
        let nothing = self.events.is_empty() && received.is_empty() && self.surplus.is_empty();
        let quiet = armed && !self.is_busy() && nothing;
        let wait = if quiet { wait } else { Wait::No };
        self.stats.syscalls += 1;
        self.stats.sleeps += u64::from(wait != Wait::No);
        self.ring.enter(wait, std::mem::take(&mut self.queued_writes))?;
        self.reap_completions(pool, received);
        let slots = &self.slots;
        self.surplus.end_round(pool, received, |port| slots[port.get()].framing);
        self.adapt();
        Ok(())
    }

    fn next_event(&mut self) -> Option<EngineEvent> {
        self.events.pop_front()
    }

    fn take_closed(&mut self, port: PortIndex) -> Option<PortQueue> {
        let slot = self.slots.get_mut(port.get())?;
        let closed = slot.queue.take_if(|_| slot.state == State::Vacant)?;
        slot.io.rx_overflow += closed.overflow();
        Some(closed)
    }

    fn is_busy(&self) -> bool {
        self.active.iter().any(|port| !self.slots[port.get()].is_throttled())
    }

    fn active(&self) -> &[PortIndex] {
        &self.active
    }

    fn set_rx_budget(&mut self, port: PortIndex, frames: Option<u32>) {
        if let Some(slot) = self.slots.get_mut(port.get()) {
            slot.rx_budget = frames;
        }
    }

    fn set_spin_rounds(&mut self, rounds: u16) {
        self.spin_rounds = rounds;
    }

    fn writes_in_flight(&self) -> usize {
        self.writes + self.waiting + self.to_resend.len() + self.surplus.datagrams()
    }

    fn port_io(&self, port: PortIndex) -> PortIoCounters {
        self.slots.get(port.get()).map(Slot::io).unwrap_or_default()
    }

    fn take_unsent(&mut self, unsent: &mut Vec<Unsent>) {
        unsent.append(&mut self.unsent);
    }

    fn capacity(&self) -> usize {
        self.ring.ports()
    }

    fn slots(&self) -> usize {
        self.slots.len()
    }

    fn stats(&self) -> EngineCounters {
        EngineCounters { spurious_completions: self.ring.stray(), ..self.stats }
    }
}

impl<R: Ring> UringEngine<R> {
    /// Submits the cancellations that [`Engine::detach`] asked for.
    fn cancel_closing(&mut self, pool: &mut Pool) {
        while let Some(port) = self.to_cancel.pop() {
            if self.push(pool, Op::Cancel { port }).is_err() {
                self.to_cancel.push(port);
                return;
            }
        }
    }
}
