use std::vec;
use std::vec::Vec;

use crate::frames::{Link, tcp as emit};
use crate::{MacAddr, ip, tcp::Repr};

use super::*;

/// A segment with these flags and this MSS, and its metadata.
fn segment(is_v6: bool, flags: Flags, mss: Option<u16>) -> (Meta, Vec<u8>) {
    let link = Link::new(MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
    let address = if is_v6 { [0xfd00; 8].into() } else { [10, 99, 0, 2].into() };
    let header = ip::Repr::new(address, address, crate::Protocol::TCP).expect("one family");
    let repr = Repr { src_port: 1, dst_port: 2, flags, mss, ..Repr::default() };
    let mut buffer = vec![0; 100];
    let len = emit(&mut buffer, &link, &header, &repr, &[]).expect("room");
    buffer.truncate(len);
    (Meta::parse(&buffer).expect("a frame"), buffer)
}

#[track_caller]
fn clamped(is_v6: bool, mss: u16, mtu: u32) -> u16 {
    let (meta, mut frame) = segment(is_v6, Flags::SYN, Some(mss));
    let lowered = clamp(&meta, &mut frame, mtu, ChecksumState::Complete);
    let now = [mss, 1460, 1452, 1440, 1410, 1432, 1412, 1220, 536, MSS_FLOOR, 65495]
        .into_iter()
        .find(|now| segment(is_v6, Flags::SYN, Some(*now)).1 == frame)
        .expect("the segment with one of these values, its checksum right");
    assert_eq!(lowered, (now != mss).then_some(mss));
    now
}

/// RFC 6691 section 2: the MTU less the fixed headers.
#[test]
fn rfc6691_2_the_mtu_less_fixed_headers() {
    assert_eq!(clamped(false, 65495, 1500), 1460);
    assert_eq!(clamped(true, 65495, 1500), 1440);
    assert_eq!(clamped(false, 1460, 1450), 1410, "a VXLAN tunnel");
    assert_eq!(clamped(false, 1460, 1492), 1452, "PPPoE");
    assert_eq!(clamped(true, 1440, 1492), 1432);
    assert_eq!(clamped(true, 1440, 1280), 1220, "RFC 8200: what every IPv6 link carries");
    assert_eq!(clamped(false, 1460, 576), 536, "RFC 879: what every IPv4 host takes");
}

#[test]
fn is_never_raised() {
    assert_eq!(clamped(false, 536, 1500), 536);
    assert_eq!(clamped(false, 1460, 1500), 1460);
    assert_eq!(clamped(false, 65495, 65535), 65495);
    assert_eq!(clamped(false, 65495, u32::MAX), 65495);
}

#[test]
fn an_impossible_mtu_leaves_the_floor() {
    assert_eq!(clamped(false, 1460, 0), MSS_FLOOR);
    assert_eq!(clamped(true, 1460, 61), MSS_FLOOR);
}

/// Both ends hear of it: who asks, and who answers (RFC 9293 section 3.7.1 puts it into SYNs only).
#[test]
fn rfc9293_3_7_1_in_both_syns_and_in_nothing_else() {
    let lowered = |flags, mss| {
        let (meta, mut frame) = segment(false, flags, mss);
        let before = frame.clone();
        let lowered = clamp(&meta, &mut frame, 576, ChecksumState::Complete);
        assert_eq!(lowered.is_some(), frame != before);
        lowered
    };
    assert_eq!(lowered(Flags::SYN, Some(1460)), Some(1460));
    assert_eq!(lowered(Flags::SYN.with(Flags::ACK), Some(1460)), Some(1460));
    assert_eq!(lowered(Flags::ACK, Some(1460)), None);
    assert_eq!(lowered(Flags::SYN, None), None, "the default fits every path");
}

/// A partial checksum does not cover the option.
#[test]
fn a_partial_checksum_stays_as_it_is() {
    let (meta, mut frame) = segment(false, Flags::SYN, Some(1460));
    let at = usize::from(meta.l4_offset) + 16;
    let field = [frame[at], frame[at + 1]];
    assert_eq!(clamp(&meta, &mut frame, 1450, ChecksumState::Partial), Some(1460));
    assert_eq!([frame[at], frame[at + 1]], field);
}

#[test]
fn other_frames_are_left_alone() {
    let (meta, mut frame) = segment(false, Flags::SYN, Some(1460));
    frame[23] = 17;
    let other = Meta { l4: L4::Udp, ..meta };
    let before = frame.clone();
    assert_eq!(clamp(&other, &mut frame, 576, ChecksumState::Complete), None);
    assert_eq!(frame, before);
    assert_eq!(clamp(&meta, &mut frame[..30], 576, ChecksumState::Complete), None, "cut off");
}
