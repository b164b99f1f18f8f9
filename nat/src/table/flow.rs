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
//! kept are the peers', and for each whether the other sees it by an address of ours ([`Locals`]).

use super::hash::{Key, Ports};
use super::locals::Locals;
use super::owners::Short;
use super::wheel::Link;
use crate::address::Address;
use crate::edit::{Edit, Side};
use crate::state::State;
use crate::tcp::Half;
use crate::tuple::{Endpoint, Transport};

/// Which way a packet of a connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Way {
    /// From the client, who began.
    Forward = 0,
    /// From the server.
    Back = 1,
}

impl Way {
    #[inline]
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Forward => Self::Back,
            Self::Back => Self::Forward,
        }
    }

    #[inline]
    pub(crate) const fn of(number: u32) -> Self {
        if number & 1 == 0 { Self::Forward } else { Self::Back }
    }
}

/// What is known of how a connection came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traits(pub(crate) u8);

impl Traits {
    /// The client is outside.
    pub(crate) const FROM_OUTSIDE: u8 = 1;
    /// Both peers are inside.
    pub(crate) const HAIRPIN: u8 = 2;
    /// It counts as a contact of its mapping.
    pub(crate) const CONTACT: u8 = 4;
    /// It is translated by what is published.
    pub(crate) const PUBLISHED: u8 = 8;
    /// The client appears from a mapping, which lives as long.
    pub(crate) const CLIENT_MAPPED: u8 = 16;
    /// The server is reached by a mapping, which lives as long.
    pub(crate) const SERVER_MAPPED: u8 = 32;

    #[inline]
    pub(crate) const fn has(self, one: u8) -> bool {
        self.0 & one != 0
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
    /// The ports of the two tuples, [`Way`] by way.
    pub(crate) ports: [Ports; 2],
    pub(crate) transport: Transport,
    pub(crate) state: State,
    pub(crate) traits: Traits,
    /// Which of its owner's lists it is in; [`super::slab::FREE`] if it is not in use.
    pub(crate) list: u8,
    /// When it was last refreshed ([`crate::state::Moment`]).
    pub(crate) seen: u32,
    /// Who it counts for: the container that began it, or that is published.
    pub(crate) owner: Short,
    /// The container that the server is, where both peers are inside.
    pub(crate) peer_owner: Short,
    /// The epoch in which it began.
    pub(crate) born: u32,
    pub(crate) halves: [Half; 2],
    pub(crate) bytes: [u64; 2],
    pub(crate) frames_low: [u32; 2],
    pub(crate) frames_high: [u16; 2],
    /// Its neighbours on the wheel.
    pub(crate) timed: Link,
    /// Its neighbours in the list of its owner, or of what is free.
    pub(crate) owned: Link,
}

impl Flow {
    /// Addresses and ports of what comes this way.
    #[inline]
    pub(crate) fn key(&self, way: Way, locals: &Locals) -> Key {
        let (own, other) = (way as usize, way.other() as usize);
        Key {
            transport: self.transport,
            src: self.peers[own],
            dst: locals.address(self.aliases[other]).unwrap_or(self.peers[other]),
            ports: self.ports[own],
        }
    }

    /// Whether what comes with these addresses and ports comes this way.
    #[inline]
    pub(crate) fn is_key(&self, way: Way, key: &Key, locals: &Locals) -> bool {
        self.key(way, locals) == *key
    }

    /// What a packet that goes this way gets.
    #[inline]
    pub(crate) fn edit(&self, way: Way, locals: &Locals) -> Edit {
        let answer = self.key(way.other(), locals);
        Edit {
            src: Endpoint::new(answer.dst.ip(), answer.ports.dst()),
            dst: Endpoint::new(answer.src.ip(), answer.ports.src()),
            quoted: None,
        }
    }

    /// Where packets that go this way come from.
    #[inline]
    pub(crate) fn from(&self, way: Way) -> Side {
        match way {
            Way::Forward if self.traits.has(Traits::FROM_OUTSIDE) => Side::Outside,
            Way::Forward => Side::Inside(self.owner.id()),
            Way::Back if self.traits.has(Traits::FROM_OUTSIDE) => Side::Inside(self.owner.id()),
            Way::Back if self.traits.has(Traits::HAIRPIN) => Side::Inside(self.peer_owner.id()),
            Way::Back => Side::Outside,
        }
    }

    /// Where they go.
    #[inline]
    pub(crate) fn to(&self, way: Way) -> Side {
        self.from(way.other())
    }

    #[inline]
    pub(crate) fn count(&mut self, way: Way, len: u32) {
        let way = way as usize;
        self.bytes[way] += u64::from(len);
        let (frames, overflow) = self.frames_low[way].overflowing_add(1);
        self.frames_low[way] = frames;
        if overflow {
            self.frames_high[way] = self.frames_high[way].wrapping_add(1);
        }
    }

    pub(crate) fn frames(&self, way: Way) -> u64 {
        let way = way as usize;
        u64::from(self.frames_high[way]) << 32 | u64::from(self.frames_low[way])
    }

    /// Our addresses and ports whose mappings live as long as this.
    pub(crate) fn mapped(&self) -> [Option<(u16, u16)>; 2] {
        let client = self.traits.has(Traits::CLIENT_MAPPED);
        let server = self.traits.has(Traits::SERVER_MAPPED);
        let [client_alias, server_alias] = self.aliases;
        let [forward, back] = self.ports;
        [client.then(|| (client_alias, back.dst())), server.then(|| (server_alias, forward.dst()))]
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
