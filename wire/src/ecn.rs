//! ECN of a packet in a tunnel (RFC 6040): the field of the inner header, and what of the outer one it takes over.

use crate::{L3, Meta, ipv4, ipv6};

#[cfg(test)]
mod tests;

/// The bits of a type of service or traffic class that are ECN (RFC 3168 section 5).
pub const MASK: u8 = 0b11;

/// Not ECN-capable transport.
pub const NOT_ECT: u8 = 0b00;
/// ECN-capable transport, 1.
pub const ECT_1: u8 = 0b01;
/// ECN-capable transport, 0.
pub const ECT_0: u8 = 0b10;
/// Congestion experienced.
pub const CE: u8 = 0b11;

/// ECN of a frame's IP header, which the outer header of a tunnel gets in normal mode (RFC 6040 section 4.1); 0 without IP.
#[inline]
#[must_use]
pub fn of(meta: &Meta, ethernet: &[u8]) -> u8 {
    let at = usize::from(meta.l3_offset) + 1;
    let byte = ethernet.get(at).copied().unwrap_or(0);
    match meta.l3 {
        L3::Ipv4 => byte & MASK,
        L3::Ipv6 => byte >> 4 & MASK,
        _ => NOT_ECT,
    }
}

/// ECN of a packet that leaves a tunnel (RFC 6040 section 4.2, figure 4). `None`: it must be dropped, since a router of the
/// underlay has marked a packet whose transport does not know of marks.
#[inline]
#[must_use]
pub const fn combine(inner: u8, outer: u8) -> Option<u8> {
    match (inner & MASK, outer & MASK) {
        (NOT_ECT, CE) => None,
        (NOT_ECT, _) => Some(NOT_ECT),
        (_, CE) => Some(CE),
        (ECT_0, ECT_1) => Some(ECT_1),
        (inner, _) => Some(inner),
    }
}

/// Gives a frame the ECN that it has behind a tunnel, whose outer header had the type of service or traffic class `outer`.
/// False: it must be dropped. What is not IP stays as it is.
#[inline]
#[must_use]
pub fn decapsulate(meta: &Meta, ethernet: &mut [u8], outer: u8) -> bool {
    // As a rule: no ECN at all.
    if outer & MASK == NOT_ECT || !matches!(meta.l3, L3::Ipv4 | L3::Ipv6) {
        return true;
    }
    let inner = of(meta, ethernet);
    match combine(inner, outer) {
        None => return false,
        Some(ecn) if ecn != inner => set(meta, ethernet, ecn),
        Some(_) => {}
    }
    true
}

/// Sets the ECN of a frame's IP header, with the checksum of IPv4.
fn set(meta: &Meta, ethernet: &mut [u8], ecn: u8) {
    let packet = meta.l3_bytes_mut(ethernet);
    if meta.l3 == L3::Ipv6 {
        if let Ok(mut ip) = ipv6::Packet::new_quoted(packet) {
            ip.set_class_and_flow(ip.traffic_class() & !MASK | ecn, ip.flow_label());
        }
    } else if let Ok(mut ip) = ipv4::Packet::new_quoted(packet) {
        ip.change_tos(ip.tos() & !MASK | ecn);
    }
}
