//! The ports of TCP, UDP and SCTP: in all three the first four bytes.
//!
//! Translation works on this view where it need not know which of them it has, and where no more
//! is there: an ICMP error quotes as little as eight bytes of the transport (RFC 792).

use crate::bytes::fields;
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

fields! {
    Ports:
    /// Source port.
    src, set_src: u16 = field::SRC;
    /// Destination port.
    dst, set_dst: u16 = field::DST;
}

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
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Ports<T> {}
