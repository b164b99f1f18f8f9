//! Ethernet II and IEEE 802.3 framing, without preamble and FCS.

use core::fmt;

use crate::bytes::{array, be16, put16};
use crate::error::{Error, check_len, check_space};
use crate::mac::MacAddr;

#[cfg(test)]
mod tests;

mod field {
    use crate::bytes::Field;

    pub(super) const DST: Field = 0..6;
    pub(super) const SRC: Field = 6..12;
    pub(super) const ETHERTYPE: Field = 12..14;
}

/// Bytes of the header: two addresses and the EtherType.
pub const HEADER_LEN: usize = 14;

/// The 16 bits after the addresses: a protocol from 0x600 on, an IEEE 802.3 length up to 1500.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4 (RFC 894).
    pub const IPV4: Self = Self(0x0800);
    /// ARP (RFC 826).
    pub const ARP: Self = Self(0x0806);
    /// IPv6 (RFC 2464).
    pub const IPV6: Self = Self(0x86dd);
    /// IEEE 802.1Q customer tag.
    pub const VLAN: Self = Self(0x8100);
    /// IEEE 802.1ad service tag.
    pub const QINQ: Self = Self(0x88a8);
    /// IEEE 802.1AB LLDP.
    pub const LLDP: Self = Self(0x88cc);

    /// A VLAN tag follows (802.1Q or 802.1ad).
    #[inline]
    pub const fn is_vlan(self) -> bool {
        self.0 == Self::VLAN.0 || self.0 == Self::QINQ.0
    }

    /// The payload's length in bytes where this is an IEEE 802.3 length and not a protocol.
    /// 1501..=1535 is neither.
    #[inline]
    pub const fn length_802_3(self) -> Option<u16> {
        if self.0 <= 1500 { Some(self.0) } else { None }
    }
}

impl fmt::Display for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::IPV4 => f.write_str("IPv4"),
            Self::ARP => f.write_str("ARP"),
            Self::IPV6 => f.write_str("IPv6"),
            Self::VLAN => f.write_str("802.1Q"),
            Self::QINQ => f.write_str("802.1ad"),
            Self::LLDP => f.write_str("LLDP"),
            Self(value) => write!(f, "{value:#06x}"),
        }
    }
}

impl fmt::Debug for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A view of an Ethernet frame. A VLAN tag, if any, counts as payload here: see [`crate::vlan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<T>(T);

impl<T: AsRef<[u8]>> Frame<T> {
    /// Checks that the header is there.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 14 bytes.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        check_len("Ethernet", HEADER_LEN, buffer.as_ref().len())?;
        Ok(Self(buffer))
    }

    /// Gives the buffer back.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// Destination address.
    #[inline]
    pub fn dst(&self) -> MacAddr {
        MacAddr(array(self.0.as_ref(), field::DST))
    }

    /// Source address.
    #[inline]
    pub fn src(&self) -> MacAddr {
        MacAddr(array(self.0.as_ref(), field::SRC))
    }

    /// The two bytes after the addresses.
    #[inline]
    pub fn ethertype(&self) -> EtherType {
        EtherType(be16(self.0.as_ref(), field::ETHERTYPE))
    }

    /// The payload with padding; under an 802.3 length, only that many bytes.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        let payload = &self.0.as_ref()[HEADER_LEN..];
        match self.ethertype().length_802_3() {
            Some(length) => payload.get(..usize::from(length)).unwrap_or(payload),
            None => payload,
        }
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Frame<T> {
    /// Sets the destination address.
    #[inline]
    pub fn set_dst(&mut self, mac: MacAddr) {
        self.0.as_mut()[field::DST].copy_from_slice(&mac.0);
    }

    /// Sets the source address.
    #[inline]
    pub fn set_src(&mut self, mac: MacAddr) {
        self.0.as_mut()[field::SRC].copy_from_slice(&mac.0);
    }

    /// Sets the EtherType.
    #[inline]
    pub fn set_ethertype(&mut self, ethertype: EtherType) {
        put16(self.0.as_mut(), field::ETHERTYPE, ethertype.0);
    }

    /// The payload with padding.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        &mut self.0.as_mut()[HEADER_LEN..]
    }
}

/// An Ethernet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Destination address.
    pub dst: MacAddr,
    /// Source address.
    pub src: MacAddr,
    /// Protocol of the payload.
    pub ethertype: EtherType,
}

impl Repr {
    /// Reads a header.
    pub fn parse<T: AsRef<[u8]>>(frame: &Frame<T>) -> Self {
        Self { dst: frame.dst(), src: frame.src(), ethertype: frame.ethertype() }
    }

    /// Writes the header to the start of `buffer` and returns its length, 14.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] below 14 bytes.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        check_space("Ethernet", HEADER_LEN, buffer.len())?;
        let mut frame = Frame(buffer);
        frame.set_dst(self.dst);
        frame.set_src(self.src);
        frame.set_ethertype(self.ethertype);
        Ok(HEADER_LEN)
    }
}
