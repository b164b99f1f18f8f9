use super::*;
use crate::testing::captured;

#[test]
fn echo_as_linux_sends_it() {
    for (name, icmp_type) in
        [("echo-request", Type::ECHO_REQUEST), ("echo-reply", Type::ECHO_REPLY)]
    {
        let bytes = captured(name).split_off(34);
        let packet = Packet::new_checked(&bytes[..]).unwrap();
        assert!(packet.verify_checksum() && icmp_type.is_echo() && !icmp_type.is_error());
        assert_eq!((packet.icmp_type(), packet.code()), (icmp_type, 0));
        assert_eq!((packet.ident(), packet.seq()), (0x2669, 1));
        let repr = Repr::parse(&bytes).unwrap();
        let mut out = [0xff; 64];
        assert_eq!(repr.emit(&mut out), Ok(64));
        assert_eq!(out[..], bytes);
    }
}

#[test]
fn an_error_quotes_a_packet() {
    let bytes = captured("port-unreachable").split_off(34);
    let packet = Packet::new_checked(&bytes[..]).unwrap();
    assert!(packet.icmp_type().is_error());
    assert_eq!(packet.payload(), &captured("udp")[14..]);
    let repr = Repr::parse(&bytes).unwrap();
    let quoted = packet.payload();
    assert_eq!(repr, Repr::DstUnreachable { code: unreachable::PORT, mtu: 0, quoted });
    let mut out = [0xff; 128];
    let len = repr.emit(&mut out).unwrap();
    assert_eq!(out[..len], bytes);
}

#[test]
fn rfc1191_4_next_hop_mtu() {
    let quoted = &[1, 2, 3, 4, 5];
    let repr = Repr::DstUnreachable { code: unreachable::FRAG_NEEDED, mtu: 1400, quoted };
    let mut out = [0xff; 13];
    assert_eq!(repr.emit(&mut out), Ok(13));
    assert_eq!(out[..2], [3, 4]);
    assert_eq!(out[4..8], [0, 0, 0x05, 0x78]);
    let packet = Packet::new_checked(out).unwrap();
    assert_eq!(packet.mtu(), 1400);
    assert!(packet.verify_checksum());
    assert_eq!(Repr::parse(&out), Ok(repr));
}

#[test]
fn time_exceeded() {
    let repr = Repr::TimeExceeded { code: 0, quoted: &[] };
    let mut out = [0; 8];
    assert_eq!(repr.emit(&mut out), Ok(8));
    assert_eq!(out, [11, 0, 0xf4, 0xff, 0, 0, 0, 0]);
    assert_eq!(Repr::parse(&out), Ok(repr));
    assert!(repr.emit(&mut out[..7]).is_err());
}

#[test]
fn the_checksum_follows_the_identifier() {
    let mut packet = Packet::new_checked(captured("echo-request").split_off(34)).unwrap();
    packet.set_ident(20000);
    packet.update_checksum(Delta::u16(0x2669, 20000));
    assert!(packet.verify_checksum());
}

#[test]
fn refuses() {
    let bad = |field, value| Err(Error::Field { header: "ICMP", field, value });
    assert_eq!(Repr::parse(&[13, 0, 0xf2, 0xff, 0, 0, 0, 0]), bad("type", 13));
    assert_eq!(Repr::parse(&[8, 0, 0, 1, 0, 0, 0, 0]), bad("checksum", 1));
    assert!(Repr::parse(&[0; 7]).is_err());
}

#[test]
fn rfc1812_4_3_2_3_errors_stay_within_576_bytes() {
    assert_eq!(quote(&[0; 2000]).len() + HEADER_LEN + ipv4::HEADER_LEN, 576);
    assert_eq!(quote(&[0; 28]).len(), 28);
}
