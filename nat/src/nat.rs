//! The translator.
//!
//! # Theory of operation
//!
//! [`Nat::translate`] looks a packet up in the table ([`crate::table`]). If it is of a connection, it
//! may change its state, refreshes it, and gets what the other side sees. If it is of none, it may begin
//! one ([`begin`]); an ICMP error is judged by what it quotes ([`error`]).
//!
//! One thread owns it. It is told the time, which never goes back, and the policy with each packet; whoever
//! changes the policy says so by [`Nat::follow`], which also withdraws what is no longer allowed ([`withdraw`]).
//! [`Nat::tick`] ends what has expired or is withdrawn, a few connections at a time.

mod begin;
mod end;
mod error;
mod flush;
mod follow;
mod place;
mod room;
mod rows;
mod touch;
mod warm;
mod withdraw;

pub use self::flush::Flushing;
pub use self::place::Place;
pub use self::rows::Row;

use self::withdraw::Withdrawn;
use crate::counters::Counters;
use crate::edit::{Side, Translation};
use crate::limits::FLOWS_MAX;
use crate::mapping::Mappings;
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::rules::Rules;
use crate::share::Share;
use crate::state::{Moment, State};
use crate::table::ahead;
use crate::table::contacts::Contacts;
use crate::table::flow::{Flow, Traits, Way};
use crate::table::hash::{Key, Secrets};
use crate::table::index::Index;
use crate::table::knocks::Knocks;
use crate::table::locals::Locals;
use crate::table::owners::Owners;
use crate::table::slab::Slab;
use crate::table::wheel::Wheel;
use crate::tcp::{self, Effect};
use crate::time::Time;
use crate::tuple::Transport;
use crate::view::{Kind, Segment, View};

/// What a translator is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatConfig {
    /// Connections that it can hold.
    pub capacity: usize,
    /// A secret: who knows it can choose addresses that collide, and foresee ports.
    pub seed: u64,
}

/// One worker's connections.
#[derive(Debug)]
pub struct Nat {
    flows: Slab,
    index: Index,
    contacts: Contacts,
    knocks: Knocks,
    wheel: Wheel,
    owners: Owners,
    mappings: Mappings,
    locals: Locals,
    rules: Rules,
    followed: Option<Identity>,
    withdrawn: Withdrawn,
    share: Share,
    secrets: Secrets,
    random: u64,
    /// Pages of what is found by hashing that were touched, once a connection has begun.
    touched: usize,
    /// Pages that there are of it.
    pages: usize,
    now: Moment,
    counters: Counters,
}

/// By what a policy is told from another without looking at all of it.
type Identity = (usize, usize, usize, usize);

fn identity(policy: &Policy) -> Identity {
    let (published, local) = (policy.published.as_ptr().addr(), policy.local.as_ptr().addr());
    (published, policy.published.len(), local, policy.local.len())
}

/// A packet of a connection, or one that may begin one.
#[derive(Clone, Copy, Debug)]
struct Packet<'a> {
    key: Key,
    segment: Option<&'a Segment>,
    is_request: bool,
    from: Side,
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
            contacts: Contacts::new(capacity),
            knocks: Knocks::new(),
            wheel: Wheel::new(),
            owners: Owners::new(),
            mappings: Mappings::new(capacity),
            locals: Locals::new(),
            rules: Rules::default(),
            followed: None,
            withdrawn: Withdrawn::default(),
            share: Share::WHOLE,
            secrets: Secrets::new(config.seed),
            random: !config.seed,
            touched: 0,
            pages: 0,
            now: Moment(0),
            counters: Counters::default(),
        };
        nat.pages = nat.hashed().into_iter().map(|places| ahead::pages(places)).sum();
        nat
    }

    /// The same of one worker among several, as long as nothing was translated yet.
    #[must_use]
    pub fn with_share(self, share: Share) -> Self {
        Self { share, ..self }
    }

    /// Which worker's it is.
    #[inline]
    #[must_use]
    pub fn share(&self) -> Share {
        self.share
    }

    /// Connections, those that have expired or are withdrawn but were not ended yet included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Endpoints inside that have a port of ours.
    #[must_use]
    pub fn mappings(&self) -> usize {
        self.mappings.len()
    }

    /// Memory in bytes, once every place was in use; without the ports of each address (102 KiB a transport
    /// of the default range) and the lists of owners (48 bytes each).
    #[must_use]
    pub fn bytes(&self) -> usize {
        let flows = self.flows.capacity() * size_of::<Flow>();
        let found = self.index.bytes() + self.contacts.bytes() + self.mappings.bytes();
        flows + found + Wheel::bytes()
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Which addresses and ports a packet gets, and where it goes.
    ///
    /// # Errors
    /// A [`Refusal`] if it must not pass.
    #[inline]
    pub fn translate(
        &mut self,
        now: Time,
        from: Side,
        view: &View,
        policy: &Policy,
    ) -> Result<Translation, Refusal> {
        self.enter(now, policy);
        match &view.kind {
            Kind::Flow { tuple, segment, is_request } => {
                let (key, is_request) = (Key::from(tuple), *is_request);
                let segment = segment.as_ref();
                let packet = Packet { key, segment, is_request, from, len: view.len };
                self.packet(&packet, policy)
            }
            Kind::Error(quoted) => self.error(from, view, quoted),
            Kind::Tail(_) | Kind::Other if from == Side::Outside => Ok(Translation::NotOurs),
            Kind::Tail(_) | Kind::Other => Err(Refusal::Protocol),
        }
    }

    /// Takes note of the time, and of the policy if it is another one.
    #[inline]
    fn enter(&mut self, now: Time, policy: &Policy) {
        self.now = self.now.max(Moment::of(now));
        if self.followed != Some(identity(policy)) {
            self.follow(policy);
        }
    }

    #[inline]
    fn packet(&mut self, packet: &Packet<'_>, policy: &Policy) -> Result<Translation, Refusal> {
        let Some((number, way)) = self.find(&packet.key) else {
            return self.begin(packet, policy);
        };
        let flow = self.flows.at(number);
        if self.is_over(flow) {
            self.end_over(number);
            return self.begin(packet, policy);
        }
        if flow.from(way) != packet.from {
            return Err(Refusal::Address);
        }
        self.pass(number, way, packet)
    }

    /// The connection with these addresses and ports, and the way that they go.
    #[inline]
    fn find(&self, key: &Key) -> Option<(u32, Way)> {
        let is_it =
            |entry: u32| self.flows.at(entry >> 1).is_key(Way::of(entry), key, &self.locals);
        let entry = self.index.find(self.secrets.hash(key), is_it)?;
        Some((entry >> 1, Way::of(entry)))
    }

    /// A packet of a connection.
    #[inline]
    fn pass(&mut self, number: u32, way: Way, packet: &Packet<'_>) -> Result<Translation, Refusal> {
        let flow = self.flows.at_mut(number);
        let effect = match (flow.transport, packet.segment) {
            (Transport::Tcp, Some(segment)) => {
                tcp::track(&mut flow.halves, flow.state, way, segment)
            }
            // What follows a fragment's head.
            (Transport::Tcp, None) => Effect::None,
            (Transport::Echo, _) if packet.is_request != (way == Way::Forward) => {
                Effect::Refused(Refusal::NoConnection)
            }
            _ => datagram(flow.state, way, packet.from),
        };
        let before = flow.state;
        let state = match effect {
            Effect::Refused(refusal) => return Err(refusal),
            Effect::None => before,
            Effect::Refresh(state) => {
                flow.seen = self.now.0;
                state
            }
            Effect::Note(state) => state,
        };
        flow.count(way, packet.len);
        let translation =
            Translation::Edit { edit: flow.edit(way, &self.locals), to: flow.to(way) };
        if state != before {
            self.turn(number, way, state);
        }
        Ok(translation)
    }

    /// A connection comes into another state.
    #[inline(never)]
    fn turn(&mut self, number: u32, way: Way, state: State) {
        let flow = self.flows.at_mut(number);
        let (before, transport) = (flow.state, flow.transport);
        flow.state = state;
        if state.list(transport) != flow.list {
            self.owners.unlink(&mut self.flows, number);
            self.owners.append(&mut self.flows, number);
        }
        if state.timeout(transport) < before.timeout(transport) {
            self.wheel.remove(&mut self.flows, number);
            self.wheel.insert(&mut self.flows, number);
        }
        // The inside answered somebody: now they are in contact.
        let flow = self.flows.at_mut(number);
        let lets_in =
            flow.traits.has(Traits::FROM_OUTSIDE) && flow.traits.has(Traits::SERVER_MAPPED);
        if lets_in && way == Way::Back && !flow.traits.has(Traits::CONTACT) {
            flow.traits.0 |= Traits::CONTACT;
            let contact = self.contact_of(number);
            self.contacts.add(contact);
        }
    }
}

/// A datagram or echo of a connection; only the inside keeps one alive (RFC 4787, REQ-6).
#[inline]
fn datagram(state: State, way: Way, from: Side) -> Effect {
    let state = match (state, way) {
        (State::New, Way::Back) => State::Replied,
        (State::Replied, Way::Forward) => State::Stream,
        (state, _) => state,
    };
    if from == Side::Outside { Effect::Note(state) } else { Effect::Refresh(state) }
}
