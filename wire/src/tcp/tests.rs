use std::format;
use std::vec::Vec;

use super::*;
use crate::ipv4;
use crate::testing::{captured, captured_vnet};

fn syn() -> Vec<u8> {
    captured("tcp-syn").split_off(34)
}

fn pseudo_of(frame: &[u8]) -> u16 {
    ipv4::Packet::new_checked(&frame[14..]).unwrap().pseudo_header()
}

fn linux_syn() -> Repr {
    Repr {
        src_port: 42976,
        dst_port: 81,
        seq: 0x0dd0_9dbd,
        ack: 0,
        flags: Flags::SYN,
        window: 64240,
        mss: Some(1460),
        window_scale: Some(10),
        sack_permitted: true,
        timestamps: Some((0x1f58_63ac, 0)),
    }
}

#[test]
fn reads_a_captured_syn() {
    let bytes = syn();
    let packet = Packet::new_checked(&bytes[..]).unwrap();
    assert_eq!((packet.header_len(), packet.urgent(), packet.sequence_len()), (40, 0, 1));
    assert!(packet.payload().is_empty());
    assert!(packet.verify_checksum(pseudo_of(&captured("tcp-syn"))));
    assert_eq!(Repr::parse(&packet), Ok(linux_syn()));
    let options: Vec<_> = packet.options().map(Result::unwrap).collect();
    let timestamps = TcpOption::Timestamps { value: 0x1f58_63ac, echo: 0 };
    let [mss, scale] = [TcpOption::Mss(1460), TcpOption::WindowScale(10)];
    assert_eq!(options, [mss, TcpOption::SackPermitted, timestamps, scale]);
}

#[test]
fn reads_a_captured_reset() {
    let bytes = captured("tcp-reset");
    let packet = Packet::new_checked(&bytes[34..]).unwrap();
    assert_eq!(packet.flags(), Flags::RST.with(Flags::ACK));
    assert_eq!(format!("{:?}", packet.flags()), "[RA]");
    assert!(packet.flags().intersects(Flags::SYN.with(Flags::RST)));
    assert_eq!((packet.seq(), packet.ack()), (0, 0x0dd0_9dbe));
    assert!(packet.verify_checksum(pseudo_of(&bytes)));
}

#[test]
fn emit_and_parse() {
    let bare = Repr { src_port: 1, dst_port: 2, flags: Flags::ACK, ..Repr::default() };
    let reprs = [(linux_syn(), 40), (bare, 20), (Repr { window_scale: Some(7), ..bare }, 24)];
    for (repr, header_len) in reprs {
        let mut bytes = [0xff; 64];
        assert_eq!(repr.header_len(), header_len);
        let len = repr.emit(b"data", |len| len as u16, &mut bytes).unwrap();
        assert_eq!(len, header_len + 4);
        let packet = Packet::new_checked(&bytes[..len]).unwrap();
        assert!(packet.verify_checksum(len as u16));
        assert_eq!(packet.payload(), b"data");
        assert_eq!(Repr::parse(&packet), Ok(repr));
        assert!(repr.emit(b"data", |_| 0, &mut bytes[..len - 1]).is_err());
    }
}

#[test]
fn contradictions_are_refused() {
    let mut bytes = syn();
    let cut = |need, have| Err(Error::Truncated { header: "TCP", need, have });
    assert_eq!(Packet::new_checked(&bytes[..19]), cut(20, 19));
    assert_eq!(Packet::new_checked(&bytes[..39]), cut(40, 39));
    bytes[12] = 0x40;
    let offset = Error::Field { header: "TCP", field: "data offset", value: 16 };
    assert_eq!(Packet::new_checked(&bytes[..]), Err(offset));
}

fn options(bytes: &[u8]) -> Vec<Result<TcpOption<'_>, Error>> {
    Options::new(bytes).collect()
}

#[test]
fn odd_options() {
    // A known kind of another length, an unknown kind, and what follows the end.
    let found = options(&[2, 3, 9, 1, 254, 4, 0, 1, 0, 2, 4, 5, 6]);
    let mss = TcpOption::Other { kind: 2, data: &[9] };
    let experiment = TcpOption::Other { kind: 254, data: &[0, 1] };
    assert_eq!(found, [Ok(mss), Ok(experiment)]);
}

#[test]
fn broken_options_end_the_list() {
    let cut = |need, have| Err(Error::Truncated { header: "TCP option", need, have });
    assert_eq!(options(&[4, 2, 8]), [Ok(TcpOption::SackPermitted), cut(2, 1)]);
    assert_eq!(options(&[8, 10, 0, 0]), [cut(10, 4)]);
    for len in [0, 1] {
        let length = Error::Field { header: "TCP option", field: "length", value: len.into() };
        assert_eq!(options(&[3, len, 0, 0]), [Err(length)]);
    }
}

#[test]
fn mss_is_lowered_never_raised() {
    let mut bytes = syn();
    let pseudo = pseudo_of(&captured("tcp-syn"));
    let mut packet = Packet::new_checked(&mut bytes[..]).unwrap();
    assert_eq!(packet.clamp_mss(1460, ChecksumState::Complete), None);
    assert_eq!(packet.clamp_mss(1400, ChecksumState::Complete), Some(1460));
    assert!(packet.verify_checksum(pseudo));
    assert_eq!(packet.options().next(), Some(Ok(TcpOption::Mss(1400))));
}

#[test]
fn mss_at_an_odd_offset() {
    let mut bytes = syn();
    // The option behind a no-operation, as the SACK-permitted option leaves room for.
    bytes[20..26].copy_from_slice(&[1, 2, 4, 0x05, 0xb4, 1]);
    let mut packet = Packet::new_checked(&mut bytes[..]).unwrap();
    packet.fill_checksum(0x1234);
    assert_eq!(packet.clamp_mss(536, ChecksumState::Complete), Some(1460));
    assert_eq!(packet.options().next(), Some(Ok(TcpOption::Mss(536))));
    assert!(packet.verify_checksum(0x1234));
}

#[test]
fn mss_of_other_segments_stays() {
    let mut bytes = syn();
    let mut packet = Packet::new_checked(&mut bytes[..]).unwrap();
    packet.set_flags(Flags::ACK);
    assert_eq!(packet.clamp_mss(536, ChecksumState::Complete), None);
    // Without the option, and with an option that is broken before it.
    packet.set_flags(Flags::SYN);
    for first in [[1, 1, 1, 1], [254, 1, 5, 180]] {
        bytes[20..24].copy_from_slice(&first);
        let mut packet = Packet::new_checked(&mut bytes[..]).unwrap();
        assert_eq!(packet.clamp_mss(536, ChecksumState::Complete), None);
    }
}

#[test]
fn mss_is_no_part_of_a_partial_checksum() {
    let mut bytes = captured_vnet("tcp-syn").split_off(12 + 34);
    let mut packet = Packet::new_checked(&mut bytes[..]).unwrap();
    let field = packet.checksum();
    assert_eq!(packet.clamp_mss(1400, ChecksumState::Partial), Some(1460));
    assert_eq!(packet.checksum(), field);
}

#[test]
fn setters() {
    let mut packet = Packet::new_checked([0x50; 20]).unwrap();
    packet.set_src_port(1);
    packet.set_dst_port(2);
    packet.set_seq(3);
    packet.set_ack(4);
    packet.set_window(5);
    packet.set_flags(Flags::FIN);
    assert_eq!((packet.src_port(), packet.dst_port(), packet.seq()), (1, 2, 3));
    assert_eq!((packet.ack(), packet.window(), packet.flags()), (4, 5, Flags::FIN));
    assert_eq!(packet.sequence_len(), 1);
}
