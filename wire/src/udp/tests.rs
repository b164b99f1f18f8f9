use core::net::Ipv4Addr;

use super::*;
use crate::protocol::Protocol;
use crate::testing::{captured, captured_vnet};
use crate::{ipv4, ipv6};

const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

fn pseudo(len: u16) -> u16 {
    checksum::pseudo_v4(A, B, Protocol::UDP, len)
}

#[test]
fn reads_a_captured_datagram() {
    let bytes = captured("udp");
    let ip = ipv4::Packet::new_checked(&bytes[14..]).unwrap();
    let packet = Packet::new_checked(ip.payload()).unwrap();
    assert_eq!((packet.src_port(), packet.dst_port(), packet.len()), (39142, 5353, 13));
    assert_eq!(packet.payload(), b"hello");
    assert!(packet.verify_checksum(ip.pseudo_header()));
    assert!(!packet.verify_checksum(ip.pseudo_header() ^ 1));
}

#[test]
fn verifies_over_ipv6() {
    let bytes = captured("udp-v6");
    let ip = ipv6::Packet::new_checked(&bytes[14..]).unwrap();
    let packet = Packet::new_checked(ip.payload()).unwrap();
    assert!(packet.verify_checksum(ip.pseudo_header(Protocol::UDP, 13)));
}

#[test]
fn emit_gives_the_captured_datagram() {
    let repr = Repr { src_port: 39142, dst_port: 5353 };
    let mut bytes = [0xff; 14];
    assert_eq!(repr.emit(b"hello", pseudo, &mut bytes), Ok(13));
    assert_eq!(bytes[..13], captured("udp")[34..]);
    assert!(repr.emit(b"hello", pseudo, &mut bytes[..12]).is_err());
    let too_long = Error::Field { header: "UDP", field: "length", value: 65536 };
    let mut big = std::vec![0; 65536];
    assert_eq!(repr.emit(&[0; 65528], pseudo, &mut big), Err(too_long));
}

#[test]
fn contradictory_lengths_are_refused() {
    let mut bytes = captured("udp").split_off(34);
    let bad = |value| Err(Error::Field { header: "UDP", field: "length", value });
    for len in [0, 7] {
        bytes[5] = len;
        assert_eq!(Packet::new_checked(&bytes[..]), bad(len.into()));
    }
    bytes[5] = 14;
    let cut = Error::Truncated { header: "UDP", need: 14, have: 13 };
    assert_eq!(Packet::new_checked(&bytes[..]), Err(cut));
    assert_eq!(Packet::new_quoted(&bytes[..]).unwrap().payload(), b"hello");
    // Shorter than the IP payload: what is left over is no payload (RFC 9868).
    bytes[5] = 10;
    assert_eq!(Packet::new_checked(&bytes[..]).unwrap().payload(), b"he");
}

#[test]
fn rfc768_a_checksum_of_zero_is_sent_as_all_ones() {
    let mut bytes = [0; 10];
    let repr = Repr { src_port: 1, dst_port: 2 };
    repr.emit(&[0, 0], pseudo, &mut bytes).unwrap();
    // Give the payload what the checksum was: the sum is 0xffff then, and its complement 0.
    let field = Packet::new_checked(&bytes[..]).unwrap().checksum();
    repr.emit(&field.to_be_bytes(), pseudo, &mut bytes).unwrap();
    let packet = Packet::new_checked(&bytes[..]).unwrap();
    assert_eq!(packet.checksum(), 0xffff);
    assert!(packet.verify_checksum(pseudo(10)));
}

#[test]
fn an_update_never_makes_the_checksum_disappear() {
    let mut bytes = captured("udp").split_off(34);
    let mut packet = Packet::new_checked(&mut bytes[..]).unwrap();
    let (port, field) = (packet.dst_port(), packet.checksum());
    // The change that brings the sum to 0xffff, in the port and in an address.
    let change = Delta::u16(port, checksum::add(port, field));
    packet.update_for_address(change, ChecksumState::Complete);
    assert_eq!(packet.checksum(), 0xffff);
    assert!(packet.verify_checksum(change.apply_to_sum(pseudo(13))));

    packet.set_checksum(field);
    packet.set_dst_port(checksum::add(port, field));
    packet.update_for_port(change, ChecksumState::Complete);
    assert_eq!(packet.checksum(), 0xffff);
    assert!(packet.verify_checksum(pseudo(13)));
}

#[test]
fn no_checksum_stays_none() {
    let mut bytes = captured("udp").split_off(34);
    let mut packet = Packet::new_checked(&mut bytes[..]).unwrap();
    packet.set_checksum(0);
    packet.update_for_address(Delta::u32(1, 2), ChecksumState::Complete);
    packet.update_for_port(Delta::u16(1, 2), ChecksumState::Complete);
    assert_eq!(packet.checksum(), 0);
    assert!(packet.verify_checksum(0x1234));
}

#[test]
fn a_partial_checksum_of_linux_is_translated() {
    let mut buffer = captured_vnet("udp").split_off(12);
    let (ip_part, segment) = buffer[14..].split_at_mut(20);
    let mut ip = ipv4::Packet::new_quoted(ip_part).unwrap();
    let mut packet = Packet::new_checked(segment).unwrap();
    assert_eq!(packet.checksum(), pseudo(13));
    let public = Ipv4Addr::new(192, 0, 2, 1);
    packet.update_for_address(ip.rewrite_src(public), ChecksumState::Partial);
    let change = Delta::u16(packet.src_port(), 20000);
    packet.set_src_port(20000);
    packet.update_for_port(change, ChecksumState::Partial);
    assert_eq!(packet.checksum(), checksum::pseudo_v4(public, B, Protocol::UDP, 13));
    checksum::complete_partial(&mut buffer, 34, CHECKSUM_OFFSET).unwrap();
    let ip = ipv4::Packet::new_checked(&buffer[14..]).unwrap();
    assert!(ip.verify_checksum());
    assert!(Packet::new_checked(ip.payload()).unwrap().verify_checksum(ip.pseudo_header()));
}

#[test]
fn accessors_are_total_when_setters_break_the_header() {
    let mut packet = Packet::new_checked(captured("udp").split_off(34)).unwrap();
    for len in [0, 7, u16::MAX] {
        packet.set_len(len);
        assert!(packet.payload_mut().len() <= 5);
        packet.fill_checksum(0);
        assert_ne!(packet.checksum(), 0);
    }
}
