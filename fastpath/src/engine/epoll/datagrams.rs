//! Ports of datagrams: `recvmmsg(2)` and `sendmmsg(2)`.
//!
//! Frames to send wait for the next round or for [`DATAGRAM_BATCH_MAX`] of them, so that datagrams of their flow join
//! them (`engine/join.rs`), and leave in one call for each socket. A kernel that cannot segment on its way out to a peer (udp(7): `EIO`) gets each datagram by itself, for some
//! sends (`engine/segmentation.rs`).

use std::os::fd::AsFd;

use super::{EpollEngine, Slot};
use crate::datagram::{Header, LEN, Part, Unsent};
use crate::engine::Received;
use crate::engine::deficit::{Quantum, charged};
use crate::engine::join;
use crate::engine::port_queue::is_refused_segmentation;
use crate::limits::DATAGRAM_BATCH_MAX;
use crate::pool::{Frame, Pool};
use crate::port::{PortIndex, TxDrop};

/// One message to send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outgoing {
    /// Index of its frame.
    frame: usize,
    header: Header,
    /// Index of its socket.
    socket: usize,
    part: Part,
}

impl EpollEngine {
    /// Reads one port until it is empty or has used its frames or bytes. Returns the frames read.
    pub(super) fn read_datagrams(
        &mut self,
        pool: &mut Pool,
        port: PortIndex,
        frames_max: usize,
        quantum: Quantum,
        received: &mut Vec<Received>,
    ) -> usize {
        let Some(slot) = self.slots.get_mut(port.get()) else { return 0 };
        if !self.surplus.is_empty() {
            return 0;
        }
        let Slot { queue: Some(queue), io, bytes_per_read, .. } = slot else { return 0 };
        let framing = queue.framing();
        let (mut frames, mut bytes) = (0, 0);
        while frames < frames_max && bytes < quantum.bytes {
            let depth = usize::from(quantum.depth(*bytes_per_read));
            let wanted = depth.min(frames_max - frames).min(DATAGRAM_BATCH_MAX);
            self.buffers.extend((0..wanted).map_while(|_| pool.alloc()));
            self.buffers.iter_mut().for_each(|frame| framing.before_read(frame));
            self.stats.syscalls += 1;
            let result = self.batch.receive(queue.as_fd(), pool, &mut self.buffers);
            let got = result.unwrap_or(0);
            io.rx_errors += u64::from(result.is_err_and(|errno| errno != libc::EAGAIN));
            let is_empty = got < self.buffers.len();
            for (index, frame) in self.buffers.drain(..).enumerate() {
                if index < got && frame.len() >= LEN {
                    let (datagrams, len) = framing.measure(pool, &frame);
                    io.traffic.count_rx_frames(datagrams, len);
                    self.surplus.count(datagrams);
                    bytes += charged(frame.len(), datagrams);
                    frames += 1;
                    received.push(Received { port, frame });
                } else {
                    io.rx_errors += u64::from(index < got);
                    pool.release(frame);
                }
            }
            if is_empty || got == 0 {
                break;
            }
            *bytes_per_read = bytes / frames.max(1);
        }
        frames
    }

    /// Queues a frame; a full queue is sent at once.
    pub(super) fn send_datagrams(&mut self, pool: &mut Pool, port: PortIndex, frame: Frame) {
        let slot = &mut self.slots[port.get()];
        if !slot.is_open() {
            let (datagrams, bytes) = slot.framing.measure(pool, &frame);
            slot.io.drop_tx_frames(TxDrop::Gone, datagrams);
            if let Some(Header { peer, .. }) = Header::read(pool.bytes(&frame)) {
                self.unsent.push(Unsent { peer, datagrams, bytes: bytes as u64 });
            }
            return pool.release(frame);
        }
        let outgoing = &mut slot.outgoing;
        let frame = match slot.segmentation.is_on() {
            true => join::append(pool, outgoing, frame),
            false => Some(frame),
        };
        let Some(frame) = frame else { return };
        if outgoing.is_empty() {
            self.to_flush.push(port);
        }
        outgoing.push(frame);
        self.queued += 1;
        if outgoing.len() >= DATAGRAM_BATCH_MAX {
            self.flush_port(pool, port);
            self.to_flush.retain(|&other| other != port);
        }
    }

    /// Sends all queued frames, and closes ports that waited for it.
    pub(super) fn flush(&mut self, pool: &mut Pool) {
        while let Some(port) = self.to_flush.pop() {
            self.flush_port(pool, port);
            if self.slots[port.get()].closing {
                self.close(port);
            }
        }
    }

    fn flush_port(&mut self, pool: &mut Pool, port: PortIndex) {
        let Slot { queue, outgoing, io, segmentation, .. } = &mut self.slots[port.get()];
        let mut frames = std::mem::take(outgoing);
        self.queued -= frames.len();
        let Some(sockets) = queue.as_ref().and_then(|queue| queue.sockets()) else {
            io.drop_tx_frames(TxDrop::Gone, frames.len() as u64);
            return frames.drain(..).for_each(|frame| pool.release(frame));
        };
        let mut sends = std::mem::take(&mut self.sends);
        for (index, frame) in frames.iter().enumerate() {
            let Some(header) = Header::read(pool.bytes(frame)) else {
                io.drop_tx(TxDrop::Refused);
                continue;
            };
            let socket = sockets.sender(&header);
            // A single datagram asks for nothing.
            let is_cut = header.segment != 0 && segmentation.allows(header.peer);
            let parts = header.parts(frame.len() - LEN, is_cut);
            sends.extend(parts.map(|part| Outgoing { frame: index, header, socket, part }));
        }
        // The datagrams of a flow have one socket, and stay in order.
        sends.sort_unstable_by_key(|send| (send.socket, send.frame, send.part.start));
        self.transmit(pool, port, &frames, &sends);
        sends.clear();
        self.sends = sends;
        frames.drain(..).for_each(|frame| pool.release(frame));
        self.slots[port.get()].outgoing = frames;
    }

    fn transmit(&mut self, pool: &Pool, port: PortIndex, frames: &[Frame], sends: &[Outgoing]) {
        let mut rest = sends;
        while let Some(first) = rest.first() {
            let Slot { queue, io, segmentation, .. } = &mut self.slots[port.get()];
            let sockets = queue.as_ref().and_then(|queue| queue.sockets());
            let Some(socket) = sockets.and_then(|sockets| sockets.send.get(first.socket)) else {
                io.drop_tx_frames(TxDrop::Refused, first.part.datagrams());
                rest = &rest[1..];
                continue;
            };
            let run = rest.iter().take_while(|send| send.socket == first.socket);
            let messages = run.map(|send| (&frames[send.frame], send.header, send.part));
            self.stats.syscalls += 1;
            let done = match self.batch.send(socket.as_fd(), pool, messages) {
                Ok(sent) => {
                    for Outgoing { part, .. } in &rest[..sent] {
                        io.traffic.count_tx_frames(part.datagrams(), part.len as usize);
                    }
                    sent
                }
                Err(errno) if first.part.segment != 0 && is_refused_segmentation(errno) => {
                    if errno == libc::EIO {
                        segmentation.refuse(first.header.peer);
                    }
                    self.stats.segmentation_refusals += 1;
                    let mut parts = std::mem::take(&mut self.parts);
                    let cut = first.header.parts(first.part.len as usize, false);
                    parts.extend(cut.map(|part| Outgoing { part, ..*first }));
                    // They are not cut again: this is no deeper recursion.
                    self.transmit(pool, port, frames, &parts);
                    parts.clear();
                    self.parts = parts;
                    1
                }
                Err(errno) => {
                    let (datagrams, bytes) = first.part.size();
                    io.drop_tx_frames(TxDrop::from_errno(errno), datagrams);
                    let peer = first.header.peer;
                    self.unsent.push(Unsent { peer, datagrams, bytes: bytes as u64 });
                    1
                }
            };
            rest = &rest[done..];
        }
    }
}
