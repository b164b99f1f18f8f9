use std::vec;
use std::vec::Vec;

use crate::frames::{Link, udp};
use crate::{MacAddr, Meta, ip, ipv4, ipv6, udp as udp_wire};

use super::*;

fn frame(is_v6: bool, ttl: u8) -> Vec<u8> {
    let link = Link::new(MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
    let header = if is_v6 {
        let address = [0xfd00, 0, 0, 0, 0, 0, 0, 1].into();
        let repr = ipv6::Repr::new(address, address, crate::Protocol::UDP);
        ip::Repr::V6(ipv6::Repr { hop_limit: ttl, ..repr })
    } else {
        let address = [10, 99, 0, 2].into();
        let repr = ipv4::Repr::new(address, address, crate::Protocol::UDP);
        ip::Repr::V4(ipv4::Repr { ttl, ..repr })
    };
    let mut buffer = vec![0; 100];
    let ports = udp_wire::Repr { src_port: 1, dst_port: 2 };
    let len = udp(&mut buffer, &link, &header, &ports, b"hello").expect("room");
    buffer.truncate(len);
    buffer
}

/// RFC 1812 section 5.3.1: one less, whatever it was, and the checksum with it.
#[test]
fn rfc1812_5_3_1_counts_down_by_one() {
    for is_v6 in [false, true] {
        for ttl in 2..=255 {
            let mut packet = frame(is_v6, ttl);
            let meta = Meta::parse(&packet).expect("a frame");
            assert_eq!(decrement(&meta, &mut packet), Ttl::Decremented);
            assert_eq!(packet, frame(is_v6, ttl - 1));
        }
    }
}

/// RFC 1812 section 5.3.1: a packet that comes with 1 or 0 is not forwarded, and is quoted as it came.
#[test]
fn rfc1812_5_3_1_ends_at_one() {
    for is_v6 in [false, true] {
        for ttl in [0, 1] {
            let mut packet = frame(is_v6, ttl);
            let meta = Meta::parse(&packet).expect("a frame");
            assert_eq!(decrement(&meta, &mut packet), Ttl::Expired);
            assert_eq!(packet, frame(is_v6, ttl));
        }
    }
}

#[test]
fn what_is_no_ip_has_no_ttl() {
    let mut packet = frame(false, 9);
    let meta = Meta::parse(&packet).expect("a frame");
    assert_eq!(decrement(&meta, &mut packet[..20]), Ttl::NotIp, "cut off");
    packet[12..14].copy_from_slice(&[0x88, 0xcc]);
    let meta = Meta::parse(&packet).expect("a frame");
    assert_eq!(decrement(&meta, &mut packet), Ttl::NotIp);
}
