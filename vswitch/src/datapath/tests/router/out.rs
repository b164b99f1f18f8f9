//! From containers to the outside, and back.

use fastpath::limits::VNET_LEN;
use wire::frames::Link;
use wire::meta::L4;
use wire::tcp::Flags;
use wire::vnet;

use super::net::*;
use crate::datapath::tests::sim::mac;
use crate::datapath::*;

/// A container asks, somebody answers.
#[test]
pub(super) fn a_datagram_goes_out_translated_and_its_answer_comes_back() {
    for family in FAMILIES {
        for (remote, name) in [(family.remote(), "by a router"), (family.neighbour(), "on link")] {
            let mut net = TestNet::new();
            let (inner, server) = (at(family.container(A), 5000), at(remote, 53));
            let (port, frame) = net.one(A, udp(up(A), inner, server, b"question"));
            let out = seen(&frame);
            assert_eq!(port, UPLINK, "{family:?} {name}");
            assert_eq!(out.link, Link::new(DEVICE_MAC, HOP_MAC));
            assert_eq!((out.from.ip(), out.to, out.hops), (family.outside(), server, 63));
            assert!((20_000..=29_999).contains(&out.from.port()), "{}", out.from);
            assert_eq!(out.payload, b"question");
            let (port, frame) = net.one(UPLINK, udp(DOWN, server, out.from, b"answer"));
            let back = seen(&frame);
            assert_eq!(port, A, "{family:?} {name}");
            assert_eq!(back.link, Link::new(GATEWAY_MAC, mac(A)));
            assert_eq!((back.from, back.to, back.hops), (server, inner, 63));
            assert_eq!(back.payload, b"answer");
        }
    }
}

#[test]
pub(super) fn a_connection_and_a_ping_do_as_well() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        let (inner, server) = (at(family.container(A), 5000), at(family.remote(), 80));
        let syn = tcp(up(A), inner, server, Flags::SYN, [1000, 0]);
        let (port, frame) = net.one(A, syn);
        let out = seen(&frame);
        assert_eq!((port, out.from.ip(), out.to), (UPLINK, family.outside(), server));
        let answer = tcp(DOWN, server, out.from, Flags::SYN.with(Flags::ACK), [7000, 1001]);
        let (port, frame) = net.one(UPLINK, answer);
        assert_eq!((port, seen(&frame).to), (A, inner));
        let ack = tcp(up(A), inner, server, Flags::ACK, [1001, 7001]);
        assert_eq!(seen(&net.one(A, ack).1).from, out.from, "one port for one connection");

        let pair = (family.container(A), family.remote());
        let (port, frame) = net.one(A, echo(up(A), pair, true, 77));
        let out = seen(&frame);
        assert_eq!((port, out.from.ip(), out.to.ip()), (UPLINK, family.outside(), pair.1));
        let answer = echo(DOWN, (pair.1, family.outside()), false, out.from.port());
        let (port, frame) = net.one(UPLINK, answer);
        let back = seen(&frame);
        assert_eq!((port, back.to.ip(), back.to.port()), (A, pair.0, 77));
    }
}

#[test]
pub(super) fn a_gso_frame_with_a_partial_checksum_goes_whole() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        let (inner, server) = (at(family.container(A), 5000), at(family.remote(), 80));
        net.one(A, tcp(up(A), inner, server, Flags::SYN, [1000, 0]));
        let mut frame = tcp(up(A), inner, server, Flags::ACK, [1001, 7001]);
        let (ip_len, is_v4) = (frame.len() - VNET_LEN - 14, family == Family::V4);
        frame.resize(VNET_LEN + 14 + 60_000, 0x5a);
        let length = if is_v4 { 60_000 } else { 60_000 - 40_u16 };
        let at = VNET_LEN + 14 + if is_v4 { 2 } else { 4 };
        frame[at..at + 2].copy_from_slice(&length.to_be_bytes());
        let start = 14 + ip_len as u16 - 20;
        let header = vnet::Header {
            flags: vnet::Flags::NEEDS_CSUM,
            gso_type: if is_v4 { vnet::GsoType::TcpV4 } else { vnet::GsoType::TcpV6 },
            hdr_len: start + 20,
            gso_size: 1400,
            csum_start: start,
            csum_offset: 16,
            ..vnet::Header::default()
        };
        frame[..VNET_LEN].copy_from_slice(&header.to_bytes());
        let frame = with_hops(frame, 64);
        let (port, out) = net.one(A, frame.clone());
        assert_eq!((port, out.len()), (UPLINK, frame.len()), "{family:?}");
        assert_eq!(out[..VNET_LEN], frame[..VNET_LEN], "the offload header stays");
        assert_eq!(seen(&out).from.ip(), family.outside());
    }
}

#[test]
pub(super) fn what_is_for_the_host_goes_to_its_port_as_it_is() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        for address in [family.gateway(), family.outside()] {
            let frame = udp(up(A), at(family.container(A), 5000), at(address, 53), b"name?");
            assert_eq!(net.one(A, frame.clone()), (HOST, frame), "{address}");
        }
        // What is no IP is none of the router's business.
        let arp = crate::datapath::tests::sim::frame(GATEWAY_MAC, mac(A), b"anything");
        assert_eq!(net.one(A, arp.clone()), (HOST, arp));
    }
}

#[test]
pub(super) fn a_neighbour_is_reached_by_way_of_the_gateway() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        let (a, b) = (at(family.container(A), 5000), at(family.container(B), 53));
        let (port, frame) = net.one(A, udp(up(A), a, b, b"hello"));
        let out = seen(&frame);
        assert_eq!((port, out.link), (B, Link::new(GATEWAY_MAC, mac(B))));
        assert_eq!((out.from, out.to, out.hops), (a, b, 63));
        net.sim.set(B, |conf| conf.isolation = Isolation::Isolated);
        net.sent(A, udp(up(A), a, b, b"hello"));
        assert_eq!(net.sim.drops(A, DropReason::Isolated), 1);
    }
}

#[test]
pub(super) fn a_syn_is_clamped_where_the_uplink_is_narrower() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        net.change_link(|uplink| uplink.mtu = 1400);
        let (inner, server) = (at(family.container(A), 5000), at(family.remote(), 80));
        let headers = if family == Family::V4 { 40 } else { 60 };
        let mss = |frame: &[u8]| {
            let meta = wire::Meta::parse(&frame[VNET_LEN..]).expect("a frame");
            let segment = wire::tcp::Packet::new_checked(meta.l4_bytes(&frame[VNET_LEN..]));
            wire::tcp::Repr::parse(&segment.expect("TCP")).expect("options").mss
        };
        let (_, frame) = net.one(A, tcp(up(A), inner, server, Flags::SYN, [1000, 0]));
        let out = seen(&frame);
        assert_eq!(mss(&frame), Some(1400 - headers));
        let answer = tcp(DOWN, server, out.from, Flags::SYN.with(Flags::ACK), [7000, 1001]);
        let (_, frame) = net.one(UPLINK, answer);
        seen(&frame);
        assert_eq!(mss(&frame), Some(1400 - headers), "nor does the container send more");
    }
}

#[test]
pub(super) fn a_priority_tag_is_taken_off_and_other_tags_are_not_routed() {
    let family = Family::V4;
    let mut net = TestNet::new();
    let plain = udp(up(A), at(family.container(A), 5000), at(family.remote(), 53), b"hello");
    let tagged = |vlan: u8| {
        let mut frame = plain.clone();
        frame.splice(VNET_LEN + 12..VNET_LEN + 12, [0x81, 0, 0xe0, vlan]);
        frame
    };
    let (port, frame) = net.one(A, tagged(0));
    assert_eq!((port, frame.len()), (UPLINK, plain.len()));
    assert_eq!(seen(&frame).from.ip(), family.outside());
    net.sim.set(A, |conf| conf.vlans = PortVlans::trunk([10], Some(0)));
    net.sim.set(B, |conf| conf.vlans = PortVlans::access(10));
    let (port, _) = net.one(A, tagged(10));
    assert_eq!(port, B, "an unknown address on its VLAN");
    let (port, frame) = net.one(A, plain.clone());
    assert_eq!(port, UPLINK);
    let answer = udp(DOWN, at(family.remote(), 53), seen(&frame).from, b"back");
    assert_eq!(net.one(UPLINK, answer).0, A);
}

#[test]
pub(super) fn an_internal_network_has_no_way_out_and_the_kernel_gets_what_it_routes() {
    for family in FAMILIES {
        let mut net = TestNet::new();
        let frame = udp(up(A), at(family.container(A), 5000), at(family.remote(), 53), b"hello");
        net.egress = |_| EgressMode::Kernel;
        net.change(|_| {});
        assert_eq!(net.one(A, frame.clone()), (HOST, frame.clone()));
        net.egress = |_| EgressMode::Internal;
        net.change(|_| {});
        let (port, answer) = net.one(A, frame);
        assert_eq!(port, A);
        assert!(matches!(seen(&answer).l4, L4::Icmpv4 | L4::Icmpv6));
        assert_eq!(net.sim.drops(A, DropReason::NoRoute), 1);
    }
}
