//! The MTU of the path to a VTEP.

use fastpath::limits::VNET_LEN;
use wire::meta::{L3, L4, Meta};
use wire::tcp::{Flags, Packet};

use super::nodes::{GATEWAY, GATEWAY6, Nodes};
use super::traffic::{gso, tcp, tcp_with, udp};
use crate::datapath::*;

/// The path to the second node is narrower than the network.
const NARROW: u32 = 1300;

fn narrow() -> Nodes {
    let mut nodes = Nodes::new(2);
    nodes.vteps(0, |_, conf| conf.mtu = NARROW);
    nodes
}

/// Clears DF.
fn may_be_cut(mut frame: Vec<u8>) -> Vec<u8> {
    frame[VNET_LEN + 20] &= !0x40;
    let ip = VNET_LEN + 14;
    frame[ip + 10..ip + 12].fill(0);
    let sum = wire::checksum::checksum(&frame[ip..ip + 20]);
    frame[ip + 10..ip + 12].copy_from_slice(&sum.to_be_bytes());
    frame
}

#[test]
fn a_sender_of_long_packets_is_told_by_the_gateway() {
    let long = vec![7; 1350];
    let v4 = udp((0, 0), (1, 0), 5000, &long);
    let v6 = tcp((0, 0), (1, 0), true, &long);
    let gso4 = gso(&tcp((0, 0), (1, 0), false, &vec![7; 9000]), 1400);
    let gso6 = gso(&tcp((0, 0), (1, 0), true, &vec![7; 9000]), 1390);
    for (sent, is_ipv6) in [(v4, false), (v6, true), (gso4, false), (gso6, true)] {
        let mut nodes = narrow();
        nodes.inject(0, 0, sent);
        nodes.run();
        assert!(nodes.carried.is_empty());
        assert_eq!(nodes.sims[0].drops(0, DropReason::TunnelTooBig), 1);
        let answers = nodes.sent(0, 0);
        assert_eq!(answers.len(), 1);
        let answer = &answers[0][VNET_LEN..];
        let meta = Meta::parse(answer).expect("a frame");
        let icmp = meta.l4_bytes(answer);
        assert_eq!(meta.src, nodes_gateway());
        match is_ipv6 {
            false => {
                assert_eq!((meta.l3, meta.l4), (L3::Ipv4, L4::Icmpv4));
                assert_eq!(answer[26..30], GATEWAY.octets());
                assert_eq!((icmp[0], icmp[1]), (3, 4), "fragmentation needed");
                assert_eq!(icmp[6..8], (NARROW as u16).to_be_bytes());
            }
            true => {
                assert_eq!((meta.l3, meta.l4), (L3::Ipv6, L4::Icmpv6));
                assert_eq!(answer[22..38], GATEWAY6.octets());
                assert_eq!((icmp[0], icmp[1]), (2, 0), "packet too big");
                assert_eq!(icmp[4..8], NARROW.to_be_bytes());
            }
        }
        assert_eq!(nodes.sims[0].state().tunnel_counters().icmp_errors_sent, 1);
        nodes.check();
    }
}

fn nodes_gateway() -> wire::MacAddr {
    crate::datapath::tests::sim::network().mac
}

#[test]
fn errors_have_a_limit() {
    let mut nodes = narrow();
    for _ in 0..400 {
        nodes.inject(0, 0, udp((0, 0), (1, 0), 5000, &[7; 1350]));
    }
    nodes.run();
    let counters = nodes.sims[0].state().tunnel_counters();
    assert_eq!(counters.icmp_errors_sent + counters.icmp_errors_suppressed, 400);
    assert!(counters.icmp_errors_suppressed > 200, "{counters:?}");
    nodes.check();
}

#[test]
fn a_long_packet_without_df_is_fragmented() {
    let mut nodes = narrow();
    nodes.inject(0, 0, may_be_cut(udp((0, 0), (1, 0), 5000, &[7; 1350])));
    nodes.run();
    let lengths: Vec<_> =
        nodes.sent(1, 0).iter().map(|frame| frame.len() - VNET_LEN - 34).collect();
    assert_eq!(lengths.iter().sum::<usize>(), 1358);
    assert_eq!(lengths.len(), 2);
    assert!(lengths.iter().all(|len| len + 20 <= NARROW as usize));
    nodes.check();
}

#[test]
fn a_gso_frame_without_df_gets_smaller_segments() {
    let mut nodes = narrow();
    let sent = vec![7; 9000];
    nodes.inject(0, 0, gso(&may_be_cut(tcp((0, 0), (1, 0), false, &sent)), 1400));
    nodes.run();
    let longest = nodes.carried.iter().map(|(_, _, datagram)| datagram.len() - 8 - 14).max();
    assert_eq!(longest, Some(NARROW as usize));
    let bytes: usize = nodes.sent(1, 0).iter().map(|frame| frame.len() - VNET_LEN - 54).sum();
    assert_eq!(bytes, sent.len());
    nodes.check();
}

#[test]
fn what_fits_the_path_passes_as_it_is() {
    let mut nodes = narrow();
    let fits = udp((0, 0), (1, 0), 5000, &vec![7; NARROW as usize - 28]);
    let whole = gso(&tcp((0, 0), (1, 0), false, &vec![7; 9000]), NARROW as u16 - 40);
    nodes.inject(0, 0, fits.clone());
    nodes.inject(0, 0, whole);
    nodes.run();
    let got = nodes.sent(1, 0);
    assert_eq!(got[0], fits);
    assert_eq!(got[1..].iter().map(|it| it.len() - VNET_LEN - 54).sum::<usize>(), 9000);
    assert_eq!(nodes.sims[0].drops(0, DropReason::TunnelTooBig), 0);
    nodes.check();
}

#[test]
fn a_flood_that_is_too_long_for_one_node_reaches_the_others() {
    let mut nodes = Nodes::new(3);
    nodes.vteps(0, |other, conf| conf.mtu = if other == 1 { NARROW } else { conf.mtu });
    let mut long = udp((0, 0), (1, 0), 5000, &[7; 1350]);
    long[12..18].copy_from_slice(&[0xff; 6]);
    nodes.inject(0, 0, long);
    nodes.run();
    assert_eq!(nodes.counts(), [[0, 1, 1], [0; 3], [1; 3]]);
    assert_eq!(nodes.sims[0].drops(0, DropReason::TunnelTooBig), 1);
    assert_eq!(nodes.sims[0].stats().vteps()[1].drops, 1);
    nodes.check();
}

/// The MSS of the SYN in a frame.
fn mss(frame: &[u8]) -> Option<u16> {
    let meta = Meta::parse(&frame[VNET_LEN..]).expect("a frame");
    let segment = meta.l4_bytes(&frame[VNET_LEN..]);
    assert!(Packet::new_checked(segment).is_ok());
    (segment[20] == 2).then(|| u16::from_be_bytes([segment[22], segment[23]]))
}

#[test]
fn the_mss_of_both_directions_is_clamped() {
    for (is_ipv6, clamped) in [(false, NARROW as u16 - 40), (true, NARROW as u16 - 60)] {
        for (from, to) in [((0, 0), (1, 0)), ((1, 0), (0, 0))] {
            // Only the first node knows that the path is narrow.
            let mut nodes = narrow();
            let change = |repr| wire::tcp::Repr { flags: Flags::SYN, mss: Some(1410), ..repr };
            nodes.inject(from.0, from.1, tcp_with(from, to, is_ipv6, change, &[]));
            nodes.run();
            let got = nodes.sent(to.0, to.1);
            assert_eq!(mss(&got[0]), Some(clamped), "{from:?} to {to:?}");
            let meta = Meta::parse(&got[0][VNET_LEN..]).expect("a frame");
            assert!(super::traffic::has_right_checksum(&meta, &got[0][VNET_LEN..]));
            nodes.check();
        }
    }
}

/// Floods are judged as unicast is: segments with all their headers.
#[test]
fn a_flood_of_segments_that_are_just_too_long_stays_here() {
    for (size, carried) in [(NARROW as u16 - 28, 5), (NARROW as u16 - 27, 0)] {
        let mut nodes = narrow();
        let mut whole = gso(&udp((0, 0), (1, 0), 5000, &[7; 6_000]), size);
        whole[12..18].copy_from_slice(&[0xff; 6]);
        nodes.inject(0, 0, whole);
        nodes.run();
        assert_eq!(nodes.carried.len(), carried, "segments of {size}");
        assert_eq!(nodes.sims[0].drops(0, DropReason::TunnelTooBig), 5 - carried as u64);
        nodes.check();
    }
}

#[test]
fn the_mss_of_a_flooded_syn_is_that_of_the_narrowest_path() {
    for (is_ipv6, clamped) in [(false, NARROW as u16 - 40), (true, NARROW as u16 - 60)] {
        let mut nodes = Nodes::new(3);
        nodes.vteps(0, |other, conf| conf.mtu = if other == 1 { NARROW } else { conf.mtu });
        let change = |repr| wire::tcp::Repr { flags: Flags::SYN, mss: Some(1410), ..repr };
        let mut syn = tcp_with((0, 0), (1, 0), is_ipv6, change, &[]);
        syn[12..18].copy_from_slice(&[2, 9, 9, 9, 9, 9]);
        nodes.inject(0, 0, syn.clone());
        nodes.run();
        for node in [1, 2] {
            assert_eq!(mss(&nodes.sent(node, 0)[0]), Some(clamped), "node {node}");
        }
        assert_eq!(nodes.sent(0, 1), [syn], "here it is as it was");
        nodes.check();
    }
}
