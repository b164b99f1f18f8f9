use std::vec::Vec;

use super::*;
use crate::meta::Meta;
use crate::testing::captured;

fn tag(tpid: EtherType, vid: u16) -> Tag {
    Tag { tpid, tci: Tci::new(5, true, vid).unwrap() }
}

/// A frame behind `headroom` bytes.
fn with_headroom(headroom: usize) -> Vec<u8> {
    let mut buffer = std::vec![0xee; headroom];
    buffer.extend(captured("udp"));
    buffer
}

#[test]
fn tci_fields() {
    let tci = Tci::new(5, true, 0xabc).unwrap();
    assert_eq!(tci.0, 0xbabc);
    assert_eq!((tci.pcp(), tci.dei(), tci.vid()), (5, true, 0xabc));
    let error = |field, value| Error::Field { header: "VLAN tag", field, value };
    assert_eq!(Tci::new(8, false, 1), Err(error("PCP", 8)));
    assert_eq!(Tci::new(0, false, 4096), Err(error("VID", 4096)));
}

#[test]
fn push_twice_pop_twice() {
    let original = captured("udp");
    let mut buffer = with_headroom(9);
    let customer = tag(EtherType::VLAN, 10);
    let service = tag(EtherType::QINQ, 20);
    assert_eq!(push(&mut buffer, 9, customer), Ok(5));
    assert_eq!(push(&mut buffer, 5, service), Ok(1));
    assert_eq!(outer(&buffer[1..]), Some(service));
    assert_eq!(inner(&buffer[1..]), Some(customer));
    assert_eq!(buffer[1..13], original[..12]);
    assert_eq!(buffer[21..], original[12..]);
    assert_eq!(buffer[0], 0xee);
    assert_eq!(pop(&mut buffer, 1), Ok((5, service)));
    assert_eq!(pop(&mut buffer, 5), Ok((9, customer)));
    assert_eq!(buffer[9..], original);
}

#[test]
fn metadata_follows_the_edit() {
    let mut buffer = with_headroom(8);
    let meta = Meta::parse(&buffer[8..]).unwrap();
    let customer = tag(EtherType::VLAN, 10);
    let service = tag(EtherType::QINQ, 20);
    let one = meta.pushed(customer.tci).unwrap();
    push(&mut buffer, 8, customer).unwrap();
    assert_eq!(Meta::parse(&buffer[4..]), Ok(one));
    let two = one.pushed(service.tci).unwrap();
    push(&mut buffer, 4, service).unwrap();
    assert_eq!(Meta::parse(&buffer), Ok(two));
    assert_eq!(two.pushed(customer.tci), None);
    assert_eq!(two.popped(), Some(one));
    assert_eq!(one.popped(), Some(meta));
    assert_eq!(meta.popped(), None);
}

#[test]
fn metadata_of_three_tags_must_be_parsed_again() {
    let mut buffer = with_headroom(12);
    for start in [12, 8, 4] {
        push(&mut buffer, start, tag(EtherType::VLAN, start as u16)).unwrap();
    }
    let meta = Meta::parse(&buffer).unwrap();
    assert_eq!((meta.tags(), meta.ethertype), (2, EtherType::VLAN));
    assert_eq!(meta.popped(), None);
}

#[test]
fn push_refuses() {
    let mut buffer = with_headroom(3);
    let before = buffer.clone();
    let good = tag(EtherType::VLAN, 1);
    let check_space = Error::BufferTooSmall { header: "VLAN tag", need: 4, have: 3 };
    assert_eq!(push(&mut buffer, 3, good), Err(check_space));
    let not_a_tag = Error::Field { header: "VLAN tag", field: "TPID", value: 0x0800 };
    assert_eq!(push(&mut buffer, 20, tag(EtherType::IPV4, 1)), Err(not_a_tag));
    let short = Error::Truncated { header: "Ethernet", need: 14, have: 13 };
    let start = buffer.len() - 13;
    assert_eq!(push(&mut buffer, start, good), Err(short));
    assert!(push(&mut buffer, usize::MAX, good).is_err());
    assert_eq!(buffer, before);
}

#[test]
fn pop_refuses() {
    let mut untagged = captured("udp");
    let not_a_tag = Error::Field { header: "VLAN tag", field: "TPID", value: 0x0800 };
    assert_eq!(pop(&mut untagged, 0), Err(not_a_tag));
    assert_eq!(set_tci(&mut untagged, Tci(1)), Err(not_a_tag));
    let mut buffer = with_headroom(4);
    push(&mut buffer, 4, tag(EtherType::VLAN, 1)).unwrap();
    let cut = Error::Truncated { header: "VLAN tag", need: 18, have: 17 };
    assert_eq!(pop(&mut buffer[..17], 0), Err(cut));
    assert!(pop(&mut buffer, usize::MAX).is_err());
}

#[test]
fn set_tci_changes_nothing_else() {
    let mut buffer = with_headroom(4);
    push(&mut buffer, 4, tag(EtherType::QINQ, 1)).unwrap();
    let mut expected = buffer.clone();
    expected[14..16].copy_from_slice(&[0x0f, 0xff]);
    assert_eq!(set_tci(&mut buffer, Tci(0x0fff)), Ok(()));
    assert_eq!(buffer, expected);
}

#[test]
fn tags_that_are_cut_are_none() {
    let mut buffer = with_headroom(8);
    push(&mut buffer, 8, tag(EtherType::VLAN, 1)).unwrap();
    push(&mut buffer, 4, tag(EtherType::VLAN, 2)).unwrap();
    assert_eq!(outer(&buffer[..15]), None);
    assert!(outer(&buffer[..16]).is_some());
    assert_eq!(inner(&buffer[..19]), None);
    assert!(inner(&buffer[..20]).is_some());
}
