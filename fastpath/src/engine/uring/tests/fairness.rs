//! One port's traffic takes its part of a round and no more.

use super::*;
use crate::limits::READ_DEPTH_MAX;

/// The longest frame that a TAP gives, as `read(2)` counts it.
const LONG: u32 = FRAME_MAX as u32;
/// A short one.
const SHORT: u32 = 72;

/// Ports A to A + count, each with frames without end, all awake.
fn busy(count: u16, len: u32) -> Bench {
    let mut bench = Bench::new();
    bench.script.borrow_mut().in_flight_max = 4096;
    for port in (2..count).map(PortIndex) {
        let null = std::fs::File::open("/dev/null").expect("it is there");
        bench.engine.attach(port, PortQueue::Tap(null.into())).expect("the slot is free");
    }
    bench.round();
    for port in (0..count).map(PortIndex) {
        bench.script.borrow_mut().feeds.insert(port, (usize::MAX, len));
        bench.script.borrow_mut().fire(port, libc::POLLIN);
    }
    bench
}

impl Bench {
    /// Frames and bytes that each port got in this round.
    fn round_by_port(&mut self) -> BTreeMap<PortIndex, (usize, usize)> {
        self.round();
        let mut sums = BTreeMap::<_, (usize, usize)>::new();
        for received in &self.received {
            let sum = sums.entry(received.port).or_default();
            *sum = (sum.0 + 1, sum.1 + received.frame.len());
        }
        self.release_all();
        sums
    }
}

/// The quiet port's one frame of each round comes in that round, whatever the others send.
#[test]
fn a_port_with_one_frame_a_round_is_served_every_round() {
    for (others, len) in [(1, LONG), (9, LONG), (9, SHORT), (40, SHORT), (200, LONG)] {
        let mut bench = busy(others + 1, len);
        for round in 0..100 {
            bench.script.borrow_mut().feeds.insert(A, (1, SHORT));
            let got = bench.round_by_port();
            // The first round wakes them.
            if round > 0 {
                assert_eq!(got.get(&A).map(|sum| sum.0), Some(1), "{others} others, round {round}");
            }
        }
        bench.assert_clean();
    }
}

#[test]
fn a_port_alone_and_two_ports_get_full_depth() {
    for (count, len, depth) in
        [(1, SHORT, READ_DEPTH_MAX), (2, SHORT, READ_DEPTH_MAX), (2, LONG, 3)]
    {
        let mut bench = busy(count, len);
        let last = (0..20).map(|_| bench.round_by_port()).last().expect("rounds");
        // The odd bytes of the longest frame cut a fourth one off.
        assert!(last.values().all(|sum| sum.0 == depth), "{count} ports of {len}: {last:?}");
    }
}

#[test]
fn what_quiet_ports_leave_goes_to_the_busy_ones() {
    let mut bench = busy(16, SHORT);
    for port in (1..16).map(PortIndex) {
        bench.script.borrow_mut().feeds.insert(port, (0, SHORT));
    }
    for _ in 0..3 {
        let got = bench.round_by_port();
        assert_eq!(got.len(), usize::from(!got.is_empty()), "only A has frames");
    }
    for _ in 0..4 {
        bench.round_by_port();
    }
    assert_eq!(bench.round_by_port()[&A].0, READ_DEPTH_MAX);
}

#[test]
fn equal_ports_get_equal_parts_in_frames_and_bytes() {
    for (count, len) in [(3, LONG), (12, SHORT), (100, LONG), (300, SHORT), (1000, SHORT)] {
        let mut bench = busy(count, len);
        let mut sums = BTreeMap::<PortIndex, usize>::new();
        for _ in 0..200 {
            for (port, (frames, _)) in bench.round_by_port() {
                *sums.entry(port).or_default() += frames;
            }
        }
        let (least, most) = (sums.values().min(), sums.values().max());
        let (least, most) = (*least.expect("frames"), *most.expect("frames"));
        assert_eq!(sums.len(), usize::from(count), "somebody got nothing");
        assert!(most - least <= most / 8 + 2, "{count} ports of {len}: {least} to {most}");
    }
}

/// Frames of unforeseen length cost the port that brought them: bytes are shared as well.
#[test]
fn a_port_that_turns_from_short_to_long_frames_gets_no_more_bytes() {
    let mut bench = busy(10, SHORT);
    let mut sums = BTreeMap::<PortIndex, usize>::new();
    for round in 0..400 {
        // A keeps its depth high with short frames, then brings long ones.
        let len = if round % 4 == 3 { LONG } else { SHORT };
        bench.script.borrow_mut().feeds.insert(A, (usize::MAX, len));
        for port in (1..10).map(PortIndex) {
            bench.script.borrow_mut().feeds.insert(port, (usize::MAX, LONG));
        }
        for (port, (_, bytes)) in bench.round_by_port() {
            *sums.entry(port).or_default() += bytes;
        }
    }
    let others = sums.iter().filter(|(port, _)| **port != A).map(|(_, bytes)| *bytes);
    let mean = others.sum::<usize>() / 9;
    assert!(sums[&A] <= 2 * mean, "A got {} bytes, the others {mean} each", sums[&A]);
}

#[test]
fn a_round_is_bounded_in_bytes() {
    let mut bench = busy(10, LONG);
    for round in 0..50 {
        let bytes: usize = bench.round_by_port().values().map(|sum| sum.1).sum();
        assert!(round < 3 || bytes <= crate::limits::ROUND_BYTES_MAX, "{bytes} in round {round}");
    }
}

#[test]
fn a_port_that_takes_nothing_does_not_stop_the_others() {
    let mut bench = Bench::new();
    bench.script.borrow_mut().in_flight_max = 4096;
    bench.script.borrow_mut().stuck = Some(A);
    let frames = 2 * WRITES_PER_PORT_MAX;
    for _ in 0..frames {
        bench.send(A);
        bench.send(B);
        bench.round();
    }
    assert_eq!(bench.engine.port_io(B).traffic.tx_frames, frames as u64);
    assert_eq!(bench.engine.writes_in_flight(), WRITES_PER_PORT_MAX);
    let cut = (frames - WRITES_PER_PORT_MAX) as u64;
    assert_eq!(bench.engine.port_io(A).tx_drops[TxDrop::NoRoom as usize], cut);
    assert_eq!(Engine::stats(&bench.engine).writes_cut, cut);
    assert!(bench.pool.available() >= bench.pool.capacity() - WRITES_PER_PORT_MAX);
}

/// A port that is bounded gives so many frames and then rests, while others go on; allowed again, it is
/// read again.
#[test]
fn a_bounded_port_rests_until_it_is_allowed_more() {
    let mut bench = busy(2, SHORT);
    bench.round_by_port();
    bench.engine.set_rx_budget(B, Some(40));
    let mut sum = 0;
    for _ in 0..10 {
        let got = bench.round_by_port();
        sum += got.get(&B).map_or(0, |port| port.0);
        assert!(got.contains_key(&A), "{got:?}");
    }
    assert_eq!(sum, 40);
    bench.engine.set_rx_budget(B, Some(1));
    assert_eq!(bench.round_by_port().get(&B).map(|port| port.0), Some(1));
    bench.engine.set_rx_budget(B, None);
    for _ in 0..8 {
        bench.round_by_port();
    }
    assert_eq!(bench.round_by_port().get(&B).map(|port| port.0), Some(READ_DEPTH_MAX));
    bench.assert_clean();
}

/// With nobody else there the ring may wait, and the port is still active.
#[test]
fn a_port_that_rests_lets_the_ring_wait() {
    let mut bench = busy(1, SHORT);
    bench.round_by_port();
    assert!(bench.engine.is_busy());
    bench.engine.set_rx_budget(A, Some(0));
    bench.round_by_port();
    assert!(!bench.engine.is_busy());
    assert_eq!(bench.engine.active(), [A]);
    assert!(bench.round_by_port().is_empty());
    bench.engine.set_rx_budget(A, None);
    assert!(bench.engine.is_busy());
    assert!(!bench.round_by_port().is_empty());
    bench.assert_clean();
}
