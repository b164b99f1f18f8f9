//! The naive model: a list of connections, looked through for everything.

use std::collections::{BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use vswitch_nat::{Endpoint, Kind, NatDrop, OwnerId, Realm, Time, Transport, Tuple, View, Zone};

/// Ports that the inside appears from: eight of each parity, more than there are clients' endpoints of it.
pub(crate) const PORTS: RangeInclusive<u16> = 20_000..=20_015;
/// A published port among them.
pub(crate) const SERVER_PORT: u16 = 20_004;
/// Containers, each an owner of its own.
pub(crate) const CLIENTS: u8 = 3;

pub(crate) fn client(owner: u8) -> IpAddr {
    Ipv4Addr::new(10, 99, 0, 2 + owner).into()
}

/// One of the two addresses of ours.
pub(crate) fn external_addr(which: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, 1 + which).into()
}

/// One of two addresses with two ports each; the identifier, of an echo.
pub(crate) fn remote(transport: Transport, which: u8, id: u16) -> Endpoint {
    let port = if transport == Transport::Echo { id } else { 53 + u16::from(which % 2) };
    Endpoint::new(Ipv4Addr::new(198, 51, 100, 1 + which / 2).into(), port)
}

/// A packet on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    tuple: Tuple,
    /// Whose, if it comes from inside.
    owner: Option<u8>,
    is_request: bool,
}

/// What became of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passes { ends: (Endpoint, Endpoint), to: Realm },
    NotOurs,
    Refused(NatDrop),
}

impl Packet {
    pub(crate) fn out(
        transport: Transport,
        owner: u8,
        port: u16,
        dst: Endpoint,
        is_request: bool,
    ) -> Self {
        let src = Endpoint::new(client(owner), port);
        Self { tuple: Tuple { transport, src, dst }, owner: Some(owner), is_request }
    }

    pub(crate) fn into(transport: Transport, from: u8, dst: Endpoint, is_request: bool) -> Self {
        let src = remote(transport, from, dst.port);
        Self { tuple: Tuple { transport, src, dst }, owner: None, is_request }
    }

    pub(crate) fn from(&self) -> Realm {
        self.owner.map_or(Realm::External, |owner| Realm::Internal(OwnerId(owner.into()), Zone(0)))
    }

    pub(crate) fn view(&self) -> View {
        let Self { tuple, is_request, .. } = *self;
        let kind = Kind::Flow { tuple, segment: None, is_request };
        View { src: tuple.src.address, dst: tuple.dst.address, kind, fragment: None, len: 100 }
    }
}

/// A connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    pub(crate) owner: u8,
    transport: Transport,
    internal: Endpoint,
    /// As the inside sees it; of an echo with the client's identifier.
    remote: Endpoint,
    external: Endpoint,
    /// By a mapping, not by what is published.
    is_mapped: bool,
    is_from_external: bool,
    /// The inside spoke.
    opens_filter: bool,
    seen: u64,
}

impl Flow {
    /// Packets of the inside.
    fn outwards(&self) -> Tuple {
        Tuple { transport: self.transport, src: self.internal, dst: self.remote }
    }

    /// Packets of the outside.
    fn inwards(&self) -> Tuple {
        let src = Endpoint::new(self.remote.address, self.remote_port(self.external.port));
        Tuple { transport: self.transport, src, dst: self.external }
    }

    /// The remote port: the identifier on that side, of an echo.
    fn remote_port(&self, id: u16) -> u16 {
        if self.transport == Transport::Echo { id } else { self.remote.port }
    }

    /// How long it lives, in eighths of a slot of 2^30 ns, rounded up.
    fn timeout(&self) -> u64 {
        let seconds: u64 = match self.transport {
            Transport::Echo => 60,
            Transport::Sctp => 300,
            _ => 120,
        };
        (seconds * 1_000_000_000).div_ceil(1 << 27)
    }
}

/// All of it.
pub(crate) struct Model {
    /// Those that have expired included, until a tick or a packet of theirs ends them.
    flows: Vec<Flow>,
    /// In eighths of a slot.
    now: u64,
    snat_addr: u8,
    keeps_other: bool,
    publishes: bool,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self { flows: Vec::new(), now: 0, snat_addr: 0, keeps_other: true, publishes: true }
    }

    pub(crate) fn len(&self) -> usize {
        self.flows.len()
    }

    pub(crate) fn mappings(&self) -> usize {
        let mapped = self.flows.iter().filter(|flow| flow.is_mapped);
        let ends: HashSet<_> =
            mapped.map(|flow| (flow.transport, flow.internal, flow.external)).collect();
        ends.len()
    }

    /// Both tuples of each connection that is not over.
    pub(crate) fn tuples(&self) -> HashSet<Tuple> {
        let live = self.flows.iter().filter(|flow| !self.is_over(flow));
        live.flat_map(|flow| [flow.outwards(), flow.inwards()]).collect()
    }

    /// Endpoints of ours that connections appear at.
    pub(crate) fn external_endpoints(&self, transport: Transport) -> Vec<Endpoint> {
        let of_it = self.flows.iter().filter(|flow| flow.transport == transport);
        let ends: BTreeSet<_> =
            of_it.map(|flow| (flow.external.address, flow.external.port)).collect();
        ends.into_iter().map(|(address, port)| Endpoint::new(address, port)).collect()
    }

    /// What the peers of all connections would send next, in either direction.
    pub(crate) fn answers(&self) -> Vec<Packet> {
        let both = self.flows.iter().flat_map(|flow| {
            let owner = Some(flow.owner);
            [
                Packet { tuple: flow.inwards(), owner: None, is_request: false },
                Packet { tuple: flow.outwards(), owner, is_request: true },
            ]
        });
        both.collect()
    }

    /// The time, as the table is told.
    pub(crate) fn hear(&mut self, now: Time) {
        self.now = now.0 >> 27;
    }

    pub(crate) fn tick(&mut self) {
        let now = self.now;
        self.flows.retain(|flow| now - flow.seen <= flow.timeout());
    }

    pub(crate) fn end(&mut self, is_one: impl Fn(&Flow) -> bool) {
        self.flows.retain(|flow| !is_one(flow));
    }

    /// Ends those of a transport that are not over, and says how many they were.
    pub(crate) fn flush(&mut self, transport: Transport) -> usize {
        let before = self.flows.len();
        let now = self.now;
        self.flows.retain(|flow| flow.transport != transport || now - flow.seen > flow.timeout());
        before - self.flows.len()
    }

    pub(crate) fn revalidate(&mut self, snat_addr: u8, keeps_other: bool, publishes: bool) {
        (self.snat_addr, self.keeps_other, self.publishes) = (snat_addr, keeps_other, publishes);
        let external_addrs = self.external_addrs();
        let wanted = external_addr(snat_addr);
        self.end(|flow| {
            // SCTP goes on where its address holds; who came by a published port keeps the address.
            let is_rerouted = flow.transport != Transport::Sctp
                && flow.external.address != wanted
                && (flow.is_mapped || !flow.is_from_external);
            is_rerouted
                || !external_addrs.contains(&flow.external.address)
                || !flow.is_mapped && !publishes
        });
    }

    fn external_addrs(&self) -> Vec<IpAddr> {
        let other = self.keeps_other.then(|| external_addr(1 - self.snat_addr));
        std::iter::once(external_addr(self.snat_addr)).chain(other).collect()
    }

    fn is_over(&self, flow: &Flow) -> bool {
        self.now - flow.seen > flow.timeout()
    }

    /// The connection that a packet with these ends is of.
    fn find(&self, tuple: Tuple) -> Option<usize> {
        let is_it = |flow: &Flow| flow.outwards() == tuple || flow.inwards() == tuple;
        self.flows.iter().position(is_it)
    }

    /// What becomes of a packet is held against what it should; the port of a new mapping may be any that is free.
    pub(crate) fn check(&mut self, packet: &Packet, seen: Verdict) {
        if let Some(number) = self.find(packet.tuple) {
            if !self.is_over(&self.flows[number]) {
                let expected = self.go_on(number, packet);
                assert_eq!(seen, expected, "{packet:?} of {:?}", self.flows[number]);
                return;
            }
            self.flows.swap_remove(number);
        }
        let created = match packet.owner {
            Some(owner) => self.create_from_internal(packet, owner, seen),
            None => self.create_from_external(packet),
        };
        let expected = match created {
            Ok(flow) => self.insert(flow, packet),
            Err(verdict) => verdict,
        };
        assert_eq!(seen, expected, "{packet:?} of no connection");
    }

    fn go_on(&mut self, number: usize, packet: &Packet) -> Verdict {
        let now = self.now;
        let flow = &mut self.flows[number];
        let is_forward = flow.is_from_external == packet.owner.is_none();
        if flow.transport == Transport::Echo && packet.is_request != is_forward {
            return Verdict::Refused(NatDrop::NoConnection);
        }
        if packet.owner.is_some() {
            flow.seen = now;
            flow.opens_filter = true;
        }
        passes(flow, packet)
    }

    fn create_from_internal(
        &self,
        packet: &Packet,
        owner: u8,
        seen: Verdict,
    ) -> Result<Flow, Verdict> {
        let Tuple { transport, src: internal, dst: remote } = packet.tuple;
        if transport == Transport::Echo && !packet.is_request {
            return Err(Verdict::Refused(NatDrop::NoConnection));
        }
        let address = external_addr(self.snat_addr);
        let is_published = self.publishes
            && (transport, internal) == (Transport::Udp, Endpoint::new(client(0), 1));
        let known = self.flows.iter().find(|flow| {
            flow.is_mapped
                && (flow.transport, flow.internal, flow.external.address)
                    == (transport, internal, address)
        });
        let external = match (is_published, known) {
            (true, _) => Endpoint::new(address, SERVER_PORT),
            (false, Some(flow)) => flow.external,
            (false, None) => self.new_external(transport, internal, address, seen)?,
        };
        Ok(Flow {
            owner,
            transport,
            internal,
            remote,
            external,
            is_mapped: !is_published,
            is_from_external: false,
            opens_filter: true,
            seen: self.now,
        })
    }

    /// The endpoint of a new mapping: as the table chose it, if it is one that it may choose.
    fn new_external(
        &self,
        transport: Transport,
        internal: Endpoint,
        address: IpAddr,
        seen: Verdict,
    ) -> Result<Endpoint, Verdict> {
        let Verdict::Passes { ends: (external, _), .. } = seen else {
            return Err(Verdict::NotOurs);
        };
        assert_eq!(
            (external.address, external.port % 2),
            (address, internal.port % 2),
            "{internal:?}"
        );
        assert!(PORTS.contains(&external.port), "{external:?}");
        let is_taken = |flow: &Flow| flow.is_mapped && flow.external == external;
        let of_it = || self.flows.iter().filter(|flow| flow.transport == transport);
        assert!(!of_it().any(is_taken), "{external:?} is of two endpoints");
        let is_published = self.publishes && transport == Transport::Udp;
        assert!(!(is_published && external.port == SERVER_PORT), "a published port");
        Ok(external)
    }

    fn create_from_external(&self, packet: &Packet) -> Result<Flow, Verdict> {
        let Tuple { transport, src: remote, dst: external } = packet.tuple;
        if transport == Transport::Echo || !self.external_addrs().contains(&external.address) {
            return Err(Verdict::NotOurs);
        }
        let flow = |owner, internal, is_mapped| Flow {
            owner,
            transport,
            internal,
            remote,
            external,
            is_mapped,
            is_from_external: true,
            opens_filter: false,
            seen: self.now,
        };
        if self.publishes && transport == Transport::Udp && external.port == SERVER_PORT {
            return Ok(flow(0, Endpoint::new(client(0), 1), false));
        }
        let is_of_it = |flow: &&Flow| {
            flow.is_mapped && flow.transport == transport && flow.external == external
        };
        let Some(known) = self.flows.iter().find(is_of_it) else { return Err(Verdict::NotOurs) };
        let mut contacts = self.flows.iter().filter(is_of_it).filter(|flow| flow.opens_filter);
        if !contacts.any(|flow| flow.remote.address == remote.address) {
            return Err(Verdict::Refused(NatDrop::Unsolicited));
        }
        Ok(flow(known.owner, known.internal, true))
    }

    /// Enters a connection, unless its answers would be taken for another's.
    fn insert(&mut self, flow: Flow, packet: &Packet) -> Verdict {
        let answers = if flow.is_from_external { flow.outwards() } else { flow.inwards() };
        if let Some(number) = self.find(answers) {
            let known = &self.flows[number];
            let serves = flow.is_from_external && !flow.is_mapped;
            let is_its_own = !known.is_from_external && known.is_mapped;
            let gives_way = self.is_over(known) || serves && is_its_own;
            if !gives_way {
                return Verdict::Refused(NatDrop::NoConnection);
            }
            self.flows.swap_remove(number);
        }
        self.flows.push(flow);
        passes(&flow, packet)
    }
}

/// What the other side sees of a packet.
fn passes(flow: &Flow, packet: &Packet) -> Verdict {
    if packet.owner.is_some() {
        let Tuple { src, dst, .. } = flow.inwards();
        return Verdict::Passes { ends: (dst, src), to: Realm::External };
    }
    let Tuple { src, dst, .. } = flow.outwards();
    Verdict::Passes { ends: (dst, src), to: Realm::Internal(OwnerId(flow.owner.into()), Zone(0)) }
}
