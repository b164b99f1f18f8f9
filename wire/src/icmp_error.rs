//! ICMP errors of a router about a dropped frame.
//!
//! | error | ICMP (RFC 792, 1191, 1812) | ICMPv6 (RFC 4443) |
//! |---|---|---|
//! | hop count used up | 11, 0 | 3, 0 |
//! | too big | 3, 4 with the MTU | 2 with the MTU |
//! | no route | 3, 0 | 1, 0 |
//! | host unreachable | 3, 1 | 1, 3 |
//! | port unreachable | 3, 3 | 1, 4 |
//! | prohibited | 3, 13 | 1, 1 |
//!
//! [`Suppressed`] has the cases without an error (RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 e). The
//! caller limits the rate (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 f), and skips silent drops.
//!
//! The error quotes the frame as given: create it before a rewrite, so that it quotes the packet as sent.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::frames::{Link, icmpv4 as emit_icmpv4, icmpv6 as emit_icmpv6};
use crate::icmpv4::unreachable as v4;
use crate::icmpv6::unreachable as v6;
use crate::limits::{ICMP_ERROR_FRAME_MAX, ICMPV6_ERROR_PACKET_MAX, IPV4_MTU_MIN, IPV6_MTU_MIN};
use crate::{L3, MacAddr, Meta, Protocol, ethernet, icmpv4, icmpv6, ipv4, ipv6, vlan};

#[cfg(test)]
mod tests;

mod suppressed;

pub use suppressed::Suppressed;

const _: () = assert!(
    ICMP_ERROR_FRAME_MAX == ethernet::HEADER_LEN + vlan::TAG_LEN + ICMPV6_ERROR_PACKET_MAX,
    "a frame with an ICMP error fits"
);

/// The kind of an ICMP error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpError {
    /// The TTL or hop limit expired.
    TimeExceeded,
    /// The packet exceeds this MTU, in bytes of IP packet. IPv4: with DF only.
    TooBig(u32),
    /// No route to the destination.
    NoRoute,
    /// The destination's address does not resolve.
    HostUnreachable,
    /// No listener on the port.
    PortUnreachable,
    /// Policy forbids it.
    Prohibited,
}

/// The source of errors: the router's addresses on the frame's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpSource<'a> {
    /// MAC address.
    pub mac: MacAddr,
    /// IPv4 address; none suppresses IPv4 errors.
    pub ipv4: Option<Ipv4Addr>,
    /// IPv6 address; none suppresses IPv6 errors.
    pub ipv6: Option<Ipv6Addr>,
    /// Broadcast addresses of the router's subnets.
    pub broadcasts: &'a [Ipv4Addr],
}

/// Writes the frame of an error about `frame` to `buffer`, and returns its length, at most
/// [`crate::limits::ICMP_ERROR_FRAME_MAX`]. It goes to the frame's source MAC address, with its outer tag.
///
/// # Errors
/// [`Suppressed`]: send nothing.
pub fn emit_icmp_error(
    error: IcmpError,
    source: &IcmpSource<'_>,
    meta: &Meta,
    ethernet: &[u8],
    buffer: &mut [u8],
) -> Result<usize, Suppressed> {
    suppressed::check_link(meta)?;
    let link = Link { dst: meta.src, src: source.mac, vlan: meta.outer };
    let packet = meta.l3_bytes(ethernet);
    match meta.l3 {
        L3::Ipv4 => {
            let ip = ipv4::Packet::new_checked(packet).map_err(|_| Suppressed::Broken)?;
            suppressed::check_ipv4(meta, &ip, source.broadcasts)?;
            let from = source.ipv4.ok_or(Suppressed::NoAddress)?;
            let header = ipv4_header(from, &ip);
            let message = icmpv4_message(error, icmpv4::quote(packet));
            emit_icmpv4(buffer, &link, &header, &message).map_err(|_| Suppressed::BufferTooSmall)
        }
        L3::Ipv6 => {
            let ip = ipv6::Packet::new_checked(packet).map_err(|_| Suppressed::Broken)?;
            suppressed::check_ipv6(meta, &ip)?;
            let from = source.ipv6.ok_or(Suppressed::NoAddress)?;
            let header = ipv6::Repr::new(from, ip.src(), Protocol::ICMPV6);
            let message = icmpv6_message(error, icmpv6::quote(packet));
            emit_icmpv6(buffer, &link, &header, &message).map_err(|_| Suppressed::BufferTooSmall)
        }
        _ => Err(Suppressed::NotIp),
    }
}

/// The packet's type of service with network-control precedence (RFC 1812 section 4.3.2.5), without ECN.
fn ipv4_header(from: Ipv4Addr, about: &ipv4::Packet<&[u8]>) -> ipv4::Repr {
    const SERVICE: u8 = 0x1c;
    const NETWORK_CONTROL: u8 = 0xc0;
    let tos = about.tos() & SERVICE | NETWORK_CONTROL;
    ipv4::Repr { tos, ..ipv4::Repr::new(from, about.src(), Protocol::ICMPV4) }
}

fn icmpv4_message(error: IcmpError, quoted: &[u8]) -> icmpv4::Repr<'_> {
    let (code, mtu) = match error {
        IcmpError::TimeExceeded => return icmpv4::Repr::TimeExceeded { code: 0, quoted },
        IcmpError::TooBig(mtu) => {
            let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
            (v4::FRAG_NEEDED, mtu.max(IPV4_MTU_MIN))
        }
        IcmpError::NoRoute => (v4::NET, 0),
        IcmpError::HostUnreachable => (v4::HOST, 0),
        IcmpError::PortUnreachable => (v4::PORT, 0),
        IcmpError::Prohibited => (v4::ADMIN_PROHIBITED, 0),
    };
    icmpv4::Repr::DstUnreachable { code, mtu, quoted }
}

fn icmpv6_message(error: IcmpError, quoted: &[u8]) -> icmpv6::Repr<'_> {
    let code = match error {
        IcmpError::TimeExceeded => return icmpv6::Repr::TimeExceeded { code: 0, quoted },
        IcmpError::TooBig(mtu) => {
            return icmpv6::Repr::PacketTooBig { mtu: mtu.max(IPV6_MTU_MIN), quoted };
        }
        IcmpError::NoRoute => v6::NO_ROUTE,
        IcmpError::HostUnreachable => v6::ADDRESS,
        IcmpError::PortUnreachable => v6::PORT,
        IcmpError::Prohibited => v6::ADMIN_PROHIBITED,
    };
    icmpv6::Repr::DstUnreachable { code, quoted }
}

/// Addresses of no or several hosts, which get no error.
#[must_use]
pub fn is_unanswerable(address: IpAddr) -> bool {
    match address {
        // Network 0, loopback, multicast, and from 240 on reserved and broadcast (RFC 1812 section 5.3.7).
        IpAddr::V4(address) => matches!(address.octets()[0], 0 | 127 | 224..),
        IpAddr::V6(address) => {
            address.is_unspecified() || address.is_loopback() || address.is_multicast()
        }
    }
}
