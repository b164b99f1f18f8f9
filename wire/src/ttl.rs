//! TTL or hop limit of a routed packet (RFC 1812 section 5.3.1, RFC 8200 section 3).

use crate::{L3, Meta, ipv4, ipv6};

#[cfg(test)]
mod tests;

/// The result of a decrement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// Decremented.
    Decremented,
    /// Expired: 1 or 0 on arrival. Unchanged, so that an error can quote the packet.
    Expired,
    /// Not IP.
    NotIp,
}

/// Decrements the packet's TTL or hop limit, and updates the checksum of an IPv4 header.
#[inline]
pub fn decrement(meta: &Meta, ethernet: &mut [u8]) -> Ttl {
    let packet = meta.l3_bytes_mut(ethernet);
    match meta.l3 {
        L3::Ipv4 => {
            let Ok(mut ip) = ipv4::Packet::new_quoted(packet) else { return Ttl::NotIp };
            if ip.ttl() <= 1 {
                return Ttl::Expired;
            }
            ip.decrement_ttl();
        }
        L3::Ipv6 => {
            let Ok(mut ip) = ipv6::Packet::new_quoted(packet) else { return Ttl::NotIp };
            if ip.hop_limit() <= 1 {
                return Ttl::Expired;
            }
            ip.decrement_hop_limit();
        }
        _ => return Ttl::NotIp,
    }
    Ttl::Decremented
}
