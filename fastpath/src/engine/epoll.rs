//! The epoll engine, for kernels and sandboxes that refuse io_uring.
//!
//! Each frame costs one `read(2)` or `write(2)`, since its virtio-net header lies in the same buffer.
//! Ports are watched level-triggered. After traffic the engine polls for `spin_rounds` rounds without
//! blocking.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use super::deficit::Quantum;
use super::port_queue::Framing;
use super::{Engine, EngineCounters, EngineEvent, PortQueue, Received, Wait};
use crate::limits::{PORTS_MAX, READ_DEPTH_MAX, ROUND_FRAMES_MAX, SPIN_ROUNDS};
use crate::pool::{Frame, Pool};
use crate::port::{PortIndex, PortIoCounters, TxDrop, is_gone};
use crate::waker::Waker;

/// Event data of the waker.
const WAKER: u64 = u64::MAX;

#[derive(Debug, Default)]
struct Slot {
    queue: Option<PortQueue>,
    /// Detached descriptor, until the caller takes it.
    closed: Option<OwnedFd>,
    io: PortIoCounters,
    /// Frames left to read; `None` without a bound.
    rx_budget: Option<u32>,
    /// Budget used up: not watched.
    throttled: bool,
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
            stats: EngineCounters::default(),
        })
    }

    fn grow_to(&mut self, port: PortIndex) -> &mut Slot {
        if self.slots.len() <= port.get() {
            self.slots.resize_with(port.get() + 1, Slot::default);
        }
        &mut self.slots[port.get()]
    }

    /// Reads one port until it is empty or has used its frames or bytes. Returns the frames read.
    fn read_port(
        &mut self,
        pool: &mut Pool,
        port: PortIndex,
        frames_max: usize,
        quantum: Quantum,
        received: &mut Vec<Received>,
    ) -> usize {
        let Some(Slot { queue: Some(queue), io, rx_budget, .. }) = self.slots.get_mut(port.get())
        else {
            return 0;
        };
        let frames_max = rx_budget.map_or(frames_max, |allowed| frames_max.min(allowed as usize));
        let (mut frames, mut bytes) = (0, 0);
        while frames < frames_max && bytes < quantum.bytes {
            let Some(mut frame) = pool.alloc() else { break };
            let framing = queue.framing();
            framing.before_read(&mut frame);
            self.stats.syscalls += 1;
            match read_frame(pool, queue, &frame) {
                Ok(len) if framing.after_read(pool, &mut frame, len) => {
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
        if let Some(slot) = self.slots.get_mut(port.get()) {
            slot.rx_budget = slot.rx_budget.map(|allowed| allowed.saturating_sub(frames as u32));
            if slot.rx_budget == Some(0) {
                self.watch(port, false);
            }
        }
        frames
    }

    /// Whether to read a port. A read clears an ICMP error of a UDP socket; an error of a TAP means that
    /// the device vanished.
    fn is_readable(&self, port: PortIndex, flags: EventFlags) -> bool {
        let is_udp = || {
            let queue = self.slots.get(port.get()).and_then(|slot| slot.queue.as_ref());
            queue.is_some_and(|queue| queue.framing() == Framing::Bare)
        };
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
        *self.grow_to(port) = Slot { queue: Some(queue), ..Slot::default() };
        Ok(())
    }

    fn detach(&mut self, port: PortIndex) {
        let Some(queue) = self.slots.get_mut(port.get()).and_then(|slot| slot.queue.take()) else {
            return;
        };
        // Fails for a vanished device, which is not watched.
        let _ = epoll::delete(&self.epoll, &queue);
        self.slots[port.get()].closed = Some(queue.into_fd());
        self.events.push_back(EngineEvent::Detached(port));
    }

    fn is_open(&self, port: PortIndex) -> bool {
        self.slots.get(port.get()).is_some_and(|slot| slot.queue.is_some())
    }

    fn send(&mut self, pool: &mut Pool, port: PortIndex, mut frame: Frame) {
        self.stats.syscalls += 1;
        let slot = self.grow_to(port);
        let framing = slot.queue.as_ref().map(PortQueue::framing).unwrap_or_default();
        framing.before_write(&mut frame);
        match slot.queue.as_ref().map(|queue| rustix::io::write(queue, pool.bytes(&frame))) {
            None => slot.io.drop_tx(TxDrop::Gone),
            Some(Ok(len)) if len == frame.len() => {
                framing.after_write(&mut frame);
                slot.io.traffic.count_tx(frame.wire_len());
            }
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
        let wait = if self.is_busy() || !self.events.is_empty() { Wait::No } else { wait };
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
        self.stats.rounds_full += u64::from(budget == 0);
        let empty = budget == ROUND_FRAMES_MAX;
        self.empty_rounds = if empty { self.empty_rounds.saturating_add(1) } else { 0 };
        Ok(())
    }

    fn next_event(&mut self) -> Option<EngineEvent> {
        self.events.pop_front()
    }

    fn take_closed(&mut self, port: PortIndex) -> Option<OwnedFd> {
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
        0
    }

    fn port_io(&self, port: PortIndex) -> PortIoCounters {
        self.slots.get(port.get()).map(|slot| slot.io).unwrap_or_default()
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
