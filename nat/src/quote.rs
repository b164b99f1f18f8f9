//! The packet that an ICMP error quotes: offset and fields of its transport.
//!
//! The quote has at least eight bytes of the transport (RFC 792): the ports and the TCP sequence number,
//! not always the checksum. A quoted tail has no ports; no error is sent about one (RFC 1812 section 4.3.2.7).

use std::net::IpAddr;

use wire::Protocol;
use wire::ipv6_ext::{Extensions, Fragment};
use wire::ports::Ports;
use wire::{icmpv4, icmpv6, ipv4, ipv6};

use crate::translatable::{is_translatable_extension, is_translatable_v4, transport};
use crate::tuple::{Endpoint, Transport, Tuple};

/// Bytes of the transport that every error quotes (RFC 792).
const TRANSPORT_LEN_MIN: usize = 8;

/// A quoted packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quote {
    /// Its addresses and ports.
    pub(crate) tuple: Tuple,
    /// Offset of the transport from the IP header, in bytes.
    pub(crate) l4_offset: usize,
    /// Sequence number of TCP.
    pub(crate) seq: Option<u32>,
    /// The quoted packet is an echo request.
    pub(crate) is_request: bool,
}

/// ICMP errors that NAT translates.
pub(crate) const fn is_icmpv4(icmp_type: icmpv4::Type) -> bool {
    use icmpv4::Type;
    matches!(icmp_type, Type::DST_UNREACHABLE | Type::TIME_EXCEEDED | Type::PARAMETER_PROBLEM)
}

/// ICMPv6 errors that NAT translates.
pub(crate) const fn is_icmpv6(icmp_type: icmpv6::Type) -> bool {
    use icmpv6::Type;
    matches!(
        icmp_type,
        Type::DST_UNREACHABLE
            | Type::PACKET_TOO_BIG
            | Type::TIME_EXCEEDED
            | Type::PARAMETER_PROBLEM
    )
}

/// Parses the start of `quoted`, which may be cut off.
pub(crate) fn find(is_v6: bool, quoted: &[u8]) -> Option<Quote> {
    let (src, dst, protocol, l4_offset) = if is_v6 { ipv6(quoted)? } else { ipv4(quoted)? };
    let segment = quoted.get(l4_offset..).filter(|rest| rest.len() >= TRANSPORT_LEN_MIN)?;
    let transport = transport(protocol, is_v6)?;
    let (ports, is_request) = match transport {
        Transport::Echo => echo(is_v6, segment)?,
        _ => {
            let ports = Ports::new_checked(segment).ok()?;
            ((ports.src(), ports.dst()), false)
        }
    };
    let (src, dst) = (Endpoint::new(src, ports.0), Endpoint::new(dst, ports.1));
    let seq = (transport == Transport::Tcp)
        .then(|| segment[4..].first_chunk().map(|bytes| u32::from_be_bytes(*bytes)))
        .flatten();
    Some(Quote { tuple: Tuple { transport, src, dst }, l4_offset, seq, is_request })
}

type Header = (IpAddr, IpAddr, Protocol, usize);

fn ipv4(quoted: &[u8]) -> Option<Header> {
    let ip = ipv4::Packet::new_quoted(quoted).ok()?;
    let is_plain = ip.fragment_offset() == 0 && is_translatable_v4(&ip);
    is_plain.then(|| (ip.src().into(), ip.dst().into(), ip.protocol(), ip.header_len()))
}

fn ipv6(quoted: &[u8]) -> Option<Header> {
    let ip = ipv6::Packet::new_quoted(quoted).ok()?;
    let (mut protocol, mut at) = (ip.next_header(), ipv6::HEADER_LEN);
    for extension in Extensions::new(protocol, &quoted[ipv6::HEADER_LEN..]) {
        let extension = extension.ok().filter(is_translatable_extension)?;
        if extension.fragment().is_some_and(|fragment: Fragment| fragment.is_tail()) {
            return None;
        }
        (protocol, at) = (extension.next_header, at + extension.bytes.len());
    }
    Some((ip.src().into(), ip.dst().into(), protocol, at))
}

/// An echo's identifier as both ports, and whether the echo is a request.
fn echo(is_v6: bool, message: &[u8]) -> Option<((u16, u16), bool)> {
    let (ident, is_echo, is_request) = if is_v6 {
        let icmp = icmpv6::Packet::new_checked(message).ok()?;
        let found = icmp.icmp_type();
        (icmp.ident(), found.is_echo(), found == icmpv6::Type::ECHO_REQUEST)
    } else {
        let icmp = icmpv4::Packet::new_checked(message).ok()?;
        let found = icmp.icmp_type();
        (icmp.ident(), found.is_echo(), found == icmpv4::Type::ECHO_REQUEST)
    };
    is_echo.then_some(((ident, ident), is_request))
}
