//! Published ports: from outside, from a neighbour, and what is nobody's.

use std::net::SocketAddr;

use fastpath::limits::VNET_LEN;
use wire::frames::Link;
use wire::meta::{L4, Meta};
use wire::tcp::{self as segment, Flags};

use super::host_errors::unreachable;
use super::net::*;
use crate::datapath::tests::sim::mac;
use crate::datapath::*;

#[test]
pub(super) fn a_client_outside_reaches_a_published_port_with_its_own_address() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        let (client, public) = (at(family.remote(), 40_000), at(family.outside(), 8080));
        let inner = at(family.container(B), 80);
        let (port, frame) = net.one(UPLINK, tcp(DOWN, client, public, Flags::SYN, [1, 0]));
        let came = seen(&frame);
        assert_eq!((port, came.link), (B, Link::new(GATEWAY_MAC, mac(B))));
        assert_eq!((came.from, came.to, came.hops), (client, inner, 63));
        let answer = tcp(up(B), inner, client, Flags::SYN.with(Flags::ACK), [9, 2]);
        let (port, frame) = net.one(B, answer);
        let out = seen(&frame);
        assert_eq!((port, out.link), (UPLINK, Link::new(DEVICE_MAC, HOP_MAC)));
        assert_eq!((out.from, out.to), (public, client));
    }
}

#[test]
pub(super) fn a_neighbour_reaches_it_by_the_hosts_address() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        let (a, public) = (at(family.container(A), 5000), at(family.outside(), 8080));
        let inner = at(family.container(B), 80);
        let (port, frame) = net.one(A, tcp(up(A), a, public, Flags::SYN, [1, 0]));
        let came = seen(&frame);
        assert_eq!((port, came.to, came.link), (B, inner, Link::new(GATEWAY_MAC, mac(B))));
        assert_eq!(came.from.ip(), family.outside(), "so that the answer comes by the router");
        let answer = tcp(up(B), inner, came.from, Flags::SYN.with(Flags::ACK), [9, 2]);
        let (port, frame) = net.one(B, answer);
        let back = seen(&frame);
        assert_eq!((port, back.from, back.to), (A, public, a));

        // Whom it may not reach, it does not reach so either.
        net.sim.set(B, |conf| conf.isolation = Isolation::Isolated);
        net.sent(A, tcp(up(A), at(a.ip(), 5001), public, Flags::SYN, [1, 0]));
        assert_eq!(net.sim.drops(A, DropReason::Isolated), 1);
    }
}

#[test]
pub(super) fn a_container_reaches_its_own_published_port() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        let (b, public) = (at(family.container(B), 5000), at(family.outside(), 5353));
        let (port, frame) = net.one(B, udp(up(B), b, public, b"myself"));
        assert_eq!((port, seen(&frame).to), (B, at(family.container(B), 53)));
    }
}

/// From outside, of no association.
fn sctp(from: SocketAddr, to: SocketAddr, tag: u32, chunk: &[u8]) -> Vec<u8> {
    let ports = [from.port(), to.port()].map(u16::to_be_bytes);
    let packet = [ports.as_flattened(), &tag.to_be_bytes(), &[0; 4], chunk].concat();
    portless(DOWN, (from.ip(), to.ip()), 132, &packet)
}

/// A peer whose connection was lost here, or a scan: an answer at once, by the address that it knows.
#[test]
pub(super) fn what_is_nobodys_is_answered() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        let (remote, ours) = (at(family.remote(), 53), at(family.outside(), 20_001));
        let (port, answer) = net.one(UPLINK, udp(DOWN, remote, ours, b"late"));
        let meta = Meta::parse(&answer[VNET_LEN..]).unwrap();
        assert_eq!((port, meta.dst, meta.src), (UPLINK, HOP_MAC, DEVICE_MAC));
        assert!(matches!(meta.l4, L4::Icmpv4 | L4::Icmpv6), "port unreachable");
        let ack = |flags, at| tcp(DOWN, remote, ours, flags, at);
        for (frame, expected) in [
            (ack(Flags::SYN, [7, 0]), (0, 8, Flags::RST.with(Flags::ACK))),
            (ack(Flags::ACK, [7, 99]), (99, 0, Flags::RST)),
            (ack(Flags::FIN.with(Flags::ACK), [7, 99]), (99, 0, Flags::RST)),
        ] {
            let (port, answer) = net.one(UPLINK, frame);
            let (from, to) = (seen(&answer).from, seen(&answer).to);
            assert_eq!((port, from, to), (UPLINK, ours, remote));
            let meta = Meta::parse(&answer[VNET_LEN..]).unwrap();
            let packet = segment::Packet::new_checked(meta.l4_bytes(&answer[VNET_LEN..])).unwrap();
            let reset = segment::Repr::parse(&packet).unwrap();
            assert_eq!((reset.seq, reset.ack, reset.flags), expected);
        }
        let init = sctp(remote, ours, 0, &[1, 0, 0, 8, 0, 0, 0, 77]);
        let (port, answer) = net.one(UPLINK, init);
        let meta = Meta::parse(&answer[VNET_LEN..]).unwrap();
        let abort = meta.l4_bytes(&answer[VNET_LEN..]);
        assert_eq!((port, meta.dst, meta.src, meta.l4), (UPLINK, HOP_MAC, DEVICE_MAC, L4::Sctp));
        assert_eq!(
            (abort[4..8].to_vec(), abort[12..].to_vec()),
            (vec![0, 0, 0, 77], vec![6, 0, 0, 4])
        );
        // Never an answer about an answer.
        let about = udp(up(A), ours, remote, b"long ago");
        for frame in [
            ack(Flags::RST, [7, 0]),
            sctp(remote, ours, 9, &[6, 0, 0, 4]),
            unreachable(DOWN, remote, ours, &about),
        ] {
            let sent = net.sent(UPLINK, frame);
            assert!(sent.iter().all(Vec::is_empty), "{family:?}");
        }
        assert_eq!(net.sim.routed(|counters| counters.resets_sent), 4);
        assert_eq!(net.sim.routed(|counters| counters.icmp_errors_sent), 1);
    }
}

#[test]
fn resets_are_limited() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        let to = at(family.outside(), 20_001);
        for port in 1..=2_000 {
            net.sent(UPLINK, tcp(DOWN, at(family.remote(), port), to, Flags::SYN, [1, 0]));
        }
        let sent = net.sim.routed(|counters| counters.resets_sent);
        let suppressed = net.sim.routed(|counters| counters.resets_suppressed);
        assert!((100..1_500).contains(&sent), "{family:?} {sent}");
        assert_eq!(sent + suppressed, 2_000);
    }
}

/// At each worker, however many there are.
#[test]
pub(super) fn port_unreachable_is_limited() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        let (from, mut answers) = (at(family.remote(), 53), 0);
        for port in (20_000..30_000).step_by(10) {
            let to = at(family.outside(), port);
            let sent = net.sent(UPLINK, udp(DOWN, from, to, b"scan"));
            answers += sent[usize::from(UPLINK)].len() as u64;
        }
        let sent = net.sim.routed(|counters| counters.icmp_errors_sent);
        let suppressed = net.sim.routed(|counters| counters.icmp_errors_suppressed);
        assert!((10..700).contains(&sent), "{family:?} {sent}");
        assert_eq!((sent, sent + suppressed), (answers, 1_000), "{family:?}");
    }
}

#[test]
pub(super) fn what_the_host_has_as_well_is_dropped_silently() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        let pair = (family.remote(), family.outside());
        let own = Link::new(TAP_MAC, DEVICE_MAC);
        let group = Link::new(HOP_MAC, wire::MacAddr::BROADCAST);
        let (from, to) = (at(pair.0, 53), at(pair.1, 20_001));
        for frame in [
            echo(DOWN, pair, false, 20_001),
            udp(own, from, to, b"from the host's own stack"),
            udp(group, from, to, b"to all"),
            crate::datapath::tests::sim::frame(DEVICE_MAC, HOP_MAC, b"no IP"),
        ] {
            let before = net.sim.drops(UPLINK, DropReason::HostTraffic);
            let sent = net.sent(UPLINK, frame);
            assert!(sent.iter().all(Vec::is_empty), "{family:?}");
            assert_eq!(net.sim.drops(UPLINK, DropReason::HostTraffic), before + 1);
        }
    }
}

#[test]
pub(super) fn nothing_from_the_uplink_is_learnt_or_flooded() {
    let mut net = TestNet::new();
    // A stranger who bears a container's MAC address.
    let link = Link::new(mac(A), DEVICE_MAC);
    let (from, to) = (at(Family::V4.remote(), 53), at(Family::V4.outside(), 8080));
    net.sent(UPLINK, tcp(link, from, to, Flags::SYN, [1, 0]));
    let link = Link::new(mac(B), mac(A));
    let hello = udp(link, at(Family::V4.container(B), 1), at(Family::V4.container(A), 1), b"");
    let sent = net.sent(B, hello).map(|frames| frames.len());
    assert_eq!(sent, [1, 0, 1, 0], "flooded: it was not learnt");
    let broadcast = crate::datapath::tests::sim::frame(wire::MacAddr::BROADCAST, mac(A), b"all");
    let sent = net.sent(A, broadcast).map(|frames| frames.len());
    assert_eq!(sent, [1, 0, 0, 1]);
}

#[test]
pub(super) fn who_may_not_connect_is_not_answered() {
    let mut net = TestNet::new();
    net.policy(|policy| {
        policy.published[0].allow_from = vec![("203.0.113.0".parse().unwrap(), 24)]
    });
    let public = at(Family::V4.outside(), 8080);
    let sent = net.sent(UPLINK, tcp(DOWN, at(Family::V4.remote(), 1), public, Flags::SYN, [1, 0]));
    assert!(sent.iter().all(Vec::is_empty));
    assert_eq!(net.sim.drops(UPLINK, DropReason::NatNotAllowed), 1);
    let allowed = at("203.0.113.5".parse().unwrap(), 1);
    assert_eq!(net.one(UPLINK, tcp(DOWN, allowed, public, Flags::SYN, [1, 0])).0, B);
}

#[test]
pub(super) fn connections_end_with_what_was_published_and_with_the_container() {
    for is_detached in [false, true] {
        let family = Family::V4;
        let mut net = TestNet::new();
        let (client, public) = (at(family.remote(), 40_000), at(family.outside(), 5353));
        net.one(UPLINK, udp(DOWN, client, public, b"question"));
        assert_eq!(net.sim.connections(), 1);
        if is_detached {
            net.sim.forget(B);
        } else {
            net.policy(|policy| policy.published.clear());
            net.sim.run();
        }
        assert_eq!(net.sim.connections(), 0);
    }
}

/// Not even to a published port, nor as the gateway; and the host does not get it either.
#[test]
fn nobody_outside_passes_for_a_container() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        let to = at(family.outside(), 8080);
        for (n, inside) in
            [family.container(A), family.container(77), family.gateway()].iter().enumerate()
        {
            let frame = tcp(DOWN, at(*inside, 4000), to, Flags::SYN, [1, 0]);
            assert!(net.sent(UPLINK, frame).iter().all(Vec::is_empty), "{inside}");
            assert_eq!(net.sim.drops(UPLINK, DropReason::SpoofedInternal), n as u64 + 1);
        }
        let frame = tcp(DOWN, at(family.remote(), 4000), to, Flags::SYN, [1, 0]);
        assert_eq!(net.one(UPLINK, frame).0, B);
    }
}
