//! Protocols without ports: one container has a protocol with a remote.

use std::net::IpAddr;

use fastpath::limits::VNET_LEN;
use wire::meta::{L3, Meta};
use wire::{ipv4, ipv6};

use super::errors::unreachable_port;
use super::net::*;
use crate::datapath::router::RouterState;
use crate::datapath::*;

/// ESP, GRE, and the other family in this one.
fn protocols(family: Family) -> [u8; 3] {
    [50, 47, if family == Family::V4 { 41 } else { 4 }]
}

/// Addresses and payload.
#[track_caller]
fn read(bytes: &[u8]) -> ((IpAddr, IpAddr), &[u8]) {
    let frame = &bytes[VNET_LEN..];
    let meta = Meta::parse(frame).unwrap();
    if meta.l3 == L3::Ipv4 {
        let ip = ipv4::Packet::new_checked(&frame[14..]).unwrap();
        assert!(ip.verify_checksum());
        ((ip.src().into(), ip.dst().into()), &frame[34..])
    } else {
        let ip = ipv6::Packet::new_checked(&frame[14..]).unwrap();
        ((ip.src().into(), ip.dst().into()), &frame[54..])
    }
}

#[test]
pub(super) fn they_are_translated_by_address_for_one_container() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        let (a, b, remote) = (family.container(A), family.container(B), family.remote());
        for protocol in protocols(family) {
            let (port, out) = net.one(A, portless(up(A), (a, remote), protocol, b"tunnelled"));
            assert_eq!(
                (port, read(&out)),
                (UPLINK, ((family.outside(), remote), &b"tunnelled"[..]))
            );
            let answer = portless(DOWN, (remote, family.outside()), protocol, b"back");
            let (port, back) = net.one(UPLINK, answer);
            assert_eq!((port, read(&back)), (A, ((remote, a), &b"back"[..])));
            // Another container with the same remote is told so, and may use it with another one.
            let before = net.sim.drops(B, DropReason::NatProtocolInUse);
            let (port, _) = net.one(B, portless(up(B), (b, remote), protocol, b"me, too"));
            assert_eq!(port, B, "an ICMP error");
            assert_eq!(net.sim.drops(B, DropReason::NatProtocolInUse), before + 1);
            let (port, _) = net.one(B, portless(up(B), (b, family.neighbour()), protocol, b"!"));
            assert_eq!(port, UPLINK);
        }
        let told: usize = net.sim.routers().map(|router| router.portless().count()).sum();
        assert_eq!(told, 6, "control hears of each");
        // What comes to nobody is dropped until the host has it again, and a container that goes leaves nothing.
        net.sim.forget(A);
        let answer = portless(DOWN, (remote, family.outside()), 50, b"late");
        assert!(net.sent(UPLINK, answer).iter().all(Vec::is_empty));
        let (port, _) = net.one(B, portless(up(B), (b, remote), 50, b"now"));
        assert_eq!(port, UPLINK);
    }
}

#[test]
pub(super) fn what_no_translation_leaves_whole_is_prohibited() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        let pair = (family.container(A), family.remote());
        // AH, DCCP, UDP-Lite.
        for protocol in [51, 33, 136] {
            let sent = net.sent(A, portless(up(A), pair, protocol, &[0; 32]));
            assert!(sent[usize::from(UPLINK)].is_empty(), "{protocol}");
        }
    }
}

/// As path MTU discovery of a tunnel needs them.
#[test]
pub(super) fn errors_about_them_reach_the_container() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        let (inner, remote) = (family.container(A), family.remote());
        let [protocol, ..] = protocols(family);
        let packet = portless(up(A), (inner, remote), protocol, b"too long");
        let (_, out) = net.one(A, packet.clone());
        let router = family.of("192.0.2.254", "2001:db8::fe");
        let about = |quote: &[u8]| unreachable_port(family, (router, family.outside()), quote);
        let (port, frame) = net.one(UPLINK, about(&out[VNET_LEN + 14..]));
        assert_eq!((port, seen(&frame).to.ip()), (A, inner));
        let (header, addresses) = if family == Family::V4 { (20, 12..20) } else { (40, 8..40) };
        let quoted = &frame[VNET_LEN + 14 + header + 8..];
        let sent = &packet[VNET_LEN + 14..];
        assert_eq!(quoted[addresses.clone()], sent[addresses], "it knows these addresses");
        // About a packet that was never sent.
        let never = portless(DOWN, (family.outside(), family.neighbour()), protocol, b"!");
        let sent = net.sent(UPLINK, about(&never[VNET_LEN + 14..]));
        assert!(sent.iter().all(Vec::is_empty));
    }
}

#[test]
pub(super) fn what_the_host_itself_uses_is_prohibited() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        let (inner, remote) = (family.container(A), family.remote());
        let (port, _) = net.one(A, portless(up(A), (inner, remote), 50, b"before"));
        assert_eq!(port, UPLINK);
        net.sim.refuse_portless((remote, 50));
        let answer = portless(DOWN, (remote, family.outside()), 50, b"for the host");
        assert!(net.sent(UPLINK, answer).iter().all(Vec::is_empty), "the NIC gives it to the host");
        let before = net.sim.drops(A, DropReason::NatProtocolInUse);
        let (port, _) = net.one(A, portless(up(A), (inner, remote), 50, b"afterwards"));
        assert_eq!(port, A, "an ICMP error");
        assert_eq!(net.sim.drops(A, DropReason::NatProtocolInUse), before + 1);
    }
}

/// So that no answer comes to the host.
#[test]
pub(super) fn packets_wait_until_the_nic_hands_their_answers_over() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        net.sim.run();
        net.sim.routers().for_each(RouterState::await_handover);
        let (a, b, remote) = (family.container(A), family.container(B), family.remote());
        for text in [b"first", b"other"] {
            let sent = net.sent(A, portless(up(A), (a, remote), 47, text));
            assert!(sent.iter().all(Vec::is_empty), "it waits");
        }
        assert_eq!(net.sim.queued(), 2);
        let told: usize = net.sim.routers().map(|router| router.portless().count()).sum();
        assert_eq!(told, 1, "claimed once");
        net.sim.routers().for_each(|router| router.admit_portless(&[(remote, 47)]));
        net.sim.run();
        let sent = net.sim.sent(UPLINK);
        assert_eq!(
            sent.iter().map(|frame| read(frame).1).collect::<Vec<_>>(),
            [b"first", b"other"]
        );
        let (port, _) = net.one(A, portless(up(A), (a, remote), 47, b"next"));
        assert_eq!(port, UPLINK, "at once");
        // The host's: who waits is told so.
        net.sent(B, portless(up(B), (b, remote), 50, b"for the host"));
        net.sim.refuse_portless((remote, 50));
        net.sim.run();
        assert_eq!((net.sim.queued(), net.sim.drops(B, DropReason::NatProtocolInUse)), (0, 1));
        assert!(!net.sim.sent(B).is_empty(), "an ICMP error");
        net.sim.check();
    }
}

/// As all protocols: each route has its source.
#[test]
pub(super) fn they_leave_with_the_source_of_their_route() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        let (remote, other) = (family.remote(), family.of("192.0.2.77", "2001:db8::77"));
        net.policy(|policy| {
            let candidate =
                nat::sources::Candidate { address: other, prefix_len: 24, is_temporary: false };
            let set = nat::SourceSet { candidates: vec![candidate], held: Vec::new() };
            let len = if remote.is_ipv4() { 32 } else { 128 };
            let sources = nat::Sources::new(vec![set]).with_layer([(remote, len, Some(0))]);
            let zones = (0..4).map(nat::Zone);
            policy.sources = zones.map(|zone| (zone, sources.clone().into())).collect();
        });
        let pair = (family.container(A), remote);
        let (_, out) = net.one(A, portless(up(A), pair, 47, b"tunnelled"));
        assert_eq!(read(&out).0, (other, remote));
        let (_, out) = net.one(A, udp(up(A), at(pair.0, 4000), at(remote, 53), b"?"));
        assert_eq!(seen(&out).from.ip(), other);
    }
}
