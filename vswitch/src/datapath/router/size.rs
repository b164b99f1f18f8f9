//! The length of a packet against the MTU.
//!
//! A GSO frame counts as its segments. A long IPv4 packet without DF is fragmented; a TCP frame gets
//! smaller segments by its offload header. Any other long packet is dropped, with an ICMP error.

use fastpath::{Frame, Pool};
use wire::meta::{L3, L4, Meta};
use wire::vnet::{GsoType, Header};
use wire::{ipv4, ipv6, tcp, udp};

/// The result of the MTU check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::datapath) enum Fit {
    /// Unchanged.
    Whole,
    /// In segments of this size in bytes.
    Resegmented(u16),
    /// As fragments.
    Fragmented,
    /// Dropped.
    TooBig,
}

/// Least payload of a segment in bytes.
const SEGMENT_MIN: u32 = 8;

/// Checks a packet against the MTU.
#[inline]
pub(in crate::datapath) fn fit(meta: &Meta, pool: &Pool, frame: &Frame, mtu: u32) -> Fit {
    if meta.l3_len <= mtu { Fit::Whole } else { fit_long(meta, pool, frame, mtu) }
}

#[inline(never)]
fn fit_long(meta: &Meta, pool: &Pool, frame: &Frame, mtu: u32) -> Fit {
    let ethernet = pool.ethernet(frame);
    let ip = ipv4::Packet::new_checked(meta.l3_bytes(ethernet)).ok();
    let may_cut = meta.l3 == L3::Ipv4 && ip.is_some_and(|ip| !ip.dont_fragment());
    let Ok(header) = Header::parse(pool.bytes(frame)) else { return Fit::TooBig };
    if !header.is_gso() {
        return if may_cut { Fit::Fragmented } else { Fit::TooBig };
    }
    let headers = headers_len(meta, ethernet);
    if headers + u32::from(header.gso_size) <= mtu {
        return Fit::Whole;
    }
    let payload = mtu.saturating_sub(headers);
    match header.gso_type {
        GsoType::TcpV4 if may_cut && payload >= SEGMENT_MIN => Fit::Resegmented(payload as u16),
        _ => Fit::TooBig,
    }
}

/// Header bytes of each segment, from the IP header on.
fn headers_len(meta: &Meta, ethernet: &[u8]) -> u32 {
    let ip = u32::from(meta.l4_offset.saturating_sub(meta.l3_offset));
    let transport = match meta.l4 {
        L4::Tcp => {
            tcp::Packet::new_checked(meta.l4_bytes(ethernet)).map_or(0, |it| it.header_len())
        }
        L4::Udp => udp::HEADER_LEN,
        _ => 0,
    };
    ip + transport as u32
}

/// The TTL or hop limit allows another hop.
#[inline]
pub(super) fn has_hops(meta: &Meta, ethernet: &[u8]) -> bool {
    let packet = meta.l3_bytes(ethernet);
    match meta.l3 {
        L3::Ipv4 => ipv4::Packet::new_quoted(packet).is_ok_and(|ip| ip.ttl() > 1),
        _ => ipv6::Packet::new_quoted(packet).is_ok_and(|ip| ip.hop_limit() > 1),
    }
}
