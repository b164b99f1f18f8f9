//! MSS clamping for paths with an MTU below the endpoints'.
//!
//! A lost ICMP "too big" stalls a connection (RFC 4821 section 1); a SYN is retransmitted. The MSS becomes
//! at most the MTU less the fixed headers (RFC 6691). SYN and SYN+ACK of both directions are clamped; a
//! SYN without the option stays as it is.

use crate::tcp::{Flags, Packet};
use crate::{ChecksumState, L3, L4, Meta, ipv4, ipv6, tcp};

use crate::limits::MSS_FLOOR;

#[cfg(test)]
mod tests;

/// Lowers the MSS of a SYN to a path's `mtu`, in bytes of IP packet; `state` is the checksum state of the
/// virtio-net header. Returns the former value if lowered.
#[inline]
pub fn clamp(meta: &Meta, ethernet: &mut [u8], mtu: u32, state: ChecksumState) -> Option<u16> {
    if meta.l4 != L4::Tcp {
        return None;
    }
    let mut segment = Packet::new_checked(meta.l4_bytes_mut(ethernet)).ok()?;
    if !segment.flags().contains(Flags::SYN) {
        return None;
    }
    segment.clamp_mss(mss_max(meta.l3, mtu), state)
}

/// The largest segment at this `mtu`, at least the smallest MSS.
fn mss_max(l3: L3, mtu: u32) -> u16 {
    let ip = if l3 == L3::Ipv6 { ipv6::HEADER_LEN } else { ipv4::HEADER_LEN };
    let mss = mtu.saturating_sub((ip + tcp::HEADER_LEN) as u32);
    u16::try_from(mss).unwrap_or(u16::MAX).max(MSS_FLOOR)
}
