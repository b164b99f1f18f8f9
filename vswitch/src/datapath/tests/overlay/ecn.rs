//! Marks of congestion in and out of tunnels (RFC 6040).

use fastpath::datagram::Header;
use fastpath::limits::VNET_LEN;
use wire::vxlan::HEADER_LEN;
use wire::{Meta, ecn};

use super::nodes::{self, Nodes, PATH_MTU, VNI, ip, ip6, mac, vxlan};
use super::traffic::{gso, tcp, udp, udp_between};
use crate::datapath::*;

/// A frame whose IP header has this type of service or traffic class.
fn with_tos(mut frame: Vec<u8>, tos: u8) -> Vec<u8> {
    let ip = &mut frame[VNET_LEN + 14..];
    match ip[0] >> 4 {
        4 => wire::ipv4::Packet::new_quoted(ip).expect("IPv4").change_tos(tos),
        _ => wire::ipv6::Packet::new_quoted(ip).expect("IPv6").set_class_and_flow(tos, 7),
    }
    frame
}

/// ECN of a frame, given from its virtio-net header on.
fn ecn_of(frame: &[u8]) -> u8 {
    let ethernet = &frame[VNET_LEN..];
    ecn::of(&Meta::parse(ethernet).expect("a frame"), ethernet)
}

/// RFC 6040 section 4.1, normal mode: the outer header has the inner one's ECN, and DSCP 0; each segment of a GSO frame, too.
#[test]
fn the_outer_header_has_the_inner_ones_ecn() {
    for (is_ipv6, tos) in [false, true].into_iter().flat_map(|v6| (0..4).map(move |it| (v6, it))) {
        let mut nodes = Nodes::new(2);
        nodes.faults.joined = true;
        let one = with_tos(tcp((0, 0), (1, 0), is_ipv6, b"x"), 0xb8 | tos);
        let many = tcp((0, 0), (1, 0), is_ipv6, &[7; 20_000]);
        let many = with_tos(gso(&many, PATH_MTU as u16 - 60), 0xb8 | tos);
        for frame in [&one, &many] {
            nodes.inject(0, 0, frame.clone());
            nodes.run();
            assert!(nodes.carried.iter().all(|(_, header, _)| header.tos == tos), "{tos}");
            assert_eq!(
                nodes.sent(1, 0),
                std::slice::from_ref(frame),
                "its DSCP and all else as it was"
            );
        }
        assert!(nodes.carried.len() > 10);
        nodes.check();
    }
}

/// RFC 6040 section 4.2: a router's mark comes into the inner header, of a single frame and of one that was joined.
#[test]
fn a_mark_of_the_underlay_comes_into_the_frame() {
    for is_ipv6 in [false, true] {
        for (inner, outer, expected) in [
            (ecn::ECT_0, ecn::CE, ecn::CE),
            (ecn::ECT_1, ecn::CE, ecn::CE),
            (ecn::ECT_0, ecn::ECT_1, ecn::ECT_1),
            (ecn::CE, ecn::NOT_ECT, ecn::CE),
            (ecn::NOT_ECT, ecn::ECT_0, ecn::NOT_ECT),
        ] {
            let mut nodes = Nodes::new(2);
            (nodes.faults.joined, nodes.faults.mark) = (true, Some(outer));
            let one = tcp((0, 0), (1, 0), is_ipv6, b"x");
            let many = gso(&tcp((0, 0), (1, 0), is_ipv6, &[7; 20_000]), PATH_MTU as u16 - 60);
            for frame in [with_tos(one, inner), with_tos(many, inner)] {
                nodes.inject(0, 0, frame.clone());
                nodes.run();
                let got = nodes.sent(1, 0);
                assert_eq!(got, [with_tos(frame, expected)], "{inner:02b} {outer:02b}");
            }
            nodes.check();
        }
    }
}

/// Each datagram of a buffer has the mark, also those that are not joined: UDP.
#[test]
fn datagrams_that_are_not_joined_are_marked_each() {
    let mut nodes = Nodes::new(2);
    (nodes.faults.joined, nodes.faults.mark) = (true, Some(ecn::CE));
    let frame = gso(&udp((0, 0), (1, 0), 5000, &[7; 10_000]), 1200);
    nodes.inject(0, 0, with_tos(frame, ecn::ECT_0));
    nodes.run();
    let got = nodes.sent(1, 0);
    assert_eq!(got.len(), 9);
    assert!(got.iter().all(|frame| ecn_of(frame) == ecn::CE));
    nodes.check();
}

/// A UDP GSO frame that a foreign peer hands over whole.
#[test]
fn a_datagram_gso_frame_of_a_foreign_peer_is_marked_or_dropped() {
    for is_ipv6 in [false, true] {
        let end = |node| match is_ipv6 {
            false => (mac(node, 0), ip(node, 0).into()),
            true => (mac(node, 0), ip6(node, 0).into()),
        };
        let frame = gso(&udp_between(end(1), end(0), &[7; 8000]), 1000);
        for (inner, expected) in [(ecn::ECT_0, Some(ecn::CE)), (ecn::NOT_ECT, None)] {
            let mut nodes = Nodes::learning(2);
            let sent = with_tos(frame.clone(), inner);
            let (peer, tunnel) = (nodes.address(1), nodes.tunnel);
            let header = Header { peer, segment: 1000, socket: 0, tos: ecn::CE };
            nodes.sims[0].inject(tunnel, nodes::datagram(header, &vxlan(VNI, &sent)));
            nodes.run();
            let got: Vec<_> = nodes.sent(0, 0).iter().map(|it| it[VNET_LEN..].to_vec()).collect();
            let marked = expected.map(|tos| with_tos(sent, tos)[VNET_LEN..].to_vec());
            assert_eq!(got, Vec::from_iter(marked));
            assert_eq!(nodes.drops(0, DropReason::TunnelEcn), u64::from(expected.is_none()));
            nodes.check();
        }
    }
}

/// Datagrams of one buffer whose inner headers differ in ECN stay frames of their own.
#[test]
fn frames_that_differ_in_ecn_are_not_joined() {
    for is_ipv6 in [false, true] {
        let mut nodes = Nodes::new(2);
        let whole = tcp((0, 0), (1, 0), is_ipv6, &[7; 3 * 1000]);
        let (mut sender, tunnel) = (Nodes::new(2), nodes.tunnel);
        sender.inject(0, 0, with_tos(gso(&whole, 1000), ecn::ECT_0));
        sender.run();
        let mut parts: Vec<_> = sender.carried.iter().map(|it| it.2.clone()).collect();
        assert_eq!(parts.len(), 3);
        let mut marked = vec![0; VNET_LEN];
        marked.extend(&parts[1][HEADER_LEN..]);
        parts[1].splice(HEADER_LEN.., with_tos(marked, ecn::CE)[VNET_LEN..].iter().copied());
        if is_ipv6 {
            // The flow label that `with_tos` sets.
            for part in [0, 2] {
                let mut same = vec![0; VNET_LEN];
                same.extend(&parts[part][HEADER_LEN..]);
                let same = with_tos(same, ecn::ECT_0);
                parts[part].splice(HEADER_LEN.., same[VNET_LEN..].iter().copied());
            }
        }
        let segment = parts[0].len() as u16;
        let header = Header { peer: nodes.address(0), segment, socket: 0, tos: ecn::ECT_0 };
        nodes.sims[1].inject(tunnel, nodes::datagram(header, &parts.concat()));
        nodes.run();
        let got: Vec<_> = nodes.sent(1, 0).iter().map(|frame| ecn_of(frame)).collect();
        assert_eq!(got, [ecn::ECT_0, ecn::CE, ecn::ECT_0]);
        nodes.check();
    }
}

/// RFC 6040 section 4.2: a mark on what knows of none is a drop with its reason. ARP is no packet that anybody marks.
#[test]
fn a_mark_on_what_is_not_ecn_capable_is_a_drop() {
    for is_ipv6 in [false, true] {
        let mut nodes = Nodes::new(2);
        (nodes.faults.joined, nodes.faults.mark) = (true, Some(ecn::CE));
        nodes.inject(0, 0, tcp((0, 0), (1, 0), is_ipv6, b"x"));
        nodes.run();
        assert_eq!(nodes.sent(1, 0).len(), 0);
        assert_eq!(nodes.drops(1, DropReason::TunnelEcn), 1);
        assert_eq!(nodes.sims[1].stats().vteps()[0].drops, 1);
        nodes.check();
    }
    let mut nodes = Nodes::new(2);
    let arp = wire::arp::Repr::request(mac(0, 0), nodes::ip(0, 0), nodes::ip(1, 0));
    let mut frame = vec![0; VNET_LEN];
    frame.extend(wire::frames::arp(wire::MacAddr::BROADCAST, &arp));
    let (peer, tunnel) = (nodes.address(0), nodes.tunnel);
    let header = Header { peer, segment: 0, socket: 0, tos: ecn::CE };
    nodes.sims[1].inject(tunnel, nodes::datagram(header, &vxlan(VNI, &frame)));
    nodes.run();
    assert_eq!(nodes.drops(1, DropReason::TunnelEcn), 0);
    nodes.check();
}
