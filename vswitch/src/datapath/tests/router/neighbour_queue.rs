//! Frames that wait for the MAC address of their next hop.

use std::time::Duration;

use super::net::*;
use crate::datapath::limits::{NEIGHBOUR_QUEUE_MAX, NEIGHBOUR_QUEUE_PER_PORT_MAX, RESOLVES_MAX};
use crate::datapath::*;

fn unresolved(net: &mut TestNet) -> Vec<std::net::IpAddr> {
    let of_each = net.sim.routers().map(|router| router.unresolved().collect::<Vec<_>>());
    of_each.flatten().map(|((next_hop, _), _)| next_hop).collect()
}

fn probe(family: Family, port: u16) -> Vec<u8> {
    udp(up(A), at(family.container(A), port), at(family.stranger(), 53), b"hello")
}

#[test]
pub(super) fn a_frame_waits_for_its_next_hop_and_goes_when_it_is_known() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        for port in 1..=3 {
            assert!(net.sent(A, probe(family, port)).iter().all(Vec::is_empty));
        }
        assert_eq!(net.sim.queued(), 3);
        assert_eq!(unresolved(&mut net), [family.stranger()], "asked once");
        // Another snapshot, but not what they wait for.
        net.change(|_| {});
        net.sim.run();
        assert_eq!(net.sim.queued(), 3);
        net.change_link(|uplink| {
            uplink.neighbours = UplinkNeighbours::new([(family.stranger(), HOP_MAC)]);
        });
        net.sim.run();
        let sent = net.sim.sent(UPLINK);
        let sources: Vec<_> = sent.iter().map(|frame| seen(frame).from.port()).collect();
        assert_eq!(sources.len(), 3);
        assert_eq!(
            sent.iter().map(|frame| seen(frame).to).collect::<Vec<_>>(),
            [at(family.stranger(), 53); 3]
        );
        assert_eq!(net.sim.queued(), 0);
        net.sim.check();
    }
}

#[test]
pub(super) fn who_waits_too_long_is_told() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        net.sent(A, probe(family, 1));
        net.sim.pass(Duration::from_millis(2_900));
        net.sim.run();
        assert_eq!(net.sim.queued(), 1);
        net.sim.pass(Duration::from_millis(200));
        net.sim.run();
        assert_eq!((net.sim.queued(), net.sim.drops(A, DropReason::NoNeighbour)), (0, 1));
        assert_eq!(seen(&net.sim.sent(A)[0]).to.ip(), family.container(A));
        net.sim.check();
    }
}

#[test]
pub(super) fn one_port_cannot_take_all_the_room_and_a_hop_is_asked_for_each_second() {
    let family = Family::V4;
    let mut net = TestNet::new();
    for port in 0..NEIGHBOUR_QUEUE_PER_PORT_MAX as u16 + 5 {
        net.sim.inject(A, probe(family, 1 + port));
    }
    net.sim.run();
    assert_eq!(net.sim.queued(), NEIGHBOUR_QUEUE_PER_PORT_MAX);
    assert_eq!(net.sim.drops(A, DropReason::NeighbourQueueFull), 5);
    net.sim.inject(B, udp(up(B), at(family.container(B), 1), at(family.stranger(), 53), b"me too"));
    net.sim.run();
    assert_eq!(net.sim.queued(), NEIGHBOUR_QUEUE_PER_PORT_MAX + 1);
    net.sim.check();
    assert_eq!(unresolved(&mut net).len(), 1);
    net.sim.pass(Duration::from_secs(1));
    net.sim.inject(B, udp(up(B), at(family.container(B), 1), at(family.stranger(), 53), b"me too"));
    net.sim.run();
    assert_eq!(unresolved(&mut net), [family.stranger()]);
}

/// Who has as many frames waiting as it may asks for no further address: the others' questions get through.
#[test]
pub(super) fn a_scan_of_the_link_does_not_keep_control_busy() {
    let family = Family::V4;
    let mut net = TestNet::new();
    net.change(|uplink| {
        uplink.routes = Routes::new([("0.0.0.0/0".parse().unwrap(), RouteAction::via(None))])
    });
    for n in 0..RESOLVES_MAX as u16 + 7 {
        let to = std::net::Ipv4Addr::from(0xc633_6400 + u32::from(n));
        net.sim.inject(A, udp(up(A), at(family.container(A), 1), at(to.into(), 1), b""));
    }
    net.sim.run();
    assert_eq!(unresolved(&mut net).len(), NEIGHBOUR_QUEUE_PER_PORT_MAX);
    let dropped = net.sim.drops(A, DropReason::NeighbourQueueFull);
    assert_eq!(dropped as usize, RESOLVES_MAX + 7 - NEIGHBOUR_QUEUE_PER_PORT_MAX);
    assert_eq!(net.sim.routed(|counters| counters.resolves_dropped), 0);
    net.sim.check();
}

#[test]
pub(super) fn what_waits_goes_with_its_port() {
    let mut net = TestNet::new();
    net.sent(A, probe(Family::V4, 1));
    net.sim.forget(A);
    assert_eq!((net.sim.queued(), net.sim.drops(A, DropReason::PortUnknown)), (0, 1));
    net.sim.check();
}

/// Four containers call addresses that nobody has, as many as they may; the fifth waits for one that answers.
#[test]
fn those_who_scan_do_not_keep_others_from_waiting() {
    // The scanners' frames have come before, or come in the same round.
    for is_before in [true, false] {
        let family = Family::V4;
        let other = PORTS + (NEIGHBOUR_QUEUE_MAX / NEIGHBOUR_QUEUE_PER_PORT_MAX) as u16;
        let mut net = TestNet::with_ports(other + 1);
        for port in PORTS..other {
            for n in 0..NEIGHBOUR_QUEUE_PER_PORT_MAX as u16 {
                let to = std::net::Ipv4Addr::from(0xc000_0264 + u32::from(n));
                let from = at(family.container(port), 1 + n);
                net.sim.inject(port, udp(up(port), from, at(to.into(), 1), b"scan"));
            }
        }
        if is_before {
            net.sim.run();
            assert_eq!(net.sim.state().queued(), NEIGHBOUR_QUEUE_MAX);
        }
        for n in 1..=3 {
            let (from, to) = (at(family.container(other), n), at(family.stranger(), 53));
            net.sim.inject(other, udp(up(other), from, to, b"hello"));
        }
        net.sim.run();
        assert_eq!(net.sim.drops(other, DropReason::NeighbourQueueFull), 0, "{is_before}");
        assert_eq!(net.sim.state().queued(), NEIGHBOUR_QUEUE_MAX);
        let lost = |port| net.sim.drops(port, DropReason::NeighbourQueueFull);
        let lost: Vec<u64> = (PORTS..other).map(lost).collect();
        assert_eq!(lost.iter().sum::<u64>(), 3, "{lost:?}");
        assert!(lost.iter().all(|&lost| lost <= 1), "of one as of the other: {lost:?}");
        assert!(unresolved(&mut net).contains(&family.stranger()));
        net.sim.check();
        net.change_link(|uplink| {
            uplink.neighbours = UplinkNeighbours::new([(family.stranger(), HOP_MAC)]);
        });
        net.sim.run();
        assert_eq!(net.sim.sent(UPLINK).len(), 3);
        assert_eq!(net.sim.state().queued(), NEIGHBOUR_QUEUE_MAX - 3);
        net.sim.check();
    }
}
