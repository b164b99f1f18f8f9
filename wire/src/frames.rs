//! Whole frames, from the Ethernet header, that a switch sends.
//!
//! Frames are not padded to 60 bytes: a TAP needs no padding, and a NIC's driver adds it.

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::error::{Error, check_space};
use crate::ethernet::{self, EtherType};
use crate::ip;
use crate::mac::MacAddr;
use crate::ndp::{self, Message, NdpOption};
use crate::protocol::Protocol;
use crate::vlan::{TAG_LEN, Tci};
use crate::{arp, icmpv4, icmpv6, ipv4, ipv6, tcp, udp};

#[cfg(test)]
mod tests;

/// Bytes of an ARP frame without a tag.
pub const ARP_FRAME_LEN: usize = ethernet::HEADER_LEN + arp::PACKET_LEN;

/// Bytes of a neighbour solicitation or advertisement with one link-layer address, without a tag.
pub const NEIGHBOR_FRAME_LEN: usize = ethernet::HEADER_LEN + ipv6::HEADER_LEN + 24 + 8;

/// The Ethernet header with an optional 802.1Q tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Destination address.
    pub dst: MacAddr,
    /// Source address.
    pub src: MacAddr,
    /// The tag.
    pub vlan: Option<Tci>,
}

impl Link {
    /// An untagged header.
    pub const fn new(src: MacAddr, dst: MacAddr) -> Self {
        Self { dst, src, vlan: None }
    }

    /// Bytes of header and tag.
    pub const fn header_len(&self) -> usize {
        ethernet::HEADER_LEN + if self.vlan.is_some() { TAG_LEN } else { 0 }
    }

    /// Writes header and tag to the start of `buffer`, and returns their length.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`].
    pub fn emit(&self, ethertype: EtherType, buffer: &mut [u8]) -> Result<usize, Error> {
        let len = self.header_len();
        check_space("Ethernet", len, buffer.len())?;
        let (dst, src) = (self.dst, self.src);
        let Some(tci) = self.vlan else {
            return ethernet::Repr { dst, src, ethertype }.emit(buffer);
        };
        let at = ethernet::Repr { dst, src, ethertype: EtherType::VLAN }.emit(buffer)?;
        buffer[at..at + 2].copy_from_slice(&tci.0.to_be_bytes());
        buffer[at + 2..len].copy_from_slice(&ethertype.0.to_be_bytes());
        Ok(len)
    }
}

/// Writes a UDP datagram; the protocol in `ip` need not be set. Returns the frame's length.
///
/// # Errors
/// [`Error::BufferTooSmall`]; [`Error::Field`] for a payload beyond the length fields.
pub fn udp(
    buffer: &mut [u8],
    link: &Link,
    ip: &ip::Repr,
    udp: &udp::Repr,
    payload: &[u8],
) -> Result<usize, Error> {
    let ip = ip.with_protocol(Protocol::UDP);
    let len = udp::HEADER_LEN + payload.len();
    packet(buffer, link, &ip, len, |segment| {
        udp.emit(payload, |len| ip.pseudo_header(len.into()), segment)
    })
}

/// Writes a TCP segment; the protocol in `ip` need not be set. Returns the frame's length.
///
/// # Errors
/// [`Error::BufferTooSmall`]; [`Error::Field`] for a payload beyond the length fields.
pub fn tcp(
    buffer: &mut [u8],
    link: &Link,
    ip: &ip::Repr,
    tcp: &tcp::Repr,
    payload: &[u8],
) -> Result<usize, Error> {
    let ip = ip.with_protocol(Protocol::TCP);
    let len = tcp.header_len() + payload.len();
    packet(buffer, link, &ip, len, |segment| {
        tcp.emit(payload, |len| ip.pseudo_header(len), segment)
    })
}

/// Writes an SCTP packet with its CRC32c; the protocol in `ip` need not be set. Returns the frame's length.
///
/// # Errors
/// [`Error::BufferTooSmall`]; [`Error::Field`] for a packet beyond the length field.
pub fn sctp(buffer: &mut [u8], link: &Link, ip: &ip::Repr, bytes: &[u8]) -> Result<usize, Error> {
    packet(buffer, link, &ip.with_protocol(Protocol::SCTP), bytes.len(), |segment| {
        segment[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    })
}

/// Writes an ICMP message; the protocol in `ip` need not be set. Returns the frame's length.
///
/// # Errors
/// [`Error::BufferTooSmall`]; [`Error::Field`] for a message beyond the length field.
pub fn icmpv4(
    buffer: &mut [u8],
    link: &Link,
    ip: &ipv4::Repr,
    message: &icmpv4::Repr<'_>,
) -> Result<usize, Error> {
    let ip = ip::Repr::V4(*ip).with_protocol(Protocol::ICMPV4);
    packet(buffer, link, &ip, message.buffer_len(), |segment| message.emit(segment))
}

/// Writes an ICMPv6 message; the next header in `ip` need not be set. Returns the frame's length.
///
/// # Errors
/// [`Error::BufferTooSmall`]; [`Error::Field`] for a message beyond the length field.
pub fn icmpv6(
    buffer: &mut [u8],
    link: &Link,
    ip: &ipv6::Repr,
    message: &icmpv6::Repr<'_>,
) -> Result<usize, Error> {
    let ip = ip::Repr::V6(*ip).with_protocol(Protocol::ICMPV6);
    packet(buffer, link, &ip, message.buffer_len(), |segment| {
        message.emit(|len| ip.pseudo_header(len), segment)
    })
}

/// Writes a neighbour discovery message with hop limit 255. Returns the frame's length.
///
/// # Errors
/// [`Error::BufferTooSmall`]; [`Error::Field`] for an option whose length is no multiple of 8 bytes.
pub fn ndp(
    buffer: &mut [u8],
    link: &Link,
    src: Ipv6Addr,
    dst: Ipv6Addr,
    message: &Message,
    options: &[NdpOption<'_>],
) -> Result<usize, Error> {
    let ip = ipv6::Repr::new(src, dst, Protocol::ICMPV6);
    let ip = ip::Repr::V6(ipv6::Repr { hop_limit: ndp::HOP_LIMIT, ..ip });
    packet(buffer, link, &ip, message.buffer_len(options), |segment| {
        message.emit(options, |len| ip.pseudo_header(len), segment)
    })
}

/// An ARP frame from the sender in `repr` to `dst`.
pub fn arp(dst: MacAddr, repr: &arp::Repr) -> [u8; ARP_FRAME_LEN] {
    let mut frame = [0; ARP_FRAME_LEN];
    let ethernet = ethernet::Repr { dst, src: repr.sender_mac, ethertype: EtherType::ARP };
    let emitted = ethernet.emit(&mut frame).and_then(|at| repr.emit(&mut frame[at..]));
    debug_assert_eq!(emitted, Ok(arp::PACKET_LEN));
    frame
}

/// A gratuitous ARP request: `mac` has `ip` (RFC 5227 section 2.3).
pub fn gratuitous_arp(mac: MacAddr, ip: Ipv4Addr) -> [u8; ARP_FRAME_LEN] {
    arp(MacAddr::BROADCAST, &arp::Repr::gratuitous(mac, ip))
}

/// An ARP request for `target`.
pub fn arp_request(mac: MacAddr, ip: Ipv4Addr, target: Ipv4Addr) -> [u8; ARP_FRAME_LEN] {
    arp(MacAddr::BROADCAST, &arp::Repr::request(mac, ip, target))
}

/// The ARP reply to `request`: `mac` has the address.
pub fn arp_reply(request: &arp::Repr, mac: MacAddr) -> [u8; ARP_FRAME_LEN] {
    arp(request.sender_mac, &request.reply(mac))
}

/// An unsolicited neighbour advertisement to all nodes, with the override flag (RFC 4861 section 7.2.6).
pub fn unsolicited_na(mac: MacAddr, ip: Ipv6Addr) -> [u8; NEIGHBOR_FRAME_LEN] {
    let link = Link::new(mac, MacAddr::from_ipv6_multicast(ndp::ALL_NODES));
    let (router, solicited, overrides) = (false, false, true);
    let message = Message::NeighborAdvert { router, solicited, overrides, target: ip };
    neighbor(&link, ip, ndp::ALL_NODES, &message, NdpOption::TargetLinkLayer(mac))
}

/// The advertisement for a solicitation from `asker`: `mac` has `ip` (RFC 4861 section 7.2.4). For the
/// unspecified address (duplicate detection) use [`unsolicited_na`].
pub fn solicited_na(
    mac: MacAddr,
    ip: Ipv6Addr,
    router: bool,
    asker: (MacAddr, Ipv6Addr),
) -> [u8; NEIGHBOR_FRAME_LEN] {
    let (solicited, overrides) = (true, true);
    let message = Message::NeighborAdvert { router, solicited, overrides, target: ip };
    neighbor(&Link::new(mac, asker.0), ip, asker.1, &message, NdpOption::TargetLinkLayer(mac))
}

/// A solicitation for `target`, to its solicited-node address (RFC 4861 section 7.2.2).
pub fn neighbor_solicit(mac: MacAddr, ip: Ipv6Addr, target: Ipv6Addr) -> [u8; NEIGHBOR_FRAME_LEN] {
    let group = ndp::solicited_node(target);
    let link = Link::new(mac, MacAddr::from_ipv6_multicast(group));
    let message = Message::NeighborSolicit { target };
    neighbor(&link, ip, group, &message, NdpOption::SourceLinkLayer(mac))
}

fn neighbor(
    link: &Link,
    src: Ipv6Addr,
    dst: Ipv6Addr,
    message: &Message,
    option: NdpOption<'_>,
) -> [u8; NEIGHBOR_FRAME_LEN] {
    let mut frame = [0; NEIGHBOR_FRAME_LEN];
    let emitted = ndp(&mut frame, link, src, dst, message, &[option]);
    debug_assert_eq!(emitted, Ok(NEIGHBOR_FRAME_LEN));
    frame
}

/// Writes link and IP header, and a transport of `len` bytes by `transport`.
fn packet(
    buffer: &mut [u8],
    link: &Link,
    ip: &ip::Repr,
    len: usize,
    transport: impl FnOnce(&mut [u8]) -> Result<usize, Error>,
) -> Result<usize, Error> {
    let total = link.header_len() + ip.header_len() + len;
    check_space("frame", total, buffer.len())?;
    let mut at = link.emit(ip.ethertype(), buffer)?;
    at += ip.emit(len, &mut buffer[at..])?;
    at += transport(&mut buffer[at..total])?;
    Ok(at)
}
