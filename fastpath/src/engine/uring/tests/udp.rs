//! A port of datagrams.

use std::os::fd::AsRawFd;

use super::*;
use crate::datagram::{Header, LEN, Part};
use crate::engine::UdpSockets;

/// Port C, of datagrams, beside A and B.
const C: PortIndex = PortIndex(2);

fn null() -> std::os::fd::OwnedFd {
    std::fs::File::open("/dev/null").expect("it is there").into()
}

/// Sockets of port C, and the numbers of those that send.
fn sockets(segmentation: bool) -> (PortQueue, Vec<i32>) {
    let send: Vec<_> = (0..3).map(|_| null()).collect();
    let numbers = send.iter().map(AsRawFd::as_raw_fd).collect();
    (PortQueue::Datagrams(UdpSockets { receive: null(), send, segmentation }), numbers)
}

fn bench() -> (Bench, Vec<i32>) {
    let mut bench = Bench::new();
    let (queue, numbers) = sockets(true);
    bench.engine.attach(C, queue).expect("the slot is free");
    bench.round();
    (bench, numbers)
}

/// A frame with `len` bytes of payload, to socket 4, which is the second of three.
fn datagrams(pool: &mut Pool, segment: u16, len: usize) -> Frame {
    let mut frame = pool.alloc().expect("a buffer");
    frame.set_len(LEN + len);
    let peer = ([192, 0, 2, 1], 4789).into();
    let header = Header { peer, segment, socket: 4, tos: 0 };
    assert!(header.write(pool.bytes_mut(&frame).expect("one holder")));
    frame
}

impl Bench {
    fn send_datagrams(&mut self, segment: u16, len: usize) {
        let frame = datagrams(&mut self.pool, segment, len);
        self.engine.send(&mut self.pool, C, frame);
    }

    /// Parts that are queued, and their sockets, at the end of the round.
    fn parts(&mut self) -> Vec<(i32, Part)> {
        self.engine.flush(&mut self.pool);
        let part = |op: &Op| match op {
            Op::Transmit { socket, part, .. } => Some((*socket, *part)),
            _ => None,
        };
        self.script.borrow().queued.iter().filter_map(part).collect()
    }
}

fn part(start: u32, len: u32, segment: u16) -> Part {
    Part { start, len, segment }
}

#[test]
fn datagrams_count_one_by_one_when_received() {
    let (mut bench, _) = bench();
    // The next buffer has a header of three datagrams, as a ring would write it.
    let frame = datagrams(&mut bench.pool, 100, 250);
    bench.pool.release(frame);
    let script = Rc::clone(&bench.script);
    script.borrow_mut().reads.extend([Ok((LEN + 250) as u32), Ok(LEN as u32 - 1)]);
    script.borrow_mut().fire(C, libc::POLLIN);
    (0..3).for_each(|_| bench.round());
    let lens: Vec<_> = bench.received.iter().map(|it| (it.port, it.frame.len())).collect();
    assert_eq!(lens, [(C, LEN + 250)]);
    let io = bench.engine.port_io(C);
    assert_eq!((io.traffic.rx_frames, io.traffic.rx_bytes, io.rx_errors), (3, 250, 1));
    bench.assert_clean();
}

#[test]
fn a_segmented_frame_is_one_operation_and_counts_as_its_datagrams() {
    let (mut bench, numbers) = bench();
    bench.send_datagrams(100, 250);
    bench.send_datagrams(0, 250);
    bench.send_datagrams(250, 250);
    let expected = [part(0, 250, 100), part(0, 250, 0), part(0, 250, 0)];
    assert_eq!(bench.parts(), expected.map(|part| (numbers[1], part)));
    bench.round();
    let io = bench.engine.port_io(C).traffic;
    assert_eq!((io.tx_frames, io.tx_bytes), (5, 750));
    bench.assert_clean();
}

/// The frames of a port that is detached in the same round are sent still.
#[test]
fn datagrams_of_a_flow_are_one_operation_at_the_end_of_the_round() {
    let (mut bench, numbers) = bench();
    for len in [250, 250, 100, 100] {
        bench.send_datagrams(0, len);
    }
    assert_eq!(bench.engine.writes_in_flight(), 2);
    bench.engine.detach(C);
    let expected = [part(0, 600, 250), part(0, 100, 0)];
    assert_eq!(bench.parts(), expected.map(|part| (numbers[1], part)));
    (0..2).for_each(|_| bench.round());
    let io = bench.engine.port_io(C);
    assert_eq!((io.traffic.tx_frames, io.traffic.tx_bytes), (4, 700));
    assert_eq!(io.tx_drops, [0; TxDrop::COUNT]);
    assert_eq!(bench.events(), [EngineEvent::Detached(C)]);
    bench.assert_clean();
}

#[test]
fn a_kernel_that_cannot_segment_gets_each_datagram_from_then_on() {
    let (mut bench, numbers) = bench();
    bench.script.borrow_mut().writes.extend([Err(libc::EIO), Err(libc::EIO)]);
    bench.send_datagrams(100, 250);
    bench.send_datagrams(0, 100);
    bench.round();
    assert_eq!(bench.engine.writes_in_flight(), 1, "one is to be sent again");
    assert_eq!(bench.engine.port_io(C).tx_drops[TxDrop::Down as usize], 1, "not segmented");
    bench.round();
    let io = bench.engine.port_io(C).traffic;
    assert_eq!((io.tx_frames, io.tx_bytes), (3, 250));
    bench.send_datagrams(100, 250);
    let expected = [part(0, 100, 0), part(100, 100, 0), part(200, 50, 0)];
    assert_eq!(bench.parts(), expected.map(|part| (numbers[1], part)));
    bench.round();
    assert_eq!(Engine::stats(&bench.engine).segmentation_refusals, 1);
    bench.assert_clean();
}

/// Too many segments: only this frame goes in parts.
#[test]
fn a_refused_frame_goes_in_parts_and_the_next_one_whole() {
    let (mut bench, _) = bench();
    bench.script.borrow_mut().writes.extend([Err(libc::EINVAL)]);
    bench.send_datagrams(1, 300);
    (0..2).for_each(|_| bench.round());
    assert_eq!(bench.engine.port_io(C).traffic.tx_frames, 300);
    bench.send_datagrams(100, 250);
    assert_eq!(bench.parts().len(), 1);
    bench.round();
    bench.assert_clean();
}

#[test]
fn a_port_without_segmentation_never_asks_for_it() {
    let mut bench = Bench::new();
    bench.engine.attach(C, sockets(false).0).expect("the slot is free");
    bench.round();
    bench.send_datagrams(100, 250);
    assert_eq!(bench.parts().len(), 3);
    bench.round();
    bench.assert_clean();
}

/// More parts than may be in flight: the queue is flushed, and none is lost.
#[test]
fn many_parts_are_all_sent() {
    let mut bench = Bench::new();
    bench.engine.attach(C, sockets(false).0).expect("the slot is free");
    bench.round();
    for _ in 0..20 {
        bench.send_datagrams(100, 5_000);
    }
    bench.round();
    let io = bench.engine.port_io(C);
    assert_eq!((io.traffic.tx_frames, io.tx_drops), (1_000, [0; TxDrop::COUNT]));
    bench.assert_clean();
}

#[test]
fn every_refused_datagram_is_one_drop() {
    let (mut bench, _) = bench();
    let answers = [libc::EMSGSIZE, libc::ECONNREFUSED, libc::ENETUNREACH, libc::EAGAIN];
    bench.script.borrow_mut().writes.extend(answers.map(Err));
    for _ in answers {
        bench.send_datagrams(100, 250);
    }
    bench.round();
    let io = bench.engine.port_io(C);
    let count = |kind: TxDrop| io.tx_drops[kind as usize];
    assert_eq!(count(TxDrop::TooBig), 3);
    assert_eq!(count(TxDrop::Unreachable), 6);
    assert_eq!(count(TxDrop::NoRoom), 3);
    assert!(bench.engine.is_open(C) && bench.events().is_empty());
    bench.assert_clean();
}

#[test]
fn errors_of_a_socket_do_not_end_the_port() {
    let (mut bench, _) = bench();
    for errno in [libc::ECONNREFUSED, libc::EIO, libc::EMSGSIZE, libc::ENODEV] {
        bench.script.borrow_mut().reads.push_back(Err(errno));
        bench.script.borrow_mut().fire(C, libc::POLLERR);
        (0..6).for_each(|_| bench.round());
        assert!(bench.engine.is_open(C) && bench.events().is_empty());
    }
    assert_eq!(bench.engine.port_io(C).rx_errors, 4);
}

/// A frame that is to be sent again keeps a closing port open, and is sent: whether the refusal comes before or
/// with the cancellation.
#[test]
fn detaching_waits_for_what_is_sent_again() {
    for rounds_before in [1, 0] {
        let (mut bench, _) = bench();
        bench.script.borrow_mut().writes.extend([Err(libc::EIO)]);
        bench.send_datagrams(100, 250);
        (0..rounds_before).for_each(|_| bench.round());
        bench.engine.detach(C);
        bench.round();
        bench.round();
        assert_eq!(bench.events(), [EngineEvent::Detached(C)]);
        assert_eq!(bench.engine.port_io(C).traffic.tx_frames, 3);
        bench.send_datagrams(100, 250);
        assert_eq!(bench.engine.port_io(C).tx_drops[TxDrop::Gone as usize], 3);
        assert!(matches!(bench.engine.take_closed(C), Some(PortQueue::Datagrams(_))));
        bench.assert_clean();
    }
}
