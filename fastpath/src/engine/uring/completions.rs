//! Completions: what each operation's end means for its port and its frame.

use super::ring::{Completion, Op, Ring};
use super::slot::State;
use super::{EngineEvent, Received, UringEngine};
use crate::engine::deficit::charged;
use crate::engine::port_queue::Framing;
use crate::pool::{Frame, Pool};
use crate::port::{PortIndex, TxDrop, is_gone};

impl<R: Ring> UringEngine<R> {
    pub(super) fn completed(
        &mut self,
        pool: &mut Pool,
        done: Completion,
        received: &mut Vec<Received>,
    ) {
        match done.op {
            Op::Read { port, frame } | Op::Receive { port, frame } => {
                self.read_done(pool, port, frame, done.result, received);
            }
            Op::Write { port, frame } => self.write_done(pool, port, frame, done.result),
            Op::Transmit { port, frame, part, .. } => {
                self.transmit_done(pool, port, frame, part, done.result);
            }
            Op::Poll { port } => self.poll_done(port, done.result),
            Op::Cancel { port } => self.cancel_done(port, done.result),
            Op::PollWaker => {
                self.waker_armed = false;
                self.waker.clear();
                self.events.push_back(EngineEvent::Woken);
            }
        }
    }

    fn read_done(
        &mut self,
        pool: &mut Pool,
        port: PortIndex,
        mut frame: Frame,
        result: Result<u32, i32>,
        received: &mut Vec<Received>,
    ) {
        let slot = &mut self.slots[port.get()];
        match result {
            Ok(len)
                if slot.framing.after_read(&mut frame, len as usize)
                    && slot.state == State::Open =>
            {
                slot.got += 1;
                slot.rx_budget = slot.rx_budget.map(|frames| frames.saturating_sub(1));
                let (frames, bytes) = slot.framing.measure(pool, &frame);
                slot.got_bytes += charged(len as usize, frames);
                slot.io.traffic.count_rx_frames(frames, bytes);
                self.surplus.count(frames);
                received.push(Received { port, frame });
            }
            Ok(_) => {
                slot.io.rx_errors += u64::from(slot.state == State::Open);
                pool.release(frame);
            }
            Err(errno) => {
                pool.release(frame);
                if slot.framing == Framing::Vnet && is_gone(errno) {
                    self.device_gone(port);
                } else if errno != libc::EAGAIN && errno != libc::ECANCELED {
                    slot.io.rx_errors += 1;
                }
            }
        }
        self.op_done(port);
    }

    fn write_done(
        &mut self,
        pool: &mut Pool,
        port: PortIndex,
        frame: Frame,
        result: Result<u32, i32>,
    ) {
        self.writes -= 1;
        let slot = &mut self.slots[port.get()];
        slot.writes -= 1;
        let io = &mut slot.io;
        match result {
            Ok(len) if len as usize == frame.len() => io.traffic.count_tx(frame.wire_len()),
            Ok(_) => io.drop_tx(TxDrop::Short),
            Err(errno) => io.drop_tx(TxDrop::from_errno(errno)),
        }
        pool.release(frame);
        self.op_done(port);
    }

    fn poll_done(&mut self, port: PortIndex, result: Result<u32, i32>) {
        let slot = &mut self.slots[port.get()];
        slot.polled = false;
        match result {
            _ if slot.state != State::Open => {}
            Ok(bits) if slot.is_readable(bits) => {
                slot.activate();
                self.active.push(port);
            }
            Ok(bits) if bits & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) as u32 != 0 => {
                self.device_gone(port);
            }
            // Cancelled or out of memory: the port must not go deaf.
            Ok(_) | Err(_) => {
                slot.io.rx_errors += u64::from(result != Err(libc::ECANCELED));
                self.to_arm.push(port);
            }
        }
        self.op_done(port);
    }

    /// A cancellation that found nothing is as good as one that did; one that failed is tried again.
    fn cancel_done(&mut self, port: PortIndex, result: Result<u32, i32>) {
        match result {
            Ok(_) | Err(libc::ENOENT | libc::EALREADY) => self.op_done(port),
            Err(_) => self.to_cancel.push(port),
        }
    }

    /// An operation of the port has ended; the last one of a closing port closes it.
    pub(super) fn op_done(&mut self, port: PortIndex) {
        let slot = &mut self.slots[port.get()];
        slot.in_flight -= 1;
        if slot.state == State::Closing && slot.in_flight == 0 {
            // Unregistering cannot fail for a slot in range; if it did, giving our descriptor up is
            // still right, and the kernel drops its own reference with the ring.
            let _ = self.ring.register(port, None);
            slot.state = State::Vacant;
            self.events.push_back(EngineEvent::Detached(port));
        }
    }

    fn device_gone(&mut self, port: PortIndex) {
        let slot = &mut self.slots[port.get()];
        if slot.state == State::Open {
            slot.state = State::Dead;
            self.events.push_back(EngineEvent::Gone(port));
        }
    }
}
