//! An IP header of either family.

use core::net::IpAddr;

use crate::ethernet::EtherType;
use crate::protocol::Protocol;
use crate::{Error, checksum, ipv4, ipv6};

#[cfg(test)]
mod tests;

/// The IP header of a new packet, of either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repr {
    /// IPv4.
    V4(ipv4::Repr),
    /// IPv6.
    V6(ipv6::Repr),
}

impl Repr {
    /// A header with the usual values; `None` for addresses of two families.
    pub const fn new(src: IpAddr, dst: IpAddr, protocol: Protocol) -> Option<Self> {
        match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                Some(Self::V4(ipv4::Repr::new(src, dst, protocol)))
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                Some(Self::V6(ipv6::Repr::new(src, dst, protocol)))
            }
            _ => None,
        }
    }

    /// The same header for another protocol.
    #[must_use]
    pub const fn with_protocol(self, protocol: Protocol) -> Self {
        match self {
            Self::V4(repr) => Self::V4(ipv4::Repr { protocol, ..repr }),
            Self::V6(repr) => Self::V6(ipv6::Repr { next_header: protocol, ..repr }),
        }
    }

    /// The EtherType.
    pub const fn ethertype(&self) -> EtherType {
        match self {
            Self::V4(_) => EtherType::IPV4,
            Self::V6(_) => EtherType::IPV6,
        }
    }

    /// Bytes of the header.
    pub const fn header_len(&self) -> usize {
        match self {
            Self::V4(_) => ipv4::HEADER_LEN,
            Self::V6(_) => ipv6::HEADER_LEN,
        }
    }

    /// Sum of the pseudo-header for a transport of `len` bytes; [`emit`](Self::emit) checks the length.
    pub fn pseudo_header(&self, len: usize) -> u16 {
        match self {
            Self::V4(ip) => checksum::pseudo_v4(ip.src, ip.dst, ip.protocol, len as u16),
            Self::V6(ip) => checksum::pseudo_v6(ip.src, ip.dst, ip.next_header, len as u32),
        }
    }

    /// Writes the header for a payload of `payload_len` bytes and returns the header's length.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`]; [`Error::Field`] for more payload than the family can carry.
    pub fn emit(&self, payload_len: usize, buffer: &mut [u8]) -> Result<usize, Error> {
        match self {
            Self::V4(repr) => repr.emit(payload_len, buffer),
            Self::V6(repr) => repr.emit(payload_len, buffer),
        }
    }
}
