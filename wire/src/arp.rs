//! ARP for IPv4 over Ethernet (RFC 826, RFC 5227).

use core::net::Ipv4Addr;

use crate::bytes::{array, be16, put16};
use crate::error::{Error, check_len, check_space};
use crate::ethernet::EtherType;
use crate::mac::MacAddr;

#[cfg(test)]
mod tests;

mod field {
    use crate::bytes::Field;

    pub(super) const HTYPE: Field = 0..2;
    pub(super) const PTYPE: Field = 2..4;
    pub(super) const HLEN: usize = 4;
    pub(super) const PLEN: usize = 5;
    pub(super) const OPERATION: Field = 6..8;
    pub(super) const SENDER_MAC: Field = 8..14;
    pub(super) const SENDER_IP: Field = 14..18;
    pub(super) const TARGET_MAC: Field = 18..24;
    pub(super) const TARGET_IP: Field = 24..28;
}

/// Bytes of an Ethernet/IPv4 ARP packet.
pub const PACKET_LEN: usize = 28;

const HTYPE_ETHERNET: u16 = 1;

/// The ARP operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operation(pub u16);

impl Operation {
    /// Asks for the owner of the target address.
    pub const REQUEST: Self = Self(1);
    /// The sender has its address.
    pub const REPLY: Self = Self(2);
}

/// A view of an Ethernet/IPv4 ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<T>(T);

impl<T: AsRef<[u8]>> Packet<T> {
    /// Checks the length, and that the addresses are Ethernet's and IPv4's.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 28 bytes; [`Error::Field`] for other kinds of address.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let bytes = buffer.as_ref();
        check_len("ARP", PACKET_LEN, bytes.len())?;
        let is = |field, value: u16, want| match value == want {
            true => Ok(()),
            false => Err(Error::Field { header: "ARP", field, value: value.into() }),
        };
        is("hardware type", be16(bytes, field::HTYPE), HTYPE_ETHERNET)?;
        is("protocol type", be16(bytes, field::PTYPE), EtherType::IPV4.0)?;
        is("hardware address length", bytes[field::HLEN].into(), 6)?;
        is("protocol address length", bytes[field::PLEN].into(), 4)?;
        Ok(Self(buffer))
    }

    /// Operation: request, reply, or another.
    #[inline]
    pub fn operation(&self) -> Operation {
        Operation(be16(self.0.as_ref(), field::OPERATION))
    }

    /// Sender hardware address.
    #[inline]
    pub fn sender_mac(&self) -> MacAddr {
        MacAddr(array(self.0.as_ref(), field::SENDER_MAC))
    }

    /// Sender protocol address; 0.0.0.0 in a probe (RFC 5227 section 1.1).
    #[inline]
    pub fn sender_ip(&self) -> Ipv4Addr {
        Ipv4Addr::from(array::<4>(self.0.as_ref(), field::SENDER_IP))
    }

    /// Target hardware address; any value in a request.
    #[inline]
    pub fn target_mac(&self) -> MacAddr {
        MacAddr(array(self.0.as_ref(), field::TARGET_MAC))
    }

    /// Target protocol address.
    #[inline]
    pub fn target_ip(&self) -> Ipv4Addr {
        Ipv4Addr::from(array::<4>(self.0.as_ref(), field::TARGET_IP))
    }
}

/// An Ethernet/IPv4 ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Request or reply.
    pub operation: Operation,
    /// Sender hardware address.
    pub sender_mac: MacAddr,
    /// Sender protocol address.
    pub sender_ip: Ipv4Addr,
    /// Target hardware address.
    pub target_mac: MacAddr,
    /// Target protocol address.
    pub target_ip: Ipv4Addr,
}

impl Repr {
    /// A request for `target_ip`.
    pub const fn request(sender_mac: MacAddr, sender_ip: Ipv4Addr, target_ip: Ipv4Addr) -> Self {
        let (operation, target_mac) = (Operation::REQUEST, MacAddr::ZERO);
        Self { operation, sender_mac, sender_ip, target_mac, target_ip }
    }

    /// The reply to this request: `mac` has the target address.
    pub const fn reply(&self, mac: MacAddr) -> Self {
        Self {
            operation: Operation::REPLY,
            sender_mac: mac,
            sender_ip: self.target_ip,
            target_mac: self.sender_mac,
            target_ip: self.sender_ip,
        }
    }

    /// An announcement: a request for the own address, which updates every stack (RFC 5227 section 2.3).
    pub const fn gratuitous(mac: MacAddr, ip: Ipv4Addr) -> Self {
        Self::request(mac, ip, ip)
    }

    /// Reads a packet.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Self {
        Self {
            operation: packet.operation(),
            sender_mac: packet.sender_mac(),
            sender_ip: packet.sender_ip(),
            target_mac: packet.target_mac(),
            target_ip: packet.target_ip(),
        }
    }

    /// Writes the packet to the start of `buffer` and returns its length, 28.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] below 28 bytes.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        check_space("ARP", PACKET_LEN, buffer.len())?;
        put16(buffer, field::HTYPE, HTYPE_ETHERNET);
        put16(buffer, field::PTYPE, EtherType::IPV4.0);
        buffer[field::HLEN] = 6;
        buffer[field::PLEN] = 4;
        put16(buffer, field::OPERATION, self.operation.0);
        buffer[field::SENDER_MAC].copy_from_slice(&self.sender_mac.0);
        buffer[field::SENDER_IP].copy_from_slice(&self.sender_ip.octets());
        buffer[field::TARGET_MAC].copy_from_slice(&self.target_mac.0);
        buffer[field::TARGET_IP].copy_from_slice(&self.target_ip.octets());
        Ok(PACKET_LEN)
    }
}
