//! MSS clamping: a path that is narrower than its ends know is told to both of them, in the SYNs.
//!
//! An ICMP "too big" may get lost on its way; a SYN does not without being noticed (RFC 4821 section 1).
//! The value is the MTU less the fixed headers, whatever options a segment will have (RFC 6691, which
//! corrects RFC 879). It is lowered only, in both directions, in SYN and SYN+ACK; a SYN without the
//! option stays as it is.

use crate::tcp::{Flags, Packet};
use crate::{ChecksumState, L3, L4, Meta, ipv4, ipv6, tcp};

use crate::limits::MSS_FLOOR;

#[cfg(test)]
mod tests;

/// Lowers the MSS of a SYN to what a path of `mtu` bytes of IP packet carries; `state` is what the
/// virtio-net header says of the checksum. Returns the former value where it was lowered.
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

/// The largest segment that `mtu` leaves room for, and never less than any path has.
fn mss_max(l3: L3, mtu: u32) -> u16 {
    let ip = if l3 == L3::Ipv6 { ipv6::HEADER_LEN } else { ipv4::HEADER_LEN };
    let mss = mtu.saturating_sub((ip + tcp::HEADER_LEN) as u32);
    u16::try_from(mss).unwrap_or(u16::MAX).max(MSS_FLOOR)
}
