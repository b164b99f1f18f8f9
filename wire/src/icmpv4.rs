//! ICMP for IPv4 (RFC 792, RFC 1191).

use crate::bytes::fields;
use crate::checksum::{self, Delta};
use crate::error::{Error, check_len};
use crate::ipv4;
use crate::limits::ICMPV4_ERROR_PACKET_MAX;

#[cfg(test)]
mod tests;

mod repr;

pub use repr::Repr;

mod field {
    use crate::bytes::Field;

    pub(super) const TYPE: usize = 0;
    pub(super) const CODE: usize = 1;
    pub(super) const CHECKSUM: Field = 2..4;
    pub(super) const WORD_1: Field = 4..6;
    pub(super) const WORD_2: Field = 6..8;
}

/// Bytes of the header: type, code, checksum, and four bytes that depend on the type.
pub const HEADER_LEN: usize = 8;

/// The ICMP type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Type(pub u8);

impl Type {
    /// Answer to an echo request.
    pub const ECHO_REPLY: Self = Self(0);
    /// Destination unreachable; code 4 means that it must be fragmented and must not.
    pub const DST_UNREACHABLE: Self = Self(3);
    /// Redirect.
    pub const REDIRECT: Self = Self(5);
    /// Ping.
    pub const ECHO_REQUEST: Self = Self(8);
    /// Time exceeded.
    pub const TIME_EXCEEDED: Self = Self(11);
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: Self = Self(12);

    /// The message quotes the packet that it complains about (RFC 1122 section 3.2.2).
    #[inline]
    pub const fn is_error(self) -> bool {
        matches!(self.0, 3 | 4 | 5 | 11 | 12)
    }

    /// Echo request or reply: identifier and sequence number count.
    #[inline]
    pub const fn is_echo(self) -> bool {
        matches!(self, Self::ECHO_REQUEST | Self::ECHO_REPLY)
    }
}

/// Codes of "destination unreachable".
pub mod unreachable {
    /// No route to the network.
    pub const NET: u8 = 0;
    /// The host does not answer.
    pub const HOST: u8 = 1;
    /// Nobody listens on the port.
    pub const PORT: u8 = 3;
    /// Fragmentation needed and DF set.
    pub const FRAG_NEEDED: u8 = 4;
    /// Forbidden by an administrator.
    pub const ADMIN_PROHIBITED: u8 = 13;
}

/// A view of an ICMP message. The buffer ends where the message does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<T>(T);

fields! {
    Packet:
    /// Checksum.
    checksum, set_checksum: u16 = field::CHECKSUM;
    /// Identifier of an echo.
    ident, set_ident: u16 = field::WORD_1;
    /// Sequence number of an echo.
    seq, set_seq: u16 = field::WORD_2;
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Checks that the header is there.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 8 bytes.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        check_len("ICMP", HEADER_LEN, buffer.as_ref().len())?;
        Ok(Self(buffer))
    }

    /// Type.
    #[inline]
    pub fn icmp_type(&self) -> Type {
        Type(self.0.as_ref()[field::TYPE])
    }

    /// Code.
    #[inline]
    pub fn code(&self) -> u8 {
        self.0.as_ref()[field::CODE]
    }

    /// Next-hop MTU of "fragmentation needed" (RFC 1191); 0 from a router older than that.
    #[inline]
    pub fn mtu(&self) -> u16 {
        self.seq()
    }

    /// The payload: the data of an echo, or the packet that an error quotes.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        &self.0.as_ref()[HEADER_LEN..]
    }

    /// The checksum is right.
    pub fn verify_checksum(&self) -> bool {
        checksum::checksum(self.0.as_ref()) == 0
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets type and code; the checksum is left to the caller.
    pub fn set_type(&mut self, icmp_type: Type, code: u8) {
        let bytes = self.0.as_mut();
        (bytes[field::TYPE], bytes[field::CODE]) = (icmp_type.0, code);
    }

    /// Sets the next-hop MTU; the checksum is left to the caller.
    pub fn set_mtu(&mut self, mtu: u16) {
        self.set_seq(mtu);
    }

    /// Computes the checksum anew.
    pub fn fill_checksum(&mut self) {
        self.set_checksum(0);
        self.set_checksum(checksum::checksum(self.0.as_ref()));
    }

    /// Updates the checksum after a change of the message. There is no pseudo-header: a changed
    /// address in front of it is no change.
    #[inline]
    pub fn update_checksum(&mut self, change: Delta) {
        self.set_checksum(change.apply(self.checksum()));
    }

    /// The payload, for writing.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        &mut self.0.as_mut()[HEADER_LEN..]
    }
}

/// The quote of the IPv4 packet `original` in an error, whose packet stays
/// within [`ICMPV4_ERROR_PACKET_MAX`] bytes.
pub fn quote(original: &[u8]) -> &[u8] {
    let max = ICMPV4_ERROR_PACKET_MAX - ipv4::HEADER_LEN - HEADER_LEN;
    &original[..original.len().min(max)]
}

fn bad(field: &'static str, value: u16) -> Error {
    Error::Field { header: "ICMP", field, value: value.into() }
}
