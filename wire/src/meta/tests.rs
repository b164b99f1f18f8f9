use std::vec::Vec;

use super::*;
use crate::testing::{captured, hex};

fn parse(name: &str) -> Meta {
    Meta::parse(&captured(name)).unwrap()
}

/// The captured frame with one byte changed.
fn changed(name: &str, at: usize, value: u8) -> Meta {
    let mut frame = captured(name);
    frame[at] = value;
    Meta::parse(&frame).unwrap()
}

#[test]
fn compact() {
    assert!(size_of::<Meta>() <= 40, "{} bytes", size_of::<Meta>());
}

#[test]
fn captured_frames() {
    let ip = [
        ("udp", L3::Ipv4, L4::Udp, 34, 33),
        ("tcp-syn", L3::Ipv4, L4::Tcp, 34, 60),
        ("echo-request", L3::Ipv4, L4::Icmpv4, 34, 84),
        ("fragment-tail", L3::Ipv4, L4::FragmentTail, 34, 68),
        ("udp-v6", L3::Ipv6, L4::Udp, 54, 53),
        ("tcp-syn-v6", L3::Ipv6, L4::Tcp, 54, 80),
        ("neighbor-solicit", L3::Ipv6, L4::Icmpv6, 54, 72),
        ("mld-report", L3::Ipv6, L4::Icmpv6, 62, 96),
        ("arp-request", L3::Arp, L4::None, 14, 28),
    ];
    for (name, l3, l4, l4_offset, l3_len) in ip {
        let meta = parse(name);
        assert_eq!((meta.l3, meta.l4), (l3, l4), "{name}");
        assert_eq!((meta.l3_offset, meta.l4_offset), (14, l4_offset), "{name}");
        assert_eq!(meta.l3_len, l3_len, "{name}");
        assert_eq!(meta.fragment, name == "fragment-tail");
        assert_eq!((meta.outer, meta.tags()), (None, 0));
    }
    let meta = parse("udp");
    assert_eq!(meta.dst, MacAddr([2, 0, 0, 0, 0, 11]));
    assert_eq!(meta.src, MacAddr([2, 0, 0, 0, 0, 10]));
    assert_eq!(meta.ethertype, EtherType::IPV4);
}

#[test]
fn padding_is_excluded() {
    let mut frame = captured("udp");
    let meta = Meta::parse(&frame).unwrap();
    frame.resize(60, 0xff);
    assert_eq!(Meta::parse(&frame), Ok(meta));
    assert_eq!(meta.l4_bytes(&frame)[8..], *b"hello");
    assert_eq!(meta.l3_bytes(&frame).len(), 33);
    meta.l4_bytes_mut(&mut frame)[8..].fill(0);
    meta.l3_bytes_mut(&mut frame)[0] = 0x46;
    assert_eq!(frame[14], 0x46);
    // Of another frame: nothing, and no panic.
    assert!(meta.l4_bytes(&frame[..40]).is_empty());
    assert!(meta.l3_bytes_mut(&mut []).is_empty());
}

/// `frame` with these tags, outermost first.
fn tagged(frame: &[u8], tags: &str) -> Vec<u8> {
    [&frame[..12], &hex(tags), &frame[12..]].concat()
}

#[test]
fn one_tag_and_two() {
    let plain = parse("udp");
    let one = Meta::parse(&tagged(&captured("udp"), "8100 a00a")).unwrap();
    assert_eq!((one.outer, one.inner, one.tags()), (Some(Tci(0xa00a)), None, 1));
    assert_eq!((one.l3_offset, one.l4_offset, one.l3_len), (18, 38, plain.l3_len));
    let two = Meta::parse(&tagged(&captured("udp"), "88a8 0014 8100 a00a")).unwrap();
    assert_eq!((two.outer, two.inner, two.tags()), (Some(Tci(0x14)), Some(Tci(0xa00a)), 2));
    assert_eq!((two.l3_offset, two.l4_offset, two.l4), (22, 42, L4::Udp));
    assert_eq!(two.ethertype, EtherType::IPV4);
}

#[test]
fn a_third_tag_is_payload() {
    let three = Meta::parse(&tagged(&captured("udp"), "8100 0001 8100 0002 8100 0003")).unwrap();
    assert_eq!((three.tags(), three.ethertype, three.l3), (2, EtherType::VLAN, L3::Other));
    assert_eq!((three.l3_offset, three.l3_len), (22, 4 + 33));
}

#[test]
fn too_short_to_forward() {
    assert_eq!(Meta::parse(&[]), Err(MetaError::Short { len: 0 }));
    assert_eq!(Meta::parse(&[0; 13]), Err(MetaError::Short { len: 13 }));
    let frame = tagged(&captured("udp"), "88a8 0014 8100 a00a");
    for len in (14..18).chain(18..22) {
        assert_eq!(Meta::parse(&frame[..len]), Err(MetaError::TagCut { len }));
    }
    // A frame that ends with its EtherType can be forwarded.
    assert_eq!(Meta::parse(&frame[..22]).unwrap().l3, L3::Malformed);
    assert_eq!(Meta::parse(&[0; 14]).unwrap().l3, L3::Other);
}

#[test]
fn other_ethertypes_and_802_3() {
    for bytes in ["88cc", "0026", "9100", "05dd"] {
        let frame = [&[0; 12][..], &hex(bytes), &[0; 46]].concat();
        let meta = Meta::parse(&frame).unwrap();
        assert_eq!((meta.l3, meta.l4), (L3::Other, L4::None));
        assert_eq!((meta.l3_offset, meta.l4_offset, meta.l3_len), (14, 14, 46));
    }
}

#[test]
fn broken_layer_3_is_marked() {
    // Version, header length, total length above and below, of IPv4; version, length of IPv6.
    let broken = [
        ("udp", 14, 0x65),
        ("udp", 14, 0x44),
        ("udp", 17, 0xff),
        ("udp", 17, 19),
        ("udp-v6", 14, 0x45),
        ("udp-v6", 19, 0xff),
        ("arp-request", 15, 2),
    ];
    for (name, at, value) in broken {
        let meta = changed(name, at, value);
        assert_eq!((meta.l3, meta.l4), (L3::Malformed, L4::None), "{name} {at}");
        assert_eq!(meta.l4_offset, 14);
        assert_eq!(meta.l3_len as usize, captured(name).len() - 14);
    }
    let cut = captured("arp-request");
    assert_eq!(Meta::parse(&cut[..41]).unwrap().l3, L3::Malformed);
}

#[test]
fn broken_layer_4_is_marked() {
    // UDP length above, below; TCP data offset above, below.
    let broken = [
        ("udp", 39, 14),
        ("udp", 39, 7),
        ("udp", 39, 0),
        ("tcp-syn", 46, 0xb0),
        ("tcp-syn", 46, 0x40),
        ("mld-report", 55, 9),
    ];
    for (name, at, value) in broken {
        assert_eq!(changed(name, at, value).l4, L4::Malformed, "{name} {at}");
        assert!(matches!(changed(name, at, value).l3, L3::Ipv4 | L3::Ipv6));
    }
}

#[test]
fn a_transport_cut_by_the_ip_length_is_malformed() {
    for (name, shortest) in [("udp", 33), ("tcp-syn", 60), ("echo-request", 28)] {
        for total in 20..shortest {
            assert_eq!(changed(name, 17, total).l4, L4::Malformed, "{name} {total}");
        }
        assert_ne!(changed(name, 17, shortest).l4, L4::Malformed);
    }
}

#[test]
fn protocols() {
    assert_eq!(changed("echo-request", 23, 132).l4, L4::Sctp);
    assert_eq!(changed("echo-request", 23, 47).l4, L4::Other(47));
    // ICMP of the other family, and what only IPv6 calls "nothing follows".
    assert_eq!(changed("echo-request", 23, 58).l4, L4::Other(58));
    assert_eq!(changed("echo-request", 23, 59).l4, L4::Other(59));
    assert_eq!(changed("udp-v6", 20, 1).l4, L4::Other(1));
    assert_eq!(changed("udp-v6", 20, 59).l4, L4::None);
    assert_eq!(changed("udp-v6", 20, 50).l4, L4::Other(50));
}

#[test]
fn fragments_of_ipv4() {
    // More fragments, offset 0: the ports are there, and the UDP length reaches beyond.
    let mut frame = captured("udp");
    (frame[20], frame[38]) = (0x20, 0x0b);
    let first = Meta::parse(&frame).unwrap();
    assert_eq!((first.l4, first.fragment), (L4::Udp, true));
    // Offset 8, last.
    let tail = changed("udp", 21, 1);
    assert_eq!((tail.l4, tail.fragment, tail.l4_offset), (L4::FragmentTail, true, 34));
    // Don't fragment is no fragment.
    assert!(!parse("udp").fragment);
}

/// A UDP datagram behind a fragment header with these bytes for offset and flags.
fn ipv6_fragment(offset_flags: &str) -> Meta {
    let plain = captured("udp-v6");
    let header = hex(&std::format!("1100 {offset_flags} 01020304"));
    let mut frame = [&plain[..54], &header, &plain[54..]].concat();
    (frame[19], frame[20]) = (21, 44);
    Meta::parse(&frame).unwrap()
}

#[test]
fn fragments_of_ipv6() {
    let cases = [
        ("0001", L4::Udp, true),
        ("0008", L4::FragmentTail, true),
        ("0009", L4::FragmentTail, true),
        // RFC 6946: whole; the two bits between are reserved.
        ("0000", L4::Udp, false),
        ("0006", L4::Udp, false),
    ];
    for (word, l4, fragment) in cases {
        let meta = ipv6_fragment(word);
        assert_eq!((meta.l4, meta.fragment, meta.l4_offset), (l4, fragment, 62), "{word}");
    }
}

#[test]
fn ipv4_options_move_layer_4() {
    let plain = captured("udp");
    let mut frame = [&plain[..34], &[148, 4, 0, 0][..], &plain[34..]].concat();
    (frame[14], frame[17]) = (0x46, 37);
    let meta = Meta::parse(&frame).unwrap();
    assert_eq!((meta.l3, meta.l4, meta.l4_offset), (L3::Ipv4, L4::Udp, 38));
}

#[test]
fn every_truncation_is_survived() {
    for name in ["udp", "tcp-syn", "mld-report", "neighbor-solicit", "port-unreachable-v6"] {
        let frame = captured(name);
        for len in 14..frame.len() {
            assert_eq!(Meta::parse(&frame[..len]).unwrap().l3, L3::Malformed, "{name} {len}");
        }
    }
}

/// The quick way for common frames and the general way agree, whatever byte is changed.
#[test]
fn the_common_shape_is_parsed_as_any_other() {
    let mut quick = 0;
    for name in ["udp", "tcp-syn", "tcp-reset", "echo-request", "fragment-tail", "udp-v6"] {
        let plain = captured(name);
        for at in 0..plain.len().min(60) {
            for value in 0..=255 {
                let mut frame = plain.clone();
                frame[at] = value;
                if let Some(meta) = common::parse(&frame) {
                    assert_eq!(Ok(meta), Meta::parse_any(&frame), "{name} {at} {value}");
                    quick += 1;
                }
            }
        }
        for len in 0..plain.len() {
            assert_eq!(common::parse(&plain[..len]), None, "{name} cut to {len} bytes");
        }
    }
    // Not one whose addresses, ports, or time to live changed may have gone the general way.
    assert!(quick > 3 * 20 * 256, "{quick} frames only");
}
