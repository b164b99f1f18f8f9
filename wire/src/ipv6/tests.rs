use super::*;
use crate::testing::captured;

#[test]
fn reads_a_captured_packet() {
    let bytes = captured("udp-v6");
    let packet = Packet::new_checked(&bytes[14..]).unwrap();
    assert_eq!((packet.traffic_class(), packet.flow_label()), (0, 0xc92c3));
    assert_eq!((packet.payload_len(), packet.total_len()), (13, 53));
    assert_eq!((packet.next_header(), packet.hop_limit()), (Protocol::UDP, 64));
    assert_eq!(packet.src(), "fd00::1".parse::<Ipv6Addr>().unwrap());
    assert_eq!(packet.dst(), "fd00::2".parse::<Ipv6Addr>().unwrap());
    assert_eq!(packet.payload(), &bytes[54..]);
}

#[test]
fn emit_gives_the_captured_header() {
    let bytes = captured("udp-v6");
    let repr = Repr::parse(&Packet::new_checked(&bytes[14..]).unwrap());
    let mut out = [0xff; 40];
    assert_eq!(repr.emit(13, &mut out), Ok(40));
    assert_eq!(out, bytes[14..54]);
    let too_long = Error::Field { header: "IPv6", field: "payload length", value: 65536 };
    assert_eq!(repr.emit(65536, &mut out), Err(too_long));
    assert!(repr.emit(0, &mut out[..39]).is_err());
}

#[test]
fn refuses() {
    let bytes = captured("udp-v6").split_off(14);
    let cut = Error::Truncated { header: "IPv6 packet", need: 53, have: 52 };
    assert_eq!(Packet::new_checked(&bytes[..52]), Err(cut));
    assert_eq!(Packet::new_quoted(&bytes[..52]).unwrap().payload().len(), 12);
    let short = Error::Truncated { header: "IPv6", need: 40, have: 39 };
    assert_eq!(Packet::new_checked(&bytes[..39]), Err(short));
    let version = Error::Field { header: "IPv6", field: "version", value: 4 };
    assert_eq!(Packet::new_checked([0x45; 40]), Err(version));
}

#[test]
fn class_and_flow_do_not_leak_into_each_other() {
    let mut packet = Packet::new_checked(captured("udp-v6").split_off(14)).unwrap();
    packet.set_class_and_flow(0xff, 0);
    assert_eq!((packet.traffic_class(), packet.flow_label()), (0xff, 0));
    packet.set_class_and_flow(0, u32::MAX);
    assert_eq!((packet.traffic_class(), packet.flow_label()), (0, 0xf_ffff));
    assert!(Packet::new_checked(packet.0).is_ok());
}

#[test]
fn hop_limit_stops_at_zero() {
    let mut packet = Packet::new_checked(captured("udp-v6").split_off(14)).unwrap();
    packet.set_hop_limit(2);
    assert_eq!([(); 3].map(|()| packet.decrement_hop_limit()), [1, 0, 0]);
}

#[test]
fn hop_by_hop_options_lead_to_icmpv6() {
    let bytes = captured("mld-report");
    let upper = Packet::new_checked(&bytes[14..]).unwrap().upper_layer().unwrap();
    assert_eq!((upper.protocol, upper.offset, upper.fragment), (Protocol::ICMPV6, 8, None));
}
