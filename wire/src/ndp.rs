//! IPv6 neighbour discovery (RFC 4861): solicitations and advertisements of neighbours and routers.
//!
//! A receiver also checks the hop limit, 255, and the checksum (RFC 4861 sections 6.1 and 7.1).

use core::net::Ipv6Addr;

use crate::bytes::{array, be16, be32, flag, put16, put32};
use crate::error::{Error, check_len, check_space};
use crate::icmpv6::{self, Type};

#[cfg(test)]
mod tests;

mod options;

pub use options::{NdpOption, Options, Prefix};

mod field {
    use crate::bytes::Field;

    pub(super) const TYPE: usize = 0;
    pub(super) const CODE: usize = 1;
    /// The word between checksum and target or options.
    pub(super) const CHECKSUM_AND_WORD: Field = 2..8;
    pub(super) const ADVERT_FLAGS: usize = 4;
    pub(super) const TARGET: Field = 8..24;
    pub(super) const ROUTER_HOP_LIMIT: usize = 4;
    pub(super) const ROUTER_FLAGS: usize = 5;
    pub(super) const ROUTER_LIFETIME: Field = 6..8;
    pub(super) const REACHABLE: Field = 8..12;
    pub(super) const RETRANS: Field = 12..16;
}

/// The hop limit of every neighbour discovery packet.
pub const HOP_LIMIT: u8 = 255;

/// All nodes on the link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// All routers on the link.
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

const FLAG_ROUTER: u8 = 0x80;
const FLAG_SOLICITED: u8 = 0x40;
const FLAG_OVERRIDE: u8 = 0x20;

/// The solicited-node multicast address of `address` (RFC 4291 section 2.7.1).
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let low = address.to_bits() & 0x00ff_ffff;
    Ipv6Addr::from_bits(0xff02_0000_0000_0000_0000_0001_ff00_0000 | low)
}

/// The fixed part of a message; options follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Router solicitation.
    RouterSolicit,
    /// Router advertisement.
    RouterAdvert {
        /// Hop limit for hosts; 0 for unspecified.
        hop_limit: u8,
        /// M and O, the two highest bits, and RFC 5175's.
        flags: u8,
        /// Lifetime as a default router in seconds; 0 for none.
        lifetime_s: u16,
        /// Reachable time in milliseconds; 0 for unspecified.
        reachable_ms: u32,
        /// Interval of solicitations in milliseconds; 0 for unspecified.
        retrans_ms: u32,
    },
    /// Neighbour solicitation.
    NeighborSolicit {
        /// The target.
        target: Ipv6Addr,
    },
    /// Neighbour advertisement.
    NeighborAdvert {
        /// The sender is a router.
        router: bool,
        /// Solicited.
        solicited: bool,
        /// Override: replaces a cache entry.
        overrides: bool,
        /// The target.
        target: Ipv6Addr,
    },
}

impl Message {
    /// Parses an ICMPv6 message, from its type byte to the end of the packet, and returns its options.
    ///
    /// # Errors
    /// [`Error::Truncated`]; [`Error::Field`] for another type, a code other than 0, or a target
    /// that is multicast.
    pub fn parse(bytes: &[u8]) -> Result<(Self, Options<'_>), Error> {
        check_len("NDP", icmpv6::HEADER_LEN, bytes.len())?;
        let icmp_type = Type(bytes[field::TYPE]);
        let len = fixed_len(icmp_type)?;
        check_len("NDP", len, bytes.len())?;
        if bytes[field::CODE] != 0 {
            return Err(bad("code", bytes[field::CODE].into()));
        }
        let message = match icmp_type {
            Type::ROUTER_SOLICIT => Self::RouterSolicit,
            Type::ROUTER_ADVERT => Self::RouterAdvert {
                hop_limit: bytes[field::ROUTER_HOP_LIMIT],
                flags: bytes[field::ROUTER_FLAGS],
                lifetime_s: be16(bytes, field::ROUTER_LIFETIME),
                reachable_ms: be32(bytes, field::REACHABLE),
                retrans_ms: be32(bytes, field::RETRANS),
            },
            Type::NEIGHBOR_SOLICIT => Self::NeighborSolicit { target: target(bytes)? },
            _ => {
                let flags = bytes[field::ADVERT_FLAGS];
                Self::NeighborAdvert {
                    router: flags & FLAG_ROUTER != 0,
                    solicited: flags & FLAG_SOLICITED != 0,
                    overrides: flags & FLAG_OVERRIDE != 0,
                    target: target(bytes)?,
                }
            }
        };
        Ok((message, Options::new(&bytes[len..])))
    }

    /// The ICMPv6 type.
    pub const fn icmp_type(&self) -> Type {
        match self {
            Self::RouterSolicit => Type::ROUTER_SOLICIT,
            Self::RouterAdvert { .. } => Type::ROUTER_ADVERT,
            Self::NeighborSolicit { .. } => Type::NEIGHBOR_SOLICIT,
            Self::NeighborAdvert { .. } => Type::NEIGHBOR_ADVERT,
        }
    }

    /// Bytes of the message with these options.
    pub fn buffer_len(&self, options: &[NdpOption<'_>]) -> usize {
        self.fixed_len() + options.iter().map(NdpOption::buffer_len).sum::<usize>()
    }

    /// Writes the message, with a checksum over the pseudo-header that `pseudo` gives for its
    /// length, to the start of `buffer`. Returns that length.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`]; [`Error::Field`] for an option whose length is no multiple of 8 bytes.
    pub fn emit(
        &self,
        options: &[NdpOption<'_>],
        pseudo: impl FnOnce(usize) -> u16,
        buffer: &mut [u8],
    ) -> Result<usize, Error> {
        let len = self.buffer_len(options);
        check_space("NDP", len, buffer.len())?;
        let message = &mut buffer[..len];
        self.emit_fixed(message);
        let mut at = self.fixed_len();
        for option in options {
            at += option.emit(&mut message[at..])?;
        }
        icmpv6::Packet::new_checked(message)?.fill_checksum(pseudo(len));
        Ok(len)
    }

    fn emit_fixed(&self, message: &mut [u8]) {
        message[field::TYPE] = self.icmp_type().0;
        message[field::CODE] = 0;
        message[field::CHECKSUM_AND_WORD].fill(0);
        match *self {
            Self::RouterSolicit => {}
            Self::RouterAdvert { hop_limit, flags, lifetime_s, reachable_ms, retrans_ms } => {
                message[field::ROUTER_HOP_LIMIT] = hop_limit;
                message[field::ROUTER_FLAGS] = flags;
                put16(message, field::ROUTER_LIFETIME, lifetime_s);
                put32(message, field::REACHABLE, reachable_ms);
                put32(message, field::RETRANS, retrans_ms);
            }
            Self::NeighborSolicit { target } => {
                message[field::TARGET].copy_from_slice(&target.octets());
            }
            Self::NeighborAdvert { router, solicited, overrides, target } => {
                message[field::ADVERT_FLAGS] = flag(router, FLAG_ROUTER)
                    | flag(solicited, FLAG_SOLICITED)
                    | flag(overrides, FLAG_OVERRIDE);
                message[field::TARGET].copy_from_slice(&target.octets());
            }
        }
    }

    const fn fixed_len(&self) -> usize {
        match self {
            Self::RouterSolicit => 8,
            Self::RouterAdvert { .. } => 16,
            Self::NeighborSolicit { .. } | Self::NeighborAdvert { .. } => 24,
        }
    }
}

fn fixed_len(icmp_type: Type) -> Result<usize, Error> {
    match icmp_type {
        Type::ROUTER_SOLICIT => Ok(8),
        Type::ROUTER_ADVERT => Ok(16),
        Type::NEIGHBOR_SOLICIT | Type::NEIGHBOR_ADVERT => Ok(24),
        Type(other) => Err(bad("type", other.into())),
    }
}

fn target(bytes: &[u8]) -> Result<Ipv6Addr, Error> {
    let target = Ipv6Addr::from(array::<16>(bytes, field::TARGET));
    match target.is_multicast() {
        true => Err(bad("target", be32(bytes, 8..12))),
        false => Ok(target),
    }
}

fn bad(field: &'static str, value: u32) -> Error {
    Error::Field { header: "NDP", field, value }
}
