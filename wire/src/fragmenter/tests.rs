use std::vec;
use std::vec::Vec;

use crate::frames::{Link, udp};
use crate::{MacAddr, ip, udp as udp_wire};

use super::*;

/// A UDP packet of this many bytes of IP payload that may be fragmented, with these options.
fn frame(payload: usize, options: &[u8]) -> Vec<u8> {
    let link = Link::new(MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
    let repr =
        crate::ipv4::Repr::new([10, 99, 0, 2].into(), [1, 1, 1, 1].into(), crate::Protocol::UDP);
    let header = ip::Repr::V4(crate::ipv4::Repr { dont_fragment: false, ident: 0x1234, ..repr });
    let content: Vec<u8> = (0..payload - 8).map(|n| (n * 31 + n / 251) as u8).collect();
    let mut buffer = vec![0; payload + 100];
    let ports = udp_wire::Repr { src_port: 1, dst_port: 2 };
    let len = udp(&mut buffer, &link, &header, &ports, &content).expect("room");
    buffer.truncate(len);
    buffer.splice(34..34, options.iter().copied());
    let mut ip = Packet::new_quoted(&mut buffer[14..]).expect("a header");
    ip.set_total_len((20 + options.len() + payload) as u16);
    buffer[14] = 0x45 + options.len() as u8 / 4;
    Packet::new_quoted(&mut buffer[14..]).expect("a header").fill_checksum();
    // Padding, which is no part of the packet.
    buffer.resize(buffer.len() + 3, 0xee);
    buffer
}

fn meta(frame: &[u8]) -> Meta {
    Meta::parse(frame).expect("a frame")
}

fn cut(frame: &[u8], mtu: u32) -> Vec<Vec<u8>> {
    let mut fragments = fragment_ipv4(&meta(frame), frame, mtu).expect("it can be cut");
    let mut out = Vec::new();
    let mut buffer = vec![0; 70_000];
    while let Some(expected) = fragments.next_len() {
        let len = fragments.write_next(&mut buffer).expect("room");
        assert_eq!(len, expected);
        out.push(buffer[..len].to_vec());
    }
    assert_eq!(fragments.write_next(&mut buffer), None);
    out
}

/// Puts fragments together; each fits the MTU and says the truth.
#[track_caller]
fn assembled(pieces: &[Vec<u8>], mtu: usize) -> Vec<u8> {
    let (mut payload, mut at) = (Vec::new(), None);
    for (n, piece) in pieces.iter().enumerate() {
        let ip = Packet::new_checked(&piece[14..]).expect("a packet");
        assert_eq!(piece[..14], pieces[0][..14]);
        assert!(piece.len() - 14 <= mtu && usize::from(ip.total_len()) == piece.len() - 14);
        assert!(ip.verify_checksum() && ip.ident() == 0x1234 && !ip.dont_fragment());
        let at = at.get_or_insert(ip.fragment_offset());
        assert_eq!(ip.fragment_offset(), *at, "piece {n}");
        *at += ip.payload().len() as u16;
        payload.extend_from_slice(ip.payload());
    }
    payload
}

/// RFC 791 section 3.2: units of eight bytes, more-fragments in all but the last, offsets that add up.
#[test]
fn rfc791_3_2_fragments_make_the_packet_again() {
    for (payload, mtu) in [(1480, 1500), (1481, 1500), (4000, 1500), (65_000, 1499), (100, 28)] {
        let frame = frame(payload, &[]);
        let pieces = cut(&frame, mtu);
        let room = (mtu as usize - 20) / 8 * 8;
        assert_eq!(pieces.len(), payload.div_ceil(room));
        assert_eq!(assembled(&pieces, mtu as usize), frame[34..34 + payload]);
        for (n, piece) in pieces.iter().enumerate() {
            let more = Packet::new_checked(&piece[14..]).expect("a packet").more_fragments();
            assert_eq!(more, n + 1 < pieces.len());
        }
    }
    let frame = frame(1000, &[]);
    assert_eq!(cut(&frame, 1500), [frame[..1034].to_vec()], "one that fits stays what it is");
}

/// RFC 791 section 3.2: a fragment may be cut again; the last of a middle one is not the packet's last.
#[test]
fn rfc791_3_2_a_fragment_is_cut_again() {
    let whole = frame(4000, &[]);
    let first = cut(&whole, 1500);
    let second: Vec<Vec<u8>> = first.iter().flat_map(|piece| cut(piece, 600)).collect();
    assert_eq!(assembled(&second, 600), whole[34..4034]);
    let more =
        |piece: &Vec<u8>| Packet::new_checked(&piece[14..]).expect("a packet").more_fragments();
    assert_eq!(second.iter().filter(|piece| !more(piece)).count(), 1);
    assert!(!more(second.last().expect("pieces")));
}

/// RFC 791 section 3.1: options with the copied flag go into all fragments, the others into the first.
#[test]
fn rfc791_3_1_options_are_copied_or_not() {
    // Record route (not copied), router alert (copied), end of list.
    let options = [7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 0];
    let pieces = cut(&frame(3000, &options), 1500);
    assert_eq!(pieces[0][34..46], options);
    for piece in &pieces[1..] {
        assert_eq!(piece[34..46], [1, 1, 1, 1, 1, 1, 1, 148, 4, 0, 0, 0]);
    }
    assert_eq!(assembled(&pieces, 1500).len(), 3000);
}

#[test]
fn what_cannot_be_cut() {
    let plain = frame(3000, &[]);
    let error =
        |frame: &[u8], mtu| fragment_ipv4(&meta(frame), frame, mtu).expect_err("no fragments");
    assert_eq!(error(&plain, 27), FragmentationError::Mtu { mtu: 27, header_len: 20 });
    assert_eq!(error(&frame(3000, &[7, 1, 0, 0]), 1500), FragmentationError::Options);
    let mut whole = plain.clone();
    whole[20] = 0x40;
    assert_eq!(error(&whole, 1500), FragmentationError::DontFragment);
    let mut beyond = plain.clone();
    beyond[20..22].copy_from_slice(&[0x1f, 0xff]);
    assert_eq!(error(&beyond, 1500), FragmentationError::End(65_528 + 3000));
    let mut v6 = plain.clone();
    v6[12..14].copy_from_slice(&[0x86, 0xdd]);
    assert_eq!(error(&v6, 1500), FragmentationError::NotIpv4(meta(&v6).l3));
    let arp = Meta { l3: L3::Arp, ..meta(&plain) };
    assert_eq!(
        fragment_ipv4(&arp, &plain, 1500).expect_err("no IPv4"),
        FragmentationError::NotIpv4(L3::Arp)
    );
}

#[test]
fn a_short_buffer_gets_nothing_and_loses_nothing() {
    let frame = frame(3000, &[]);
    let mut fragments = fragment_ipv4(&meta(&frame), &frame, 1500).expect("it can be cut");
    let len = fragments.next_len().expect("a fragment");
    assert_eq!(fragments.write_next(&mut vec![0; len - 1]), None);
    assert_eq!(fragments.next_len(), Some(len));
    assert_eq!(fragments.write_next(&mut vec![0; len]), Some(len));
}
