//! Well-formed frames: accepted by both, with equal fields and right checksums.

use etherparse::SlicedPacket;
use proptest::prelude::*;
use vswitch_wire::{L3, L4, Meta, Protocol, icmpv4, icmpv6, ipv4, ipv6, tcp, udp};

use crate::{agree, captured, exercise, packets};

/// The transport checksum of a whole packet is right.
fn checksums_are_right(frame: &[u8]) {
    let meta = Meta::parse(frame).unwrap();
    let segment = meta.l4_bytes(frame);
    let pseudo = |protocol| match meta.l3 {
        L3::Ipv4 => ipv4::Packet::new_checked(meta.l3_bytes(frame)).unwrap().pseudo_header(),
        _ => {
            let ip = ipv6::Packet::new_checked(meta.l3_bytes(frame)).unwrap();
            ip.pseudo_header(protocol, segment.len() as u32)
        }
    };
    if meta.l3 == L3::Ipv4 {
        assert!(ipv4::Packet::new_checked(meta.l3_bytes(frame)).unwrap().verify_checksum());
    }
    if meta.fragment {
        return;
    }
    assert!(match meta.l4 {
        L4::Tcp =>
            tcp::Packet::new_checked(segment).unwrap().verify_checksum(pseudo(Protocol::TCP)),
        L4::Udp =>
            udp::Packet::new_checked(segment).unwrap().verify_checksum(pseudo(Protocol::UDP)),
        L4::Icmpv4 => icmpv4::Packet::new_checked(segment).unwrap().verify_checksum(),
        L4::Icmpv6 => {
            let packet = icmpv6::Packet::new_checked(segment).unwrap();
            packet.verify_checksum(pseudo(Protocol::ICMPV6))
        }
        _ => true,
    });
}

#[test]
fn captured_frames() {
    for (name, frame) in captured() {
        assert_eq!(SlicedPacket::from_ethernet(&frame).err(), None, "{name}");
        agree::check(&frame);
        checksums_are_right(&frame);
        exercise::meta(&frame);
    }
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn frames_of_the_oracle(frame in packets::frame()) {
        prop_assert_eq!(SlicedPacket::from_ethernet(&frame).err(), None);
        agree::check(&frame);
        checksums_are_right(&frame);
        exercise::meta(&frame);
    }
}
