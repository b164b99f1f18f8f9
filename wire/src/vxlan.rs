//! VXLAN (RFC 7348): an Ethernet frame in UDP, with the number of its network.

use core::fmt;

use crate::bytes::{be32, put32};
use crate::error::{Error, check_len, check_space};
use crate::{ethernet, ipv4, ipv6, udp};

#[cfg(test)]
mod tests;

mod field {
    use crate::bytes::Field;

    pub(super) const FLAGS: usize = 0;
    pub(super) const FLAGS_AND_RESERVED: Field = 0..4;
    pub(super) const VNI_AND_RESERVED: Field = 4..8;
}

/// Bytes of the header.
pub const HEADER_LEN: usize = 8;

/// The UDP destination port that IANA gave it.
pub const PORT: u16 = 4789;

/// Bytes that a tunnel over IPv4 takes from the path's MTU: outer IPv4, UDP and VXLAN headers and
/// the inner Ethernet header.
pub const OVERHEAD_V4: usize =
    ipv4::HEADER_LEN + udp::HEADER_LEN + HEADER_LEN + ethernet::HEADER_LEN;

/// The same over IPv6.
pub const OVERHEAD_V6: usize =
    ipv6::HEADER_LEN + udp::HEADER_LEN + HEADER_LEN + ethernet::HEADER_LEN;

const FLAG_VNI: u8 = 0x08;

/// A VXLAN network identifier, 24 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vni(u32);

impl Vni {
    /// The highest identifier.
    pub const MAX: Self = Self(0x00ff_ffff);

    /// Takes a number.
    ///
    /// # Errors
    /// [`Error::Field`] above 24 bits.
    pub const fn new(vni: u32) -> Result<Self, Error> {
        match vni <= Self::MAX.0 {
            true => Ok(Self(vni)),
            false => Err(Error::Field { header: "VXLAN", field: "VNI", value: vni }),
        }
    }

    /// The number.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A view of a VXLAN packet: the payload of the UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<T>(T);

impl<T: AsRef<[u8]>> Packet<T> {
    /// Checks the length, and that the I flag says that there is an identifier. Other bits are
    /// reserved, and ignored as RFC 7348 section 5 demands.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 8 bytes; [`Error::Field`] without the I flag.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let bytes = buffer.as_ref();
        check_len("VXLAN", HEADER_LEN, bytes.len())?;
        let flags = bytes[field::FLAGS];
        if flags & FLAG_VNI == 0 {
            return Err(Error::Field { header: "VXLAN", field: "flags", value: flags.into() });
        }
        Ok(Self(buffer))
    }

    /// The network.
    #[inline]
    pub fn vni(&self) -> Vni {
        Vni(be32(self.0.as_ref(), field::VNI_AND_RESERVED) >> 8)
    }

    /// The Ethernet frame.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        &self.0.as_ref()[HEADER_LEN..]
    }
}

/// Whether bytes begin as a packet that nobody extends does: with the I flag alone, and zeros in reserved fields.
#[inline]
pub fn is_plain(bytes: &[u8]) -> bool {
    matches!(bytes, [FLAG_VNI, 0, 0, 0, _, _, _, 0, ..])
}

/// Writes the header for `vni` to the start of `buffer` and returns its length, 8.
///
/// # Errors
/// [`Error::BufferTooSmall`] below 8 bytes.
#[inline]
pub fn emit(vni: Vni, buffer: &mut [u8]) -> Result<usize, Error> {
    check_space("VXLAN", HEADER_LEN, buffer.len())?;
    put32(buffer, field::FLAGS_AND_RESERVED, u32::from(FLAG_VNI) << 24);
    put32(buffer, field::VNI_AND_RESERVED, vni.0 << 8);
    Ok(HEADER_LEN)
}
