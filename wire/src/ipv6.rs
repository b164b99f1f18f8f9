//! IPv6 (RFC 8200), the fixed header. For what may follow see [`crate::ipv6_ext`].
//!
//! Jumbograms (RFC 2675) are not supported: a payload length of 0 is taken at its word.

use core::net::Ipv6Addr;

use crate::bytes::{array, be16, be32, put16, put32};
use crate::checksum::{self, Delta};
use crate::error::{Error, check_len, check_space, len16};
use crate::ipv6_ext::{UpperLayer, upper_layer};
use crate::protocol::Protocol;

#[cfg(test)]
mod tests;

mod field {
    use crate::bytes::Field;

    pub(super) const VERSION_CLASS_FLOW: Field = 0..4;
    pub(super) const PAYLOAD_LEN: Field = 4..6;
    pub(super) const NEXT_HEADER: usize = 6;
    pub(super) const HOP_LIMIT: usize = 7;
    pub(super) const SRC: Field = 8..24;
    pub(super) const DST: Field = 24..40;
}

/// Bytes of the fixed header.
pub const HEADER_LEN: usize = 40;

/// A view of an IPv6 packet. The buffer may be longer than the packet (Ethernet padding).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<T>(T);

impl<T: AsRef<[u8]>> Packet<T> {
    /// Checks version and payload length.
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Field`].
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let packet = Self::new_quoted(buffer)?;
        check_len("IPv6 packet", packet.total_len(), packet.0.as_ref().len())?;
        Ok(packet)
    }

    /// Like [`new_checked`](Self::new_checked), but checks the header only: an ICMPv6 error quotes
    /// a packet whose end lies beyond the quotation. [`payload`](Self::payload) is what there is.
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Field`].
    #[inline]
    pub fn new_quoted(buffer: T) -> Result<Self, Error> {
        let bytes = buffer.as_ref();
        check_len("IPv6", HEADER_LEN, bytes.len())?;
        match bytes[0] >> 4 {
            6 => Ok(Self(buffer)),
            version => {
                Err(Error::Field { header: "IPv6", field: "version", value: version.into() })
            }
        }
    }

    /// Traffic class: DSCP and ECN.
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        (be32(self.0.as_ref(), field::VERSION_CLASS_FLOW) >> 20) as u8
    }

    /// Flow label, 20 bits.
    #[inline]
    pub fn flow_label(&self) -> u32 {
        be32(self.0.as_ref(), field::VERSION_CLASS_FLOW) & 0x000f_ffff
    }

    /// Bytes that follow the fixed header, extension headers included.
    #[inline]
    pub fn payload_len(&self) -> u16 {
        be16(self.0.as_ref(), field::PAYLOAD_LEN)
    }

    /// Bytes of fixed header and payload.
    #[inline]
    pub fn total_len(&self) -> usize {
        HEADER_LEN + usize::from(self.payload_len())
    }

    /// The next header: an extension header or the transport.
    #[inline]
    pub fn next_header(&self) -> Protocol {
        Protocol(self.0.as_ref()[field::NEXT_HEADER])
    }

    /// Hop limit.
    #[inline]
    pub fn hop_limit(&self) -> u8 {
        self.0.as_ref()[field::HOP_LIMIT]
    }

    /// Source address.
    #[inline]
    pub fn src(&self) -> Ipv6Addr {
        Ipv6Addr::from(array::<16>(self.0.as_ref(), field::SRC))
    }

    /// Destination address.
    #[inline]
    pub fn dst(&self) -> Ipv6Addr {
        Ipv6Addr::from(array::<16>(self.0.as_ref(), field::DST))
    }

    /// The payload, up to the payload length or the end of the buffer.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        let bytes = self.0.as_ref();
        let end = self.total_len().min(bytes.len());
        &bytes[HEADER_LEN..end]
    }

    /// Walks the extension headers; the offset counts from the start of the payload.
    ///
    /// # Errors
    /// As for [`upper_layer`].
    pub fn upper_layer(&self) -> Result<UpperLayer, Error> {
        upper_layer(self.next_header(), self.payload())
    }

    /// Sum of the pseudo-header for a transport of `len` bytes. The address in the fixed header is
    /// taken for the final destination: that is wrong under a routing header with segments left.
    #[inline]
    pub fn pseudo_header(&self, protocol: Protocol, len: u32) -> u16 {
        checksum::pseudo_v6(self.src(), self.dst(), protocol, len)
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets traffic class and flow label (its low 20 bits).
    pub fn set_class_and_flow(&mut self, traffic_class: u8, flow_label: u32) {
        let word = 6 << 28 | u32::from(traffic_class) << 20 | flow_label & 0x000f_ffff;
        put32(self.0.as_mut(), field::VERSION_CLASS_FLOW, word);
    }

    /// Sets the payload length.
    #[inline]
    pub fn set_payload_len(&mut self, len: u16) {
        put16(self.0.as_mut(), field::PAYLOAD_LEN, len);
    }

    /// Sets the next header.
    #[inline]
    pub fn set_next_header(&mut self, protocol: Protocol) {
        self.0.as_mut()[field::NEXT_HEADER] = protocol.0;
    }

    /// Sets the hop limit.
    #[inline]
    pub fn set_hop_limit(&mut self, hop_limit: u8) {
        self.0.as_mut()[field::HOP_LIMIT] = hop_limit;
    }

    /// Counts the hop limit down by one. Returns the new value; at 0 the packet is to be dropped.
    #[inline]
    pub fn decrement_hop_limit(&mut self) -> u8 {
        let hop_limit = self.hop_limit().saturating_sub(1);
        self.set_hop_limit(hop_limit);
        hop_limit
    }

    /// Sets the source address.
    #[inline]
    pub fn set_src(&mut self, address: Ipv6Addr) {
        self.0.as_mut()[field::SRC].copy_from_slice(&address.octets());
    }

    /// Sets the destination address.
    #[inline]
    pub fn set_dst(&mut self, address: Ipv6Addr) {
        self.0.as_mut()[field::DST].copy_from_slice(&address.octets());
    }

    /// Rewrites the source address. Returns the change for the transport checksum.
    #[inline]
    pub fn rewrite_src(&mut self, address: Ipv6Addr) -> Delta {
        let change = Delta::ipv6(self.src(), address);
        self.set_src(address);
        change
    }

    /// Rewrites the destination address. Returns the change for the transport checksum.
    #[inline]
    pub fn rewrite_dst(&mut self, address: Ipv6Addr) -> Delta {
        let change = Delta::ipv6(self.dst(), address);
        self.set_dst(address);
        change
    }

    /// The payload, for writing.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let end = self.total_len();
        let bytes = self.0.as_mut();
        let end = end.min(bytes.len());
        &mut bytes[HEADER_LEN..end]
    }
}

/// An IPv6 fixed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Source address.
    pub src: Ipv6Addr,
    /// Destination address.
    pub dst: Ipv6Addr,
    /// Protocol of the payload.
    pub next_header: Protocol,
    /// Hop limit.
    pub hop_limit: u8,
    /// Traffic class: DSCP and ECN.
    pub traffic_class: u8,
    /// Flow label; its low 20 bits are written.
    pub flow_label: u32,
}

impl Repr {
    /// A header with the usual values: hop limit 64, class and flow 0.
    pub const fn new(src: Ipv6Addr, dst: Ipv6Addr, next_header: Protocol) -> Self {
        Self { src, dst, next_header, hop_limit: 64, traffic_class: 0, flow_label: 0 }
    }

    /// Reads a header.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Self {
        Self {
            src: packet.src(),
            dst: packet.dst(),
            next_header: packet.next_header(),
            hop_limit: packet.hop_limit(),
            traffic_class: packet.traffic_class(),
            flow_label: packet.flow_label(),
        }
    }

    /// Writes the header for a payload of `payload_len` bytes. Returns its length, 40.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] below 40 bytes; [`Error::Field`] for more payload than IPv6 can carry.
    pub fn emit(&self, payload_len: usize, buffer: &mut [u8]) -> Result<usize, Error> {
        check_space("IPv6", HEADER_LEN, buffer.len())?;
        let payload_len = len16("IPv6", "payload length", payload_len)?;
        let mut packet = Packet(buffer);
        packet.set_class_and_flow(self.traffic_class, self.flow_label);
        packet.set_payload_len(payload_len);
        packet.set_next_header(self.next_header);
        packet.set_hop_limit(self.hop_limit);
        packet.set_src(self.src);
        packet.set_dst(self.dst);
        Ok(HEADER_LEN)
    }
}
