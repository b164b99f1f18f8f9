//! Packets that come in fragments, and packets that are cut.

use std::time::Duration;

use fastpath::limits::VNET_LEN;
use nat::limits::FRAGMENT_TIMEOUT;
use wire::fragmenter::fragment_ipv4;
use wire::vnet::{Flags, GsoType, Header};
use wire::{Meta, ipv4};

use super::net::*;
use crate::datapath::*;

const FAMILY: Family = Family::V4;

/// A datagram of 1,400 bytes, whole.
fn datagram() -> Vec<u8> {
    let (inner, server) = (at(FAMILY.container(A), 5000), at(FAMILY.remote(), 53));
    let mut frame = udp(up(A), inner, server, &[0x5a; 1400]);
    set_fragment(&mut frame, false);
    frame
}

/// The same in fragments, the first first.
pub(super) fn fragments(frame: &[u8], mtu: u32) -> Vec<Vec<u8>> {
    let ethernet = &frame[VNET_LEN..];
    let meta = Meta::parse(ethernet).expect("a frame");
    let mut pieces = fragment_ipv4(&meta, ethernet, mtu).expect("it may be cut");
    let mut cut = Vec::new();
    while let Some(len) = pieces.next_len() {
        let mut piece = vec![0; VNET_LEN + len];
        pieces.write_next(&mut piece[VNET_LEN..]).expect("there is room");
        cut.push(piece);
    }
    cut
}

/// Puts a packet together again: what it says, and how many bytes long the fragments were.
pub(super) fn assemble(frames: &[Vec<u8>]) -> (Seen, Vec<usize>) {
    let (mut whole, mut lengths) = (Vec::new(), Vec::new());
    for frame in frames {
        let packet = ipv4::Packet::new_checked(&frame[VNET_LEN + 14..]).expect("IPv4");
        assert!(packet.verify_checksum());
        let at = usize::from(packet.fragment_offset());
        whole.resize(whole.len().max(at + packet.payload().len()), 0);
        whole[at..at + packet.payload().len()].copy_from_slice(packet.payload());
        lengths.push(packet.total_len().into());
    }
    let head = frames.iter().find(|frame| {
        ipv4::Packet::new_checked(&frame[VNET_LEN + 14..]).expect("IPv4").fragment_offset() == 0
    });
    let mut frame = head.expect("a head")[..VNET_LEN + 14 + 20].to_vec();
    frame.extend(&whole);
    let mut ip = ipv4::Packet::new_quoted(&mut frame[VNET_LEN + 14..]).expect("IPv4");
    ip.set_total_len(20 + whole.len() as u16);
    ip.set_fragment(false, false, 0);
    ip.fill_checksum();
    (seen(&frame), lengths)
}

#[test]
pub(super) fn fragments_are_translated_in_whatever_order_they_come() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let mut net = TestNet::new();
        let pieces = fragments(&datagram(), 600);
        assert_eq!(pieces.len(), 3);
        for at in order {
            net.sim.inject(A, pieces[at].clone());
            net.sim.run();
        }
        let (out, _) = assemble(&net.sim.sent(UPLINK));
        assert_eq!((out.from.ip(), out.to), (FAMILY.outside(), at(FAMILY.remote(), 53)));
        assert_eq!((out.payload, out.hops), (vec![0x5a; 1400], 63), "{order:?}");
        assert_eq!(net.sim.queued(), 0);
        net.sim.check();
    }
}

#[test]
pub(super) fn fragments_in_one_batch_and_those_for_the_host_pass_as_well() {
    let mut net = TestNet::new();
    for piece in fragments(&datagram(), 600).into_iter().rev() {
        net.sim.inject(A, piece);
    }
    net.sim.run();
    assert_eq!(assemble(&net.sim.sent(UPLINK)).0.payload.len(), 1400);
    let (inner, host) = (at(FAMILY.container(A), 5000), at(FAMILY.gateway(), 53));
    let mut frame = udp(up(A), inner, host, &[1; 1400]);
    set_fragment(&mut frame, false);
    let mut pieces = fragments(&frame, 600);
    pieces.rotate_left(1);
    for piece in &pieces {
        net.sim.inject(A, piece.clone());
    }
    net.sim.run();
    let mut got = net.sim.sent(HOST);
    got.sort();
    pieces.sort();
    assert_eq!(got, pieces, "as they are");
    net.sim.check();
}

#[test]
pub(super) fn a_tail_waits_only_so_long_and_goes_with_its_port() {
    let mut net = TestNet::new();
    let tail = fragments(&datagram(), 600).remove(1);
    net.sim.inject(A, tail.clone());
    net.sim.run();
    assert_eq!(net.sim.queued(), 1);
    net.sim.check();
    net.sim.pass(FRAGMENT_TIMEOUT + Duration::from_secs(1));
    net.sim.run();
    assert_eq!((net.sim.queued(), net.sim.drops(A, DropReason::FragmentTimeout)), (0, 1));
    net.sim.inject(A, tail);
    net.sim.run();
    net.sim.forget(A);
    assert_eq!(net.sim.queued(), 0);
    net.sim.check();
}

#[test]
pub(super) fn fragments_that_overlap_are_dropped() {
    let mut net = TestNet::new();
    let pieces = fragments(&datagram(), 600);
    let others = fragments(&datagram(), 400);
    for piece in [&pieces[0], &pieces[1], &others[2]] {
        net.sim.inject(A, piece.clone());
        net.sim.run();
    }
    assert_eq!(net.sim.drops(A, DropReason::FragmentOverlap), 1);
    net.sim.check();
}

#[test]
pub(super) fn a_packet_that_may_be_cut_is_cut() {
    let mut net = TestNet::new();
    net.change_link(|uplink| uplink.mtu = 600);
    net.sim.inject(A, datagram());
    net.sim.run();
    let (out, lengths) = assemble(&net.sim.sent(UPLINK));
    assert_eq!((out.payload, out.hops), (vec![0x5a; 1400], 63));
    assert_eq!(lengths, [596, 596, 20 + 1408 - 2 * 576]);
    net.sim.check();
}

#[test]
pub(super) fn its_partial_checksum_is_completed_before() {
    let mut net = TestNet::new();
    net.change_link(|uplink| uplink.mtu = 600);
    let mut frame = datagram();
    let header =
        Header { flags: Flags::NEEDS_CSUM, csum_start: 34, csum_offset: 6, ..Header::default() };
    frame[..VNET_LEN].copy_from_slice(&header.to_bytes());
    let ip = ipv4::Packet::new_checked(&frame[VNET_LEN + 14..]).expect("IPv4");
    let pseudo = ip.pseudo_header();
    frame[VNET_LEN + 40..VNET_LEN + 42].copy_from_slice(&pseudo.to_be_bytes());
    net.sim.inject(A, frame);
    net.sim.run();
    let sent = net.sim.sent(UPLINK);
    assert!(sent.iter().all(|frame| frame[..VNET_LEN] == [0; VNET_LEN]), "nothing is left to do");
    // Which checks the checksum.
    assert_eq!(assemble(&sent).0.payload.len(), 1400);
    net.sim.check();
}

#[test]
pub(super) fn a_gso_frame_that_may_be_cut_is_cut_into_smaller_segments() {
    let (inner, server) = (at(FAMILY.container(A), 5000), at(FAMILY.remote(), 80));
    let mut net = TestNet::new();
    net.one(A, tcp(up(A), inner, server, wire::tcp::Flags::SYN, [1000, 0]));
    net.change_link(|uplink| uplink.mtu = 1000);
    for dont_fragment in [false, true] {
        let mut frame = tcp(up(A), inner, server, wire::tcp::Flags::ACK, [1001, 1]);
        frame.resize(VNET_LEN + 54 + 10_000, 7);
        frame[VNET_LEN + 16..VNET_LEN + 18].copy_from_slice(&10_040_u16.to_be_bytes());
        let header = Header {
            flags: Flags::NEEDS_CSUM,
            gso_type: GsoType::TcpV4,
            hdr_len: 54,
            gso_size: 1400,
            csum_start: 34,
            csum_offset: 16,
            ..Header::default()
        };
        frame[..VNET_LEN].copy_from_slice(&header.to_bytes());
        set_fragment(&mut frame, dont_fragment);
        let (port, out) = net.one(A, frame);
        if dont_fragment {
            assert_eq!((port, net.sim.drops(A, DropReason::MtuExceeded)), (A, 1));
        } else {
            assert_eq!((port, out.len()), (UPLINK, VNET_LEN + 54 + 10_000));
            assert_eq!(Header::parse(&out).expect("a header").gso_size, 960);
        }
    }
}
