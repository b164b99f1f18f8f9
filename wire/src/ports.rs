//! The ports of TCP, UDP and SCTP: in all three the first four bytes.
//!
//! Translation works on this view where it need not know which of them it has, and where no more
//! is there: an ICMP error quotes as little as eight bytes of the transport (RFC 792).

use crate::bytes::{be16, put16};
use crate::error::{Error, check_len};

#[cfg(test)]
mod tests;

mod field {
    use crate::bytes::Field;

    pub(super) const SRC: Field = 0..2;
    pub(super) const DST: Field = 2..4;
}

/// Bytes of the two ports.
pub const LEN: usize = 4;

/// Bytes of the SCTP common header (RFC 9260 section 3.1). Its CRC32c covers no pseudo-header, so
/// that a change of addresses leaves it alone; for ports see [`crate::checksum::crc32c_update`].
pub const SCTP_HEADER_LEN: usize = 12;

/// A view of the ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports<T>(T);

impl<T: AsRef<[u8]>> Ports<T> {
    /// Checks that the ports are there.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 4 bytes.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        check_len("ports", LEN, buffer.as_ref().len())?;
        Ok(Self(buffer))
    }

    /// Source port.
    #[inline]
    pub fn src(&self) -> u16 {
        be16(self.0.as_ref(), field::SRC)
    }

    /// Destination port.
    #[inline]
    pub fn dst(&self) -> u16 {
        be16(self.0.as_ref(), field::DST)
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Ports<T> {
    /// Sets the source port; the checksum is left to the caller.
    #[inline]
    pub fn set_src(&mut self, port: u16) {
        put16(self.0.as_mut(), field::SRC, port);
    }

    /// Sets the destination port; the checksum is left to the caller.
    #[inline]
    pub fn set_dst(&mut self, port: u16) {
        put16(self.0.as_mut(), field::DST, port);
    }
}
