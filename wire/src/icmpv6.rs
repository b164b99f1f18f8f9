//! ICMPv6 (RFC 4443). Neighbour discovery, which rides on it, is [`crate::ndp`].

use crate::bytes::{be16, fields};
use crate::checksum::{self, ChecksumState, Delta, update_for_address, update_for_port};
use crate::error::{Error, check_len};
use crate::ipv6;
use crate::limits::ICMPV6_ERROR_PACKET_MAX;

#[cfg(test)]
mod tests;

mod repr;

pub use repr::Repr;

mod field {
    use crate::bytes::Field;

    pub(super) const TYPE: usize = 0;
    pub(super) const CODE: usize = 1;
    pub(super) const CHECKSUM: Field = 2..4;
    pub(super) const WORD: Field = 4..8;
    pub(super) const IDENT: Field = 4..6;
    pub(super) const SEQ: Field = 6..8;
}

/// Bytes of the header: type, code, checksum, and four bytes that depend on the type.
pub const HEADER_LEN: usize = 8;

/// Where the checksum lies in the header: the `csum_offset` of a partial checksum.
pub const CHECKSUM_OFFSET: u16 = field::CHECKSUM.start as u16;

/// The ICMPv6 type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Type(pub u8);

impl Type {
    /// Destination unreachable.
    pub const DST_UNREACHABLE: Self = Self(1);
    /// Packet too big.
    pub const PACKET_TOO_BIG: Self = Self(2);
    /// Time exceeded.
    pub const TIME_EXCEEDED: Self = Self(3);
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: Self = Self(4);
    /// Ping.
    pub const ECHO_REQUEST: Self = Self(128);
    /// Answer to a ping.
    pub const ECHO_REPLY: Self = Self(129);
    /// Router solicitation.
    pub const ROUTER_SOLICIT: Self = Self(133);
    /// Router advertisement.
    pub const ROUTER_ADVERT: Self = Self(134);
    /// Neighbour solicitation.
    pub const NEIGHBOR_SOLICIT: Self = Self(135);
    /// Neighbour advertisement.
    pub const NEIGHBOR_ADVERT: Self = Self(136);
    /// Redirect.
    pub const REDIRECT: Self = Self(137);

    /// The message quotes the packet that it complains about (RFC 4443 section 2.1).
    #[inline]
    pub const fn is_error(self) -> bool {
        self.0 < 128
    }

    /// Echo request or reply: identifier and sequence number count.
    #[inline]
    pub const fn is_echo(self) -> bool {
        matches!(self, Self::ECHO_REQUEST | Self::ECHO_REPLY)
    }

    /// Neighbour discovery (RFC 4861): valid only with hop limit 255.
    #[inline]
    pub const fn is_ndp(self) -> bool {
        matches!(self.0, 133..=137)
    }
}

/// Codes of "destination unreachable".
pub mod unreachable {
    /// No route.
    pub const NO_ROUTE: u8 = 0;
    /// Forbidden by an administrator.
    pub const ADMIN_PROHIBITED: u8 = 1;
    /// The address does not answer.
    pub const ADDRESS: u8 = 3;
    /// Nobody listens on the port.
    pub const PORT: u8 = 4;
}

/// A view of an ICMPv6 message. The buffer ends where the message does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<T>(T);

fields! {
    Packet:
    /// Checksum.
    checksum, set_checksum: u16 = field::CHECKSUM;
    /// Identifier of an echo.
    ident, set_ident: u16 = field::IDENT;
    /// MTU of "packet too big".
    mtu, set_mtu: u32 = field::WORD;
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Checks that the header is there.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 8 bytes.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        check_len("ICMPv6", HEADER_LEN, buffer.as_ref().len())?;
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

    /// Sequence number of an echo.
    #[inline]
    pub fn seq(&self) -> u16 {
        be16(self.0.as_ref(), field::SEQ)
    }

    /// The payload: the data of an echo, or the packet that an error quotes.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        &self.0.as_ref()[HEADER_LEN..]
    }

    /// The checksum is right. `pseudo` is the pseudo-header's sum.
    pub fn verify_checksum(&self, pseudo: u16) -> bool {
        checksum::transport(pseudo, self.0.as_ref()) == 0
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets type and code; the checksum is left to the caller.
    pub fn set_type(&mut self, icmp_type: Type, code: u8) {
        let bytes = self.0.as_mut();
        (bytes[field::TYPE], bytes[field::CODE]) = (icmp_type.0, code);
    }

    /// Computes the checksum anew.
    pub fn fill_checksum(&mut self, pseudo: u16) {
        self.set_checksum(0);
        self.set_checksum(checksum::transport(pseudo, self.0.as_ref()));
    }

    /// Updates the checksum after a change of an address.
    #[inline]
    pub fn update_for_address(&mut self, change: Delta, state: ChecksumState) {
        self.set_checksum(update_for_address(self.checksum(), change, state));
    }

    /// Updates the checksum after a change of the identifier, or of anything else in the message.
    #[inline]
    pub fn update_for_port(&mut self, change: Delta, state: ChecksumState) {
        self.set_checksum(update_for_port(self.checksum(), change, state));
    }

    /// The payload, for writing.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        &mut self.0.as_mut()[HEADER_LEN..]
    }
}

/// The quote of the IPv6 packet `original` in an error, whose packet stays
/// within [`ICMPV6_ERROR_PACKET_MAX`] bytes.
pub fn quote(original: &[u8]) -> &[u8] {
    let max = ICMPV6_ERROR_PACKET_MAX - ipv6::HEADER_LEN - HEADER_LEN;
    &original[..original.len().min(max)]
}

fn bad(field: &'static str, value: u16) -> Error {
    Error::Field { header: "ICMPv6", field, value: value.into() }
}
