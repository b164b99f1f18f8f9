//! How a connection begins.
//!
//! | from | to | becomes |
//! |---|---|---|
//! | a container | elsewhere | source translated: the endpoint's mapping, or the port that it is published at |
//! | a container | a published port | both translated (hairpin, RFC 4787 REQ-9) |
//! | a container | a port of another's mapping | both translated, if the two are in contact |
//! | outside | a published port | destination translated, if the sender is allowed |
//! | outside | a port of a mapping | destination translated, if the inside spoke to that address |
//! | anybody | another port of an address of ours | not ours |
//!
//! TCP begins with a SYN, an echo with a request; another packet of no connection is refused. A SYN from
//! outside for which there is no contact is dropped without an answer, so that it may come again when
//! the inside has sent its own (RFC 5382, REQ-4; simultaneous open).

use super::{Nat, Packet};
use crate::address::{Address, may_receive, may_send};
use crate::edit::{Side, Translation};
use crate::mapping::Mapping;
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::state::State;
use crate::table::flow::{Flow, Traits, Way};
use crate::table::hash::{Key, Ports};
use crate::table::locals;
use crate::table::owners::Short;
use crate::table::wheel::Link;
use crate::tcp::{self, Half};
use crate::tuple::{OwnerId, Transport};

/// An address of ours with a port, and what it came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outer {
    pub(super) local: u16,
    pub(super) port: u16,
    /// The mapping that it is of; else it is published.
    pub(super) mapping: Option<u32>,
}

/// Who is reached by way of an address of ours.
#[derive(Clone, Copy, Debug)]
struct Reached {
    server: (Address, u16),
    owner: OwnerId,
    outer: Outer,
}

impl Nat {
    /// A packet of no connection.
    #[inline(never)]
    pub(super) fn begin(
        &mut self,
        packet: &Packet<'_>,
        policy: &Policy,
    ) -> Result<Translation, Refusal> {
        match packet.from {
            Side::Inside(owner) => self.begin_inside(packet, owner, policy),
            Side::Outside => self.begin_outside(packet, policy),
        }
    }

    fn begin_inside(
        &mut self,
        packet: &Packet<'_>,
        owner: OwnerId,
        policy: &Policy,
    ) -> Result<Translation, Refusal> {
        let key = &packet.key;
        let is_hairpin = self.rules.is_local(key.dst);
        let outside = self.rules.outside(key.src);
        let appears_at = outside.or_else(|| is_hairpin.then_some(key.dst));
        if is_hairpin {
            let seen_as = appears_at.unwrap_or(key.dst);
            match self.reach(key, seen_as) {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(Translation::NotOurs),
                Err(refusal) => {
                    self.knock(packet, seen_as);
                    return Err(refusal);
                }
            }
        }
        check_opening(packet)?;
        check_addresses(key)?;
        let appears_at = appears_at.ok_or(Refusal::NoAddress)?;
        self.make_room(owner, policy.quota)?;
        let client = self.outer(owner, key, appears_at)?;
        let begun = if is_hairpin {
            // Another address of ours gets a number: this one must not lose its own meanwhile.
            self.locals.hold(client.local);
            let begun = self.begin_hairpin(packet, owner, client, appears_at);
            self.locals.release(client.local);
            begun
        } else {
            let mut flow = self.flow(packet, owner);
            appear(&mut flow, client);
            // Both ports of an echo are its identifier.
            let is_echo = key.transport == Transport::Echo;
            let server = if is_echo { client.port } else { key.ports.dst() };
            flow.ports[1] = Ports::new(server, client.port);
            self.insert(flow, [Some(client), None])
        };
        if begun.is_err() {
            self.drop_unused(client);
        }
        begun
    }

    fn begin_hairpin(
        &mut self,
        packet: &Packet<'_>,
        owner: OwnerId,
        client: Outer,
        appears_at: Address,
    ) -> Result<Translation, Refusal> {
        // Making room may have ended what was found before.
        let reached = self.reach(&packet.key, appears_at)?.ok_or(Refusal::NoConnection)?;
        self.owners.get_or_add(reached.owner).ok_or(Refusal::TableFull)?;
        let mut flow = self.flow(packet, owner);
        flow.peers[1] = reached.server.0;
        flow.peer_owner = Short::of(reached.owner);
        flow.traits.0 |= Traits::HAIRPIN;
        appear(&mut flow, client);
        reach_by(&mut flow, reached.outer);
        flow.ports[1] = Ports::new(reached.server.1, client.port);
        let begun = self.insert(flow, [Some(client), Some(reached.outer)]);
        self.counters.hairpins += u64::from(begun.is_ok());
        begun
    }

    fn begin_outside(
        &mut self,
        packet: &Packet<'_>,
        policy: &Policy,
    ) -> Result<Translation, Refusal> {
        let key = &packet.key;
        let Some(reached) = self.reach(key, key.src)? else { return Ok(Translation::NotOurs) };
        check_opening(packet)?;
        check_addresses(key)?;
        if self.rules.is_local(key.src) {
            return Err(Refusal::Address);
        }
        self.make_room(reached.owner, policy.quota)?;
        let reached = self.reach(key, key.src)?.ok_or(Refusal::NoConnection)?;
        let mut flow = self.flow(packet, reached.owner);
        flow.peers[1] = reached.server.0;
        flow.traits.0 |= Traits::FROM_OUTSIDE;
        reach_by(&mut flow, reached.outer);
        flow.ports[1] = Ports::new(reached.server.1, key.ports.src());
        self.insert(flow, [None, Some(reached.outer)])
    }

    /// An endpoint speaks, in vain, to an address of ours: who appears from there may answer. Otherwise two
    /// that know each other's outer endpoint alone would each be kept out by the other's filter (RFC 4787, REQ-8 and
    /// REQ-9).
    #[cold]
    fn knock(&mut self, packet: &Packet<'_>, seen_as: Address) {
        let key = &packet.key;
        if check_opening(packet).and(check_addresses(key)).is_err() {
            return;
        }
        let inner = (key.src, key.ports.src());
        let Some(local) = self.locals.find(seen_as) else { return };
        let is_live = |mapping: &Mapping| !self.is_mapping_withdrawn(mapping);
        let known = self.mappings.find(&self.secrets, key.transport, inner, local, is_live);
        if let Some(number) = known {
            let knock = self.mappings.at(number).knock(&self.secrets, key.dst);
            self.knocks.note(knock, self.now);
        }
    }

    /// Who is reached at an address of ours, by a sender that is seen as `seen_as`; none if nobody.
    fn reach(&mut self, key: &Key, seen_as: Address) -> Result<Option<Reached>, Refusal> {
        let port = key.ports.dst();
        if key.transport == Transport::Echo || !self.rules.is_local(key.dst) {
            return Ok(None);
        }
        if let Some(target) = self.rules.target(key.transport, key.src, key.dst, port) {
            if !target.is_allowed {
                return Err(Refusal::NotAllowed);
            }
            let local = self.locals.number(key.dst).ok_or(Refusal::TableFull)?;
            let outer = Outer { local, port, mapping: None };
            let server = (target.address, target.port);
            return Ok(Some(Reached { server, owner: target.owner, outer }));
        }
        let Some(local) = self.locals.find(key.dst) else { return Ok(None) };
        let ports = self.locals.ports(local, key.transport);
        let number = ports.and_then(|ports| ports.mapping(port));
        let is_live = |number: &u32| !self.is_mapping_withdrawn(self.mappings.at(*number));
        let Some(number) = number.filter(is_live) else { return Ok(None) };
        let known = self.mappings.at(number);
        let knock = known.knock(&self.secrets, seen_as);
        if !self.contacts.has(self.contact(key.transport, local, port, seen_as))
            && !self.knocks.has(knock, self.now)
        {
            return Err(Refusal::Unsolicited);
        }
        let server = (known.inner, known.inner_port);
        let outer = Outer { local, port, mapping: Some(number) };
        Ok(Some(Reached { server, owner: known.owner, outer }))
    }

    /// Enters a connection. There is room for it.
    fn insert(
        &mut self,
        mut flow: Flow,
        outers: [Option<Outer>; 2],
    ) -> Result<Translation, Refusal> {
        let keys = [Way::Forward, Way::Back].map(|way| flow.key(way, &self.locals));
        // From its own published port to that very port: it would meet itself.
        if keys[0] == keys[1] {
            return Err(Refusal::Address);
        }
        let in_the_way = self.find(&keys[1]);
        if in_the_way.is_some_and(|(number, way)| !self.gives_way(number, way, &flow)) {
            return Err(Refusal::NoConnection);
        }
        for outer in outers.into_iter().flatten() {
            self.locals.hold(outer.local);
            if let Some(mapping) = outer.mapping {
                self.mappings.at_mut(mapping).users += 1;
            }
        }
        // Only now: what both have in common must not go with it.
        if let Some((number, _)) = in_the_way {
            self.end_over(number);
        }
        if self.is_empty() {
            self.wheel.reset(self.now);
        }
        flow.seen = self.now.0;
        let is_contact = flow.traits.has(Traits::CLIENT_MAPPED);
        flow.traits.0 |= if is_contact { Traits::CONTACT } else { 0 };
        let (edit, to) = (flow.edit(Way::Forward, &self.locals), flow.to(Way::Forward));
        let owner = self.owners.at(flow.owner.id());
        owner.flows += 1;
        owner.published += u32::from(flow.traits.has(Traits::PUBLISHED));
        if flow.traits.has(Traits::HAIRPIN) {
            self.owners.at(flow.peer_owner.id()).reached += 1;
        }
        let number = self.flows.insert(flow);
        for (way, key) in (0..).zip(&keys) {
            self.index.insert(self.secrets.hash(key), number << 1 | way);
        }
        self.wheel.insert(&mut self.flows, number);
        self.owners.append(&mut self.flows, number);
        if is_contact {
            self.contacts.add(self.contact_of(number));
        }
        self.counters.begun += 1;
        Ok(Translation::Edit { edit, to })
    }

    /// Whether a connection gives way to one that begins, whose answers would come as its own packets do.
    ///
    /// One that is over does. So does one that the server itself began from its port before that was
    /// published: it appears from another port, and while it lives its peer could not reach the published
    /// one from the same port.
    fn gives_way(&self, number: u32, way: Way, flow: &Flow) -> bool {
        let known = self.flows.at(number);
        if self.is_over(known) {
            return true;
        }
        let server = if flow.traits.has(Traits::HAIRPIN) { flow.peer_owner } else { flow.owner };
        let is_published =
            flow.aliases[1] != locals::NONE && !flow.traits.has(Traits::SERVER_MAPPED);
        let is_its_own = known.owner == server && way == Way::Forward;
        is_published && is_its_own && known.traits.has(Traits::CLIENT_MAPPED)
    }

    /// A connection that a packet begins, as far as the packet says.
    fn flow(&self, packet: &Packet<'_>, owner: OwnerId) -> Flow {
        let key = &packet.key;
        let is_tcp = key.transport == Transport::Tcp;
        let owner = Short::of(owner);
        let mut flow = Flow {
            peers: [key.src, key.dst],
            aliases: [locals::NONE; 2],
            ports: [key.ports, Ports::default()],
            transport: key.transport,
            state: if is_tcp { State::SynSent } else { State::New },
            traits: Traits::default(),
            list: 0,
            seen: 0,
            owner,
            peer_owner: owner,
            born: self.withdrawn.epoch,
            halves: packet.segment.map_or([Half::default(); 2], tcp::opened),
            bytes: [0; 2],
            frames_low: [0; 2],
            frames_high: [0; 2],
            timed: Link::NONE,
            owned: Link::NONE,
        };
        flow.count(Way::Forward, packet.len);
        flow
    }
}

/// TCP begins with a SYN, an echo with a request.
fn check_opening(packet: &Packet<'_>) -> Result<(), Refusal> {
    let opens = match packet.key.transport {
        Transport::Tcp => packet.segment.is_some_and(tcp::is_opening),
        Transport::Echo => packet.is_request,
        Transport::Udp | Transport::Sctp => true,
    };
    if opens { Ok(()) } else { Err(Refusal::NoConnection) }
}

/// Both addresses are of a host, two different ones, and both have a port.
fn check_addresses(key: &Key) -> Result<(), Refusal> {
    let has_ports = key.transport != Transport::Echo;
    let lacks_port = has_ports && (key.ports.src() == 0 || key.ports.dst() == 0);
    let is_possible = may_send(key.src.ip()) && may_receive(key.dst.ip());
    if key.src == key.dst || lacks_port || !is_possible {
        return Err(Refusal::Address);
    }
    Ok(())
}

/// The client is seen by this.
fn appear(flow: &mut Flow, outer: Outer) {
    flow.aliases[0] = outer.local;
    let is_mapped = outer.mapping.is_some();
    flow.traits.0 |= if is_mapped { Traits::CLIENT_MAPPED } else { Traits::PUBLISHED };
}

/// The server is reached by this.
fn reach_by(flow: &mut Flow, outer: Outer) {
    flow.aliases[1] = outer.local;
    let is_mapped = outer.mapping.is_some();
    flow.traits.0 |= if is_mapped { Traits::SERVER_MAPPED } else { Traits::PUBLISHED };
}
