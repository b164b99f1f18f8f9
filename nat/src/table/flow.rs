//! A connection.
//!
//! # Theory of operation
//!
//! A connection is two tuples, as in conntrack: the client's packets and the replies, each on arrival. A
//! translated packet gets the other tuple, reversed. SNAT (the reply goes to another address than the
//! client's), DNAT (it comes from another than the client asked) and hairpin (both) are thus one thing.
//!
//! Two tuples have four addresses: two of the peers, and one for each peer as the other sees it. The
//! latter are the peer's own, or external addresses ([`ExternalAddrs`]).

use super::external_addrs::{self, ExternalAddrs};
use super::hash::{Key, PortPair};
use super::link::Link;
use crate::address::Address;
use crate::direction::Direction;
use crate::edit::{Edit, Realm};
use crate::owner::OwnerIdx;
use crate::state::{Class, State};
use crate::tcp::TcpPeer;
use crate::tuple::{Endpoint, Transport};
use crate::zone::Zone;

/// The origin of a connection, and its transport in the upper two bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlowFlags(u8);

impl FlowFlags {
    /// The client is external.
    pub(crate) const FROM_EXTERNAL: u8 = 1;
    /// Both peers are containers; without external addresses it is routed, not translated.
    pub(crate) const HAIRPIN: u8 = 2;
    /// It has an entry in the filter table.
    pub(crate) const IN_FILTER: u8 = 4;
    /// A published port translates it.
    pub(crate) const PUBLISHED: u8 = 8;
    /// The client has an SNAT port: that of a mapping, which is in the filter, or a shared one, which is not.
    pub(crate) const CLIENT_MAPPED: u8 = 16;
    /// The server has a mapping, which this connection uses.
    pub(crate) const SERVER_MAPPED: u8 = 32;

    const TRANSPORT_SHIFT: u8 = 6;

    pub(crate) const fn new(transport: Transport) -> Self {
        Self((transport as u8) << Self::TRANSPORT_SHIFT)
    }

    /// The flags without the transport.
    pub(crate) const fn bits(self) -> u8 {
        self.0 & ((1 << Self::TRANSPORT_SHIFT) - 1)
    }

    /// Flags from [`Self::bits`].
    pub(crate) fn from_bits(bits: u8, transport: Transport) -> Option<Self> {
        (bits >> Self::TRANSPORT_SHIFT == 0).then(|| Self(bits | Self::new(transport).0))
    }

    #[inline]
    pub(crate) const fn has(self, one: u8) -> bool {
        self.0 & one != 0
    }

    pub(crate) fn set(&mut self, one: u8) {
        self.0 |= one;
    }

    /// The client has no mapping: its port is for this destination only.
    pub(crate) const fn is_shared(self) -> bool {
        self.0 & (Self::CLIENT_MAPPED | Self::IN_FILTER) == Self::CLIENT_MAPPED
    }

    #[inline]
    const fn transport(self) -> Transport {
        match self.0 >> Self::TRANSPORT_SHIFT {
            0 => Transport::Tcp,
            1 => Transport::Udp,
            2 => Transport::Echo,
            _ => Transport::Sctp,
        }
    }
}

/// A connection in two cache lines: fields of every packet, then counters and lists.
#[derive(Clone, Debug)]
#[repr(align(128))]
pub(crate) struct Flow {
    /// The own addresses of client and server.
    pub(crate) peers: [Address; 2],
    /// Indices of their external addresses, or none.
    pub(crate) aliases: [u16; 2],
    /// The ports of the two tuples, by [`Direction`].
    pub(crate) ports: [PortPair; 2],
    /// The zones of the peers' own addresses.
    pub(crate) zones: [Zone; 2],
    pub(crate) state: State,
    pub(crate) flags: FlowFlags,
    /// Time of the last refresh ([`crate::state::CoarseTime`]).
    pub(crate) seen: u32,
    /// The container that opened it, or that is published.
    pub(crate) owner: OwnerIdx,
    /// The server's container in a hairpin.
    pub(crate) peer_owner: OwnerIdx,
    /// The epoch of its creation.
    pub(crate) created_epoch: u32,
    pub(crate) tcp_peers: [TcpPeer; 2],
    pub(crate) bytes: [u64; 2],
    pub(crate) frames_low: [u32; 2],
    pub(crate) frames_high: [u16; 2],
    /// Links of the wheel.
    pub(crate) wheel_link: Link,
    /// Links of the owner's list, or of the free list.
    pub(crate) owner_link: Link,
}

impl Flow {
    #[inline]
    pub(crate) const fn transport(&self) -> Transport {
        self.flags.transport()
    }

    /// Its class in the order of eviction.
    pub(crate) const fn class(&self) -> Class {
        self.state.class(self.transport())
    }

    /// It is tracked between two networks, and not translated.
    #[inline]
    pub(crate) fn is_routed(&self) -> bool {
        self.flags.has(FlowFlags::HAIRPIN) && self.aliases == [external_addrs::NONE; 2]
    }

    /// The key of packets in this direction, on arrival.
    #[inline]
    pub(crate) fn key(&self, dir: Direction, externals: &ExternalAddrs) -> Key {
        let (own, other) = (dir as usize, dir.other() as usize);
        Key {
            transport: self.transport(),
            zone: self.zones[own],
            src: self.peers[own],
            dst: externals.address(self.aliases[other]).unwrap_or(self.peers[other]),
            ports: self.ports[own],
        }
    }

    /// A packet with this key belongs to this direction.
    #[inline]
    pub(crate) fn is_key(&self, dir: Direction, key: &Key, externals: &ExternalAddrs) -> bool {
        self.key(dir, externals) == *key
    }

    /// The rewrite of packets in this direction.
    #[inline]
    pub(crate) fn edit(&self, dir: Direction, externals: &ExternalAddrs) -> Edit {
        let reply = self.key(dir.other(), externals);
        Edit {
            src: Endpoint::new(reply.dst.ip(), reply.ports.dst()),
            dst: Endpoint::new(reply.src.ip(), reply.ports.src()),
            quoted: None,
        }
    }

    /// The source of packets in this direction.
    #[inline]
    pub(crate) fn from(&self, dir: Direction) -> Realm {
        let zone = self.zones[dir as usize];
        match dir {
            Direction::Original if self.flags.has(FlowFlags::FROM_EXTERNAL) => Realm::External,
            Direction::Original => Realm::Internal(self.owner.id(), zone),
            Direction::Reply if self.flags.has(FlowFlags::FROM_EXTERNAL) => {
                Realm::Internal(self.owner.id(), zone)
            }
            Direction::Reply if self.flags.has(FlowFlags::HAIRPIN) => {
                Realm::Internal(self.peer_owner.id(), zone)
            }
            Direction::Reply => Realm::External,
        }
    }

    /// A packet with this direction's key comes from its sender. The key holds the zone.
    #[inline]
    pub(crate) fn is_from(&self, dir: Direction, realm: Realm) -> bool {
        match (self.from(dir), realm) {
            (Realm::Internal(sender, _), Realm::Internal(owner, _)) => sender == owner,
            (Realm::External, Realm::External) => true,
            _ => false,
        }
    }

    /// The destination's realm.
    #[inline]
    pub(crate) fn to(&self, dir: Direction) -> Realm {
        self.from(dir.other())
    }

    #[inline]
    pub(crate) fn count(&mut self, dir: Direction, len: u32) {
        let dir = dir as usize;
        self.bytes[dir] += u64::from(len);
        let (frames, overflow) = self.frames_low[dir].overflowing_add(1);
        self.frames_low[dir] = frames;
        if overflow {
            self.frames_high[dir] = self.frames_high[dir].wrapping_add(1);
        }
    }

    /// Sets the counters of both directions; 48 bits each.
    pub(crate) fn set_frames(&mut self, frames: [u64; 2]) {
        self.frames_low = frames.map(|count| count as u32);
        self.frames_high = frames.map(|count| (count >> 32) as u16);
    }

    pub(crate) fn frames(&self, dir: Direction) -> u64 {
        let dir = dir as usize;
        u64::from(self.frames_high[dir]) << 32 | u64::from(self.frames_low[dir])
    }

    /// Index and port of the mappings that this connection uses.
    pub(crate) fn mapped(&self) -> [Option<(u16, u16)>; 2] {
        let client = self.flags.has(FlowFlags::CLIENT_MAPPED) && !self.flags.is_shared();
        let server = self.flags.has(FlowFlags::SERVER_MAPPED);
        let [client_alias, server_alias] = self.aliases;
        let [original, reply] = self.ports;
        [
            client.then(|| (client_alias, reply.dst())),
            server.then(|| (server_alias, original.dst())),
        ]
    }

    /// Index and number of the shared port that this connection uses.
    pub(crate) fn shared(&self) -> Option<(u16, u16)> {
        self.flags.is_shared().then(|| (self.aliases[0], self.ports[1].dst()))
    }

    /// Index and port of the owner's mapping that this connection uses.
    pub(crate) fn owner_mapped(&self) -> Option<(u16, u16)> {
        let [client, server] = self.mapped();
        if self.flags.has(FlowFlags::FROM_EXTERNAL) { server } else { client }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_two_cache_lines() {
        assert_eq!(size_of::<Flow>(), 128);
    }
}
