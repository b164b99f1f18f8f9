//! A connection in bytes, for export and import.
//!
//! Integers are little-endian. Addresses are big-endian in 16 bytes: IPv4 mapped (RFC 4291 section
//! 2.5.5.2), a missing external address zero.
//!
//! | bytes | field |
//! |---|---|
//! | 32 | own addresses of client and server |
//! | 32 | external addresses of client and server |
//! | 8 | ports of the original tuple, of the reply tuple: source, destination |
//! | 4 | zones of client and server |
//! | 4 | owner, owner of the peer |
//! | 3 | transport, state, flags |
//! | 4 | idle time in units of 2^27 ns |
//! | 22 | TCP state of client and server |
//! | 32 | bytes, then frames, of the original direction and of the reply |

use crate::address::Address;
use crate::owner::{OwnerId, OwnerIdx};
use crate::state::State;
use crate::table::flow::FlowFlags;
use crate::table::hash::{Key, PortPair};
use crate::tcp::TcpPeer;
use crate::tuple::Transport;
use crate::zone::{InternalEndpoint, Zone};

/// Bytes of a record.
pub(crate) const RECORD_LEN: usize = 141;

/// An exported connection. Arrays are by peer (client, server) or by direction (original, reply).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) peers: [Address; 2],
    pub(crate) externals: [Option<Address>; 2],
    pub(crate) ports: [PortPair; 2],
    pub(crate) zones: [Zone; 2],
    pub(crate) owner: OwnerIdx,
    pub(crate) peer_owner: OwnerIdx,
    pub(crate) transport: Transport,
    pub(crate) state: State,
    pub(crate) flags: FlowFlags,
    pub(crate) idle: u32,
    pub(crate) tcp_peers: [TcpPeer; 2],
    pub(crate) bytes: [u64; 2],
    pub(crate) frames: [u64; 2],
}

/// A mapping: internal endpoint, external address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MappedEndpoint {
    pub(crate) internal: InternalEndpoint,
    pub(crate) owner: OwnerId,
    pub(crate) external: Address,
    pub(crate) port: u16,
}

impl Record {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut put = |bytes: &[u8]| out.extend_from_slice(bytes);
        for address in self.peers.into_iter().chain(self.externals.map(Option::unwrap_or_default)) {
            put(&address.high.to_be_bytes());
            put(&address.low.to_be_bytes());
        }
        self.ports.iter().for_each(|ports| put(&ports.0.to_le_bytes()));
        self.zones.iter().for_each(|zone| put(&zone.0.to_le_bytes()));
        for owner in [self.owner, self.peer_owner] {
            put(&(owner.idx() as u16).to_le_bytes());
        }
        put(&[self.transport as u8, self.state as u8, self.flags.bits()]);
        put(&self.idle.to_le_bytes());
        self.tcp_peers.iter().for_each(|peer| put(&peer.encode()));
        self.bytes.iter().chain(&self.frames).for_each(|count| put(&count.to_le_bytes()));
    }

    /// Decodes a record; the error names the invalid field.
    pub(crate) fn decode(bytes: &[u8; RECORD_LEN]) -> Result<Self, &'static str> {
        let mut rest = &bytes[..];
        let mut address = || {
            let [high, low] = [take(&mut rest), take(&mut rest)].map(u64::from_be_bytes);
            Address { high, low }
        };
        let peers = [address(), address()];
        let externals =
            [address(), address()].map(|it| Some(it).filter(|it| *it != Address::default()));
        let ports = [take(&mut rest), take(&mut rest)].map(|it| PortPair(u32::from_le_bytes(it)));
        let zones = [take(&mut rest), take(&mut rest)].map(|it| Zone(u16::from_le_bytes(it)));
        let owners = [take(&mut rest), take(&mut rest)]
            .map(|it| OwnerIdx::of(OwnerId(u16::from_le_bytes(it).into())));
        let [transport, state, flags] = take(&mut rest);
        let transport = [Transport::Tcp, Transport::Udp, Transport::Echo, Transport::Sctp]
            .into_iter()
            .find(|known| *known as u8 == transport)
            .ok_or("unknown transport")?;
        let record = Self {
            peers,
            externals,
            ports,
            zones,
            owner: owners[0],
            peer_owner: owners[1],
            transport,
            state: State::from_number(state).ok_or("unknown state")?,
            flags: FlowFlags::from_bits(flags, transport).ok_or("unknown flags")?,
            idle: u32::from_le_bytes(take(&mut rest)),
            tcp_peers: [take(&mut rest), take(&mut rest)].map(TcpPeer::decode),
            bytes: [take(&mut rest), take(&mut rest)].map(u64::from_le_bytes),
            frames: [take(&mut rest), take(&mut rest)].map(u64::from_le_bytes),
        };
        record.check().map(|()| record)
    }

    /// The keys of the original and the reply direction.
    pub(crate) fn keys(&self) -> [Key; 2] {
        [(0, 1), (1, 0)].map(|(own, other): (usize, usize)| Key {
            transport: self.transport,
            zone: self.zones[own],
            src: self.peers[own],
            dst: self.externals[other].unwrap_or(self.peers[other]),
            ports: self.ports[own],
        })
    }

    /// The mappings of client and server.
    pub(crate) fn mapped(&self) -> [Option<MappedEndpoint>; 2] {
        let [original, reply] = self.keys();
        let is_hairpin = self.flags.has(FlowFlags::HAIRPIN);
        let server_owner = if is_hairpin { self.peer_owner } else { self.owner };
        let endpoint = |sender: Key, owner: OwnerIdx, external: Option<Address>, port| {
            let (internal, owner) = (sender.sender(), owner.id());
            external.map(|external| MappedEndpoint { internal, owner, external, port })
        };
        let client = endpoint(original, self.owner, self.externals[0], reply.ports.dst());
        let server = endpoint(reply, server_owner, self.externals[1], original.ports.dst());
        [
            client.filter(|_| self.flags.has(FlowFlags::CLIENT_MAPPED) && !self.flags.is_shared()),
            server.filter(|_| self.flags.has(FlowFlags::SERVER_MAPPED)),
        ]
    }

    /// The client's port, if it is shared.
    pub(crate) fn shared_port(&self) -> Option<u16> {
        self.flags.is_shared().then(|| self.ports[1].dst())
    }

    /// The fields agree with each other.
    fn check(&self) -> Result<(), &'static str> {
        let has = |flag| self.flags.has(flag);
        let is_inbound = has(FlowFlags::FROM_EXTERNAL);
        let is_internal = [!is_inbound, is_inbound || has(FlowFlags::HAIRPIN)];
        let is_routed = has(FlowFlags::HAIRPIN) && self.externals == [None; 2];
        let is_translated = if is_routed { [false; 2] } else { is_internal };
        let mapped = [has(FlowFlags::CLIENT_MAPPED), has(FlowFlags::SERVER_MAPPED)];
        let by_rule = (0..2).any(|peer| is_translated[peer] && !mapped[peer]);
        let may_filter = mapped[0] || is_inbound && mapped[1];
        let is_v4 = self.peers[0].is_v4();
        let is_tcp_state = !matches!(self.state, State::New | State::Replied | State::Stream);
        let [original, reply] = self.keys();
        let ports = PortPair::new(original.ports.dst(), original.ports.src());
        let routed_reply = Key { src: original.dst, dst: original.src, ports, ..reply };
        let checks = [
            (is_inbound && has(FlowFlags::HAIRPIN), "hairpin from outside"),
            (self.externals.map(|it| it.is_some()) != is_translated, "external address"),
            (
                (0..2).any(|peer| mapped[peer] && !is_translated[peer]),
                "mapping of an external peer",
            ),
            (is_routed && self.zones[0] == self.zones[1], "routed within a network"),
            (is_routed && reply != routed_reply, "addresses of a routed connection"),
            (by_rule != has(FlowFlags::PUBLISHED), "flag of a published port"),
            (has(FlowFlags::IN_FILTER) && !may_filter, "filter entry without mapping"),
            (
                (0..2).any(|peer| !is_internal[peer] && self.zones[peer] != Zone::EXTERNAL),
                "zone of an external peer",
            ),
            (!has(FlowFlags::HAIRPIN) && self.owner != self.peer_owner, "owner of the peer"),
            (
                self.peers
                    .iter()
                    .chain(self.externals.iter().flatten())
                    .any(|it| it.is_v4() != is_v4),
                "mixed address families",
            ),
            (is_tcp_state != (self.transport == Transport::Tcp), "state of another transport"),
            (self.idle > self.state.timeout(self.transport), "idle for longer than the timeout"),
            (original == reply, "both directions alike"),
            (self.frames.iter().any(|count| *count >> 48 != 0), "frame counter"),
        ];
        checks.into_iter().find(|(is_wrong, _)| *is_wrong).map_or(Ok(()), |(_, what)| Err(what))
    }
}

/// The next bytes of a record; the caller has checked its length.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let Some((bytes, tail)) = rest.split_first_chunk() else { return [0; N] };
    *rest = tail;
    *bytes
}
