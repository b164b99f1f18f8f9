use std::string::ToString;

use super::*;
use crate::testing::captured;

#[test]
fn reads_a_captured_frame() {
    let bytes = captured("arp-request");
    let frame = Frame::new_checked(&bytes[..]).unwrap();
    assert_eq!(frame.dst(), MacAddr::BROADCAST);
    assert_eq!(frame.src(), MacAddr([2, 0, 0, 0, 0, 10]));
    assert_eq!(frame.ethertype(), EtherType::ARP);
    assert_eq!(frame.payload(), &bytes[14..]);
}

#[test]
fn shorter_than_a_header_is_refused() {
    let error = Error::Truncated { header: "Ethernet", need: 14, have: 13 };
    assert_eq!(Frame::new_checked([0; 13]), Err(error));
    assert_eq!(error.to_string(), "Ethernet: 13 bytes where 14 are needed");
    assert!(Frame::new_checked([0; 14]).unwrap().payload().is_empty());
}

#[test]
fn an_802_3_length_bounds_the_payload() {
    let mut bytes = [0; 20];
    let mut frame = Frame::new_checked(&mut bytes).unwrap();
    frame.set_ethertype(EtherType(3));
    assert_eq!(frame.payload().len(), 3);
    // A length beyond the frame gives what there is.
    frame.set_ethertype(EtherType(1500));
    assert_eq!(frame.payload().len(), 6);
    // Neither length nor protocol.
    frame.set_ethertype(EtherType(1501));
    assert_eq!(frame.ethertype().length_802_3(), None);
}

#[test]
fn emit_and_parse() {
    let (dst, src) = (MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
    let repr = Repr { dst, src, ethertype: EtherType::IPV6 };
    let mut bytes = [0xaa; 15];
    assert_eq!(repr.emit(&mut bytes), Ok(14));
    assert_eq!(Repr::parse(&Frame::new_checked(bytes).unwrap()), repr);
    assert_eq!(bytes[14], 0xaa);
    let error = Error::BufferTooSmall { header: "Ethernet", need: 14, have: 13 };
    assert_eq!(repr.emit(&mut bytes[..13]), Err(error));
}

#[test]
fn names_of_ethertypes() {
    assert_eq!(EtherType::QINQ.to_string(), "802.1ad");
    assert_eq!(EtherType(0x1234).to_string(), "0x1234");
    assert!(EtherType::VLAN.is_vlan() && EtherType::QINQ.is_vlan());
    assert!(!EtherType(0x9100).is_vlan());
}
