//! The epoll engine, for kernels and sandboxes that refuse io_uring.
//!
//! Each frame of a TAP costs one `read(2)` or `write(2)`, since its virtio-net header lies in the same buffer.
//! Datagrams go in batches.
//! Ports are watched level-triggered. After traffic the engine polls for `spin_rounds` rounds without
//! blocking.

mod datagrams;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use super::deficit::Quantum;
use super::port_queue::Framing;
use super::segmentation::Segmentation;
use super::surplus::Surplus;
use super::{Engine, EngineCounters, EngineEvent, PortQueue, Received, Wait};
use crate::datagram::Unsent;
use crate::limits::{PORTS_MAX, READ_DEPTH_MAX, ROUND_FRAMES_MAX, SPIN_ROUNDS};
use crate::pool::{Frame, Pool};
use crate::port::{PortIndex, PortIoCounters, TxDrop, is_gone};
use crate::sys::batch::Batch;
use crate::waker::Waker;

/// Event data of the waker.
const WAKER: u64 = u64::MAX;

#[derive(Debug, Default)]
struct Slot {
    queue: Option<PortQueue>,
    /// Detached descriptors, until the caller takes them.
    closed: Option<PortQueue>,
    /// Form of its frames; known until the slot is attached again.
    framing: Framing,
    /// Closes when `outgoing` is sent.
    closing: bool,
    /// Frames with datagrams that wait for their system call.
    outgoing: Vec<Frame>,
    /// Whether the kernel cuts payloads into datagrams.
    segmentation: Segmentation,
    /// Bytes that a read of datagrams brought of late.
    bytes_per_read: usize,
    io: PortIoCounters,
    /// Frames left to read; `None` without a bound.
    rx_budget: Option<u32>,
    /// Budget used up: not watched.
    throttled: bool,
}

impl Slot {
    const fn is_open(&self) -> bool {
        self.queue.is_some() && !self.closing
    }

    /// Its counters.
    fn io(&self) -> PortIoCounters {
        let overflow = self.queue.as_ref().map_or(0, PortQueue::overflow);
        PortIoCounters { rx_overflow: self.io.rx_overflow + overflow, ..self.io }
    }
}

/// Packet I/O by epoll.
pub struct EpollEngine {
    epoll: OwnedFd,
    waker: Waker,
    slots: Vec<Slot>,
    ready: Vec<Event>,
    /// Ports with frames in the last round, and throttled ports.
    active: Vec<PortIndex>,
    events: VecDeque<EngineEvent>,
    /// Number of the round, which rotates the first port.
    turn: usize,
    spin_rounds: u16,
    empty_rounds: u16,
    batch: Batch,
    surplus: Surplus,
    /// Buffers of a batch of reads, and messages of a batch of sends.
    buffers: Vec<Frame>,
    sends: Vec<datagrams::Outgoing>,
    /// Datagrams that the kernel refused to cut.
    parts: Vec<datagrams::Outgoing>,
    /// Ports with frames in `outgoing`, and their frames.
    to_flush: Vec<PortIndex>,
    /// Datagrams that could not be sent.
    unsent: Vec<Unsent>,
    queued: usize,
    stats: EngineCounters,
}

impl EpollEngine {
    /// An engine woken by `waker`.
    ///
    /// # Errors
    /// From `epoll_create1(2)`.
    pub fn new(waker: Waker) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, waker.as_fd(), EventData::new_u64(WAKER), EventFlags::IN)?;
        Ok(Self {
            epoll,
            waker,
            slots: Vec::new(),
            ready: Vec::with_capacity(ROUND_FRAMES_MAX),
            active: Vec::with_capacity(ROUND_FRAMES_MAX),
            events: VecDeque::new(),
            turn: 0,
            spin_rounds: SPIN_ROUNDS,
            empty_rounds: SPIN_ROUNDS,
            batch: Batch::new(),
            surplus: Surplus::default(),
            buffers: Vec::new(),
            sends: Vec::new(),
            parts: Vec::new(),
            to_flush: Vec::new(),
            unsent: Vec::new(),
            queued: 0,
            stats: EngineCounters::default(),
        })
    }

    fn grow_to(&mut self, port: PortIndex) -> &mut Slot {
        if self.slots.len() <= port.get() {
            self.slots.resize_with(port.get() + 1, Slot::default);
        }
        &mut self.slots[port.get()]
    }

    /// Reads one port within its budget. Returns the frames read.
    fn read_port(
        &mut self,
        pool: &mut Pool,
        port: PortIndex,
        frames_max: usize,
        quantum: Quantum,
        received: &mut Vec<Received>,
    ) -> usize {
        let Some(slot) = self.slots.get(port.get()) else { return 0 };
        let budget = slot.rx_budget.map_or(usize::MAX, |allowed| allowed as usize);
        let frames_max = frames_max.min(budget);
        let frames = match slot.framing {
            Framing::Vnet => self.read_frames(pool, port, frames_max, quantum, received),
            Framing::Datagram => self.read_datagrams(pool, port, frames_max, quantum, received),
        };
        if let Some(slot) = self.slots.get_mut(port.get()) {
            slot.rx_budget = slot.rx_budget.map(|allowed| allowed.saturating_sub(frames as u32));
            if slot.rx_budget == Some(0) {
                self.watch(port, false);
            }
        }
        frames
    }

    /// Reads a TAP until it is empty or has used its frames or bytes. Returns the frames read.
    fn read_frames(
        &mut self,
        pool: &mut Pool,
        port: PortIndex,
        frames_max: usize,
        quantum: Quantum,
        received: &mut Vec<Received>,
    ) -> usize {
        let Some(Slot { queue: Some(queue), io, .. }) = self.slots.get_mut(port.get()) else {
            return 0;
        };
        let (mut frames, mut bytes) = (0, 0);
        while frames < frames_max && bytes < quantum.bytes {
            let Some(mut frame) = pool.alloc() else { break };
            Framing::Vnet.before_read(&mut frame);
            self.stats.syscalls += 1;
            match read_frame(pool, queue, &frame) {
                Ok(len) if Framing::Vnet.after_read(&mut frame, len) => {
                    frames += 1;
                    bytes += len;
                    io.traffic.count_rx(frame.wire_len());
                    received.push(Received { port, frame });
                }
                Ok(_) => {
                    io.rx_errors += 1;
                    pool.release(frame);
                }
                Err(errno) => {
                    pool.release(frame);
                    if is_gone(errno) {
                        self.device_gone(port);
                    } else if errno != libc::EAGAIN {
                        io.rx_errors += 1;
                    }
                    break;
                }
            }
        }
        frames
    }

    /// Whether to read a port. A read clears an ICMP error of a UDP socket; an error of a TAP means that
    /// the device vanished.
    fn is_readable(&self, port: PortIndex, flags: EventFlags) -> bool {
        let is_udp =
            || self.slots.get(port.get()).is_some_and(|slot| slot.framing == Framing::Datagram);
        flags.contains(EventFlags::IN) || flags.contains(EventFlags::ERR) && is_udp()
    }

    /// Watches or unwatches a port. A level-triggered port that is not read would wake every round.
    fn watch(&mut self, port: PortIndex, watched: bool) {
        let Some(slot) = self.slots.get_mut(port.get()) else { return };
        let Some(queue) = &slot.queue else { return };
        let flags = if watched { EventFlags::IN } else { EventFlags::empty() };
        if slot.throttled == watched
            && epoll::modify(&self.epoll, queue, EventData::new_u64(u64::from(port.0)), flags)
                .is_ok()
        {
            slot.throttled = !watched;
        }
    }

    /// Ends a port without queued frames.
    fn close(&mut self, port: PortIndex) {
        let Some(slot) = self.slots.get_mut(port.get()) else { return };
        let Some(queue) = slot.queue.take() else { return };
        // Fails for a vanished device, which is not watched.
        let _ = epoll::delete(&self.epoll, &queue);
        slot.io.rx_overflow += queue.overflow();
        slot.closed = Some(queue);
        slot.closing = false;
        self.events.push_back(EngineEvent::Detached(port));
    }

    /// Unwatches a port whose device vanished, until it is detached.
    fn device_gone(&mut self, port: PortIndex) {
        if let Some(queue) = self.slots.get(port.get()).and_then(|slot| slot.queue.as_ref())
            && epoll::delete(&self.epoll, queue).is_ok()
        {
            self.events.push_back(EngineEvent::Gone(port));
        }
    }

    fn poll(&mut self, wait: Wait) -> io::Result<()> {
        let timeout = match wait {
            Wait::No => Some(Duration::ZERO),
            Wait::For(time) => Some(time),
            Wait::Forever => None,
        };
        let timeout = timeout.map(|time| rustix::event::Timespec {
            tv_sec: time.as_secs() as i64,
            tv_nsec: time.subsec_nanos().into(),
        });
        self.ready.clear();
        self.stats.syscalls += 1;
        match epoll::wait(&self.epoll, spare_capacity(&mut self.ready), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Reads one frame, or returns a positive error number.
fn read_frame(pool: &mut Pool, queue: &PortQueue, frame: &Frame) -> Result<usize, i32> {
    let Some(bytes) = pool.bytes_mut(frame) else { return Err(libc::EINVAL) };
    rustix::io::read(queue, bytes).map_err(rustix::io::Errno::raw_os_error)
}

impl Engine for EpollEngine {
    fn attach(&mut self, port: PortIndex, queue: PortQueue) -> io::Result<()> {
        if port.get() >= PORTS_MAX {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        if self.grow_to(port).queue.is_some() {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        epoll::add(&self.epoll, &queue, EventData::new_u64(u64::from(port.0)), EventFlags::IN)?;
        *self.grow_to(port) = Slot {
            framing: queue.framing(),
            segmentation: Segmentation::of(&queue),
            queue: Some(queue),
            ..Slot::default()
        };
        Ok(())
    }

    fn detach(&mut self, port: PortIndex) {
        match self.slots.get_mut(port.get()) {
            Some(slot) if !slot.outgoing.is_empty() => slot.closing = true,
            _ => self.close(port),
        }
    }

    fn is_open(&self, port: PortIndex) -> bool {
        self.slots.get(port.get()).is_some_and(Slot::is_open)
    }

    fn send(&mut self, pool: &mut Pool, port: PortIndex, frame: Frame) {
        let slot = self.grow_to(port);
        if slot.framing == Framing::Datagram {
            return self.send_datagrams(pool, port, frame);
        }
        let slot = &mut self.slots[port.get()];
        self.stats.syscalls += 1;
        match slot.queue.as_ref().map(|queue| rustix::io::write(queue, pool.bytes(&frame))) {
            None => slot.io.drop_tx(TxDrop::Gone),
            Some(Ok(len)) if len == frame.len() => slot.io.traffic.count_tx(frame.wire_len()),
            Some(Ok(_)) => slot.io.drop_tx(TxDrop::Short),
            Some(Err(errno)) => slot.io.drop_tx(TxDrop::from_errno(errno.raw_os_error())),
        }
        pool.release(frame);
    }

    fn round(
        &mut self,
        pool: &mut Pool,
        wait: Wait,
        received: &mut Vec<Received>,
    ) -> io::Result<()> {
        self.flush(pool);
        let has_work = self.is_busy() || !self.events.is_empty() || !self.surplus.is_empty();
        let wait = if has_work { Wait::No } else { wait };
        self.stats.sleeps += u64::from(wait != Wait::No);
        self.poll(wait)?;
        let mut budget = ROUND_FRAMES_MAX;
        let mut ready = std::mem::take(&mut self.ready);
        // Rotates the order of the kernel, since the budget may end before the last port.
        self.turn = self.turn.wrapping_add(1);
        let first = self.turn % ready.len().max(1);
        ready.rotate_left(first);
        let readable = |event: &&Event| {
            let mark = event.data.u64();
            mark != WAKER && self.is_readable(PortIndex(mark as u16), event.flags)
        };
        let mut behind = ready.iter().filter(readable).count();
        let slots = &self.slots;
        self.active.retain(|port| slots.get(port.get()).is_some_and(|slot| slot.throttled));
        let quantum = Quantum::of(behind);
        for event in &ready {
            let (mark, flags) = (event.data.u64(), event.flags);
            if mark == WAKER {
                self.waker.clear();
                self.events.push_back(EngineEvent::Woken);
                continue;
            }
            let port = PortIndex(mark as u16);
            if self.is_readable(port, flags) {
                // Later ports keep their quantum.
                behind -= 1;
                let own = budget.saturating_sub(behind * quantum.frames).clamp(1, READ_DEPTH_MAX);
                let frames = self.read_port(pool, port, own.min(budget), quantum, received);
                budget -= frames;
                if frames > 0 && !self.active.contains(&port) {
                    self.active.push(port);
                }
            } else if flags.intersects(EventFlags::ERR | EventFlags::HUP) {
                self.device_gone(port);
            }
        }
        self.ready = ready;
        let slots = &self.slots;
        self.surplus.end_round(pool, received, |port| {
            slots.get(port.get()).map(|slot| slot.framing).unwrap_or_default()
        });
        self.stats.rounds_full += u64::from(budget == 0);
        let empty = budget == ROUND_FRAMES_MAX;
        self.empty_rounds = if empty { self.empty_rounds.saturating_add(1) } else { 0 };
        Ok(())
    }

    fn next_event(&mut self) -> Option<EngineEvent> {
        self.events.pop_front()
    }

    fn take_closed(&mut self, port: PortIndex) -> Option<PortQueue> {
        self.slots.get_mut(port.get())?.closed.take()
    }

    fn is_busy(&self) -> bool {
        self.empty_rounds < self.spin_rounds
    }

    fn active(&self) -> &[PortIndex] {
        &self.active
    }

    fn set_rx_budget(&mut self, port: PortIndex, frames: Option<u32>) {
        if let Some(slot) = self.slots.get_mut(port.get()) {
            slot.rx_budget = frames;
            self.watch(port, frames != Some(0));
        }
    }

    fn set_spin_rounds(&mut self, rounds: u16) {
        self.spin_rounds = rounds;
        self.empty_rounds = rounds;
    }

    fn writes_in_flight(&self) -> usize {
        self.queued + self.surplus.datagrams()
    }

    fn port_io(&self, port: PortIndex) -> PortIoCounters {
        self.slots.get(port.get()).map(Slot::io).unwrap_or_default()
    }

    fn take_unsent(&mut self, unsent: &mut Vec<Unsent>) {
        unsent.append(&mut self.unsent);
    }

    fn capacity(&self) -> usize {
        PORTS_MAX
    }

    fn slots(&self) -> usize {
        self.slots.len()
    }

    fn stats(&self) -> EngineCounters {
        self.stats
    }
}
