//! Sends of a port of datagrams.
//!
//! A frame waits until the round ends, so that datagrams of its flow join it (`engine/join.rs`), and leaves by one
//! `sendmsg(2)` with `UDP_SEGMENT`. A kernel that cannot segment on its way out to a peer
//! (udp(7): `EIO`) gets each datagram by itself, for some sends (`engine/segmentation.rs`). Sends end within the next
//! system call, and a full submission queue is flushed: they need no limit of their own.

use std::os::fd::AsRawFd;

use super::UringEngine;
use super::ring::{Op, Ring};
use super::slot::State;
use crate::datagram::{Header, LEN, Part, Unsent};
use crate::engine::join;
use crate::engine::port_queue::is_refused_segmentation;
use crate::pool::{Frame, Pool};
use crate::port::{PortIndex, TxDrop};

impl<R: Ring> UringEngine<R> {
    /// Lets a frame wait for the end of the round.
    pub(super) fn send_datagrams(&mut self, pool: &mut Pool, port: PortIndex, frame: Frame) {
        let slot = &mut self.slots[port.get()];
        if slot.state != State::Open {
            let (datagrams, bytes) = slot.framing.measure(pool, &frame);
            self.drop_datagrams(pool, port, &frame, TxDrop::Gone, (datagrams, bytes));
            return pool.release(frame);
        }
        let frame = match slot.segmentation.is_on() {
            true => join::append(pool, &mut slot.outgoing, frame),
            false => Some(frame),
        };
        let Some(frame) = frame else { return };
        if slot.outgoing.is_empty() {
            self.to_flush.push(port);
        }
        slot.outgoing.push(frame);
        self.waiting += 1;
    }

    /// Queues the datagrams of all frames that wait. A port that was detached meanwhile still sends them: its
    /// cancellation comes later.
    pub(super) fn flush(&mut self, pool: &mut Pool) {
        while let Some(port) = self.to_flush.pop() {
            let mut outgoing = std::mem::take(&mut self.slots[port.get()].outgoing);
            self.waiting -= outgoing.len();
            outgoing.drain(..).for_each(|frame| self.push_datagrams(pool, port, frame, true));
            self.slots[port.get()].outgoing = outgoing;
        }
    }

    /// Queues the parts of a frame; each holds its buffer. With `segmentation` the kernel may cut it.
    fn push_datagrams(
        &mut self,
        pool: &mut Pool,
        port: PortIndex,
        frame: Frame,
        segmentation: bool,
    ) {
        let sockets = self.slots[port.get()].queue.as_ref().and_then(|queue| queue.sockets());
        let to = sockets.and_then(|sockets| {
            let header = Header::read(pool.bytes(&frame))?;
            let socket = sockets.send.get(sockets.sender(&header))?;
            Some((header, socket.as_raw_fd()))
        });
        let Some((header, socket)) = to else {
            self.slots[port.get()].io.drop_tx(TxDrop::Refused);
            return pool.release(frame);
        };
        // A single datagram asks for nothing.
        let segmentation = segmentation
            && header.segment != 0
            && self.slots[port.get()].segmentation.allows(header.peer);
        for part in header.parts(frame.len() - LEN, segmentation) {
            let pushed = match pool.share(&frame) {
                Some(frame) => self.push(pool, Op::Transmit { port, frame, socket, part }),
                None => {
                    self.drop_datagrams(pool, port, &frame, TxDrop::NoRoom, part.size());
                    continue;
                }
            };
            match pushed {
                Ok(()) => self.write_queued(port),
                Err(Op::Transmit { frame, .. }) => {
                    self.drop_datagrams(pool, port, &frame, TxDrop::NoRoom, part.size());
                    pool.release(frame);
                }
                Err(_) => {}
            }
        }
        pool.release(frame);
    }

    /// Counts datagrams of a frame, given with their bytes, that cannot be sent.
    fn drop_datagrams(
        &mut self,
        pool: &Pool,
        port: PortIndex,
        frame: &Frame,
        kind: TxDrop,
        (datagrams, bytes): (u64, usize),
    ) {
        self.slots[port.get()].io.drop_tx_frames(kind, datagrams);
        if let Some(Header { peer, .. }) = Header::read(pool.bytes(frame)) {
            self.unsent.push(Unsent { peer, datagrams, bytes: bytes as u64 });
        }
    }

    pub(super) fn transmit_done(
        &mut self,
        pool: &mut Pool,
        port: PortIndex,
        frame: Frame,
        part: Part,
        result: Result<u32, i32>,
    ) {
        self.writes -= 1;
        let slot = &mut self.slots[port.get()];
        slot.writes -= 1;
        match result {
            Ok(_) => slot.io.traffic.count_tx_frames(part.datagrams(), part.len as usize),
            Err(errno) if part.segment != 0 && is_refused_segmentation(errno) => {
                if errno == libc::EIO
                    && let Some(header) = Header::read(pool.bytes(&frame))
                {
                    slot.segmentation.refuse(header.peer);
                }
                self.stats.segmentation_refusals += 1;
                // Stays in flight, so that a closing port waits for it.
                return self.to_resend.push_back((port, frame));
            }
            Err(errno) => {
                let kind = TxDrop::from_errno(errno);
                self.drop_datagrams(pool, port, &frame, kind, part.size());
            }
        }
        pool.release(frame);
        self.op_done(port);
    }

    /// Queues the datagrams that the kernel refused to segment.
    pub(super) fn resend(&mut self, pool: &mut Pool) {
        while let Some((port, frame)) = self.to_resend.pop_front() {
            self.push_datagrams(pool, port, frame, false);
            self.op_done(port);
        }
    }
}
