//! A connection.
//!
//! # Theory of operation
//!
//! As in Linux' conntrack a connection is two tuples: that of the packets of the client, who began it, as
//! they come, and that of the answers as they come. What the one side sees is the other tuple,
//! reversed: so translation of the source (the answer goes to another address than the client's),
//! of the destination (the answer comes from another than the client asked) and both (hairpin) are
//! one thing.
//!
//! Of the four addresses of two tuples two are the peers' own, and the others are theirs or ours:
//! kept are the peers', and for each whether the other sees it by an address of ours ([`ExternalAddrs`]).

use super::external_addrs::ExternalAddrs;
use super::hash::{Key, PortPair};
use super::link::Link;
use crate::address::Address;
use crate::direction::Direction;
use crate::edit::{Edit, Realm};
use crate::owner::OwnerIdx;
use crate::state::State;
use crate::tcp::TcpPeer;
use crate::tuple::{Endpoint, Transport};
use crate::zone::Zone;

/// How a connection came about, and its transport (in the two upper bits: a [`Flow`] has no byte to spare).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlowFlags(u8);

impl FlowFlags {
    /// The client is outside.
    pub(crate) const FROM_EXTERNAL: u8 = 1;
    /// Both peers are inside.
    pub(crate) const HAIRPIN: u8 = 2;
    /// It has an entry in the filter table.
    pub(crate) const IN_FILTER: u8 = 4;
    /// It is translated by what is published.
    pub(crate) const PUBLISHED: u8 = 8;
    /// The client appears from a mapping, which lives as long.
    pub(crate) const CLIENT_MAPPED: u8 = 16;
    /// The server is reached by a mapping, which lives as long.
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

/// A connection. Two cache lines: compared and written by each packet; the lists.
#[derive(Clone, Debug)]
#[repr(align(128))]
pub(crate) struct Flow {
    /// The client's own address, and the server's.
    pub(crate) peers: [Address; 2],
    /// By which address of ours the other sees each; none if there is none.
    pub(crate) aliases: [u16; 2],
    /// The ports of the two tuples, by [`Direction`].
    pub(crate) ports: [PortPair; 2],
    /// The zones of the peers' own addresses.
    pub(crate) zones: [Zone; 2],
    pub(crate) state: State,
    pub(crate) flags: FlowFlags,
    /// When it was last refreshed ([`crate::state::CoarseTime`]).
    pub(crate) seen: u32,
    /// Who it counts for: the container that began it, or that is published.
    pub(crate) owner: OwnerIdx,
    /// The container that the server is, where both peers are inside.
    pub(crate) peer_owner: OwnerIdx,
    /// The epoch in which it began.
    pub(crate) created_epoch: u32,
    pub(crate) tcp_peers: [TcpPeer; 2],
    pub(crate) bytes: [u64; 2],
    pub(crate) frames_low: [u32; 2],
    pub(crate) frames_high: [u16; 2],
    /// Its neighbours on the wheel.
    pub(crate) wheel_link: Link,
    /// Its neighbours in the list of its owner, or of what is free.
    pub(crate) owner_link: Link,
}

impl Flow {
    #[inline]
    pub(crate) const fn transport(&self) -> Transport {
        self.flags.transport()
    }

    /// The list of its owner that its state belongs in.
    pub(crate) const fn list(&self) -> u8 {
        self.state.list(self.transport())
    }

    /// Addresses and ports of what comes in this direction.
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

    /// Whether what comes with these addresses and ports comes in this direction.
    #[inline]
    pub(crate) fn is_key(&self, dir: Direction, key: &Key, externals: &ExternalAddrs) -> bool {
        self.key(dir, externals) == *key
    }

    /// What a packet that goes in this direction gets.
    #[inline]
    pub(crate) fn edit(&self, dir: Direction, externals: &ExternalAddrs) -> Edit {
        let reply = self.key(dir.other(), externals);
        Edit {
            src: Endpoint::new(reply.dst.ip(), reply.ports.dst()),
            dst: Endpoint::new(reply.src.ip(), reply.ports.src()),
            quoted: None,
        }
    }

    /// Where packets that go in this direction come from.
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

    /// Our addresses and ports whose mappings live as long as this.
    pub(crate) fn mapped(&self) -> [Option<(u16, u16)>; 2] {
        let client = self.flags.has(FlowFlags::CLIENT_MAPPED);
        let server = self.flags.has(FlowFlags::SERVER_MAPPED);
        let [client_alias, server_alias] = self.aliases;
        let [original, reply] = self.ports;
        [
            client.then(|| (client_alias, reply.dst())),
            server.then(|| (server_alias, original.dst())),
        ]
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
