//! A rewritten packet is the one that the other sender would have made.

use proptest::prelude::*;
use vswitch_nat::parse::view;
use vswitch_nat::rewrite::{RewriteError, rewrite};
use vswitch_nat::{Edit, Kind, Transport};
use wire::checksum::{add, complete_partial, sum, udp_nonzero};
use wire::{ChecksumState, Meta, Protocol, ip, vlan};

use crate::config;
use crate::packet::{Carries, Ends, Packet, Part, ends, error_type, packet};

/// The new ends that fit the packet: one identifier for both ports of an echo.
fn fitting(packet: &Packet, mut new: Ends) -> Ends {
    match &packet.carries {
        Carries::Echo { .. } => new.dst.port = new.src.port,
        // An error's own ports are none, and stay what they are in the model.
        Carries::Error { .. } => {
            (new.src.port, new.dst.port) = (packet.ends.src.port, packet.ends.dst.port);
        }
        Carries::Sctp if packet.cut.is_some() => {
            (new.src.port, new.dst.port) = (packet.ends.src.port, packet.ends.dst.port);
        }
        _ => {}
    }
    new
}

fn edit(ends: Ends, quoted: Option<Ends>) -> Edit {
    Edit { src: ends.src, dst: ends.dst, quoted: quoted.map(|ends| (ends.src, ends.dst)) }
}

/// The packet, what its sender changes to, and what the one that it quotes does.
fn case() -> impl Strategy<Value = (Packet, Ends, Ends)> {
    any::<bool>().prop_flat_map(case_of)
}

fn case_of(is_v6: bool) -> impl Strategy<Value = (Packet, Ends, Ends)> {
    (packet(is_v6), ends(is_v6), ends(is_v6)).prop_map(|(packet, new, quoted)| {
        let new = fitting(&packet, new);
        let quoted = match &packet.carries {
            Carries::Error { quoted: inner, .. } => fitting(inner, quoted),
            _ => quoted,
        };
        (packet, new, quoted)
    })
}

fn quoted_ends(packet: &Packet) -> Option<Ends> {
    match &packet.carries {
        Carries::Error { quoted, .. } => Some(quoted.ends),
        _ => None,
    }
}

/// The CRC of an SCTP packet that is quoted is beyond what an error can mend.
fn quotes_sctp(packet: &Packet) -> bool {
    matches!(&packet.carries, Carries::Error { quoted, .. } if matches!(quoted.carries, Carries::Sctp))
}

/// There, as if made anew, and back.
fn check(packet: &Packet, new: Ends, quoted: Ends) {
    let original = packet.frame();
    let quoted = quoted_ends(packet).map(|_| quoted);
    let remade = packet.between(new, quoted.unwrap_or(new));
    let expected = remade.frame();
    let meta = Meta::parse(&original).unwrap();

    let mut frame = original.clone();
    rewrite(&edit(new, quoted), &meta, &mut frame, ChecksumState::Complete).unwrap();
    if !quotes_sctp(packet) {
        assert_eq!(frame, expected, "made anew");
    }
    assert_eq!(Meta::parse(&frame), Meta::parse(&expected));
    let back = edit(packet.ends, quoted_ends(packet));
    rewrite(&back, &meta, &mut frame, ChecksumState::Complete).unwrap();
    assert_eq!(frame, original, "there and back");

    check_view(packet);
    check_view(&remade);
}

/// The view says what the packet was made to say.
fn check_view(packet: &Packet) {
    let frame = packet.frame();
    let view = view(&Meta::parse(&frame).unwrap(), &frame);
    assert_eq!((view.src, view.dst), (packet.ends.src.address, packet.ends.dst.address));
    assert_eq!(view.len as usize, frame.len() - 14);
    assert_eq!(view.fragment.is_some(), packet.cut.is_some());
    match (view.kind, packet.cut, &packet.carries) {
        (Kind::Tail(transport), Some((_, Part::Tail)), _) => {
            assert_eq!(transport, packet.transport());
            assert!(view.fragment.is_some_and(|fragment| fragment.offset > 0 && !fragment.more));
        }
        (Kind::Error(found), _, Carries::Error { quoted, kind, .. }) => {
            assert_eq!((found.tuple.src, found.tuple.dst), (quoted.ends.src, quoted.ends.dst));
            assert_eq!(found.tuple.transport, quoted.transport());
            let is_tcp = quoted.transport() == Transport::Tcp;
            assert_eq!(found.seq, is_tcp.then_some(0xdead_beef));
            let mtu = match error_type(packet.is_v6(), *kind) {
                (3, 4) | (2, 0) => Some(0x500),
                _ => None,
            };
            assert_eq!(found.mtu, mtu);
        }
        (Kind::Flow { tuple, segment, is_request }, None | Some((_, Part::Head)), carries) => {
            assert_eq!((tuple.src, tuple.dst), (packet.ends.src, packet.ends.dst));
            assert_eq!(tuple.transport, packet.transport());
            assert_eq!(is_request, matches!(carries, Carries::Echo { is_request: true }));
            if let Some(segment) = segment {
                assert_eq!((segment.seq, segment.ack, segment.window), (0xdead_beef, 0, 500));
                let scale = matches!(carries, Carries::Tcp { options: true }).then_some(7);
                assert_eq!(segment.window_scale, scale);
            }
            assert_eq!(segment.is_some(), matches!(carries, Carries::Tcp { .. }));
        }
        other => panic!("{other:?}"),
    }
}

/// The sum of the pseudo-header of a whole packet.
fn pseudo(packet: &Packet, ends: Ends, len: usize) -> u16 {
    let protocol = match packet.carries {
        Carries::Tcp { .. } => Protocol::TCP,
        _ => Protocol::UDP,
    };
    let ip = ip::Repr::new(ends.src.address, ends.dst.address, protocol).unwrap();
    ip.pseudo_header(len)
}

/// A partial checksum stays partial; completed, the packet is the one made anew.
fn check_partial(packet: &Packet, new: Ends) {
    let offset = match packet.carries {
        Carries::Tcp { .. } => 16,
        Carries::Udp { checksum: true } => 6,
        _ => return,
    };
    let (mut frame, mut expected) = (packet.frame(), packet.between(new, new).frame());
    let meta = Meta::parse(&frame).unwrap();
    if meta.fragment {
        return;
    }
    let at = usize::from(meta.l4_offset + offset);
    let len = frame.len() - usize::from(meta.l4_offset);
    frame[at..at + 2].copy_from_slice(&pseudo(packet, packet.ends, len).to_be_bytes());
    rewrite(&edit(new, None), &meta, &mut frame, ChecksumState::Partial).unwrap();
    let field = u16::from_be_bytes([frame[at], frame[at + 1]]);
    assert_eq!(field, pseudo(packet, new, len), "partial");
    complete_partial(&mut frame, meta.l4_offset, offset).unwrap();
    // Completing knows no protocol, and writes 0 as the other zero for TCP as well.
    let field = udp_nonzero(u16::from_be_bytes([expected[at], expected[at + 1]]));
    expected[at..at + 2].copy_from_slice(&field.to_be_bytes());
    assert_eq!(frame, expected, "completed");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_rewritten_packet_is_one_made_anew((packet, new, quoted) in case()) {
        check(&packet, new, quoted);
    }

    #[test]
    fn a_partial_checksum_stays_partial((packet, new, _) in case()) {
        check_partial(&packet, new);
    }

    /// What a frame without a tag becomes, one with tags becomes as well, behind the same tags.
    #[test]
    fn tags_and_padding_are_left_alone(
        (packet, new, quoted) in case(),
        tags in 1..=2_usize,
        padding in 0..20_usize,
    ) {
        let (mut buffer, mut start) = ([&[0; 8][..], &packet.frame()].concat(), 8);
        for _ in 0..tags {
            let tag = vlan::Tag { tpid: wire::EtherType::VLAN, tci: wire::Tci(10) };
            start = vlan::push(&mut buffer, start, tag).unwrap();
        }
        let mut tagged = buffer.split_off(start);
        tagged.resize(tagged.len() + padding, 0x55);
        let meta = Meta::parse(&tagged).unwrap();
        let before = tagged.clone();
        let edit = edit(new, quoted_ends(&packet).map(|_| quoted));
        rewrite(&edit, &meta, &mut tagged, ChecksumState::Complete).unwrap();
        let l3 = usize::from(meta.l3_offset);
        prop_assert_eq!(&tagged[..l3], &before[..l3]);
        prop_assert_eq!(&tagged[meta.l3_end()..], &before[meta.l3_end()..]);
        let mut plain = packet.frame();
        let plain_meta = Meta::parse(&plain).unwrap();
        rewrite(&edit, &plain_meta, &mut plain, ChecksumState::Complete).unwrap();
        prop_assert_eq!(meta.l3_bytes(&tagged), &plain[14..]);
    }

    /// A wrong checksum is as wrong afterwards: translation does not whitewash a broken packet.
    #[test]
    fn a_wrong_checksum_stays_wrong(
        (packet, new, quoted) in case_of(false),
        error in 1..0xffff_u16,
    ) {
        let mut frame = packet.frame();
        let meta = Meta::parse(&frame).unwrap();
        let field = |frame: &[u8]| u16::from_be_bytes([frame[24], frame[25]]);
        let wrong = add(field(&frame), error);
        frame[24..26].copy_from_slice(&wrong.to_be_bytes());
        let header = usize::from(meta.l4_offset);
        let off = sum(&frame[14..header]);
        let edit = edit(new, quoted_ends(&packet).map(|_| quoted));
        rewrite(&edit, &meta, &mut frame, ChecksumState::Complete).unwrap();
        prop_assert_eq!(sum(&frame[14..header]), off);
    }

    #[test]
    fn the_other_family_is_refused((packet, _, quoted) in case(), (v4, v6) in (ends(false), ends(true))) {
        let original = packet.frame();
        let other = if packet.is_v6() { v4 } else { v6 };
        let edit = edit(other, quoted_ends(&packet).map(|_| quoted));
        let mut frame = original.clone();
        let meta = Meta::parse(&frame).unwrap();
        let is_sctp_head = matches!(packet.carries, Carries::Sctp) && packet.cut.is_some();
        let error = rewrite(&edit, &meta, &mut frame, ChecksumState::Complete).unwrap_err();
        let is_family = matches!(error, RewriteError::Family { .. });
        prop_assert!(is_family || is_sctp_head, "{error}");
        prop_assert_eq!(frame, original);
    }
}
