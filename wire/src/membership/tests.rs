use std::vec;
use std::vec::Vec;

use super::*;
use crate::meta::{L3, L4, Meta};
use crate::{icmpv6, ipv4, ipv6};

fn records(message: Result<Message<'_>, Error>) -> Vec<Record> {
    match message.unwrap() {
        Message::Report(records) => records.collect(),
        other => panic!("no report: {other:?}"),
    }
}

fn joins(message: Result<Message<'_>, Error>) -> Vec<MacAddr> {
    records(message).into_iter().filter(|said| said.listens).map(|said| said.group).collect()
}

fn leaves(message: Result<Message<'_>, Error>) -> Vec<MacAddr> {
    records(message).into_iter().filter(|said| !said.listens).map(|said| said.group).collect()
}

const GROUP: MacAddr = MacAddr([0x01, 0x00, 0x5e, 0x01, 0x02, 0x03]);
const GROUP6: MacAddr = MacAddr([0x33, 0x33, 0, 0, 0x12, 0x34]);

#[test]
fn old_reports_join_and_leave_one_group() {
    for kind in [0x12, 0x16] {
        assert_eq!(joins(Message::igmp(&[kind, 0, 0, 0, 239, 1, 2, 3])), [GROUP]);
    }
    assert_eq!(leaves(Message::igmp(&[0x17, 0, 0, 0, 239, 1, 2, 3])), [GROUP]);
    assert_eq!(joins(Message::igmp(&[0x17, 0, 0, 0, 239, 1, 2, 3])), []);
    assert_eq!(Message::igmp(&[0x11, 0, 0, 0, 0, 0, 0, 0]), Ok(Message::Query));
    let mut report = [0; 24];
    report[0] = 131;
    report[8..10].copy_from_slice(&[0xff, 0x15]);
    report[22..24].copy_from_slice(&[0x12, 0x34]);
    assert_eq!(joins(Message::mld(&report)), [GROUP6]);
    report[0] = 132;
    assert_eq!(leaves(Message::mld(&report)), [GROUP6]);
    assert_eq!(joins(Message::mld(&report)), []);
    report[0] = 130;
    assert_eq!(Message::mld(&report), Ok(Message::Query));
}

/// RFC 3376 section 4.2.12: what each kind of record says of the group.
#[test]
fn records_join_or_leave_as_they_say() {
    for (kind, sources, joined, left) in [
        (1, 0, false, false),
        (1, 1, true, false),
        (2, 0, true, false),
        (2, 2, true, false),
        (3, 0, false, true),
        (3, 1, true, false),
        (4, 0, true, false),
        (5, 0, false, false),
        (5, 1, true, false),
        (6, 1, false, true),
        (9, 1, false, false),
    ] {
        let mut report = vec![0x22, 0, 0, 0, 0, 0, 0, 2];
        report.extend([kind, 1, 0, sources, 239, 1, 2, 3]);
        report.extend(vec![9; usize::from(sources) * 4 + 4]);
        report.extend([4, 0, 0, 0, 239, 9, 9, 9]);
        let last = MacAddr([1, 0, 0x5e, 9, 9, 9]);
        let expected = if joined { vec![GROUP, last] } else { vec![last] };
        assert_eq!(joins(Message::igmp(&report)), expected, "{kind} {sources}");
        let expected = if left { vec![GROUP] } else { vec![] };
        assert_eq!(leaves(Message::igmp(&report)), expected, "{kind} {sources}");
        let mut report = vec![143, 0, 0, 0, 0, 0, 0, 1, kind, 0, 0, sources, 0xff, 0x15];
        report.extend([0; 12]);
        report.extend([0x12, 0x34]);
        report.extend(vec![9; usize::from(sources) * 16]);
        let expected = if joined { vec![GROUP6] } else { vec![] };
        assert_eq!(joins(Message::mld(&report)), expected, "{kind} {sources}");
        let expected = if left { vec![GROUP6] } else { vec![] };
        assert_eq!(leaves(Message::mld(&report)), expected, "{kind} {sources}");
    }
}

#[test]
fn groups_of_the_link_are_left_out() {
    assert_eq!(records(Message::igmp(&[0x16, 0, 0, 0, 224, 0, 0, 251])), []);
    assert_eq!(records(Message::igmp(&[0x17, 0, 0, 0, 224, 0, 0, 251])), []);
    let mut report = vec![143, 0, 0, 0, 0, 0, 0, 2];
    for (scope, last) in [(2, 0x99), (5, 0x34)] {
        report.extend([4, 0, 0, 0, 0xff, scope]);
        report.extend([0; 12]);
        report.extend([0x12, last]);
    }
    assert_eq!(joins(Message::mld(&report)), [GROUP6]);
}

#[test]
fn what_is_cut_off_or_of_another_kind_joins_nothing() {
    assert!(Message::igmp(&[0x16, 0, 0, 0, 239, 1, 2]).is_err());
    assert!(Message::mld(&[131, 0, 0, 0, 0, 0, 0, 0, 1]).is_err());
    assert!(Message::mld(&[132, 0, 0, 0, 0, 0, 0, 0, 1]).is_err());
    assert!(Message::igmp(&[0x13; 8]).is_err());
    assert!(Message::mld(&[128; 24]).is_err());
    // Says more records, sources and bytes than there are.
    for record in [
        &[4, 0, 0, 0, 239, 1][..],
        &[4, 0, 0xff, 0xff, 239, 1, 2, 3],
        &[4, 255, 0, 0, 239, 1, 2, 3],
    ] {
        let report = [&[0x22, 0, 0, 0, 0, 0, 0xff, 0xff][..], record].concat();
        assert_eq!(joins(Message::igmp(&report)), []);
    }
}

#[test]
fn queries_are_what_a_listener_takes_for_one() {
    let mac = MacAddr([2, 0, 0, 0, 0, 1]);
    let frame = igmp_query(mac, 7, 125);
    let meta = Meta::parse(&frame).unwrap();
    assert_eq!((meta.l3, meta.l4, meta.src), (L3::Ipv4, L4::Other(2), mac));
    let ip = ipv4::Packet::new_checked(meta.l3_bytes(&frame)).unwrap();
    assert!(ip.verify_checksum() && ip.ttl() == 1);
    assert_eq!((ip.src(), ip.dst()), (Ipv4Addr::UNSPECIFIED, ALL_SYSTEMS));
    assert_eq!(checksum::checksum(ip.payload()), 0);
    assert_eq!(Message::igmp(ip.payload()), Ok(Message::Query));
    assert_eq!(ip.payload()[1], 70, "tenths of a second");

    let frame = mld_query(mac, 7, 125);
    let meta = Meta::parse(&frame).unwrap();
    assert_eq!((meta.l3, meta.l4, meta.src), (L3::Ipv6, L4::Icmpv6, mac));
    let ip = ipv6::Packet::new_checked(meta.l3_bytes(&frame)).unwrap();
    assert_eq!((ip.hop_limit(), ip.src().is_unicast_link_local()), (1, true));
    let message = meta.l4_bytes(&frame);
    let pseudo = ip.pseudo_header(Protocol::ICMPV6, message.len() as u32);
    assert!(icmpv6::Packet::new_checked(message).unwrap().verify_checksum(pseudo));
    assert_eq!(Message::mld(message), Ok(Message::Query));
    assert_eq!(message[4..6], 7000_u16.to_be_bytes());
}
