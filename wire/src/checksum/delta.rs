//! Checksum updates by difference (RFC 1624), for complete and for partial checksums.

use core::net::{Ipv4Addr, Ipv6Addr};

use super::{add, fold};

/// The state of a transport checksum field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumState {
    /// The pseudo-header's sum, uncomplemented; the NIC computes the rest (virtio `NEEDS_CSUM`, Linux
    /// `CHECKSUM_PARTIAL`). It covers addresses, not ports.
    Partial,
    /// The complete checksum. It covers addresses and ports.
    Complete,
    /// No checksum (UDP over IPv4 with a field of 0).
    None,
}

impl ChecksumState {
    /// The state of a UDP packet, where a complete field of 0 means none.
    #[inline]
    pub const fn of_udp(self, field: u16) -> Self {
        match self {
            Self::Complete if field == 0 => Self::None,
            state => state,
        }
    }
}

/// The difference that a change of covered bytes makes to a sum: `~m + m'` of RFC 1624.
///
/// It depends on the old and the new value only, so a connection computes it once. The changed
/// bytes must lie at an even offset from the start of what the checksum covers.
///
/// The sum holds only 0xffff of the two zeros. That makes equal changes compare equal, and a sum that it
/// is added to never 0x0000: a complete field is never 0xffff after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delta(u16);

impl Delta {
    /// No change.
    pub const NONE: Self = Self(0xffff);

    const fn new(sum: u16) -> Self {
        if sum == 0 { Self::NONE } else { Self(sum) }
    }

    /// A 16-bit word changes: a port, an identifier.
    #[inline]
    pub const fn u16(old: u16, new: u16) -> Self {
        Self::new(add(!old, new))
    }

    /// Two 16-bit words change.
    #[inline]
    pub const fn u32(old: u32, new: u32) -> Self {
        Self::new(fold(!old as u64 + new as u64))
    }

    /// Eight 16-bit words change.
    #[inline]
    pub const fn u128(old: u128, new: u128) -> Self {
        Self::new(fold(words(!old) + words(new)))
    }

    /// An IPv4 address changes.
    #[inline]
    pub const fn ipv4(old: Ipv4Addr, new: Ipv4Addr) -> Self {
        Self::u32(old.to_bits(), new.to_bits())
    }

    /// An IPv6 address changes.
    #[inline]
    pub const fn ipv6(old: Ipv6Addr, new: Ipv6Addr) -> Self {
        Self::u128(old.to_bits(), new.to_bits())
    }

    /// Both changes.
    #[inline]
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(add(self.0, other.0))
    }

    /// The change back.
    #[inline]
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self::new(!self.0)
    }

    /// A complete field after the change: `HC' = ~(~HC + ~m + m')`, equation 3 of RFC 1624.
    #[inline]
    pub const fn apply(self, field: u16) -> u16 {
        !self.apply_to_sum(!field)
    }

    /// A sum, uncomplemented, after the change.
    #[inline]
    pub const fn apply_to_sum(self, sum: u16) -> u16 {
        add(sum, self.0)
    }
}

/// The transport checksum field after a change of addresses in the (pseudo-)header. For UDP see
/// [`crate::udp::Packet::update_for_address`], which also keeps a complete field from becoming 0.
#[inline]
pub const fn update_for_address(field: u16, change: Delta, state: ChecksumState) -> u16 {
    match state {
        ChecksumState::Partial => change.apply_to_sum(field),
        ChecksumState::Complete => change.apply(field),
        ChecksumState::None => field,
    }
}

/// The transport checksum field after a change of ports, or of anything else that the transport
/// covers outside the pseudo-header.
#[inline]
pub const fn update_for_port(field: u16, change: Delta, state: ChecksumState) -> u16 {
    match state {
        ChecksumState::Complete => change.apply(field),
        ChecksumState::Partial | ChecksumState::None => field,
    }
}

/// The four 32-bit words of a value, added.
const fn words(value: u128) -> u64 {
    let (high, low) = ((value >> 64) as u64, value as u64);
    (high >> 32) + (high & 0xffff_ffff) + (low >> 32) + (low & 0xffff_ffff)
}

/// The four 32-bit words of an address, added.
pub(super) const fn words128(address: Ipv6Addr) -> u64 {
    words(address.to_bits())
}
