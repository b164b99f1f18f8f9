//! Fragments that arrive twice, and identifications that are used again before the leftovers of the former packet are gone.

use fastpath::limits::{ROUND_FRAMES_MAX, VNET_LEN};

use super::fragments::{assemble, fragments};
use super::net::*;
use crate::datapath::tests::sim::with_workers;

/// The orders of two heads and two tails.
const ORDERS: [[usize; 4]; 6] =
    [[0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 1, 0], [1, 0, 0, 1], [1, 0, 1, 0], [1, 1, 0, 0]];

/// The fragments of a datagram from outside, of which the first has so many bytes.
fn cut(to: std::net::SocketAddr, len: usize, ident: u8, first: u32) -> Vec<Vec<u8>> {
    let mut frame = udp(DOWN, at(Family::V4.remote(), 53), to, &vec![len as u8; len]);
    set_fragment(&mut frame, false);
    frame[VNET_LEN + 14 + 5] = ident;
    let pieces = fragments(&with_hops(frame, 64), first + 20);
    assert_eq!(pieces.len(), 2);
    pieces
}

/// Frames that end a worker's round between two fragments: most are short, for the limits of the handoff queue.
fn fill_a_round(net: &mut TestNet, reader: usize, to: std::net::SocketAddr) {
    let (large, from) = (16, at(Family::V4.remote(), 53));
    for number in 1..ROUND_FRAMES_MAX {
        let len = if number < large { 3000 } else { 10 };
        net.sim.inject_to(reader, UPLINK, udp(DOWN, from, to, &vec![7; len]));
    }
    net.sim.run_only(reader);
}

fn is_fragment(frame: &[u8]) -> bool {
    let field = &frame[VNET_LEN + 14 + 6..];
    u16::from_be_bytes([field[0], field[1]]) & 0x3fff != 0
}

/// A datagram whose fragments come twice may leave a head behind. The next one with its identification arrives all the
/// same: its tail does not overtake its own head on the way to another worker, where it would meet the old one.
#[test]
fn a_tail_never_meets_the_head_of_a_former_packet() {
    let all = (0..2).flat_map(|reader| [A, B].map(|container| (reader, container)));
    for (reader, container, ident) in all.flat_map(|(r, c)| [1, 2, 3, 4].map(|i| (r, c, i))) {
        with_workers(2, 0, || {
            let mut net = TestNet::new();
            let inner = at(Family::V4.container(container), 5000);
            let question = udp(up(container), inner, at(Family::V4.remote(), 53), b"question");
            let out = net.one(container, question).1;
            let to = seen(&out).from;
            let pieces = cut(to, 1466, ident, 1400);
            for piece in [1, 1, 0, 0] {
                net.sim.inject_to(reader, UPLINK, pieces[piece].clone());
                net.sim.run();
            }
            assert_eq!(assemble(&net.sim.sent(container)).0.payload.len(), 1466);
            fill_a_round(&mut net, reader, to);
            for piece in cut(to, 1470, ident, 744) {
                net.sim.inject_to(reader, UPLINK, piece);
            }
            net.sim.run_only(reader);
            net.sim.run();
            let mut sent = net.sim.sent(container);
            sent.retain(|frame| is_fragment(frame));
            assert_eq!(assemble(&sent).0.payload, vec![0xbe; 1470], "read by {reader}");
            net.sim.check();
        });
    }
}

/// Each datagram that comes twice arrives, in whatever order, whoever reads it.
#[test]
fn fragments_that_arrive_twice_are_a_datagram() {
    for (workers, order) in [1, 2].into_iter().flat_map(|w| ORDERS.map(|order| (w, order))) {
        for way in 0..usize::pow(workers, 4) {
            with_workers(workers, 0, || {
                let mut net = TestNet::new();
                let inner = at(Family::V4.container(A), 5000);
                let question = udp(up(A), inner, at(Family::V4.remote(), 53), b"question");
                let out = net.one(A, question).1;
                let pieces = cut(seen(&out).from, 1472, way as u8, 1472);
                for (n, piece) in order.into_iter().enumerate() {
                    let reader = way / usize::pow(workers, n as u32) % workers;
                    net.sim.inject_to(reader, UPLINK, pieces[piece].clone());
                }
                net.sim.run();
                assert_eq!(assemble(&net.sim.sent(A)).0.payload, vec![0xc0; 1472]);
                net.sim.check();
            });
        }
    }
}
