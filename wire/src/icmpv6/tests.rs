use super::*;
use crate::protocol::Protocol;
use crate::testing::captured;

/// Message and pseudo-header of a captured frame.
fn message(name: &str) -> (std::vec::Vec<u8>, u16) {
    let frame = captured(name);
    let ip = ipv6::Packet::new_checked(&frame[14..]).unwrap();
    let pseudo = ip.pseudo_header(Protocol::ICMPV6, ip.payload_len().into());
    (ip.payload().to_vec(), pseudo)
}

#[test]
fn echo_as_linux_sends_it() {
    let (bytes, pseudo) = message("echo-request-v6");
    let packet = Packet::new_checked(&bytes[..]).unwrap();
    assert!(packet.icmp_type().is_echo() && packet.verify_checksum(pseudo));
    assert_eq!((packet.ident(), packet.seq(), packet.code()), (0x266a, 1, 0));
    let repr = Repr::parse(&bytes, pseudo).unwrap();
    let mut out = [0xff; 64];
    assert_eq!(repr.emit(|len| pseudo + (len as u16 - 64), &mut out), Ok(64));
    assert_eq!(out[..], bytes);
}

#[test]
fn an_error_quotes_a_packet() {
    let (bytes, pseudo) = message("port-unreachable-v6");
    let Ok(Repr::DstUnreachable { code, quoted }) = Repr::parse(&bytes, pseudo) else {
        panic!("not an unreachable");
    };
    assert_eq!(code, unreachable::PORT);
    assert_eq!(quoted, &captured("udp-v6")[14..]);
    assert!(Type::DST_UNREACHABLE.is_error() && !Type::ECHO_REPLY.is_error());
}

#[test]
fn emit_and_parse() {
    let reprs = [
        Repr::EchoReply { ident: 1, seq: 2, data: b"abc" },
        Repr::DstUnreachable { code: unreachable::NO_ROUTE, quoted: b"abcd" },
        Repr::PacketTooBig { mtu: 0x0001_0500, quoted: b"ab" },
        Repr::TimeExceeded { code: 0, quoted: b"" },
    ];
    for repr in reprs {
        let mut out = [0xff; 16];
        let len = repr.emit(|len| 0xff00 + len as u16, &mut out).unwrap();
        assert_eq!(len, repr.buffer_len());
        assert_eq!(Repr::parse(&out[..len], 0xff00 + len as u16), Ok(repr));
        assert!(repr.emit(|_| 0, &mut out[..len - 1]).is_err());
    }
}

#[test]
fn the_checksum_follows_identifier_and_address() {
    let (bytes, pseudo) = message("echo-request-v6");
    let mut packet = Packet::new_checked(bytes).unwrap();
    packet.set_ident(20000);
    packet.update_for_port(Delta::u16(0x266a, 20000), ChecksumState::Complete);
    assert!(packet.verify_checksum(pseudo));
    let change = Delta::ipv6("fd00::1".parse().unwrap(), "2001:db8::7".parse().unwrap());
    packet.update_for_address(change, ChecksumState::Complete);
    assert!(packet.verify_checksum(change.apply_to_sum(pseudo)));
}

#[test]
fn refuses() {
    let (mut bytes, pseudo) = message("neighbor-solicit");
    let kind = Error::Field { header: "ICMPv6", field: "type", value: 135 };
    assert_eq!(Repr::parse(&bytes, pseudo), Err(kind));
    bytes[9] ^= 1;
    assert!(matches!(Repr::parse(&bytes, pseudo), Err(Error::Field { field: "checksum", .. })));
    assert!(Packet::new_checked([0; 7]).is_err());
}

#[test]
fn rfc4443_2_4_c_errors_stay_within_1280_bytes() {
    assert_eq!(quote(&[0; 2000]).len() + HEADER_LEN + ipv6::HEADER_LEN, 1280);
}
