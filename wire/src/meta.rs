//! The one parse of a frame on the data path.
//!
//! [`Meta::parse`] runs once on receive; all later stages use its offsets. It refuses only frames that no
//! switch forwards. A malformed packet is marked, for NAT and policy, and forwarded at layer 2.
//!
//! Offsets are guaranteed. With `l3` of `Ipv4` or `Ipv6`, the IP header, its options and the whole packet
//! lie within the frame. With `l4` of `Tcp`, `Udp`, `Icmpv4`, `Icmpv6` or `Sctp`, the transport header lies
//! within the packet (TCP with its options).

use crate::bytes::{array, be16};
use crate::ethernet::{self, EtherType};
use crate::ipv6_ext::{is_extension, upper_layer};
use crate::mac::MacAddr;
use crate::protocol::Protocol;
use crate::vlan::{TAG_LEN, Tci};
use crate::{arp, icmpv4, icmpv6, ipv4, ipv6, ports, tcp, udp};

#[cfg(test)]
mod tests;

mod common;
mod edit;

/// An unforwardable frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetaError {
    /// Shorter than an Ethernet header.
    #[error("frame of {len} bytes is shorter than an Ethernet header")]
    Short {
        /// Bytes in the frame.
        len: usize,
    },
    /// Ends within a VLAN tag, or before the EtherType behind it.
    #[error("frame of {len} bytes ends within a VLAN tag")]
    TagCut {
        /// Bytes in the frame.
        len: usize,
    },
}

/// The layer-3 protocol of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L3 {
    /// Another EtherType, or an IEEE 802.3 length.
    Other,
    /// ARP for IPv4 over Ethernet.
    Arp,
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// The EtherType is ARP, IPv4 or IPv6, and the bytes contradict it.
    Malformed,
}

/// The layer-4 protocol of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L4 {
    /// No IP, or IPv6 with no next header.
    None,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP in IPv4.
    Icmpv4,
    /// ICMPv6 in IPv6.
    Icmpv6,
    /// SCTP.
    Sctp,
    /// Another IP protocol.
    Other(u8),
    /// A later fragment, without a transport header.
    FragmentTail,
    /// The transport header or IPv6 extension headers are truncated or contradictory.
    Malformed,
}

/// A parsed frame: addresses, tags, and header offsets in bytes from the Ethernet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Destination MAC address.
    pub dst: MacAddr,
    /// Source MAC address.
    pub src: MacAddr,
    /// Outer VLAN tag, if there is a tag.
    pub outer: Option<Tci>,
    /// Inner VLAN tag, if there are two.
    pub inner: Option<Tci>,
    /// The EtherType behind the tags.
    pub ethertype: EtherType,
    /// Offset of layer 3.
    pub l3_offset: u16,
    /// Offset of layer 4; `l3_offset` without IP or without a readable layer 4.
    pub l4_offset: u16,
    /// Length of the layer-3 packet in bytes, without Ethernet padding. For `Other` and `Malformed`: the rest
    /// of the frame.
    pub l3_len: u32,
    /// The layer-3 protocol.
    pub l3: L3,
    /// The layer-4 protocol.
    pub l4: L4,
    /// Part of a fragmented IP packet, first or later. An atomic IPv6 fragment (RFC 6946) is whole.
    pub fragment: bool,
}

impl Meta {
    /// Parses a frame that begins at the Ethernet header and ends before the FCS.
    ///
    /// # Errors
    /// [`MetaError`] for a frame that cannot be forwarded. Broken layers 3 and 4 are no error.
    // Inlined into its one caller, the result needs no copy: a third faster.
    #[inline(always)]
    pub fn parse(frame: &[u8]) -> Result<Self, MetaError> {
        match common::parse(frame) {
            Some(meta) => Ok(meta),
            None => Self::parse_any(frame),
        }
    }

    /// Parses a frame of any shape.
    #[inline(never)]
    fn parse_any(frame: &[u8]) -> Result<Self, MetaError> {
        if frame.len() < ethernet::HEADER_LEN {
            return Err(MetaError::Short { len: frame.len() });
        }
        let ethertype = EtherType(be16(frame, 12..14));
        let offset = ethernet::HEADER_LEN as u16;
        let mut tags = Tags { outer: None, inner: None, ethertype, offset };
        if ethertype.is_vlan() {
            tags = parse_tags(frame)?;
        }
        let packet = &frame[usize::from(tags.offset)..];
        let layers = match tags.ethertype {
            EtherType::IPV4 => parse_ipv4(packet),
            EtherType::IPV6 => parse_ipv6(packet),
            EtherType::ARP => parse_arp(packet),
            _ => Layers::none(L3::Other, packet),
        };
        Ok(Self {
            dst: MacAddr(array(frame, 0..6)),
            src: MacAddr(array(frame, 6..12)),
            outer: tags.outer,
            inner: tags.inner,
            ethertype: tags.ethertype,
            l3_offset: tags.offset,
            l4_offset: tags.offset + layers.l3_header_len,
            l3_len: layers.l3_len,
            l3: layers.l3,
            l4: layers.l4,
            fragment: layers.fragment,
        })
    }

    /// Number of VLAN tags that were read, 0..=2. A third counts as payload.
    #[inline]
    pub const fn tags(&self) -> usize {
        self.outer.is_some() as usize + self.inner.is_some() as usize
    }
}

/// Tags and EtherType.
///
/// This and [`Layers`] pass by value, in registers: bytes that were just written one by one and are read together
/// wait for the store buffer, which trebled the parse's time.
struct Tags {
    outer: Option<Tci>,
    inner: Option<Tci>,
    ethertype: EtherType,
    offset: u16,
}

/// Layers 3 and 4. The length of the layer-3 header includes IPv6 extension headers.
struct Layers {
    l3: L3,
    l4: L4,
    l3_header_len: u16,
    l3_len: u32,
    fragment: bool,
}

impl Layers {
    /// A packet without layer 4 and of unknown length.
    #[inline]
    fn none(l3: L3, packet: &[u8]) -> Self {
        let l3_len = packet.len() as u32;
        Self { l3, l4: L4::None, l3_header_len: 0, l3_len, fragment: false }
    }
}

#[inline(always)]
fn parse_tags(frame: &[u8]) -> Result<Tags, MetaError> {
    let tag = |at: usize| {
        let tag = frame.get(at..at + TAG_LEN).ok_or(MetaError::TagCut { len: frame.len() })?;
        Ok((Some(Tci(be16(tag, 0..2))), EtherType(be16(tag, 2..4))))
    };
    let (outer, ethertype) = tag(ethernet::HEADER_LEN)?;
    let offset = (ethernet::HEADER_LEN + TAG_LEN) as u16;
    if !ethertype.is_vlan() {
        return Ok(Tags { outer, inner: None, ethertype, offset });
    }
    let (inner, ethertype) = tag(offset.into())?;
    Ok(Tags { outer, inner, ethertype, offset: offset + TAG_LEN as u16 })
}

fn parse_arp(packet: &[u8]) -> Layers {
    match arp::Packet::new_checked(packet) {
        Ok(_) => Layers { l3_len: arp::PACKET_LEN as u32, ..Layers::none(L3::Arp, packet) },
        Err(_) => Layers::none(L3::Malformed, packet),
    }
}

#[inline]
fn parse_ipv4(packet: &[u8]) -> Layers {
    let Ok(ip) = ipv4::Packet::new_checked(packet) else {
        return Layers::none(L3::Malformed, packet);
    };
    let fragment = ip.is_fragment();
    let l4 = match ip.fragment_offset() {
        0 => transport(ip.protocol(), ip.payload(), fragment, Protocol::ICMPV4),
        _ => L4::FragmentTail,
    };
    let (l3_header_len, l3_len) = (ip.header_len() as u16, ip.total_len().into());
    Layers { l3: L3::Ipv4, l4, l3_header_len, l3_len, fragment }
}

#[inline]
fn parse_ipv6(packet: &[u8]) -> Layers {
    let Ok(ip) = ipv6::Packet::new_checked(packet) else {
        return Layers::none(L3::Malformed, packet);
    };
    let (l3, l3_len) = (L3::Ipv6, ip.total_len() as u32);
    if is_extension(ip.next_header()) {
        return Layers { l3, l3_len, ..parse_extensions(ip.next_header(), ip.payload()) };
    }
    let l4 = transport(ip.next_header(), ip.payload(), false, Protocol::ICMPV6);
    Layers { l3, l4, l3_header_len: ipv6::HEADER_LEN as u16, l3_len, fragment: false }
}

/// Layer 4 behind extension headers; the caller knows layer 3 and its length.
#[inline(never)]
fn parse_extensions(next_header: Protocol, payload: &[u8]) -> Layers {
    let l3_header_len = ipv6::HEADER_LEN as u16;
    let layers = Layers { l3_header_len, ..Layers::none(L3::Ipv6, payload) };
    let Ok(upper) = upper_layer(next_header, payload) else {
        return Layers { l4: L4::Malformed, ..layers };
    };
    let fragment = upper.fragment.is_some_and(|f| !f.is_atomic());
    let l4 = match upper.fragment {
        Some(fragment) if fragment.is_tail() => L4::FragmentTail,
        _ => transport(upper.protocol, &payload[upper.offset..], fragment, Protocol::ICMPV6),
    };
    Layers { l4, l3_header_len: l3_header_len + upper.offset as u16, fragment, ..layers }
}

/// The transport at the start of `payload`, bounded by the IP length. In a first fragment a UDP length
/// may exceed it. `icmp` is the family's ICMP.
#[inline]
fn transport(protocol: Protocol, payload: &[u8], first_fragment: bool, icmp: Protocol) -> L4 {
    let (fits, l4) = match protocol {
        Protocol::UDP if first_fragment => (payload.len() >= udp::HEADER_LEN, L4::Udp),
        Protocol::UDP => (udp::Packet::new_checked(payload).is_ok(), L4::Udp),
        Protocol::TCP => (tcp::Packet::new_checked(payload).is_ok(), L4::Tcp),
        Protocol::ICMPV4 if icmp == protocol => (payload.len() >= icmpv4::HEADER_LEN, L4::Icmpv4),
        Protocol::ICMPV6 if icmp == protocol => (payload.len() >= icmpv6::HEADER_LEN, L4::Icmpv6),
        Protocol::SCTP => (payload.len() >= ports::SCTP_HEADER_LEN, L4::Sctp),
        Protocol::NO_NEXT_HEADER if icmp == Protocol::ICMPV6 => (true, L4::None),
        Protocol(other) => (true, L4::Other(other)),
    };
    if fits { l4 } else { L4::Malformed }
}
