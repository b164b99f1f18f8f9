//! A UDP port: datagrams without an offload header.

use super::*;
use crate::limits::VNET_LEN;

/// Port C, a UDP socket, beside A and B.
const C: PortIndex = PortIndex(2);

fn bench() -> Bench {
    let mut bench = Bench::new();
    let null = std::fs::File::open("/dev/null").expect("it is there");
    bench.engine.attach(C, PortQueue::Udp(null.into())).expect("the slot is free");
    bench.round();
    bench
}

#[test]
fn a_datagram_gets_a_header_of_zeros_in_front() {
    let mut bench = bench();
    bench.script.borrow_mut().reads.extend([Ok(60), Ok(0)]);
    bench.script.borrow_mut().fire(C, libc::POLLIN);
    (0..3).for_each(|_| bench.round());
    let lens: Vec<_> = bench.received.iter().map(|it| (it.port, it.frame.len())).collect();
    assert_eq!(lens, [(C, VNET_LEN + 60), (C, VNET_LEN)], "an empty datagram is a short frame");
    let frame = &bench.received[0].frame;
    assert_eq!(bench.pool.bytes(frame)[..VNET_LEN], [0; VNET_LEN]);
    let io = bench.engine.port_io(C).traffic;
    assert_eq!((io.rx_frames, io.rx_bytes), (2, 60));
    bench.release_all();
}

#[test]
fn a_flood_leaves_by_a_socket_without_the_header_and_by_a_tap_with_it() {
    let mut bench = bench();
    let frame = bench.pool.alloc_with(&[7; 60]).expect("a buffer");
    let copy = bench.pool.share(&frame).expect("a holder");
    bench.engine.send(&mut bench.pool, C, copy);
    bench.engine.send(&mut bench.pool, A, frame);
    let lens: Vec<_> = bench
        .script
        .borrow()
        .queued
        .iter()
        .filter_map(|op| match op {
            Op::Write { port, frame, .. } => Some((*port, frame.len())),
            _ => None,
        })
        .collect();
    assert_eq!(lens, [(C, 60), (A, VNET_LEN + 60)]);
    bench.round();
    for port in [C, A] {
        let io = bench.engine.port_io(port).traffic;
        assert_eq!((io.tx_frames, io.tx_bytes), (1, 60), "{port}");
    }
    assert_eq!(bench.engine.writes_in_flight(), 0);
}

#[test]
fn an_icmp_error_is_read_and_the_port_stays() {
    let mut bench = bench();
    bench.script.borrow_mut().reads.extend([Err(libc::ECONNREFUSED)]);
    bench.script.borrow_mut().fire(C, libc::POLLERR);
    bench.round();
    bench.round();
    assert!(bench.engine.is_open(C) && bench.events().is_empty());
    assert_eq!(bench.engine.port_io(C).rx_errors, 1);
}
