//! Packets between containers of an overlay.

use std::net::IpAddr;

use fastpath::limits::VNET_LEN;
use wire::frames::{self, Link};
use wire::meta::Meta;
use wire::vnet::{Flags, GsoType, Header};
use wire::{MacAddr, checksum, ip, ipv4, ipv6};

use super::nodes::{ip as v4, ip6 as v6, mac};

type Container = (usize, u16);

fn link(from: Container, to: Container) -> Link {
    Link::new(mac(from.0, from.1), mac(to.0, to.1))
}

pub(super) fn packet(from: Container, to: Container, is_ipv6: bool) -> ip::Repr {
    let protocol = wire::Protocol::UDP;
    match is_ipv6 {
        false => ip::Repr::V4(ipv4::Repr::new(v4(from.0, from.1), v4(to.0, to.1), protocol)),
        true => ip::Repr::V6(ipv6::Repr::new(v6(from.0, from.1), v6(to.0, to.1), protocol)),
    }
}

fn whole(build: impl FnOnce(&mut [u8]) -> Result<usize, wire::Error>) -> Vec<u8> {
    let mut bytes = vec![0; fastpath::limits::FRAME_MAX];
    let len = build(&mut bytes[VNET_LEN..]).expect("room");
    bytes.truncate(VNET_LEN + len);
    bytes
}

/// A UDP datagram between any addresses.
pub(super) fn udp_between(
    from: (MacAddr, IpAddr),
    to: (MacAddr, IpAddr),
    payload: &[u8],
) -> Vec<u8> {
    let protocol = wire::Protocol::UDP;
    let ip = match (from.1, to.1) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ip::Repr::V4(ipv4::Repr::new(from, to, protocol)),
        (IpAddr::V6(from), IpAddr::V6(to)) => ip::Repr::V6(ipv6::Repr::new(from, to, protocol)),
        _ => panic!("one family"),
    };
    let udp = wire::udp::Repr { src_port: 5000, dst_port: 7000 };
    whole(|buffer| frames::udp(buffer, &Link::new(from.0, to.0), &ip, &udp, payload))
}

/// A UDP datagram from a port.
pub(super) fn udp(from: Container, to: Container, src_port: u16, payload: &[u8]) -> Vec<u8> {
    udp_with(from, to, wire::udp::Repr { src_port, dst_port: 7000 }, payload)
}

/// A UDP datagram between two ports.
pub(super) fn udp_with(
    from: Container,
    to: Container,
    udp: wire::udp::Repr,
    payload: &[u8],
) -> Vec<u8> {
    let ip = packet(from, to, false);
    whole(|buffer| frames::udp(buffer, &link(from, to), &ip, &udp, payload))
}

/// A TCP segment.
pub(super) fn tcp(from: Container, to: Container, is_ipv6: bool, payload: &[u8]) -> Vec<u8> {
    tcp_with(from, to, is_ipv6, |tcp| tcp, payload)
}

/// A TCP segment with other fields.
pub(super) fn tcp_with(
    from: Container,
    to: Container,
    is_ipv6: bool,
    change: impl FnOnce(wire::tcp::Repr) -> wire::tcp::Repr,
    payload: &[u8],
) -> Vec<u8> {
    let tcp = change(wire::tcp::Repr {
        src_port: 50_000,
        dst_port: 80,
        seq: 1000,
        ack: 77,
        flags: wire::tcp::Flags::ACK,
        window: 500,
        ..Default::default()
    });
    let ip = packet(from, to, is_ipv6);
    whole(|buffer| frames::tcp(buffer, &link(from, to), &ip, &tcp, payload))
}

/// The same frame with its checksum left to the receiver.
pub(super) fn partial(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let meta = Meta::parse(&frame[VNET_LEN..]).expect("a frame");
    let offset = if meta.l4 == wire::L4::Udp { 6 } else { 16 };
    let at = VNET_LEN + usize::from(meta.l4_offset) + offset;
    let sum = pseudo(&meta, &frame[VNET_LEN..]);
    frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    let header = Header {
        flags: Flags::NEEDS_CSUM,
        csum_start: meta.l4_offset,
        csum_offset: offset as u16,
        ..Header::default()
    };
    frame[..VNET_LEN].copy_from_slice(&header.to_bytes());
    frame
}

/// The sum of a packet's pseudo-header.
fn pseudo(meta: &Meta, ethernet: &[u8]) -> u16 {
    let packet = meta.l3_bytes(ethernet);
    let len = meta.l4_bytes(ethernet).len();
    let protocol = if meta.l4 == wire::L4::Udp { wire::Protocol::UDP } else { wire::Protocol::TCP };
    match meta.l3 {
        wire::L3::Ipv4 => {
            let ip = ipv4::Packet::new_checked(packet).expect("IPv4");
            checksum::pseudo_v4(ip.src(), ip.dst(), protocol, len as u16)
        }
        _ => {
            let ip = ipv6::Packet::new_checked(packet).expect("IPv6");
            checksum::pseudo_v6(ip.src(), ip.dst(), protocol, len as u32)
        }
    }
}

/// The same packet as a GSO frame of segments with so many payload bytes.
pub(super) fn gso(frame: &[u8], size: u16) -> Vec<u8> {
    let mut frame = partial(frame);
    let header = Header::parse(&frame).expect("a header");
    let meta = Meta::parse(&frame[VNET_LEN..]).expect("a frame");
    let is_udp = meta.l4 == wire::L4::Udp;
    let transport =
        if is_udp { 8 } else { u16::from(frame[12 + usize::from(meta.l4_offset) + 12] >> 4) * 4 };
    if frame.len() - VNET_LEN - usize::from(meta.l4_offset + transport) <= usize::from(size) {
        return frame;
    }
    let gso_type = match meta.l3 {
        _ if is_udp => GsoType::UdpL4,
        wire::L3::Ipv4 => GsoType::TcpV4,
        _ => GsoType::TcpV6,
    };
    let hdr_len = meta.l4_offset + transport;
    let header = Header { gso_type, gso_size: size, hdr_len, ..header };
    frame[..VNET_LEN].copy_from_slice(&header.to_bytes());
    frame
}

/// Whether a transport checksum is complete and right.
pub(super) fn has_right_checksum(meta: &Meta, ethernet: &[u8]) -> bool {
    checksum::transport(pseudo(meta, ethernet), meta.l4_bytes(ethernet)) == 0
}
