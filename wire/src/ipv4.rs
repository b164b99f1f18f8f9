//! IPv4 (RFC 791).

use core::net::Ipv4Addr;

use crate::bytes::{array, be16, fields, flag, put16};
use crate::checksum::{self, Delta};
use crate::error::{Error, check_len, check_space};
use crate::protocol::Protocol;

#[cfg(test)]
mod tests;

mod options;
mod repr;

pub use options::{Ipv4Option, Options};
pub use repr::Repr;

mod field {
    use crate::bytes::Field;

    pub(super) const VERSION_IHL: usize = 0;
    pub(super) const TOS: usize = 1;
    pub(super) const VERSION_TOS: Field = 0..2;
    pub(super) const TOTAL_LEN: Field = 2..4;
    pub(super) const IDENT: Field = 4..6;
    pub(super) const FRAGMENT: Field = 6..8;
    pub(super) const FLAGS: usize = 6;
    pub(super) const TTL: usize = 8;
    pub(super) const TTL_PROTOCOL: Field = 8..10;
    pub(super) const PROTOCOL: usize = 9;
    pub(super) const CHECKSUM: Field = 10..12;
    pub(super) const SRC: Field = 12..16;
    pub(super) const DST: Field = 16..20;
}

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;

/// Bytes of the longest header.
pub const HEADER_LEN_MAX: usize = 60;

/// Flags, in the upper byte of the word that holds the offset.
const DONT_FRAGMENT: u8 = 0x40;
const MORE_FRAGMENTS: u8 = 0x20;
const OFFSET_MASK: u16 = 0x1fff;

/// A view of an IPv4 packet. The buffer may be longer than the packet (Ethernet padding).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<T>(T);

fields! {
    Packet:
    /// Bytes of header and payload.
    total_len, set_total_len: u16 = field::TOTAL_LEN;
    /// Identification.
    ident, set_ident: u16 = field::IDENT;
    /// Header checksum.
    checksum, set_checksum: u16 = field::CHECKSUM;
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Checks version, header length and total length against each other and the buffer. The
    /// header checksum is not verified: see [`verify_checksum`](Self::verify_checksum).
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Field`].
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let packet = Self::new_quoted(buffer)?;
        let total_len = usize::from(packet.total_len());
        if total_len < packet.header_len() {
            return Err(bad("total length", total_len));
        }
        check_len("IPv4 packet", total_len, packet.0.as_ref().len())?;
        Ok(packet)
    }

    /// Like [`new_checked`](Self::new_checked), but checks the header only: an ICMP error quotes
    /// a packet whose end, and whose total length, lie beyond the quotation. [`payload`] is what
    /// there is of it.
    ///
    /// [`payload`]: Self::payload
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Field`].
    #[inline]
    pub fn new_quoted(buffer: T) -> Result<Self, Error> {
        let bytes = buffer.as_ref();
        check_len("IPv4", HEADER_LEN, bytes.len())?;
        let first = bytes[field::VERSION_IHL];
        if first >> 4 != 4 {
            return Err(bad("version", usize::from(first >> 4)));
        }
        let header_len = usize::from(first & 0x0f) * 4;
        if header_len < HEADER_LEN {
            return Err(bad("header length", header_len));
        }
        check_len("IPv4", header_len, bytes.len())?;
        Ok(Self(buffer))
    }

    /// Bytes of the header with options, 20..=60.
    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(self.0.as_ref()[field::VERSION_IHL] & 0x0f) * 4
    }

    /// Type of service: DSCP and ECN.
    #[inline]
    pub fn tos(&self) -> u8 {
        self.0.as_ref()[field::TOS]
    }

    /// Don't fragment.
    #[inline]
    pub fn dont_fragment(&self) -> bool {
        self.0.as_ref()[field::FLAGS] & DONT_FRAGMENT != 0
    }

    /// More fragments follow.
    #[inline]
    pub fn more_fragments(&self) -> bool {
        self.0.as_ref()[field::FLAGS] & MORE_FRAGMENTS != 0
    }

    /// Where this fragment belongs, in bytes (a multiple of 8).
    #[inline]
    pub fn fragment_offset(&self) -> u16 {
        (be16(self.0.as_ref(), field::FRAGMENT) & OFFSET_MASK) << 3
    }

    /// A fragment, the first or a later one.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.more_fragments() || self.fragment_offset() != 0
    }

    /// Time to live.
    #[inline]
    pub fn ttl(&self) -> u8 {
        self.0.as_ref()[field::TTL]
    }

    /// Protocol of the payload.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        Protocol(self.0.as_ref()[field::PROTOCOL])
    }

    /// Source address.
    #[inline]
    pub fn src(&self) -> Ipv4Addr {
        Ipv4Addr::from(array::<4>(self.0.as_ref(), field::SRC))
    }

    /// Destination address.
    #[inline]
    pub fn dst(&self) -> Ipv4Addr {
        Ipv4Addr::from(array::<4>(self.0.as_ref(), field::DST))
    }

    /// The header checksum is right.
    pub fn verify_checksum(&self) -> bool {
        checksum::checksum(self.header()) == 0
    }

    /// The header, with options.
    #[inline]
    pub fn header(&self) -> &[u8] {
        self.0.as_ref().get(..self.header_len()).unwrap_or_default()
    }

    /// The options in order.
    pub fn options(&self) -> Options<'_> {
        Options::new(self.header().get(HEADER_LEN..).unwrap_or_default())
    }

    /// The payload, up to the total length or the end of the buffer.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        let bytes = self.0.as_ref();
        let end = usize::from(self.total_len()).min(bytes.len());
        bytes.get(self.header_len()..end).unwrap_or_default()
    }

    /// Sum of the pseudo-header for this packet's payload as the transport.
    #[inline]
    pub fn pseudo_header(&self) -> u16 {
        let len = self.total_len().saturating_sub(self.header_len() as u16);
        checksum::pseudo_v4(self.src(), self.dst(), self.protocol(), len)
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets the type of service; the checksum is left to the caller.
    pub fn set_tos(&mut self, tos: u8) {
        self.0.as_mut()[field::TOS] = tos;
    }

    /// Sets flags and offset (in bytes; its low three bits are lost); the checksum is left to the
    /// caller.
    pub fn set_fragment(&mut self, dont_fragment: bool, more_fragments: bool, offset: u16) {
        let flags = flag(dont_fragment, DONT_FRAGMENT) | flag(more_fragments, MORE_FRAGMENTS);
        let word = u16::from(flags) << 8 | offset >> 3;
        put16(self.0.as_mut(), field::FRAGMENT, word);
    }

    /// Sets the time to live; the checksum is left to the caller.
    pub fn set_ttl(&mut self, ttl: u8) {
        self.0.as_mut()[field::TTL] = ttl;
    }

    /// Sets the source address; the checksum is left to the caller.
    #[inline]
    pub fn set_src(&mut self, address: Ipv4Addr) {
        self.0.as_mut()[field::SRC].copy_from_slice(&address.octets());
    }

    /// Sets the destination address; the checksum is left to the caller.
    #[inline]
    pub fn set_dst(&mut self, address: Ipv4Addr) {
        self.0.as_mut()[field::DST].copy_from_slice(&address.octets());
    }

    /// Computes the header checksum anew.
    #[inline]
    pub fn fill_checksum(&mut self) {
        self.set_checksum(0);
        self.set_checksum(checksum::checksum(self.header()));
    }

    /// Updates the header checksum after a change of the header.
    // A call costs 20 instructions a frame.
    #[inline(always)]
    pub fn update_checksum(&mut self, change: Delta) {
        self.set_checksum(change.apply(self.checksum()));
    }

    /// Sets the type of service and updates the checksum.
    #[inline]
    pub fn change_tos(&mut self, tos: u8) {
        let old = be16(self.0.as_ref(), field::VERSION_TOS);
        self.set_tos(tos);
        self.update_checksum(Delta::u16(old, be16(self.0.as_ref(), field::VERSION_TOS)));
    }

    /// Counts the time to live down by one and updates the checksum. Returns the new value; at 0
    /// the packet is to be dropped. A packet with 0 stays as it is.
    #[inline]
    pub fn decrement_ttl(&mut self) -> u8 {
        let Some(ttl) = self.ttl().checked_sub(1) else { return 0 };
        let old = be16(self.0.as_ref(), field::TTL_PROTOCOL);
        self.set_ttl(ttl);
        self.update_checksum(Delta::u16(old, be16(self.0.as_ref(), field::TTL_PROTOCOL)));
        ttl
    }

    /// Rewrites the source address and updates the header checksum. Returns the change, which the
    /// transport checksum needs as well.
    #[inline]
    pub fn rewrite_src(&mut self, address: Ipv4Addr) -> Delta {
        let change = Delta::ipv4(self.src(), address);
        self.set_src(address);
        self.update_checksum(change);
        change
    }

    /// Rewrites the destination address and updates the header checksum. Returns the change, which
    /// the transport checksum needs as well.
    #[inline]
    pub fn rewrite_dst(&mut self, address: Ipv4Addr) -> Delta {
        let change = Delta::ipv4(self.dst(), address);
        self.set_dst(address);
        self.update_checksum(change);
        change
    }

    /// The payload, for writing.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let (start, len) = (self.header_len(), usize::from(self.total_len()));
        let bytes = self.0.as_mut();
        let end = len.min(bytes.len());
        bytes.get_mut(start..end).unwrap_or_default()
    }
}

fn bad(field: &'static str, value: usize) -> Error {
    Error::Field { header: "IPv4", field, value: value as u32 }
}
