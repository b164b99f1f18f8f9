//! The translator.
//!
//! # Theory of operation
//!
//! [`Nat::translate`] looks a packet up in the table ([`crate::table`]). A hit refreshes the connection,
//! updates its state, and returns the rewrite. A miss may create a connection ([`create`]). The quoted
//! packet decides on an ICMP error ([`error`]).
//!
//! One thread owns the table. Each call passes the time, which never goes back. [`Nat::revalidate`] adopts
//! a policy and revokes the connections that it forbids ([`revoke`]). [`Nat::tick`] ends expired and
//! revoked connections in bounded steps.

mod allocate;
mod blocks;
mod create;
mod dnat;
mod error;
mod expire;
mod export;
mod flush;
mod port_request;
mod prefault;
mod prefetch;
mod reopen;
mod reroute;
mod revalidate;
mod revoke;
mod route;
mod rows;
mod shard;
mod share;

pub use self::blocks::BlockRequest;
pub use self::export::{ImportError, Imported};
pub use self::flush::Flushing;
pub use self::route::RoutedTarget;
pub use self::rows::Row;
pub use self::shard::Shard;

use self::reroute::Gone;
use self::revoke::Revoked;
use std::ops::RangeInclusive;
use std::sync::Arc;

use vswitch_counters::NatCounters;

use crate::compiled_policy::CompiledPolicy;
use crate::direction::Direction;
use crate::drop_reason::NatDrop;
use crate::edit::{Realm, Translation};
use crate::limits::FLOWS_MAX;
use crate::mapping::Mappings;
use crate::port_blocks::PortBlocks;
use crate::shard_spec::ShardSpec;
use crate::state::{CoarseTime, State};
use crate::table::external_addrs::ExternalAddrs;
use crate::table::filter::FilterTable;
use crate::table::flow::{Flow, FlowFlags};
use crate::table::hash::{Key, Secrets};
use crate::table::index::Index;
use crate::table::other_syns::OtherSyns;
use crate::table::owners::Owners;
use crate::table::pages;
use crate::table::pinholes::Pinholes;
use crate::table::refusals::Refusals;
use crate::table::rests::Rests;
use crate::table::slab::Slab;
use crate::table::wheel::Wheel;
use crate::tcp::{self, Effect};
use crate::time::Time;
use crate::tuple::Transport;
use crate::view::{Kind, Segment, View};

/// Parameters of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatConfig {
    /// Connections at most.
    pub capacity: usize,
    /// A secret: knowing it allows hash collisions and predicted ports.
    pub seed: u64,
}

/// One worker's connections.
#[derive(Debug)]
pub struct Nat {
    flows: Slab,
    index: Index,
    filter: FilterTable,
    pinholes: Pinholes,
    other_syns: OtherSyns,
    /// Searches for a shared port by many tries that found none.
    late_refusals: Refusals,
    /// The same by few tries.
    soon_refusals: Refusals,
    rests: Rests,
    wheel: Wheel,
    owners: Owners,
    mappings: Mappings,
    externals: ExternalAddrs,
    policy: Arc<CompiledPolicy>,
    /// This worker's slice of the policy's SNAT ports.
    ports: RangeInclusive<u16>,
    /// The claimed blocks of it, by transport.
    blocks: [PortBlocks; 4],
    /// Control claims blocks; otherwise all are claimed.
    is_claiming: bool,
    revoked: Revoked,
    /// IPv6 addresses with connections that the host no longer has.
    gone: Vec<Gone>,
    shard_spec: ShardSpec,
    secrets: Secrets,
    random: u64,
    /// Connections that share their port.
    shared: usize,
    /// Prefaulted pages of the hash tables.
    prefaulted: usize,
    /// Pages of the hash tables.
    pages: usize,
    now: CoarseTime,
    counters: NatCounters,
}

/// A parsed packet with its key and source.
#[derive(Clone, Copy, Debug)]
struct Packet<'a> {
    key: Key,
    segment: Option<&'a Segment>,
    is_request: bool,
    from: Realm,
    len: u32,
}

impl Nat {
    /// An empty table.
    #[must_use]
    pub fn new(config: NatConfig) -> Self {
        let capacity = config.capacity.clamp(1, FLOWS_MAX);
        let mut nat = Self {
            flows: Slab::new(capacity),
            index: Index::new(2 * capacity),
            filter: FilterTable::new(capacity),
            pinholes: Pinholes::new(),
            other_syns: OtherSyns::new(),
            late_refusals: Refusals::new(),
            soon_refusals: Refusals::new(),
            rests: Rests::default(),
            wheel: Wheel::new(),
            owners: Owners::new(),
            mappings: Mappings::new(capacity),
            externals: ExternalAddrs::new(),
            policy: Arc::new(CompiledPolicy::none(0)),
            ports: RangeInclusive::new(1, 0),
            blocks: blocks::of(&RangeInclusive::new(1, 0), false),
            is_claiming: false,
            revoked: Revoked::default(),
            gone: Vec::new(),
            shard_spec: ShardSpec::SINGLE,
            secrets: Secrets::new(config.seed),
            random: !config.seed,
            shared: 0,
            prefaulted: 0,
            pages: 0,
            now: CoarseTime(0),
            counters: NatCounters::default(),
        };
        nat.pages = nat.hashed_tables().into_iter().map(|slots| pages::count(slots)).sum();
        nat
    }

    /// Sets the shard, before the first packet.
    #[must_use]
    pub fn with_shard_spec(self, shard_spec: ShardSpec) -> Self {
        Self { shard_spec, ..self }
    }

    /// Sets the quota of owners until a policy is adopted; before the first packet.
    #[must_use]
    pub fn with_quota(self, quota: u32) -> Self {
        Self { policy: Arc::new(CompiledPolicy::none(quota)), ..self }
    }

    /// Waits for control to claim blocks of SNAT ports ([`Nat::claim_blocks`]); before the first packet.
    #[must_use]
    pub fn with_claimed_blocks(self) -> Self {
        Self { is_claiming: true, ..self }
    }

    /// The worker's shard.
    #[inline]
    #[must_use]
    pub fn shard_spec(&self) -> ShardSpec {
        self.shard_spec
    }

    /// Connections, including expired and revoked ones that await reclaim.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// The table has no connections.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Connections whose SNAT port is for their destination only, since ports were short.
    #[must_use]
    pub const fn shared(&self) -> usize {
        self.shared
    }

    /// SNAT mappings of internal endpoints.
    #[must_use]
    pub fn mappings(&self) -> usize {
        self.mappings.len()
    }

    /// Memory of a full table in bytes; without port pools (119 KiB a transport and address for the
    /// default range) and owners (48 bytes each).
    #[must_use]
    pub fn bytes(&self) -> usize {
        let flows = self.flows.capacity() * size_of::<Flow>();
        let found = self.index.bytes() + self.filter.bytes() + self.mappings.bytes();
        flows + found + Wheel::bytes()
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> NatCounters {
        self.counters
    }

    /// Translates a packet: returns its new addresses and ports, and its destination.
    ///
    /// # Errors
    /// A [`NatDrop`] if it must not pass.
    #[inline]
    pub fn translate(
        &mut self,
        now: Time,
        from: Realm,
        view: &View,
    ) -> Result<Translation, NatDrop> {
        self.advance(now);
        match &view.kind {
            Kind::Flow { tuple, segment, is_request } => {
                let (key, is_request) = (Key::new(tuple, from.zone()), *is_request);
                let segment = segment.as_ref();
                let packet = Packet { key, segment, is_request, from, len: view.len };
                self.packet(&packet)
            }
            Kind::Error(quoted) => {
                let result = self.error(from, view, quoted);
                let is_translated = matches!(result, Ok(Translation::Edit { .. }));
                self.counters.icmp_errors_translated += u64::from(is_translated);
                result
            }
            Kind::Tail(_) | Kind::Other if from == Realm::External => Ok(Translation::NotOurs),
            Kind::Tail(_) | Kind::Other => Err(NatDrop::Protocol),
        }
    }

    /// Sets the clock, which never goes back.
    #[inline]
    fn advance(&mut self, now: Time) {
        self.now = self.now.max(CoarseTime::of(now));
    }

    #[inline]
    fn packet(&mut self, packet: &Packet<'_>) -> Result<Translation, NatDrop> {
        let Some((number, dir)) = self.find(&packet.key) else {
            return self.create(packet);
        };
        let flow = self.flows.at(number);
        if self.is_over(flow) {
            self.end_over(number);
            return self.create(packet);
        }
        if !flow.is_from(dir, packet.from) {
            return Err(NatDrop::Address);
        }
        self.pass(number, dir, packet)
    }

    /// The connection with this key, and the key's direction.
    #[inline]
    fn find(&self, key: &Key) -> Option<(u32, Direction)> {
        let is_it = |entry: u32| {
            self.flows.at(entry >> 1).is_key(Direction::of(entry), key, &self.externals)
        };
        let entry = self.index.find(self.secrets.hash(key), is_it)?;
        Some((entry >> 1, Direction::of(entry)))
    }

    /// Passes a packet of a connection.
    #[inline]
    fn pass(
        &mut self,
        number: u32,
        dir: Direction,
        packet: &Packet<'_>,
    ) -> Result<Translation, NatDrop> {
        let mut flow = self.flows.at_mut(number);
        let effect = match (flow.transport(), packet.segment) {
            (Transport::Tcp, Some(segment)) => {
                tcp::track(&mut flow.tcp_peers, flow.state, dir, segment)
            }
            // A head without the whole header.
            (Transport::Tcp, None) => Effect::None,
            (Transport::Echo, _) if packet.is_request != (dir == Direction::Original) => {
                Effect::Drop(NatDrop::NoConnection)
            }
            _ => datagram(flow.state, dir, packet.from, flow.is_routed()),
        };
        let before = flow.state;
        let state = match effect {
            Effect::Drop(_) | Effect::Unmatched => {
                let state = self.reopen(number, dir, packet, effect)?;
                flow = self.flows.at_mut(number);
                state
            }
            Effect::None => before,
            Effect::Refresh(state) => {
                flow.seen = self.now.0;
                state
            }
            Effect::Note(state) => state,
        };
        flow.count(dir, packet.len);
        let translation =
            Translation::Edit { edit: flow.edit(dir, &self.externals), to: flow.to(dir) };
        if state != before {
            self.transition(number, dir, state);
        }
        Ok(translation)
    }

    /// Moves a connection to another state.
    #[inline(never)]
    fn transition(&mut self, number: u32, dir: Direction, state: State) {
        let flow = self.flows.at_mut(number);
        let (before, transport) = (flow.state, flow.transport());
        if state.class(transport) == before.class(transport) {
            flow.state = state;
        } else {
            self.owners.unlink(&mut self.flows, number);
            self.flows.at_mut(number).state = state;
            self.owners.append(&mut self.flows, number);
        }
        if state.timeout(transport) < before.timeout(transport) {
            self.wheel.remove(&mut self.flows, number);
            self.wheel.insert(&mut self.flows, number);
        }
        // The internal server has replied: add its filter entry.
        let flow = self.flows.at_mut(number);
        let lets_in =
            flow.flags.has(FlowFlags::FROM_EXTERNAL) && flow.flags.has(FlowFlags::SERVER_MAPPED);
        if lets_in && dir == Direction::Reply && !flow.flags.has(FlowFlags::IN_FILTER) {
            flow.flags.set(FlowFlags::IN_FILTER);
            let filter_key = self.filter_key_of(number);
            self.filter.add(filter_key);
        }
    }
}

/// A datagram or echo of a connection; only internal packets refresh one (RFC 4787, REQ-6), and if it is routed only
/// the client's.
#[inline]
fn datagram(state: State, dir: Direction, from: Realm, is_routed: bool) -> Effect {
    let state = match (state, dir) {
        (State::New, Direction::Reply) => State::Replied,
        (State::Replied, Direction::Original) => State::Stream,
        (state, _) => state,
    };
    let is_answer = is_routed && dir == Direction::Reply;
    if from == Realm::External || is_answer { Effect::Note(state) } else { Effect::Refresh(state) }
}
