use core::net::Ipv4Addr;

use super::{Error, HEADER_LEN, Packet, Protocol, bad, check_space, field};
use crate::error::len16;

/// An IPv4 header without options, of a packet in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Source address.
    pub src: Ipv4Addr,
    /// Destination address.
    pub dst: Ipv4Addr,
    /// Protocol of the payload.
    pub protocol: Protocol,
    /// Time to live.
    pub ttl: u8,
    /// Type of service: DSCP and ECN.
    pub tos: u8,
    /// Identification.
    pub ident: u16,
    /// Don't fragment.
    pub dont_fragment: bool,
}

impl Repr {
    /// A header with the usual values: TTL 64, TOS 0, identification 0, don't fragment.
    pub const fn new(src: Ipv4Addr, dst: Ipv4Addr, protocol: Protocol) -> Self {
        Self { src, dst, protocol, ttl: 64, tos: 0, ident: 0, dont_fragment: true }
    }

    /// Reads a header; options are left out.
    ///
    /// # Errors
    /// [`Error::Field`] for a fragment or a wrong header checksum.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self, Error> {
        if packet.is_fragment() {
            return Err(bad("fragment offset", packet.fragment_offset().into()));
        }
        if !packet.verify_checksum() {
            return Err(bad("checksum", packet.checksum().into()));
        }
        Ok(Self {
            src: packet.src(),
            dst: packet.dst(),
            protocol: packet.protocol(),
            ttl: packet.ttl(),
            tos: packet.tos(),
            ident: packet.ident(),
            dont_fragment: packet.dont_fragment(),
        })
    }

    /// Writes the header, with its checksum, for a payload of `payload_len` bytes. Returns its
    /// length, 20.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] below 20 bytes; [`Error::Field`] for more payload than IPv4 can carry.
    pub fn emit(&self, payload_len: usize, buffer: &mut [u8]) -> Result<usize, Error> {
        check_space("IPv4", HEADER_LEN, buffer.len())?;
        let total_len = len16("IPv4", "total length", HEADER_LEN + payload_len)?;
        buffer[field::VERSION_IHL] = 0x45;
        buffer[field::PROTOCOL] = self.protocol.0;
        let mut packet = Packet(buffer);
        packet.set_tos(self.tos);
        packet.set_total_len(total_len);
        packet.set_ident(self.ident);
        packet.set_fragment(self.dont_fragment, false, 0);
        packet.set_ttl(self.ttl);
        packet.set_src(self.src);
        packet.set_dst(self.dst);
        packet.fill_checksum();
        Ok(HEADER_LEN)
    }
}
