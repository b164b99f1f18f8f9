use wire::Protocol;
use wire::frames::{Link, udp as emit_udp};
use wire::{MacAddr, ip, udp as udp_wire};

use super::*;
use crate::tuple::Endpoint;

fn frame() -> Vec<u8> {
    let link = Link::new(MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
    let header = ip::Repr::new([10, 99, 0, 2].into(), [1, 1, 1, 1].into(), Protocol::UDP);
    let mut buffer = vec![0; 100];
    let ports = udp_wire::Repr { src_port: 40_000, dst_port: 53 };
    let len = emit_udp(&mut buffer, &link, &header.expect("one family"), &ports, b"question");
    buffer.truncate(len.expect("room"));
    buffer
}

fn edit() -> Edit {
    let src = Endpoint::new([192, 0, 2, 1].into(), 20_000);
    Edit { src, dst: Endpoint::new([1, 1, 1, 1].into(), 53), quoted: None }
}

/// The frame with another protocol number, its checksum mended.
fn with_protocol(protocol: Protocol) -> Vec<u8> {
    let mut frame = frame();
    frame[23] = protocol.0;
    ipv4::Packet::new_quoted(&mut frame[14..]).expect("a header").fill_checksum();
    frame
}

#[track_caller]
fn refused(frame: &[u8], edit: &Edit, error: RewriteError) {
    let meta = Meta::parse(frame).expect("a frame");
    let mut changed = frame.to_vec();
    assert_eq!(rewrite(edit, &meta, &mut changed, ChecksumState::Complete), Err(error));
    assert_eq!(changed, frame, "untouched");
}

/// RFC 768: no checksum stays none, and no checksum becomes none.
#[test]
fn rfc768_no_checksum() {
    let mut none = frame();
    let meta = Meta::parse(&none).expect("a frame");
    none[40..42].fill(0);
    rewrite(&edit(), &meta, &mut none, ChecksumState::Complete).expect("UDP");
    assert_eq!(none[40..42], [0, 0]);
    // A source port that makes the checksum come out as 0, which is written as the other zero.
    let mut frame = frame();
    let field = u16::from_be_bytes([frame[40], frame[41]]);
    let same = Endpoint::new([10, 99, 0, 2].into(), wire::checksum::add(40_000, field));
    let edit = Edit { src: same, ..edit() };
    rewrite(&edit, &meta, &mut frame, ChecksumState::Complete).expect("UDP");
    assert_eq!(frame[40..42], [0xff, 0xff]);
}

#[test]
fn protocols_without_ports_get_addresses_only() {
    let before = with_protocol(Protocol(47));
    let meta = wire::Meta::parse(&before).expect("a frame");
    let mut frame = before.clone();
    rewrite(&edit(), &meta, &mut frame, ChecksumState::Complete).expect("GRE");
    let ip = wire::ipv4::Packet::new_checked(&frame[14..]).expect("IPv4");
    assert!(ip.verify_checksum());
    assert_eq!((ip.src().into(), ip.dst().into()), (edit().src.address, edit().dst.address));
    assert_eq!(frame[34..], before[34..], "the payload is as it was");
}

#[test]
fn other_frames_are_refused() {
    let mut arp = frame();
    arp[12..14].copy_from_slice(&[8, 6]);
    refused(&arp, &edit(), RewriteError::Protocol(L4::None));
}

/// RFC 5508 section 4: an error is forwarded with the packet that it quotes translated, or not at all.
#[test]
fn rfc5508_4_an_error_needs_its_quote() {
    let mut error = with_protocol(Protocol::ICMPV4);
    error[34..42].copy_from_slice(&[3, 3, 0, 0, 0, 0, 0, 0]);
    refused(&error, &edit(), RewriteError::Quote);
    let both = Some((edit().src, edit().dst));
    refused(&error, &Edit { quoted: both, ..edit() }, RewriteError::Quote);
    let v6 = Endpoint::new([0x2001; 8].into(), 1);
    refused(&error, &Edit { quoted: Some((v6, v6)), ..edit() }, RewriteError::Quote);
    // A redirect would tell an address of the wrong side.
    error[34] = 5;
    refused(&error, &Edit { quoted: both, ..edit() }, RewriteError::Protocol(L4::Icmpv4));
}

#[test]
fn the_head_of_an_sctp_packet_keeps_its_ports() {
    let mut head = with_protocol(Protocol::SCTP);
    head[20] = 0x20;
    refused(&head, &edit(), RewriteError::SctpFragment(20_000));
    let src = Endpoint::new([192, 0, 2, 1].into(), 40_000);
    let edit = Edit { src, ..edit() };
    let meta = Meta::parse(&head).expect("a frame");
    let before = head.clone();
    assert_eq!(rewrite(&edit, &meta, &mut head, ChecksumState::Complete), Ok(()));
    assert_eq!((&head[26..30], &head[34..]), (&[192, 0, 2, 1][..], &before[34..]));
}

/// RFC 9653 section 5: a CRC32c of 0 says that there is none.
#[test]
fn rfc9653_an_sctp_checksum_of_zero_stays() {
    let mut packet = with_protocol(Protocol::SCTP);
    packet[42..46].fill(0);
    let meta = Meta::parse(&packet).expect("a frame");
    assert_eq!(rewrite(&edit(), &meta, &mut packet, ChecksumState::Complete), Ok(()));
    assert_eq!((&packet[34..36], &packet[42..46]), (&20_000_u16.to_be_bytes()[..], &[0; 4][..]));
}

#[test]
fn metadata_of_another_frame_is_refused() {
    let frame = frame();
    let meta = Meta::parse(&frame).expect("a frame");
    for (l4, len) in [(L4::Udp, 40), (L4::Tcp, 36), (L4::Sctp, 40), (L4::Icmpv4, 20)] {
        let mut cut = frame[..len].to_vec();
        let done = rewrite(&edit(), &Meta { l4, ..meta }, &mut cut, ChecksumState::Complete);
        assert_eq!(done, Err(RewriteError::Frame { len }));
        assert_eq!(cut, frame[..len]);
    }
}
