//! A client asks, one test for each message and clause.

mod advert;
mod v4;
mod v6;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wire::frames::{self, Link};
use wire::meta::Meta;
use wire::{MacAddr, Protocol, ip, ipv4, ipv6, udp};

use crate::{Answer, NetworkInfo, PortLease, SearchList};

/// The client's own address is not the port's: a virtual machine behind a bridge.
const CLIENT: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
const GATEWAY_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const OWN: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 7);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const OWN_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 7);
const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
/// The search list of two domains.
const SEARCH: &[u8] = b"\x04corp\x07example\0\x03lan\0";
/// Made of the gateway's MAC address.
const GATEWAY_LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1);

fn lease() -> PortLease {
    PortLease {
        ipv4: Some("10.99.0.7/16".parse().unwrap()),
        ipv6: Some(OWN_V6),
        hostname: Some("web".to_owned()),
        is_default_route: true,
        network: NetworkInfo {
            mac: GATEWAY_MAC,
            gateway: GATEWAY,
            subnet6: "fd00::1/64".parse().unwrap(),
            gateway6: GATEWAY_V6,
            mtu: 1400,
            has_host_port: true,
            dns: true,
            search: SearchList::new(["corp.example", "lan"]),
            dhcp: true,
            ra: true,
        },
    }
}

/// A datagram from the client, as a frame.
fn datagram(from: IpAddr, to: IpAddr, [src_port, dst_port]: [u16; 2], message: &[u8]) -> Vec<u8> {
    let ip = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            ip::Repr::V4(ipv4::Repr::new(from, to, Protocol::UDP))
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            ip::Repr::V6(ipv6::Repr::new(from, to, Protocol::UDP))
        }
        _ => panic!("of two families"),
    };
    let mut frame = vec![0; 1500];
    let ports = udp::Repr { src_port, dst_port };
    let link = Link::new(CLIENT, MacAddr::BROADCAST);
    let len = frames::udp(&mut frame, &link, &ip, &ports, message).unwrap();
    frame.truncate(len);
    frame
}

/// An answer taken apart.
struct Datagram {
    dst_mac: MacAddr,
    src: IpAddr,
    dst: IpAddr,
    ports: [u16; 2],
    message: Vec<u8>,
}

/// The datagram of an answer, whose checksum is right.
#[track_caller]
fn sent(answer: Answer) -> Datagram {
    let frame = answer.frame.expect("an answer");
    let meta = Meta::parse(&frame).unwrap();
    assert_eq!(meta.src, GATEWAY_MAC);
    let packet = meta.l3_bytes(&frame);
    let datagram = udp::Packet::new_checked(meta.l4_bytes(&frame)).unwrap();
    let (src, dst, pseudo): (IpAddr, IpAddr, _) = match meta.l3 {
        wire::L3::Ipv4 => {
            let packet = ipv4::Packet::new_checked(packet).unwrap();
            assert!(packet.verify_checksum());
            (packet.src().into(), packet.dst().into(), packet.pseudo_header())
        }
        _ => {
            let packet = ipv6::Packet::new_checked(packet).unwrap();
            let pseudo = packet.pseudo_header(Protocol::UDP, datagram.len().into());
            (packet.src().into(), packet.dst().into(), pseudo)
        }
    };
    assert!(datagram.verify_checksum(pseudo));
    Datagram {
        dst_mac: meta.dst,
        src,
        dst,
        ports: [datagram.src_port(), datagram.dst_port()],
        message: datagram.payload().to_vec(),
    }
}
