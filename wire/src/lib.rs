//! Packet headers that a switch reads and writes.
//!
//! No time, no I/O, no allocation, no unsafe. Each header has two types:
//!
//! - A *view*, `Packet<T: AsRef<[u8]>>`, checks lengths once, in `new_checked`. After that no accessor
//!   panics, whatever the bytes, also after setters. Setters need `T: AsMut<[u8]>`.
//! - A *representation*, `Repr`, has valid fields only; `emit` writes it.
//!
//! On the data path, [`Meta::parse`] finds the offsets of a frame's headers once, for all views.
//!
//! | module | contents |
//! |---|---|
//! | [`mac`] | MAC addresses, as text and as number |
//! | [`ethernet`], [`vlan`] | framing; 802.1Q and 802.1ad tags, and their insertion and removal in place |
//! | [`arp`] | address resolution for IPv4 |
//! | [`protocol`] | IP protocol numbers |
//! | [`ip`] | an IP header of either family |
//! | [`ipv4`], [`ipv6`], [`ipv6_ext`] | the internet protocols, options, extension headers |
//! | [`icmpv4`], [`icmpv6`], [`ndp`] | errors, echo, neighbour discovery |
//! | [`tcp`], [`udp`], [`ports`] | transports; MSS clamping |
//! | [`vxlan`], [`ecn`] | the tunnel's header; congestion marks in and out of a tunnel |
//! | [`vnet`] | the offload header in front of a frame on a TAP |
//! | [`checksum`] | full, by difference, and partial |
//! | [`membership`] | IGMP and MLD: multicast group membership |
//! | [`meta`] | the one parse of a frame on the data path |
//! | [`frames`] | whole frames: gratuitous ARP, neighbour advertisements, UDP, TCP, ICMP |
//! | [`mod@ttl`], [`mss_clamp`] | a router's hop: TTL decremented, MSS of a SYN lowered |
//! | [`fragmenter`] | IPv4 fragmentation |
//! | [`segment`], [`coalesce`] | a GSO frame into segments with complete checksums, and back (GRO) |
//! | [`offload`] | partial checksums of frames that come without an offload header |
//! | [`icmp_error`] | ICMP errors that a router sends |
//! | [`limits`] | every limit of the crate |
//!
//! # Not supported
//!
//! - More than two VLAN tags: a third is payload. Tags with the old TPIDs 0x9100 to 0x9300.
//! - IPv6 jumbograms (RFC 2675) and Linux' BIG TCP, which leave the length field 0.
//! - IPv6 mobility, HIP and shim6 headers: the walk stops at them, as at any transport.
//! - Writing IPv4 options, IPv6 extension headers and fragments; reading them is supported.
//! - SCTP beyond its ports and answers out of the blue: its CRC32c is not verified.
//! - Reassembly: a fragment's tail has no ports.
//! - Segmentation behind IPv6 extension headers, and of UDP into IP fragments.
//! - IEEE 802.3 frames beyond their length: LLC and SNAP are payload.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod bytes;
mod error;
#[cfg(test)]
mod testing;
mod tlv;

pub mod arp;
pub mod checksum;
pub mod coalesce;
pub mod ecn;
pub mod ethernet;
pub mod fragmenter;
pub mod frames;
pub mod icmp_error;
pub mod icmpv4;
pub mod icmpv6;
pub mod ip;
pub mod ipv4;
pub mod ipv6;
pub mod ipv6_ext;
pub mod limits;
pub mod mac;
pub mod membership;
pub mod meta;
pub mod mss_clamp;
pub mod ndp;
pub mod offload;
pub mod ports;
pub mod protocol;
pub mod sctp;
pub mod segment;
pub mod tcp;
pub mod ttl;
pub mod udp;
pub mod vlan;
pub mod vnet;
pub mod vxlan;

pub use checksum::{ChecksumState, Delta};
pub use error::Error;
pub use ethernet::EtherType;
pub use mac::MacAddr;
pub use meta::{L3, L4, Meta, MetaError};
pub use protocol::Protocol;
pub use vlan::Tci;
