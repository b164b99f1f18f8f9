//! What cannot go on, and what its sender is told.

use fastpath::limits::VNET_LEN;
use wire::frames::Link;
use wire::meta::{L4, Meta};
use wire::tcp::Flags;
use wire::{icmpv4, icmpv6};

use super::net::*;
use crate::datapath::limits::ICMP_ERROR_RATE;
use crate::datapath::tests::sim::mac;
use crate::datapath::*;

/// Type, code and MTU of an ICMP error, and the packet that it quotes.
fn error(bytes: &[u8]) -> (u8, u8, u32, Vec<u8>) {
    let frame = &bytes[VNET_LEN..];
    let meta = Meta::parse(frame).expect("a frame");
    let message = meta.l4_bytes(frame);
    let word = u32::from_be_bytes([message[4], message[5], message[6], message[7]]);
    (message[0], message[1], word, message[8..].to_vec())
}

/// The same error in both families.
fn of(family: Family, v4: (u8, u8), v6: (u8, u8)) -> (u8, u8) {
    if family == Family::V4 { v4 } else { v6 }
}

const TIME_EXCEEDED: [(u8, u8); 2] = [(11, 0), (3, 0)];
const NO_ROUTE: [(u8, u8); 2] = [(3, 0), (1, 0)];
const TOO_BIG: [(u8, u8); 2] = [(3, 4), (2, 0)];

/// A frame from container A is dropped for a reason, and A gets an error that quotes it.
#[track_caller]
fn rejected(
    net: &mut TestNet,
    family: Family,
    frame: &[u8],
    reason: DropReason,
    kind: [(u8, u8); 2],
) {
    let before = net.sim.drops(A, reason);
    let (port, answer) = net.one(A, frame.to_vec());
    assert_eq!((port, net.sim.drops(A, reason)), (A, before + 1), "{}", reason.name());
    let got = seen(&answer);
    assert_eq!(got.link, Link::new(GATEWAY_MAC, mac(A)));
    assert_eq!((got.from.ip(), got.to.ip()), (family.gateway(), family.container(A)));
    let (icmp_type, code, _, quote) = error(&answer);
    assert_eq!((icmp_type, code), of(family, kind[0], kind[1]), "{}", reason.name());
    let packet = &frame[VNET_LEN + 14..];
    assert!(packet.starts_with(&quote[..40.min(packet.len())]), "it quotes what was sent");
}

#[test]
pub(super) fn each_has_its_reason_and_its_answer() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        let inner = at(family.container(A), 5000);
        let to = |address| udp(up(A), inner, at(address, 33_434), b"probe");
        let last = with_hops(to(family.remote()), 1);
        rejected(&mut net, family, &last, DropReason::HopLimitExceeded, TIME_EXCEEDED);
        let elsewhere = to(family.of("172.17.0.2", "fd17::2"));
        rejected(&mut net, family, &elsewhere, DropReason::NoRoute, NO_ROUTE);
        net.change_link(|uplink| uplink.up = false);
        rejected(&mut net, family, &to(family.remote()), DropReason::UplinkDown, NO_ROUTE);
        let nobody = to(family.of("10.99.7.7", "fd00:99::77"));
        rejected(&mut net, family, &nobody, DropReason::NoNeighbour, [(3, 1), (1, 3)]);
    }
}

#[test]
pub(super) fn what_no_router_forwards_is_dropped_without_an_answer() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        let inner = at(family.container(A), 5000);
        let v4 =
            ["127.0.0.1", "169.254.169.254", "224.0.0.251", "255.255.255.255", "10.99.255.255"];
        let v6 = ["::1", "fe80::99", "ff05::2", "::", "ff02::1"];
        for (count, (v4, v6)) in (1..).zip(v4.into_iter().zip(v6)) {
            let frame = udp(up(A), inner, at(family.of(v4, v6), 53), b"hello");
            let sent = net.sent(A, frame);
            assert!(sent.iter().all(Vec::is_empty), "{v4} {v6}");
            assert_eq!(net.sim.drops(A, DropReason::Martian), count, "{v4} {v6}");
        }
    }
}

#[test]
pub(super) fn a_packet_too_long_for_the_uplink_is_answered_with_its_mtu() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        net.change_link(|uplink| uplink.mtu = 1300);
        let mut frame = udp(up(A), at(family.container(A), 1), at(family.remote(), 2), &[7; 1400]);
        if family == Family::V4 {
            set_fragment(&mut frame, true);
        }
        let before = net.sim.drops(A, DropReason::MtuExceeded);
        let (port, answer) = net.one(A, frame);
        assert_eq!((port, net.sim.drops(A, DropReason::MtuExceeded)), (A, before + 1));
        let (icmp_type, code, mtu, _) = error(&answer);
        assert_eq!((icmp_type, code, mtu), {
            let (icmp_type, code) = of(family, TOO_BIG[0], TOO_BIG[1]);
            (icmp_type, code, 1300)
        });
    }
}

#[test]
pub(super) fn a_packet_too_long_for_the_container_is_answered_to_the_outside() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        let inner = at(family.container(A), 5000);
        let server = at(family.remote(), 53);
        let (_, frame) = net.one(A, udp(up(A), inner, server, b"question"));
        let appears = seen(&frame).from;
        net.sim.network(|network| network.mtu = 1300);
        let mut answer = udp(DOWN, server, appears, &[7; 1400]);
        if family == Family::V4 {
            set_fragment(&mut answer, true);
        }
        let (port, frame) = net.one(UPLINK, answer);
        let told = seen(&frame);
        assert_eq!((port, told.link), (UPLINK, Link::new(DEVICE_MAC, HOP_MAC)));
        assert_eq!((told.from.ip(), told.to.ip()), (family.outside(), family.remote()));
        let (icmp_type, code, mtu, _) = error(&frame);
        let (expected_type, expected_code) = of(family, TOO_BIG[0], TOO_BIG[1]);
        assert_eq!((icmp_type, code, mtu), (expected_type, expected_code, 1300));
        assert_eq!(net.sim.drops(UPLINK, DropReason::MtuExceeded), 1);
    }
}

#[test]
pub(super) fn an_error_from_outside_reaches_the_container_about_its_own_packet() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        let inner = at(family.container(A), 5000);
        let server = at(family.remote(), 33_434);
        let (_, out) = net.one(A, udp(up(A), inner, server, b"probe"));
        let router = family.of("192.0.2.254", "2001:db8::fe");
        let quote = &out[VNET_LEN + 14..];
        let message = unreachable_port(family, (router, family.outside()), quote);
        let (port, frame) = net.one(UPLINK, message);
        assert_eq!((port, seen(&frame).to.ip()), (A, family.container(A)));
        let (_, _, _, quoted) = error(&frame);
        let inner_packet = udp(up(A), inner, server, b"probe");
        let address = if family == Family::V4 { 12..20 } else { 8..40 };
        let sent = &inner_packet[VNET_LEN + 14..];
        assert_eq!(quoted[address.clone()], sent[address], "it knows these addresses");
        // Of a connection that never was.
        let forged = unreachable_port(family, (router, family.outside()), &{
            let mut quote = quote.to_vec();
            let at = if family == Family::V4 { 20 } else { 40 };
            quote[at + 1] ^= 0x10;
            quote
        });
        assert!(net.sent(UPLINK, forged).iter().all(Vec::is_empty));
    }
}

pub(super) fn unreachable_port(
    family: Family,
    (from, to): (std::net::IpAddr, std::net::IpAddr),
    quote: &[u8],
) -> Vec<u8> {
    let mut buffer = [0; 400];
    let len = match wire::ip::Repr::new(from, to, wire::Protocol::UDP).expect("one family") {
        wire::ip::Repr::V4(ip) => {
            let message = icmpv4::Repr::DstUnreachable { code: 3, mtu: 0, quoted: quote };
            wire::frames::icmpv4(&mut buffer, &DOWN, &ip, &message)
        }
        wire::ip::Repr::V6(ip) => {
            let message = icmpv6::Repr::DstUnreachable { code: 4, quoted: quote };
            wire::frames::icmpv6(&mut buffer, &DOWN, &ip, &message)
        }
    };
    let len = len.unwrap_or_else(|error| panic!("{family:?}: {error}"));
    [&[0; VNET_LEN][..], &buffer[..len]].concat()
}

/// Forbidden by an administrator (RFC 5508, REQ-8).
const PROHIBITED: [(u8, u8); 2] = [(3, 13), (1, 1)];

#[test]
pub(super) fn who_may_have_no_connection_is_told() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        let frame = udp(up(A), at(family.container(A), 1), at(family.remote(), 53), b"hello");
        net.policy(|policy| policy.quota = 0);
        rejected(&mut net, family, &frame, DropReason::NatQuota, PROHIBITED);
        net.policy(|policy| {
            policy.quota = 100;
            (policy.external_v4, policy.external_v6) = (None, None);
        });
        rejected(&mut net, family, &frame, DropReason::NatNoAddress, PROHIBITED);
    }
}

#[test]
pub(super) fn where_no_port_is_left_the_container_is_told_and_others_go_on() {
    let family = Family::V4;
    let mut net = TestNet::new();
    net.policy(|policy| policy.ports = 20_000..=20_004);
    let server = at(family.remote(), 80);
    // Connections that stand: nothing of the container's can go.
    let mut told = 0;
    for port in 1000..1010 {
        let inner = at(family.container(A), port);
        let (to, frame) = net.one(A, tcp(up(A), inner, server, Flags::SYN, [1000, 0]));
        if to == A {
            assert_eq!(error(&frame).1, PROHIBITED[0].1);
            told += 1;
            continue;
        }
        let answer =
            tcp(DOWN, server, seen(&frame).from, Flags::SYN.with(Flags::ACK), [7000, 1001]);
        assert_eq!(net.one(UPLINK, answer).0, A);
        assert_eq!(net.one(A, tcp(up(A), inner, server, Flags::ACK, [1001, 7001])).0, UPLINK);
    }
    assert!((5..10).contains(&told), "{told}");
    assert_eq!(net.sim.drops(A, DropReason::NatNoPort), told);
    let other = tcp(up(B), at(family.container(B), 1000), server, Flags::SYN, [1000, 0]);
    assert_eq!(net.one(B, other).0, UPLINK, "there is one left for another");
}

#[test]
pub(super) fn a_storm_of_errors_is_cut_off_and_counted() {
    let family = Family::V4;
    let mut net = TestNet::new();
    let burst = Rate::frames(ICMP_ERROR_RATE).burst();
    let frame = udp(up(A), at(family.container(A), 1), at(family.of("172.17.0.2", "::"), 2), b"x");
    for _ in 0..burst + 50 {
        net.sim.inject(A, frame.clone());
    }
    net.sim.run();
    assert_eq!(net.sim.sent(A).len() as u64, burst);
    assert_eq!(net.sim.drops(A, DropReason::NoRoute), burst + 50);
    assert_eq!(net.sim.routed(|counters| counters.icmp_errors_sent), burst);
    assert_eq!(net.sim.routed(|counters| counters.icmp_errors_suppressed), 50);
    net.sim.check();
    // Another port has its own.
    let other = udp(up(B), at(family.container(B), 1), at(family.of("172.17.0.2", "::"), 2), b"x");
    assert_eq!(net.one(B, other).0, B);
}

#[test]
pub(super) fn a_malformed_packet_never_reaches_the_host() {
    let mut net = TestNet::new();
    let mut frame =
        tcp(up(A), at(Family::V4.container(A), 1), at(Family::V4.remote(), 2), Flags::SYN, [1, 0]);
    frame[VNET_LEN + 14] = 0x41;
    assert!(net.sent(A, frame).iter().all(Vec::is_empty));
    assert_eq!(net.sim.drops(A, DropReason::Malformed), 1);
    // What cannot be translated, such as DCCP, is refused, with an answer.
    let mut frame = udp(up(A), at(Family::V4.container(A), 1), at(Family::V4.remote(), 2), b"");
    frame[VNET_LEN + 14 + 9] = 33;
    let frame = with_hops(frame, 64);
    let (port, answer) = net.one(A, frame);
    assert_eq!((port, seen(&answer).l4), (A, L4::Icmpv4));
    assert_eq!(net.sim.drops(A, DropReason::NatUnsupportedProtocol), 1);
}
