use std::vec;
use std::vec::Vec;

use crate::frames::{Link, udp};
use crate::{MacAddr, ip, udp as udp_wire};

use super::*;

fn frame(is_v6: bool, tos: u8) -> Vec<u8> {
    let link = Link::new(MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
    let header = if is_v6 {
        let address = [0xfd00, 0, 0, 0, 0, 0, 0, 1].into();
        let repr = ipv6::Repr::new(address, address, crate::Protocol::UDP);
        ip::Repr::V6(ipv6::Repr { traffic_class: tos, flow_label: 0xf_ffff, ..repr })
    } else {
        let address = [10, 99, 0, 2].into();
        let repr = ipv4::Repr::new(address, address, crate::Protocol::UDP);
        ip::Repr::V4(ipv4::Repr { tos, ..repr })
    };
    let mut buffer = vec![0; 100];
    let ports = udp_wire::Repr { src_port: 1, dst_port: 2 };
    let len = udp(&mut buffer, &link, &header, &ports, b"hello").expect("room");
    buffer.truncate(len);
    buffer
}

/// RFC 6040, figure 4, row by row: outer Not-ECT, ECT(0), ECT(1), CE.
#[test]
fn rfc6040_4_2_combines_inner_and_outer() {
    for (inner, expected) in [
        (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None]),
        (ECT_0, [Some(ECT_0), Some(ECT_0), Some(ECT_1), Some(CE)]),
        (ECT_1, [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)]),
        (CE, [Some(CE), Some(CE), Some(CE), Some(CE)]),
    ] {
        let outer = [NOT_ECT, ECT_0, ECT_1, CE];
        assert_eq!(outer.map(|outer| combine(inner, outer)), expected, "inner {inner:02b}");
    }
}

/// The frame's own DSCP stays, whatever the outer one is, and so does its flow label; the checksum follows.
#[test]
fn rfc6040_4_2_changes_the_frames_ecn_only() {
    for (is_v6, inner, outer) in [false, true].into_iter().flat_map(|is_v6| {
        let all = (0..=255_u8).step_by(7).chain([3, 255]);
        all.flat_map(move |inner| (0..=255_u8).step_by(5).map(move |outer| (is_v6, inner, outer)))
    }) {
        let mut packet = frame(is_v6, inner);
        let meta = Meta::parse(&packet).expect("a frame");
        assert_eq!(of(&meta, &packet), inner & MASK);
        let is_kept = decapsulate(&meta, &mut packet, outer);
        match combine(inner, outer) {
            Some(ecn) => {
                assert!(is_kept);
                assert_eq!(packet, frame(is_v6, inner & !MASK | ecn), "{inner:08b} {outer:08b}");
            }
            None => assert!(!is_kept),
        }
    }
}

#[test]
fn what_is_no_ip_has_no_ecn() {
    let mut packet = frame(false, CE);
    packet[12..14].copy_from_slice(&[0x88, 0xcc]);
    let (meta, before) = (Meta::parse(&packet).expect("a frame"), packet.clone());
    assert_eq!(of(&meta, &packet), NOT_ECT);
    assert!(decapsulate(&meta, &mut packet, CE), "it is no packet that a router marks");
    assert_eq!(packet, before);
}
