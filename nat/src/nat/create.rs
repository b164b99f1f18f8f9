//! Creation of connections.
//!
//! | from | to | becomes |
//! |---|---|---|
//! | container | elsewhere | SNAT: the endpoint's mapping, its published port, or a shared port ([`share`](super::share)) |
//! | container | a published port | SNAT and DNAT (hairpin, RFC 4787 REQ-9) |
//! | container | another endpoint's mapping | SNAT and DNAT, if the filter admits it |
//! | uplink | a published port | DNAT, if the sender is allowed |
//! | uplink | a mapping | DNAT, if the internal endpoint has contacted that address |
//! | any | another port of an external address | left untranslated |
//! | container | a container of another network | tracked only ([`route`](super::route)) |
//!
//! TCP opens with a SYN, an echo with a request; other packets without a connection are refused. A TCP segment with
//! ACK picks a connection up that was lost here, or that the peer believes in: the same rules say where to, and the
//! receiver's kernel answers. A SYN
//! from the uplink that the filter refuses is dropped silently, so that a retry succeeds after the
//! internal endpoint's SYN (RFC 5382, REQ-4; simultaneous open).

use super::dnat::set_dnat;
use super::{Nat, Packet};
use crate::address::{Address, may_receive, may_send};
use crate::direction::Direction;
use crate::drop_reason::NatDrop;
use crate::edit::{Realm, Translation};
use crate::mapping::Mapping;
use crate::owner::OwnerId;
use crate::owner::OwnerIdx;
use crate::state::{Class, State};
use crate::table::external_addrs::{self, ExternalEndpoint, Origin};
use crate::table::flow::{Flow, FlowFlags};
use crate::table::hash::{Key, PortPair};
use crate::table::link::Link;
use crate::tcp::{self, TcpPeer};
use crate::tuple::Transport;
use crate::zone::{InternalEndpoint, Zone};

impl Nat {
    /// Handles a packet without a connection.
    #[inline(never)]
    pub(super) fn create(&mut self, packet: &Packet<'_>) -> Result<Translation, NatDrop> {
        match packet.from {
            Realm::Internal(owner, _) => self.create_from_internal(packet, owner),
            Realm::External => self.create_from_external(packet),
        }
    }

    fn create_from_internal(
        &mut self,
        packet: &Packet<'_>,
        owner: OwnerId,
    ) -> Result<Translation, NatDrop> {
        let key = &packet.key;
        let is_hairpin = self.policy.is_external(key.dst);
        let snat_addr = if is_hairpin {
            self.policy.external_for(key.src).or(Some(key.dst))
        } else {
            self.policy.source_for((key.zone, key.src), key.dst)
        };
        let (zone, address, port) = (Zone::EXTERNAL, key.dst, key.ports.dst());
        let mut server = InternalEndpoint { zone, address, port };
        if is_hairpin {
            let seen_as = snat_addr.unwrap_or(key.dst);
            match self.dnat_target(key, seen_as) {
                Ok(Some(target)) => server = target.server,
                Ok(None) => return Ok(Translation::NotOurs),
                Err(reason) => {
                    self.open_pinhole(packet, seen_as);
                    return Err(reason);
                }
            }
        }
        check_opening(packet)?;
        check_addresses(key)?;
        let snat_addr = snat_addr.ok_or(NatDrop::NoAddress)?;
        self.evict_for(owner)?;
        let client = self.external_endpoint(owner, key, snat_addr, server)?;
        let created = if is_hairpin {
            // Held, so that adding the next address cannot evict this one.
            self.externals.hold(client.addr_idx);
            let created = self.create_hairpin(packet, owner, client, snat_addr);
            self.externals.release(client.addr_idx);
            created
        } else {
            let mut flow = self.flow(packet, owner);
            set_snat(&mut flow, client);
            // Both ports of an echo are its identifier.
            let is_echo = key.transport == Transport::Echo;
            let server = if is_echo { client.port } else { key.ports.dst() };
            flow.ports[1] = PortPair::new(server, client.port);
            self.insert(flow, [Some(client), None])
        };
        if created.is_err() {
            self.drop_unused(key.transport, client);
        }
        created
    }

    fn create_hairpin(
        &mut self,
        packet: &Packet<'_>,
        owner: OwnerId,
        client: ExternalEndpoint,
        snat_addr: Address,
    ) -> Result<Translation, NatDrop> {
        // The eviction may have ended this mapping.
        let target = self.dnat_target(&packet.key, snat_addr)?.ok_or(NatDrop::NoConnection)?;
        self.owners.get_or_add(target.owner).ok_or(NatDrop::TableFull)?;
        let mut flow = self.flow(packet, owner);
        (flow.peers[1], flow.zones[1]) = (target.server.address, target.server.zone);
        flow.peer_owner = OwnerIdx::of(target.owner);
        flow.flags.set(FlowFlags::HAIRPIN);
        set_snat(&mut flow, client);
        set_dnat(&mut flow, target.external);
        flow.ports[1] = PortPair::new(target.server.port, client.port);
        let created = self.insert(flow, [Some(client), Some(target.external)]);
        self.counters.connections_hairpinned += u64::from(created.is_ok());
        created
    }

    fn create_from_external(&mut self, packet: &Packet<'_>) -> Result<Translation, NatDrop> {
        let key = &packet.key;
        let Some(target) = self.dnat_target(key, key.src)? else { return Ok(Translation::NotOurs) };
        check_opening(packet)?;
        check_addresses(key)?;
        if self.policy.is_external(key.src) {
            return Err(NatDrop::Address);
        }
        self.evict_for(target.owner)?;
        let target = self.dnat_target(key, key.src)?.ok_or(NatDrop::NoConnection)?;
        let mut flow = self.flow(packet, target.owner);
        (flow.peers[1], flow.zones[1]) = (target.server.address, target.server.zone);
        flow.flags.set(FlowFlags::FROM_EXTERNAL);
        set_dnat(&mut flow, target.external);
        flow.ports[1] = PortPair::new(target.server.port, key.ports.src());
        self.insert(flow, [None, Some(target.external)])
    }

    /// Records a refused hairpin attempt as a pinhole, so that simultaneous hole punching succeeds
    /// (RFC 4787 REQ-8, REQ-9).
    #[cold]
    fn open_pinhole(&mut self, packet: &Packet<'_>, seen_as: Address) {
        let key = &packet.key;
        let is_midstream = packet.segment.is_some_and(|segment| !tcp::is_opening(segment));
        if is_midstream || check_opening(packet).and(check_addresses(key)).is_err() {
            return;
        }
        let internal = key.sender();
        let Some(addr_idx) = self.externals.find(seen_as) else { return };
        let is_live = |mapping: &Mapping| !self.is_mapping_revoked(mapping);
        let known = self.mappings.find(&self.secrets, key.transport, internal, addr_idx, is_live);
        if let Some(number) = known {
            let pinhole = self.mappings.at(number).pinhole_key(&self.secrets, key.dst);
            self.pinholes.insert(pinhole, self.now);
        }
    }

    /// Inserts a connection; the caller has evicted for it.
    pub(super) fn insert(
        &mut self,
        mut flow: Flow,
        endpoints: [Option<ExternalEndpoint>; 2],
    ) -> Result<Translation, NatDrop> {
        let keys =
            [Direction::Original, Direction::Reply].map(|dir| flow.key(dir, &self.externals));
        // A published port that connects to itself would loop.
        if keys[0] == keys[1] {
            return Err(NatDrop::Address);
        }
        let conflict = self.find(&keys[1]);
        if conflict.is_some_and(|(number, dir)| !self.yields_to(number, dir, &flow)) {
            return Err(NatDrop::NoConnection);
        }
        for external in endpoints.into_iter().flatten() {
            self.externals.hold(external.addr_idx);
            match external.origin {
                Origin::Mapped(mapping) => self.mappings.at_mut(mapping).users += 1,
                Origin::Shared => {
                    self.port_pool(flow.transport(), external.addr_idx).share(external.port);
                }
                Origin::Published => {}
            }
        }
        // End it only now, so that a common address, mapping and port stay in use.
        if let Some((number, _)) = conflict {
            if flow.flags.is_shared() && !self.is_over(self.flows.at(number)) {
                self.evict(Some(number));
            } else {
                self.end_over(number);
            }
        }
        flow.seen = self.now.0;
        let (edit, to) =
            (flow.edit(Direction::Original, &self.externals), flow.to(Direction::Original));
        self.counters.connections_shared += u64::from(flow.flags.is_shared());
        self.link(flow, keys);
        self.counters.connections_created += 1;
        Ok(Translation::Edit { edit, to })
    }

    /// Inserts a connection with its keys into table, lists and index.
    pub(super) fn link(&mut self, flow: Flow, keys: [Key; 2]) {
        if self.is_empty() {
            self.wheel.reset(self.now);
        }
        let owner = self.owners.at(flow.owner.id());
        owner.flows += 1;
        owner.published += u32::from(flow.flags.has(FlowFlags::PUBLISHED));
        owner.sharing += u32::from(flow.flags.is_shared());
        if flow.flags.has(FlowFlags::HAIRPIN) {
            self.owners.at(flow.peer_owner.id()).hairpins += 1;
        }
        self.shared += usize::from(flow.flags.is_shared());
        let is_in_filter = flow.flags.has(FlowFlags::IN_FILTER);
        let number = self.flows.insert(flow);
        for (dir, key) in (0..).zip(&keys) {
            self.index.insert(self.secrets.hash(key), number << 1 | dir);
        }
        self.wheel.insert(&mut self.flows, number);
        self.owners.append(&mut self.flows, number);
        if is_in_filter {
            self.filter.add(self.filter_key_of(number));
        }
    }

    /// A connection yields to a new one with the same reply key.
    ///
    /// One that is over yields, one that is closed to its owner's connection with the same shared port, and one that the
    /// server opened from its port before the port was published: it has another external port, and blocks its peer from
    /// the published one.
    fn yields_to(&self, number: u32, dir: Direction, flow: &Flow) -> bool {
        let known = self.flows.at(number);
        if self.is_over(known) {
            return true;
        }
        if flow.flags.is_shared() && known.owner == flow.owner && known.class() == Class::Closed {
            return true;
        }
        let server = if flow.flags.has(FlowFlags::HAIRPIN) { flow.peer_owner } else { flow.owner };
        let is_published =
            flow.aliases[1] != external_addrs::NONE && !flow.flags.has(FlowFlags::SERVER_MAPPED);
        let is_its_own = known.owner == server && dir == Direction::Original;
        is_published && is_its_own && known.flags.has(FlowFlags::CLIENT_MAPPED)
    }

    /// The fields of a new connection that the packet determines.
    pub(super) fn flow(&self, packet: &Packet<'_>, owner: OwnerId) -> Flow {
        let key = &packet.key;
        let (state, tcp_peers) = match packet.segment {
            Some(segment) if tcp::is_opening(segment) => (State::SynSent, tcp::opened(segment)),
            Some(segment) => (State::PickedUp, tcp::picked_up(segment)),
            None => (State::New, [TcpPeer::default(); 2]),
        };
        let owner = OwnerIdx::of(owner);
        let mut flow = Flow {
            peers: [key.src, key.dst],
            aliases: [external_addrs::NONE; 2],
            ports: [key.ports, PortPair::default()],
            zones: [key.zone, Zone::EXTERNAL],
            state,
            flags: FlowFlags::new(key.transport),
            seen: 0,
            owner,
            peer_owner: owner,
            created_epoch: self.revoked.epoch,
            tcp_peers,
            bytes: [0; 2],
            frames_low: [0; 2],
            frames_high: [0; 2],
            wheel_link: Link::NONE,
            owner_link: Link::NONE,
        };
        flow.count(Direction::Original, packet.len);
        flow
    }
}

/// TCP opens with a SYN or is picked up by an ACK, an echo opens with a request.
pub(super) fn check_opening(packet: &Packet<'_>) -> Result<(), NatDrop> {
    let opens = match packet.key.transport {
        Transport::Tcp => {
            packet.segment.is_some_and(|it| tcp::is_opening(it) || tcp::may_continue(it))
        }
        Transport::Echo => packet.is_request,
        Transport::Udp | Transport::Sctp => true,
    };
    if opens { Ok(()) } else { Err(NatDrop::NoConnection) }
}

/// Both addresses are of hosts and differ, and both ports are set.
pub(super) fn check_addresses(key: &Key) -> Result<(), NatDrop> {
    let has_ports = key.transport != Transport::Echo;
    let lacks_port = has_ports && (key.ports.src() == 0 || key.ports.dst() == 0);
    let is_possible = may_send(key.src.ip()) && may_receive(key.dst.ip());
    if key.src == key.dst || lacks_port || !is_possible {
        return Err(NatDrop::Address);
    }
    Ok(())
}

/// The client's external endpoint.
fn set_snat(flow: &mut Flow, external: ExternalEndpoint) {
    flow.aliases[0] = external.addr_idx;
    flow.flags.set(match external.origin {
        Origin::Published => FlowFlags::PUBLISHED,
        Origin::Mapped(_) => FlowFlags::CLIENT_MAPPED | FlowFlags::IN_FILTER,
        Origin::Shared => FlowFlags::CLIENT_MAPPED,
    });
}
