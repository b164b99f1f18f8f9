//! GSO frames over tunnels: segmented on the way out, joined on the way in.

use fastpath::limits::VNET_LEN;
use wire::segment::Segments;
use wire::tcp::Flags;
use wire::vnet::{GsoType, Header};
use wire::vxlan::{self, Vni};

use super::nodes::{Nodes, PATH_MTU, VNI, ip, ip6, mac, vxlan as packet};
use super::traffic::{gso, partial, tcp, tcp_with, udp, udp_between};
use crate::datapath::tests::sim::{Random, frame};
use crate::datapath::*;

/// Payload bytes of a full segment on the overlay, without TCP options.
const MSS: u16 = PATH_MTU as u16 - 40;

fn payload(len: usize) -> Vec<u8> {
    let mut random = Random::new(len as u64);
    (0..len).map(|_| random.below(256) as u8).collect()
}

#[test]
fn a_gso_frame_arrives_as_one_gso_frame() {
    for is_ipv6 in [false, true] {
        let mss = if is_ipv6 { MSS - 20 } else { MSS };
        let mut nodes = Nodes::new(2);
        nodes.faults.joined = true;
        let whole = gso(&tcp((0, 0), (1, 0), is_ipv6, &payload(40 * usize::from(mss) - 7)), mss);
        nodes.inject(0, 0, whole.clone());
        nodes.run();
        let got = nodes.sent(1, 0);
        assert_eq!(got.len(), 1, "one frame");
        assert_eq!(got[0], whole);
        let counters = |node: usize| nodes.sims[node].stats().counters;
        assert_eq!((counters(0).segmented, counters(1).merged), (39, 39));
        let (tx, rx) = (nodes.sims[0].stats().vteps()[1], nodes.sims[1].stats().vteps()[0]);
        assert_eq!((tx.tx_frames, rx.rx_frames), (40, 40));
        assert_eq!(tx.tx_bytes, rx.rx_bytes);
        nodes.check();
    }
}

#[test]
fn each_segment_is_what_the_kernel_would_send() {
    let mut nodes = Nodes::new(2);
    let whole = gso(&tcp((0, 0), (1, 0), false, &payload(60_000)), MSS);
    nodes.inject(0, 0, whole.clone());
    nodes.run();
    let offload = Header::parse(&whole).expect("a header");
    let segments = Segments::new(&offload, &whole[VNET_LEN..]).expect("TCP");
    assert_eq!(nodes.carried.len(), segments.count());
    for (index, (_, header, datagram)) in nodes.carried.iter().enumerate() {
        let mut expected = vec![0; 2000];
        let len = segments.write(index, &mut expected).expect("room");
        assert_eq!(datagram[vxlan::HEADER_LEN..], expected[..len], "segment {index}");
        assert_eq!(usize::from(header.segment), vxlan::HEADER_LEN + segments.stride());
    }
    nodes.check();
}

/// More bytes than UDP takes, and more segments than the kernel makes of one send.
#[test]
fn a_long_gso_frame_leaves_in_several_sends() {
    for (len, mss) in [(64_900, MSS), (60_000, 536), (30_000, 100)] {
        let mut nodes = Nodes::new(2);
        nodes.faults.joined = true;
        nodes.inject(0, 0, gso(&tcp((0, 0), (1, 0), false, &payload(len)), mss));
        nodes.run();
        let got = nodes.sent(1, 0);
        let bytes: Vec<u8> = got.iter().flat_map(|it| it[VNET_LEN + 54..].to_vec()).collect();
        assert_eq!(bytes, payload(len), "{len} bytes of {mss}");
        nodes.check();
    }
}

#[test]
fn a_datagram_gso_frame_arrives_as_its_datagrams() {
    let mut nodes = Nodes::new(2);
    nodes.faults.joined = true;
    nodes.inject(0, 0, gso(&udp((0, 0), (1, 0), 5000, &payload(10_000)), 1200));
    nodes.run();
    let got = nodes.sent(1, 0);
    assert_eq!(got.len(), 9);
    let bytes: Vec<u8> = got.iter().flat_map(|it| it[VNET_LEN + 42..].to_vec()).collect();
    assert_eq!(bytes, payload(10_000));
    nodes.check();
}

#[test]
fn offload_headers_that_nobody_can_serve_are_dropped() {
    let good = gso(&tcp((0, 0), (1, 0), false, &payload(30_000)), MSS);
    let with = |header: Header| {
        let mut bytes = good.clone();
        bytes[..VNET_LEN].copy_from_slice(&header.to_bytes());
        bytes
    };
    let header = Header::parse(&good).expect("a header");
    let mut unknown = good.clone();
    unknown[1] = 9;
    let mut beyond = partial(&tcp((0, 0), (1, 0), false, b"x"));
    beyond[8] = 0xff;
    for bad in [
        with(Header { gso_type: GsoType::Udp, ..header }),
        with(Header { gso_type: GsoType::UdpL4, ..header }),
        with(Header { gso_type: GsoType::TcpV6, ..header }),
        with(Header { gso_size: 1, ..header }),
        unknown,
        beyond,
    ] {
        let mut nodes = Nodes::new(2);
        nodes.inject(0, 0, bad);
        nodes.run();
        let sim = &nodes.sims[0];
        let dropped = sim.drops(0, DropReason::TunnelBadOffload)
            + sim.drops(0, DropReason::TunnelTooBig)
            + sim.drops(0, DropReason::TooBig);
        assert_eq!(dropped, 1);
        assert!(nodes.carried.is_empty());
        nodes.check();
    }
}

#[test]
fn buffers_that_run_out_cost_the_rest_of_the_frame() {
    let mut nodes = Nodes::new(2);
    let hoard = nodes.sims[0].hoard(3);
    nodes.inject(0, 0, gso(&tcp((0, 0), (1, 0), false, &payload(30_000)), 100));
    nodes.run();
    nodes.sims[0].give_back(hoard);
    assert_eq!(nodes.sims[0].drops(0, DropReason::NoBuffer), 0, "sent buffers are free at once");
    let hoard = nodes.sims[0].hoard(1);
    nodes.inject(0, 0, gso(&tcp((0, 0), (1, 0), false, &payload(30_000)), 100));
    nodes.run();
    nodes.sims[0].give_back(hoard);
    assert_eq!(nodes.sims[0].drops(0, DropReason::NoBuffer), 1);
    nodes.check();
}

#[test]
fn flows_in_one_buffer_are_told_apart() {
    let mut nodes = Nodes::new(2);
    nodes.faults.joined = true;
    let segment = |port, seq| {
        let change = |repr| wire::tcp::Repr { src_port: port, seq, ..repr };
        tcp_with((0, 0), (1, 0), false, change, &[seq as u8; 1000])
    };
    let sent = [
        segment(1, 1000),
        segment(1, 2000),
        segment(2, 7000),
        segment(1, 3000),
        segment(2, 8000),
        segment(2, 9000),
    ];
    for frame in &sent {
        nodes.inject(0, 0, frame.clone());
    }
    nodes.run();
    let got = nodes.sent(1, 0);
    let lengths: Vec<_> = got.iter().map(|frame| (frame.len() - VNET_LEN - 54) / 1000).collect();
    assert_eq!(lengths, [2, 1, 1, 2], "in their order");
    nodes.check();
}

#[test]
fn flags_end_a_run() {
    let mut nodes = Nodes::new(2);
    nodes.faults.joined = true;
    let segment = |flags: Flags, seq| {
        let change = |repr| wire::tcp::Repr { flags, seq, ..repr };
        tcp_with((0, 0), (1, 0), false, change, &[1; 500])
    };
    let all = [(Flags::ACK, 0), (Flags::ACK.with(Flags::PSH), 500), (Flags::ACK, 1000)];
    for (flags, seq) in all {
        nodes.inject(0, 0, segment(flags, seq));
    }
    nodes.run();
    let lengths: Vec<_> = nodes.sent(1, 0).iter().map(|it| it.len() - VNET_LEN - 54).collect();
    assert_eq!(lengths, [1000, 500]);
    nodes.check();
}

/// FACTS of a kernel's VXLAN peer behind a veth: partial checksums, and frames that were never segmented.
#[test]
fn the_frames_of_a_peer_behind_a_veth_keep_their_offloads() {
    for is_ipv6 in [false, true] {
        for len in [100, 20_000] {
            let sent = partial(&tcp((1, 0), (0, 0), is_ipv6, &payload(len)));
            let mut nodes = Nodes::new(2);
            let peer = nodes.address(1);
            nodes.inject_datagram(0, peer, &packet(VNI, &sent));
            nodes.run();
            let got = nodes.sent(0, 0);
            assert_eq!(got.len(), 1);
            assert_eq!(got[0][VNET_LEN..], sent[VNET_LEN..]);
            let header = Header::parse(&got[0]).expect("a header");
            assert_eq!(header.checksum_state(), wire::ChecksumState::Partial);
            let mss = if is_ipv6 { MSS - 20 } else { MSS };
            assert_eq!(header.gso_size, if len > 1400 { mss } else { 0 });
            nodes.check();
        }
    }
}

/// A kernel's VXLAN peer behind a veth hands over a UDP GSO frame whole, with its inner segment size.
#[test]
fn a_datagram_gso_frame_of_a_foreign_peer_is_one_frame() {
    for is_ipv6 in [false, true] {
        let mut nodes = Nodes::learning(2);
        let whole = gso(&udp_of((1, 0), (0, 0), is_ipv6, &payload(8_000)), 1000);
        inject_joined(&mut nodes, &packet(VNI, &whole), 1000);
        nodes.run();
        let got = nodes.sent(0, 0);
        assert_eq!(got.len(), 1);
        assert_eq!(got[0][VNET_LEN..], whole[VNET_LEN..]);
        let header = Header::parse(&got[0]).expect("a header");
        assert_eq!((header.gso_type, header.gso_size), (GsoType::UdpL4, 1000));
        assert_eq!(nodes.sims[0].stats().vteps()[1].rx_frames, 9);
        nodes.check();
    }
}

/// The payload of such a frame has VXLAN headers and frames of another network where its segments begin.
#[test]
fn the_payload_of_a_foreign_peers_frame_is_no_datagram() {
    let (smuggled, size) = (packet(VNI, &frame(mac(0, 1), mac(1, 1), &[7; 300])), 322);
    assert_eq!(smuggled.len(), size);
    let other = Vni::new(3).expect("24 bits");
    for is_ipv6 in [false, true] {
        // The headers of the frame, and of VXLAN, come before the first payload.
        let first = vec![1; size - if is_ipv6 { 70 } else { 50 }];
        let udp = |payload: &[u8]| udp_of((1, 0), (0, 0), is_ipv6, payload);
        let five = smuggled.repeat(5);
        for (how, sent) in [
            ("UDP_SEGMENT", gso(&udp(&[&first[..], &five].concat()), size as u16)),
            ("a packet that ends with the first segment", [&udp(&first)[..], &five].concat()),
            ("a packet that ends within the second", {
                [&udp(&[&first[..], &[8; 99]].concat())[..], &five].concat()
            }),
        ] {
            let mut nodes = Nodes::learning(2);
            inject_joined(&mut nodes, &packet(other, &sent), size);
            nodes.run();
            assert_eq!(nodes.counts()[0], [0; 3], "{how}");
            assert!(nodes.drops(0, DropReason::TunnelBadHeader) >= 5, "{how}");
            nodes.check();
        }
    }
}

/// Nodes of a registry send no such frames, and their flows of several networks share a source port.
#[test]
fn datagrams_of_a_foreign_peer_have_one_header() {
    for (is_learning, passed) in [(true, 1), (false, 3)] {
        let mut nodes = if is_learning { Nodes::learning(2) } else { Nodes::new(2) };
        let good = packet(VNI, &frame(mac(0, 0), mac(1, 0), &[5; 60]));
        let mut other = good.clone();
        other[7] = 1;
        inject_joined(&mut nodes, &[&good[..], &other, &other].concat(), good.len());
        nodes.run();
        assert_eq!(nodes.counts()[0], [passed, 0, 0]);
        assert_eq!(nodes.drops(0, DropReason::TunnelBadHeader) as usize, 3 - passed);
        nodes.check();
    }
}

/// A segment size that is no datagram's would make thousands of frames of one buffer.
#[test]
fn a_buffer_of_more_datagrams_than_a_kernel_joins_is_dropped() {
    for is_learning in [false, true] {
        for (count, passed) in [(64, 64), (65, 0), (1500, 0)] {
            let mut nodes = if is_learning { Nodes::learning(2) } else { Nodes::new(2) };
            let one = packet(VNI, &frame(mac(0, 0), mac(1, 0), &[5; 2]));
            inject_joined(&mut nodes, &one.repeat(count), one.len());
            nodes.run();
            assert_eq!(nodes.counts()[0], [passed, 0, 0]);
            let dropped = nodes.drops(0, DropReason::TunnelBadHeader) as usize;
            assert_eq!(dropped, count - passed, "{count}");
            nodes.check();
        }
    }
}

#[test]
fn each_datagram_without_a_frame_is_a_drop_of_its_peer() {
    let mut nodes = Nodes::new(2);
    inject_joined(&mut nodes, &packet(VNI, &[0; VNET_LEN]).repeat(3), vxlan::HEADER_LEN);
    nodes.run();
    assert_eq!(nodes.drops(0, DropReason::Truncated), 3);
    assert_eq!(nodes.sims[0].stats().vteps()[1].drops, 3);
    nodes.check();
}

fn udp_of(from: (usize, u16), to: (usize, u16), is_ipv6: bool, payload: &[u8]) -> Vec<u8> {
    let end = |(node, port)| match is_ipv6 {
        false => (mac(node, port), ip(node, port).into()),
        true => (mac(node, port), ip6(node, port).into()),
    };
    udp_between(end(from), end(to), payload)
}

/// One buffer of the other node, cut at `segment`.
fn inject_joined(nodes: &mut Nodes, payload: &[u8], segment: usize) {
    let (peer, segment) = (nodes.address(1), segment as u16);
    let header = fastpath::datagram::Header { peer, segment, socket: 0, tos: 0 };
    let tunnel = nodes.tunnel;
    nodes.sims[0].inject(tunnel, super::nodes::datagram(header, payload));
}

/// A frame that a node got as GSO frame leaves it again as segments, by another network's tunnel.
#[test]
fn a_flood_of_a_gso_frame_is_segmented_once_for_each_node() {
    let mut nodes = Nodes::new(3);
    let mut whole = gso(&udp((0, 0), (1, 0), 5000, &payload(6_000)), 1200);
    whole[12..18].copy_from_slice(&[0xff; 6]);
    nodes.inject(0, 0, whole);
    nodes.run();
    assert_eq!(nodes.counts(), [[0, 1, 1], [5; 3], [5; 3]]);
    assert_eq!(nodes.carried.len(), 10);
    nodes.check();
}

/// Random TCP and UDP traffic between three nodes over a bad wire: what arrives is what was sent.
#[test]
fn a_bad_wire_costs_frames_and_invents_none() {
    for seed in 0..40 {
        println!("seed {seed}");
        let mut nodes = Nodes::new(3);
        nodes.random = Random::new(seed);
        nodes.faults.lost = 9;
        nodes.faults.doubled = 7;
        nodes.faults.overtaken = 5;
        nodes.faults.joined = seed % 2 == 0;
        let mut random = Random::new(!seed);
        let mut sent = Vec::new();
        for seq in 0..60u32 {
            let from = (random.below(3) as usize, random.below(3) as u16);
            let to = ((from.0 + 1 + random.below(2) as usize) % 3, random.below(3) as u16);
            let len = 1 + random.below(20_000) as usize;
            let bytes = payload(len);
            let change = |repr| wire::tcp::Repr { seq: seq * 100_000, ..repr };
            nodes.inject(from.0, from.1, gso(&tcp_with(from, to, false, change, &bytes), MSS));
            sent.push((from, to, bytes));
        }
        nodes.run();
        let mut arrived = 0;
        for node in 0..3 {
            for port in 0..3 {
                for got in nodes.sent(node, port) {
                    let seq = u32::from_be_bytes(got[50..54].try_into().expect("4 bytes"));
                    let (which, offset) = ((seq / 100_000) as usize, (seq % 100_000) as usize);
                    let (from, to, bytes) = &sent[which];
                    assert_eq!((node, port), *to);
                    assert_eq!(got[18..24], mac(from.0, from.1).0);
                    let part = &got[VNET_LEN + 54..];
                    assert_eq!(*part, bytes[offset..offset + part.len()]);
                    arrived += part.len();
                }
            }
        }
        assert!(arrived > 0);
        nodes.check();
    }
}

#[test]
fn datagrams_of_two_networks_in_one_buffer_go_their_own_ways() {
    let mut nodes = Nodes::new(2);
    let good = packet(VNI, &frame(mac(0, 0), mac(1, 0), &[5; 60]));
    let other = packet(Vni::new(3).expect("24 bits"), &frame(mac(0, 0), mac(1, 0), &[5; 60]));
    let header = fastpath::datagram::Header {
        peer: nodes.address(1),
        segment: good.len() as u16,
        socket: 0,
        tos: 0,
    };
    let payload = [&other[..], &good, &other, &good].concat();
    let tunnel = nodes.tunnel;
    nodes.sims[0].inject(tunnel, super::nodes::datagram(header, &payload));
    nodes.run();
    assert_eq!(nodes.counts()[0], [2, 0, 0]);
    assert_eq!(nodes.drops(0, DropReason::TunnelUnknownVni), 2);
    nodes.check();
}
