//! Cases without an ICMP error.

use core::net::Ipv4Addr;

use crate::{L4, Meta, Protocol, icmpv4, icmpv6, ipv4, ipv6};

use super::is_unanswerable;

/// The reason to send no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Suppressed {
    /// Not an IP packet.
    #[error("not an IP packet")]
    NotIp,
    /// The IP header is malformed (RFC 1812 section 5.2.2), or the payload, which may then be an error.
    #[error("broken packet")]
    Broken,
    /// A multicast frame (RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 e.4, e.5), or one with two tags.
    #[error("frame to or from more than one")]
    Link,
    /// A multicast destination (RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 e.3).
    #[error("packet to more than one")]
    Multicast,
    /// The source is not one host (RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 e.6).
    #[error("source that names nobody")]
    Source,
    /// A later fragment (RFC 1812 section 4.3.2.7); IPv6: one that may belong to an ICMPv6 error.
    #[error("fragment that is not the first")]
    Tail,
    /// An ICMP error or redirect (RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 e.1, e.2).
    #[error("ICMP error")]
    AboutError,
    /// The router has no address of the packet's family.
    #[error("no address to answer from")]
    NoAddress,
    /// The buffer is too short.
    #[error("no room for the answer")]
    BufferTooSmall,
}

pub(super) fn check_link(meta: &Meta) -> Result<(), Suppressed> {
    let is_group = meta.dst.is_multicast() || meta.src.is_multicast();
    if is_group || meta.inner.is_some() { Err(Suppressed::Link) } else { Ok(()) }
}

pub(super) fn check_ipv4(
    meta: &Meta,
    ip: &ipv4::Packet<&[u8]>,
    broadcasts: &[Ipv4Addr],
) -> Result<(), Suppressed> {
    let (src, dst) = (ip.src(), ip.dst());
    if !ip.verify_checksum() {
        return Err(Suppressed::Broken);
    }
    if dst.is_multicast() || dst.is_broadcast() || broadcasts.contains(&dst) {
        return Err(Suppressed::Multicast);
    }
    if is_unanswerable(src.into()) || broadcasts.contains(&src) {
        return Err(Suppressed::Source);
    }
    match meta.l4 {
        L4::FragmentTail => Err(Suppressed::Tail),
        L4::Malformed => Err(Suppressed::Broken),
        L4::Icmpv4 => {
            let icmp = icmpv4::Packet::new_checked(ip.payload()).map_err(|_| Suppressed::Broken)?;
            if icmp.icmp_type().is_error() { Err(Suppressed::AboutError) } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

pub(super) fn check_ipv6(meta: &Meta, ip: &ipv6::Packet<&[u8]>) -> Result<(), Suppressed> {
    if ip.dst().is_multicast() {
        return Err(Suppressed::Multicast);
    }
    if is_unanswerable(ip.src().into()) {
        return Err(Suppressed::Source);
    }
    let upper = ip.upper_layer().map_err(|_| Suppressed::Broken)?;
    match meta.l4 {
        // A further extension header may hide the transport.
        L4::FragmentTail => match upper.protocol {
            Protocol::TCP | Protocol::UDP | Protocol::SCTP => Ok(()),
            _ => Err(Suppressed::Tail),
        },
        L4::Malformed => Err(Suppressed::Broken),
        L4::Icmpv6 => {
            let message = ip.payload().get(upper.offset..).unwrap_or_default();
            let icmp = icmpv6::Packet::new_checked(message).map_err(|_| Suppressed::Broken)?;
            let icmp_type = icmp.icmp_type();
            let is_redirect = icmp_type == icmpv6::Type::REDIRECT;
            if icmp_type.is_error() || is_redirect { Err(Suppressed::AboutError) } else { Ok(()) }
        }
        _ => Ok(()),
    }
}
