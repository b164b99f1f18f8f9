use std::vec::Vec;

use super::*;
use crate::testing::{captured, hex};

/// The header that Wikipedia's "Internet checksum" works through.
const GOLDEN: &str = "4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7";

fn golden() -> Vec<u8> {
    let mut bytes = hex(GOLDEN);
    bytes.resize(0x73, 0);
    bytes
}

#[test]
fn reads_the_golden_header() {
    let bytes = golden();
    let packet = Packet::new_checked(&bytes[..]).unwrap();
    assert_eq!((packet.header_len(), packet.total_len(), packet.tos()), (20, 0x73, 0));
    assert_eq!((packet.ident(), packet.ttl(), packet.protocol()), (0, 64, Protocol::UDP));
    assert!(packet.dont_fragment() && !packet.more_fragments() && !packet.is_fragment());
    assert_eq!(packet.src(), Ipv4Addr::new(192, 168, 0, 1));
    assert_eq!(packet.dst(), Ipv4Addr::new(192, 168, 0, 199));
    assert_eq!(packet.payload().len(), 0x73 - 20);
    assert!(packet.verify_checksum());
}

#[test]
fn emit_gives_the_golden_header() {
    let repr = Repr::new([192, 168, 0, 1].into(), [192, 168, 0, 199].into(), Protocol::UDP);
    let mut bytes = [0xff; 20];
    assert_eq!(repr.emit(0x73 - 20, &mut bytes), Ok(20));
    assert_eq!(bytes[..], hex(GOLDEN));
    assert_eq!(Repr::parse(&Packet::new_checked(golden()).unwrap()), Ok(repr));
    assert!(repr.emit(0x73, &mut bytes[..19]).is_err());
    let too_long = Error::Field { header: "IPv4", field: "total length", value: 65536 };
    assert_eq!(repr.emit(65516, &mut bytes), Err(too_long));
}

#[test]
fn contradictions_are_refused() {
    let bytes = golden();
    let refused = |at: usize, value: u8, error| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        assert_eq!(Packet::new_checked(bytes).unwrap_err(), error);
    };
    let bad = |field, value| Error::Field { header: "IPv4", field, value };
    refused(0, 0x65, bad("version", 6));
    refused(0, 0x44, bad("header length", 16));
    refused(3, 19, bad("total length", 19));
    let cut = Error::Truncated { header: "IPv4 packet", need: 0x74, have: 0x73 };
    refused(3, 0x74, cut);
    let short = Error::Truncated { header: "IPv4", need: 20, have: 19 };
    assert_eq!(Packet::new_checked(&bytes[..19]).unwrap_err(), short);
    let options = Error::Truncated { header: "IPv4", need: 60, have: 59 };
    assert_eq!(Packet::new_checked(&[0x4f; 59][..]).unwrap_err(), options);
}

#[test]
fn a_quoted_packet_may_be_cut() {
    let bytes = golden();
    let packet = Packet::new_quoted(&bytes[..28]).unwrap();
    assert_eq!(packet.payload().len(), 8);
    assert!(Packet::new_checked(&bytes[..28]).is_err());
}

#[test]
fn padding_is_no_payload() {
    let mut frame = captured("tcp-reset");
    frame.resize(60, 0);
    let packet = Packet::new_checked(&frame[14..]).unwrap();
    assert_eq!(packet.payload().len(), 20);
}

#[test]
fn fragment_fields() {
    let mut packet = Packet::new_checked(captured("fragment-tail").split_off(14)).unwrap();
    assert_eq!(packet.fragment_offset(), 2960);
    assert!(packet.is_fragment() && !packet.more_fragments() && !packet.dont_fragment());
    packet.set_fragment(true, true, 65528);
    assert_eq!(packet.fragment_offset(), 65528);
    assert!(packet.dont_fragment() && packet.more_fragments());
    packet.set_fragment(false, true, 0);
    assert!(packet.is_fragment());
    assert!(Repr::parse(&packet).is_err());
}

#[test]
fn the_checksum_follows_ttl_and_addresses() {
    let mut packet = Packet::new_checked(captured("udp").split_off(14)).unwrap();
    assert_eq!(packet.decrement_ttl(), 63);
    assert!(packet.verify_checksum());
    packet.rewrite_src([192, 0, 2, 1].into());
    packet.rewrite_dst([255, 255, 255, 255].into());
    assert_eq!((packet.src(), packet.dst()), ([192, 0, 2, 1].into(), Ipv4Addr::BROADCAST));
    assert!(packet.verify_checksum());
    let incremental = packet.checksum();
    packet.fill_checksum();
    assert_eq!(packet.checksum(), incremental);
}

#[test]
fn ttl_stops_at_zero() {
    let mut packet = Packet::new_checked(captured("udp").split_off(14)).unwrap();
    packet.set_ttl(1);
    packet.fill_checksum();
    assert_eq!(packet.decrement_ttl(), 0);
    assert!(packet.verify_checksum());
    assert_eq!(packet.decrement_ttl(), 0);
    assert!(packet.verify_checksum());
}

fn options(bytes: &[u8]) -> Vec<Result<Ipv4Option<'_>, Error>> {
    Options::new(bytes).collect()
}

#[test]
fn options_in_order() {
    let found = options(&[1, 148, 4, 0, 0, 1, 7, 3, 4, 0, 148, 4]);
    let alert = Ipv4Option { kind: Ipv4Option::ROUTER_ALERT, data: &[0, 0] };
    let record = Ipv4Option { kind: 7, data: &[4] };
    assert_eq!(found, [Ok(alert), Ok(record)]);
    assert!(alert.is_copied() && !record.is_copied());
}

#[test]
fn broken_options_end_the_list() {
    let cut = |need, have| Err(Error::Truncated { header: "IPv4 option", need, have });
    assert_eq!(options(&[148]), [cut(2, 1)]);
    assert_eq!(options(&[148, 4, 0]), [cut(4, 3)]);
    for len in [0, 1] {
        let length =
            Err(Error::Field { header: "IPv4 option", field: "length", value: len.into() });
        assert_eq!(options(&[148, len, 0, 0]), [length]);
    }
}

#[test]
fn accessors_are_total_when_setters_break_the_header() {
    let mut packet = Packet::new_checked(captured("udp").split_off(14)).unwrap();
    packet.set_total_len(0);
    assert!(packet.payload().is_empty() && packet.payload_mut().is_empty());
    packet.set_total_len(u16::MAX);
    assert_eq!(packet.payload().len(), 13);
    packet.pseudo_header();
}
