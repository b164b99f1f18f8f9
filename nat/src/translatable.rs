//! Packets that NAT can translate without damage.
//!
//! | not translated | why |
//! |---|---|
//! | a source route with hops left | the checksum covers an address outside the header's destination (RFC 791 section 3.1, RFC 8200 section 8.1); RFC 7126 drops such packets |
//! | unreadable IPv4 options | they may hold a source route |
//! | an authentication header | it covers the addresses (RFC 4302) |

use wire::Protocol;
use wire::ipv4::{self, Ipv4Option};
use wire::ipv6_ext::Extension;

use crate::tuple::Transport;

/// Options are readable and hold no source route with hops left.
pub(crate) fn is_translatable_v4<T: AsRef<[u8]>>(ip: &ipv4::Packet<T>) -> bool {
    ip.options().all(|option| {
        let Ok(Ipv4Option { kind, data }) = option else { return false };
        let is_route = [Ipv4Option::LOOSE_SOURCE_ROUTE, Ipv4Option::STRICT_SOURCE_ROUTE];
        // The pointer counts from 1 at the option's first byte; a route ends behind the option.
        let at_end = data.first().is_some_and(|pointer| usize::from(*pointer) > data.len() + 2);
        !is_route.contains(&kind) || at_end
    })
}

/// An extension header allows translation: no authentication header, no segments left.
pub(crate) fn is_translatable_extension(extension: &Extension<'_>) -> bool {
    const SEGMENTS_LEFT: usize = 3;
    match extension.protocol {
        Protocol::AUTH => false,
        Protocol::ROUTING => extension.bytes.get(SEGMENTS_LEFT) == Some(&0),
        _ => true,
    }
}

/// The transport of a protocol number; ICMP of the packet's own family counts as echo.
pub(crate) fn transport(protocol: Protocol, is_v6: bool) -> Option<Transport> {
    match protocol {
        Protocol::TCP => Some(Transport::Tcp),
        Protocol::UDP => Some(Transport::Udp),
        Protocol::SCTP => Some(Transport::Sctp),
        Protocol::ICMPV4 if !is_v6 => Some(Transport::Echo),
        Protocol::ICMPV6 if is_v6 => Some(Transport::Echo),
        _ => None,
    }
}
