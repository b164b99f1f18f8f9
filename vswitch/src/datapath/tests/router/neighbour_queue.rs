//! Frames that wait for the MAC address of their next hop.

use std::time::Duration;

use super::net::*;
use crate::datapath::limits::{RESOLVES_MAX, WAITING_FRAMES_MAX, WAITING_PER_PORT_MAX};
use crate::datapath::*;

fn wanted(home: &mut Home) -> Vec<std::net::IpAddr> {
    let of_each = home.sim.routers().map(|router| router.wanted().collect::<Vec<_>>());
    of_each.flatten().map(|(next_hop, _)| next_hop).collect()
}

fn probe(family: Family, port: u16) -> Vec<u8> {
    udp(up(A), at(family.container(A), port), at(family.stranger(), 53), b"hello")
}

#[test]
pub(super) fn a_frame_waits_for_its_next_hop_and_goes_when_it_is_known() {
    for family in FAMILIES {
        let mut home = Home::new();
        for port in 1..=3 {
            assert!(home.sent(A, probe(family, port)).iter().all(Vec::is_empty));
        }
        assert_eq!(home.sim.held(), 3);
        assert_eq!(wanted(&mut home), [family.stranger()], "asked once");
        // Another snapshot, but not what they wait for.
        home.change(|_| {});
        home.sim.run();
        assert_eq!(home.sim.held(), 3);
        home.change(|uplink| {
            uplink.neighbours = Neighbours::new([(family.stranger(), HOP_MAC)]);
        });
        home.sim.run();
        let sent = home.sim.sent(UPLINK);
        let sources: Vec<_> = sent.iter().map(|frame| seen(frame).from.port()).collect();
        assert_eq!(sources.len(), 3);
        assert_eq!(
            sent.iter().map(|frame| seen(frame).to).collect::<Vec<_>>(),
            [at(family.stranger(), 53); 3]
        );
        assert_eq!(home.sim.held(), 0);
        home.sim.check();
    }
}

#[test]
pub(super) fn who_waits_too_long_is_told() {
    for family in FAMILIES {
        let mut home = Home::new();
        home.sent(A, probe(family, 1));
        home.sim.pass(Duration::from_millis(2_900));
        home.sim.run();
        assert_eq!(home.sim.held(), 1);
        home.sim.pass(Duration::from_millis(200));
        home.sim.run();
        assert_eq!((home.sim.held(), home.sim.drops(A, DropReason::NoNeighbour)), (0, 1));
        assert_eq!(seen(&home.sim.sent(A)[0]).to.ip(), family.container(A));
        home.sim.check();
    }
}

#[test]
pub(super) fn one_port_cannot_take_all_the_room_and_a_hop_is_asked_for_each_second() {
    let family = Family::V4;
    let mut home = Home::new();
    for port in 0..WAITING_PER_PORT_MAX as u16 + 5 {
        home.sim.inject(A, probe(family, 1 + port));
    }
    home.sim.run();
    assert_eq!(home.sim.held(), WAITING_PER_PORT_MAX);
    assert_eq!(home.sim.drops(A, DropReason::NeighbourQueueFull), 5);
    home.sim
        .inject(B, udp(up(B), at(family.container(B), 1), at(family.stranger(), 53), b"me too"));
    home.sim.run();
    assert_eq!(home.sim.held(), WAITING_PER_PORT_MAX + 1);
    home.sim.check();
    assert_eq!(wanted(&mut home).len(), 1);
    home.sim.pass(Duration::from_secs(1));
    home.sim
        .inject(B, udp(up(B), at(family.container(B), 1), at(family.stranger(), 53), b"me too"));
    home.sim.run();
    assert_eq!(wanted(&mut home), [family.stranger()]);
}

/// Who has as many frames waiting as it may asks for no further address: the others' questions get through.
#[test]
pub(super) fn a_scan_of_the_link_does_not_keep_control_busy() {
    let family = Family::V4;
    let mut home = Home::new();
    home.change(|uplink| {
        uplink.routes = Routes::new([("0.0.0.0/0".parse().unwrap(), RouteAction::Via(None))])
    });
    for n in 0..RESOLVES_MAX as u16 + 7 {
        let to = std::net::Ipv4Addr::from(0xc633_6400 + u32::from(n));
        home.sim.inject(A, udp(up(A), at(family.container(A), 1), at(to.into(), 1), b""));
    }
    home.sim.run();
    assert_eq!(wanted(&mut home).len(), WAITING_PER_PORT_MAX);
    let dropped = home.sim.drops(A, DropReason::NeighbourQueueFull);
    assert_eq!(dropped as usize, RESOLVES_MAX + 7 - WAITING_PER_PORT_MAX);
    assert_eq!(home.sim.routed(|counters| counters.unasked), 0);
    home.sim.check();
}

#[test]
pub(super) fn what_waits_goes_with_its_port() {
    let mut home = Home::new();
    home.sent(A, probe(Family::V4, 1));
    home.sim.forget(A);
    assert_eq!((home.sim.held(), home.sim.drops(A, DropReason::PortUnknown)), (0, 1));
    home.sim.check();
}

/// Four containers call addresses that nobody has, as many as they may; the fifth waits for one that answers.
#[test]
fn those_who_scan_do_not_keep_others_from_waiting() {
    // The scanners' frames have come before, or come in the same round.
    for is_before in [true, false] {
        let family = Family::V4;
        let other = PORTS + (WAITING_FRAMES_MAX / WAITING_PER_PORT_MAX) as u16;
        let mut home = Home::with_ports(other + 1);
        for port in PORTS..other {
            for n in 0..WAITING_PER_PORT_MAX as u16 {
                let to = std::net::Ipv4Addr::from(0xc000_0264 + u32::from(n));
                let from = at(family.container(port), 1 + n);
                home.sim.inject(port, udp(up(port), from, at(to.into(), 1), b"scan"));
            }
        }
        if is_before {
            home.sim.run();
            assert_eq!(home.sim.state().held(), WAITING_FRAMES_MAX);
        }
        for n in 1..=3 {
            let (from, to) = (at(family.container(other), n), at(family.stranger(), 53));
            home.sim.inject(other, udp(up(other), from, to, b"hello"));
        }
        home.sim.run();
        assert_eq!(home.sim.drops(other, DropReason::NeighbourQueueFull), 0, "{is_before}");
        assert_eq!(home.sim.state().held(), WAITING_FRAMES_MAX);
        let lost = |port| home.sim.drops(port, DropReason::NeighbourQueueFull);
        let lost: Vec<u64> = (PORTS..other).map(lost).collect();
        assert_eq!(lost.iter().sum::<u64>(), 3, "{lost:?}");
        assert!(lost.iter().all(|&lost| lost <= 1), "of one as of the other: {lost:?}");
        assert!(wanted(&mut home).contains(&family.stranger()));
        home.sim.check();
        home.change(|uplink| {
            uplink.neighbours = Neighbours::new([(family.stranger(), HOP_MAC)]);
        });
        home.sim.run();
        assert_eq!(home.sim.sent(UPLINK).len(), 3);
        assert_eq!(home.sim.state().held(), WAITING_FRAMES_MAX - 3);
        home.sim.check();
    }
}
