//! Ports in memory for tests, the simulator and benchmarks.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;

use super::port_queue::Framing;
use super::{Engine, EngineCounters, EngineEvent, PortQueue, Received, Wait};
use crate::limits::{FRAME_MAX, PORTS_MAX, READ_DEPTH_MAX};
use crate::pool::{Frame, Pool};
use crate::port::{PortIndex, PortIoCounters, TxDrop};

/// One port. Frames are with their virtio-net header, or their datagram header.
#[derive(Debug, Default)]
struct MemoryPort {
    open: bool,
    framing: Framing,
    incoming: VecDeque<Vec<u8>>,
    /// Frames that come in again and again, and the next of them.
    cycle: Vec<Vec<u8>>,
    next: usize,
    outgoing: Vec<Vec<u8>>,
    keep: bool,
    io: PortIoCounters,
}

/// Packet I/O in memory, which never blocks.
#[derive(Debug, Default)]
pub struct MemoryEngine {
    ports: Vec<MemoryPort>,
    events: VecDeque<EngineEvent>,
    stats: EngineCounters,
}

impl MemoryEngine {
    /// An engine without ports.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a port that keeps what is sent to it.
    pub fn open(&mut self, port: PortIndex) {
        *self.port(port) = MemoryPort { open: true, keep: true, ..MemoryPort::default() };
    }

    /// Opens a port of datagrams that keeps what is sent to it. Frames begin with a
    /// [`crate::datagram::Header`]: who joins two such ports replaces the destination by the source.
    pub fn open_datagrams(&mut self, port: PortIndex) {
        let framing = Framing::Datagram;
        *self.port(port) = MemoryPort { open: true, keep: true, framing, ..MemoryPort::default() };
    }

    /// Opens a port of datagrams as [`MemoryEngine::open_cycle`] does a port of frames.
    pub fn open_datagram_cycle(&mut self, port: PortIndex, frames: Vec<Vec<u8>>) {
        let framing = Framing::Datagram;
        let cycle = frames;
        *self.port(port) = MemoryPort { open: true, cycle, framing, ..MemoryPort::default() };
    }

    /// Opens a port that only counts what is sent to it, and on which `frames` come in for ever.
    pub fn open_cycle(&mut self, port: PortIndex, frames: Vec<Vec<u8>>) {
        *self.port(port) = MemoryPort { open: true, cycle: frames, ..MemoryPort::default() };
    }

    /// A frame, with its virtio-net or datagram header, comes in on a port.
    pub fn inject(&mut self, port: PortIndex, frame: Vec<u8>) {
        self.port(port).incoming.push_back(frame);
    }

    /// Takes what was sent to a port since the last call.
    pub fn sent(&mut self, port: PortIndex) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.port(port).outgoing)
    }

    /// Makes the device of a port vanish.
    pub fn vanish(&mut self, port: PortIndex) {
        self.port(port).open = false;
        self.events.push_back(EngineEvent::Gone(port));
    }

    fn port(&mut self, port: PortIndex) -> &mut MemoryPort {
        if self.ports.len() <= port.get() {
            self.ports.resize_with(port.get() + 1, MemoryPort::default);
        }
        &mut self.ports[port.get()]
    }
}

impl MemoryPort {
    /// Takes the next frame in; false when there is none, or no buffer for it.
    #[inline]
    fn read(&mut self, pool: &mut Pool, port: PortIndex, received: &mut Vec<Received>) -> bool {
        let written;
        let bytes = match self.incoming.pop_front() {
            Some(bytes) => {
                written = bytes;
                &written
            }
            None => {
                let Some(bytes) = self.cycle.get(self.next) else { return false };
                self.next += 1;
                if self.next == self.cycle.len() {
                    self.next = 0;
                }
                bytes
            }
        };
        match self.framing {
            Framing::Vnet => take_in(&mut self.io, Framing::Vnet, bytes, pool, port, received),
            Framing::Datagram => take_in_datagrams(&mut self.io, bytes, pool, port, received),
        }
    }

    fn is_empty(&self) -> bool {
        self.incoming.is_empty() && self.cycle.is_empty()
    }
}

/// Copies a frame in; false when there is no buffer for it, and it is lost.
#[inline]
fn take_in(
    io: &mut PortIoCounters,
    framing: Framing,
    bytes: &[u8],
    pool: &mut Pool,
    port: PortIndex,
    received: &mut Vec<Received>,
) -> bool {
    let Some(mut frame) = pool.alloc() else {
        io.rx_errors += 1;
        return false;
    };
    if !(framing.header_len()..=FRAME_MAX).contains(&bytes.len()) {
        io.rx_errors += 1;
        pool.release(frame);
        return true;
    }
    frame.set_len(bytes.len());
    if let Some(buffer) = pool.bytes_mut(&frame) {
        buffer.copy_from_slice(bytes);
    }
    let (frames, bytes) = framing.measure(pool, &frame);
    io.traffic.count_rx_frames(frames, bytes);
    received.push(Received { port, frame });
    true
}

/// The same of a datagram port. Never inlined: the path of TAPs stays short.
#[inline(never)]
fn take_in_datagrams(
    io: &mut PortIoCounters,
    bytes: &[u8],
    pool: &mut Pool,
    port: PortIndex,
    received: &mut Vec<Received>,
) -> bool {
    take_in(io, Framing::Datagram, bytes, pool, port, received)
}

impl Engine for MemoryEngine {
    /// Memory ports have no descriptor: use [`MemoryEngine::open`].
    fn attach(&mut self, _port: PortIndex, _queue: PortQueue) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn detach(&mut self, port: PortIndex) {
        self.port(port).open = false;
        self.events.push_back(EngineEvent::Detached(port));
    }

    fn is_open(&self, port: PortIndex) -> bool {
        self.ports.get(port.get()).is_some_and(|port| port.open)
    }

    #[inline]
    fn send(&mut self, pool: &mut Pool, port: PortIndex, frame: Frame) {
        let to = self.port(port);
        if to.open {
            let (frames, bytes) = to.framing.measure(pool, &frame);
            to.io.traffic.count_tx_frames(frames, bytes);
            if to.keep {
                to.outgoing.push(pool.bytes(&frame).to_vec());
            }
        } else {
            let (frames, _) = to.framing.measure(pool, &frame);
            to.io.drop_tx_frames(TxDrop::Gone, frames);
        }
        pool.release(frame);
    }

    fn round(
        &mut self,
        pool: &mut Pool,
        _wait: Wait,
        received: &mut Vec<Received>,
    ) -> io::Result<()> {
        for (index, port) in self.ports.iter_mut().enumerate().filter(|(_, port)| port.open) {
            let Some(number) = PortIndex::new(index) else { break };
            for _ in 0..READ_DEPTH_MAX {
                if !port.read(pool, number, received) {
                    break;
                }
            }
        }
        Ok(())
    }

    fn next_event(&mut self) -> Option<EngineEvent> {
        self.events.pop_front()
    }

    fn take_closed(&mut self, _port: PortIndex) -> Option<PortQueue> {
        None
    }

    fn is_busy(&self) -> bool {
        self.ports.iter().any(|port| port.open && !port.is_empty())
    }

    fn set_spin_rounds(&mut self, _rounds: u16) {}

    fn writes_in_flight(&self) -> usize {
        0
    }

    fn port_io(&self, port: PortIndex) -> PortIoCounters {
        self.ports.get(port.get()).map(|port| port.io).unwrap_or_default()
    }

    fn capacity(&self) -> usize {
        PORTS_MAX
    }

    fn slots(&self) -> usize {
        self.ports.len()
    }

    fn stats(&self) -> EngineCounters {
        self.stats
    }
}
