//! What every input must hold, for property tests and for the fuzz target.

use std::net::{Ipv4Addr, Ipv6Addr};

use vswitch_dhcp::{NetworkInfo, PortLease, SearchList};
use wire::frames::{self, Link};
use wire::{L3, L4, MacAddr, Meta, Protocol, ip, ipv4, ipv6, udp};

const ASKER: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);

pub(crate) fn lease() -> PortLease {
    PortLease {
        ipv4: Some("10.99.0.7/16".parse().expect("an address")),
        ipv6: Some("fd00::7".parse().expect("an address")),
        hostname: Some("web".to_owned()),
        is_default_route: true,
        network: NetworkInfo {
            mac: MacAddr([2, 0, 0, 0, 0, 1]),
            gateway: Ipv4Addr::new(10, 99, 0, 1),
            subnet6: "fd00::1/64".parse().expect("a subnet"),
            gateway6: "fd00::1".parse().expect("an address"),
            mtu: 1500,
            has_host_port: true,
            dns: true,
            search: SearchList::new(["corp.example", "lan"]),
            dhcp: true,
            ra: true,
        },
    }
}

/// Answers `bytes` as a frame, and as a message in a sound frame.
pub(crate) fn answer(bytes: &[u8]) {
    answer_frame(bytes);
    let v4 = ipv4::Repr::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, Protocol::UDP);
    answer_message(ip::Repr::V4(v4), [68, 67], MacAddr::BROADCAST, bytes);
    let servers = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
    let client = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
    let v6 = ipv6::Repr::new(client, servers, Protocol::UDP);
    let group = MacAddr::from_ipv6_multicast(servers);
    answer_message(ip::Repr::V6(v6), [546, 547], group, bytes);
}

fn answer_message(ip: ip::Repr, [src_port, dst_port]: [u16; 2], dst: MacAddr, message: &[u8]) {
    let mut frame = vec![0; 100 + message.len()];
    let ports = udp::Repr { src_port, dst_port };
    let written = frames::udp(&mut frame, &Link::new(ASKER, dst), &ip, &ports, message);
    // Longer than a length field can tell.
    let Ok(len) = written else { return };
    answer_frame(&frame[..len]);
}

/// An answer is a sound frame from the gateway, to the asker or to all.
fn answer_frame(frame: &[u8]) {
    let lease = lease();
    let Some(answer) = vswitch_dhcp::answer(frame, &lease).frame else { return };
    let asked = Meta::parse(frame).expect("a frame that was answered");
    let meta = Meta::parse(&answer).expect("a frame");
    assert_eq!(meta.src, lease.network.mac);
    assert!(meta.dst == asked.src || meta.dst.is_multicast(), "to {}", meta.dst);
    assert!(answer.len() <= 1514 && !meta.fragment);
    let packet = meta.l3_bytes(&answer);
    let pseudo = match meta.l3 {
        L3::Ipv4 => ipv4::Packet::new_checked(packet).expect("a packet").pseudo_header(),
        L3::Ipv6 => {
            let protocol = if meta.l4 == L4::Udp { Protocol::UDP } else { Protocol::ICMPV6 };
            let len = meta.l4_bytes(&answer).len() as u32;
            ipv6::Packet::new_checked(packet).expect("a packet").pseudo_header(protocol, len)
        }
        other => panic!("{other:?}"),
    };
    let sum = wire::checksum::transport(pseudo, meta.l4_bytes(&answer));
    assert_eq!(sum, 0, "the checksum is right");
}
