//! Fragments: only the first has ports, and it need not come first (RFC 4787 REQ-14).
//!
//! The translation of the first fragment ([`Fragments::head`]) holds for all. Earlier fragments wait for
//! it. The store never reassembles a packet.
//!
//! ```text
//!            tail                     head                 all bytes have come
//!  (nothing) ----> WAITING ----------------------> KNOWN ----------------------> (nothing)
//!      |              | fragments that overlap       | fragments that overlap
//!      | head         v                              v
//!      |            DEAD <---------------------------+       30 s after the first fragment:
//!      +------------------------------------------>  KNOWN   WAITING, KNOWN, DEAD --> (nothing)
//! ```
//!
//! - Overlaps and contradictions about the packet's end kill the packet: its waiting and later fragments
//!   are dropped (RFC 5722 for IPv6, Linux for both families). A duplicate is dropped alone.
//! - IPv4 identifications repeat within seconds (RFC 6864 section 1): a second head begins another
//!   packet, and ends a dead one.
//! - Packets and waiting frames are bounded in all and for each owner ([`crate::limits`]). An owner at its
//!   bound evicts its own oldest packet, waiting before known. In a full store, an owner below its share
//!   evicts from the largest owner. The uplink is one owner.
//! - The caller owns the frames: each comes back exactly once, through `give`, with its verdict.
//! - One thread calls. Nothing is allocated after `new`.

use std::collections::HashMap;
use std::net::IpAddr;

use vswitch_counters::FragmentCounters;

use crate::drop_reason::NatDrop;
use crate::edit::{Realm, Translation};
use crate::limits::{
    FRAGMENT_EXPIRE_PER_CALL_MAX, FRAGMENT_FRAMES_MAX, FRAGMENT_PACKETS_MAX, FRAGMENT_TIMEOUT,
};
use crate::owner::OwnerId;
use crate::time::Time;
use crate::tuple::Transport;
use crate::view::{Kind, View};

#[cfg(test)]
mod tests;

mod frames;
mod list;
mod owners;
mod ranges;

use frames::{Frames, Queue};
use list::{Links, List};
use owners::{Owner, Source};
use ranges::{Fit, Ranges};

/// The verdict on a packet and each of its fragments.
pub type Verdict<T = Translation> = Result<T, NatDrop>;

/// The verdict on accepted packets: a translation, or a worker.
pub trait Disposition: Copy + PartialEq {
    /// The packet goes to a container.
    fn goes_to(&self, owner: OwnerId) -> bool;
}

impl Disposition for Translation {
    fn goes_to(&self, owner: OwnerId) -> bool {
        matches!(self, Self::Edit { to: Realm::Internal(it, _), .. } if *it == owner)
    }
}

impl Disposition for usize {
    fn goes_to(&self, _: OwnerId) -> bool {
        false
    }
}

/// The packet's key (RFC 791 section 3.2, RFC 8200 section 4.5), and its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    transport: Transport,
    ident: u32,
    source: Source,
}

#[derive(Clone, Debug)]
struct Packet<T> {
    key: Key,
    since: Time,
    ranges: Ranges,
    /// None while the packet waits.
    verdict: Option<Verdict<T>>,
    queue: Queue,
    waiting: u32,
}

/// Packets with missing fragments. `F` is the caller's frame, `T` the verdict.
#[derive(Debug)]
pub struct Fragments<F, T = Translation> {
    by_key: HashMap<Key, u32>,
    packets: Vec<Packet<T>>,
    free: Vec<u32>,
    /// All packets, oldest first, and the links of that list.
    ages: List,
    age_links: Vec<Links>,
    owners: HashMap<Source, Owner>,
    /// Links of the lists of owners.
    owner_links: Vec<Links>,
    frames: Frames<F>,
    counters: FragmentCounters,
}

impl<F, T: Disposition> Default for Fragments<F, T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F, T: Disposition> Fragments<F, T> {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        let max = FRAGMENT_PACKETS_MAX;
        Self {
            // Twice the entries, so that the tables never grow.
            by_key: HashMap::with_capacity(2 * max),
            packets: Vec::with_capacity(max),
            free: Vec::with_capacity(max),
            ages: List::EMPTY,
            age_links: vec![Links::FREE; max],
            owners: HashMap::with_capacity(2 * max),
            owner_links: vec![Links::FREE; max],
            frames: Frames::new(FRAGMENT_FRAMES_MAX),
            counters: FragmentCounters::default(),
        }
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> FragmentCounters {
        self.counters
    }

    /// Packets in the store.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The store is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Waiting frames.
    #[must_use]
    pub fn frames_waiting(&self) -> usize {
        self.frames.len()
    }

    /// Takes a first fragment with its verdict, and gives the frames that waited for it. Returns the
    /// verdict, or a refusal if it contradicts earlier fragments. Views of whole packets pass unchanged.
    pub fn head(
        &mut self,
        now: Time,
        from: Realm,
        view: &View,
        verdict: Verdict<T>,
        give: &mut impl FnMut(F, Verdict<T>),
    ) -> Verdict<T> {
        let (Some(key), Some(fragment)) = (key(from, view), view.fragment) else { return verdict };
        self.expire(now, FRAGMENT_EXPIRE_PER_CALL_MAX, give);
        if Ranges::bounds(&fragment).is_none() {
            self.counters.fragments_impossible += 1;
            return Err(NatDrop::Overlap);
        }
        if key.src.is_ipv4()
            && let Some(at) = self.known(now, &key, give)
        {
            // Another packet with the same identification.
            self.remove(at, NatDrop::Overlap, give);
        }
        let at = self.find_or_insert(now, key, give);
        if self.is_dead(at) {
            return Err(NatDrop::Overlap);
        }
        match self.packets[at as usize].ranges.add(&fragment) {
            Fit::New => {}
            fit => return Err(self.misfit(at, fit, give)),
        }
        self.set_known(at, verdict);
        while let Some(frame) = self.pop_frame(at) {
            self.counters.fragments_released += 1;
            give(frame, verdict);
        }
        self.remove_if_complete(at, give);
        verdict
    }

    /// Takes a later fragment: the frame is given, or waits.
    pub fn tail(
        &mut self,
        now: Time,
        from: Realm,
        view: &View,
        frame: F,
        give: &mut impl FnMut(F, Verdict<T>),
    ) {
        self.expire(now, FRAGMENT_EXPIRE_PER_CALL_MAX, give);
        let (Some(key), Some(fragment)) = (key(from, view), view.fragment) else {
            return give(frame, Err(NatDrop::Protocol));
        };
        if Ranges::bounds(&fragment).is_none() {
            self.counters.fragments_impossible += 1;
            return give(frame, Err(NatDrop::Overlap));
        }
        let at = self.find_or_insert(now, key, give);
        if self.is_dead(at) {
            return give(frame, Err(NatDrop::Overlap));
        }
        let verdict = self.packets[at as usize].verdict;
        if verdict.is_none() && !self.evict_for_frame(at, give) {
            self.counters.fragments_full += 1;
            self.remove_if_empty(at, give);
            return give(frame, Err(NatDrop::FragmentsFull));
        }
        match (self.packets[at as usize].ranges.add(&fragment), verdict) {
            (Fit::New, None) => self.enqueue(at, frame, give),
            (Fit::New, Some(verdict)) => {
                give(frame, verdict);
                self.remove_if_complete(at, give);
            }
            (fit, _) => {
                let reason = self.misfit(at, fit, give);
                give(frame, Err(reason));
            }
        }
    }

    /// Drops incomplete packets that timed out, in at most this many operations.
    pub fn tick(&mut self, now: Time, operations_max: usize, give: &mut impl FnMut(F, Verdict<T>)) {
        self.expire(now, operations_max, give);
    }

    /// Forgets the packets from and to a container.
    pub fn remove_owner(&mut self, owner: OwnerId, give: &mut impl FnMut(F, Verdict<T>)) {
        let goes_to = |verdict| matches!(verdict, Some(Ok(decided)) if T::goes_to(&decided, owner));
        let mut next = self.ages.first();
        while let Some(at) = next {
            next = List::next(&self.age_links, at);
            let packet = &self.packets[at as usize];
            if packet.key.source == Source::Internal(owner) || goes_to(packet.verdict) {
                self.remove(at, NatDrop::NoConnection, give);
            }
        }
    }

    /// Fragments overlapped or contradicted each other.
    fn is_dead(&self, at: u32) -> bool {
        self.packets[at as usize].verdict == Some(Err(NatDrop::Overlap))
    }

    /// Drops a fragment that contradicts its packet, and perhaps the packet.
    fn misfit(&mut self, at: u32, fit: Fit, give: &mut impl FnMut(F, Verdict<T>)) -> NatDrop {
        match fit {
            Fit::TooMany => {
                self.counters.fragments_full += 1;
                return NatDrop::FragmentsFull;
            }
            Fit::Duplicate => self.counters.fragments_duplicate += 1,
            Fit::Impossible => self.counters.fragments_impossible += 1,
            Fit::New | Fit::Conflict => {
                self.counters.fragments_overlapping += 1;
                self.set_known(at, Err(NatDrop::Overlap));
                self.give_all(at, NatDrop::Overlap, give);
            }
        }
        NatDrop::Overlap
    }

    /// The packet, if it is known or dead, and not timed out.
    fn known(&mut self, now: Time, key: &Key, give: &mut impl FnMut(F, Verdict<T>)) -> Option<u32> {
        self.find(now, key, give).filter(|at| self.packets[*at as usize].verdict.is_some())
    }

    fn find(&mut self, now: Time, key: &Key, give: &mut impl FnMut(F, Verdict<T>)) -> Option<u32> {
        let at = *self.by_key.get(key)?;
        if now.since(self.packets[at as usize].since) < FRAGMENT_TIMEOUT {
            return Some(at);
        }
        self.counters.fragments_timed_out += 1;
        self.remove(at, NatDrop::FragmentTimeout, give);
        None
    }

    fn find_or_insert(&mut self, now: Time, key: Key, give: &mut impl FnMut(F, Verdict<T>)) -> u32 {
        if let Some(at) = self.find(now, &key, give) {
            return at;
        }
        self.evict_for_packet(key.source, give);
        let (ranges, queue) = (Ranges::NONE, Queue::EMPTY);
        let packet = Packet { key, since: now, ranges, verdict: None, queue, waiting: 0 };
        let at = match self.free.pop() {
            Some(at) => {
                self.packets[at as usize] = packet;
                at
            }
            None => {
                self.packets.push(packet);
                self.packets.len() as u32 - 1
            }
        };
        self.by_key.insert(key, at);
        self.ages.push(&mut self.age_links, at);
        self.enlist(at);
        at
    }

    fn expire(&mut self, now: Time, max: usize, give: &mut impl FnMut(F, Verdict<T>)) {
        for _ in 0..max {
            let Some(at) = self.ages.first() else { return };
            if now.since(self.packets[at as usize].since) < FRAGMENT_TIMEOUT {
                return;
            }
            self.counters.fragments_timed_out += 1;
            self.remove(at, NatDrop::FragmentTimeout, give);
        }
    }

    fn remove_if_complete(&mut self, at: u32, give: &mut impl FnMut(F, Verdict<T>)) {
        if self.packets[at as usize].ranges.is_complete() {
            self.counters.fragments_completed += 1;
            self.remove(at, NatDrop::Overlap, give);
        }
    }

    /// Removes a waiting packet that has no frames.
    fn remove_if_empty(&mut self, at: u32, give: &mut impl FnMut(F, Verdict<T>)) {
        if self.packets[at as usize].waiting == 0 {
            self.remove(at, NatDrop::FragmentsFull, give);
        }
    }

    /// Removes a packet and drops its frames for this reason.
    fn remove(&mut self, at: u32, reason: NatDrop, give: &mut impl FnMut(F, Verdict<T>)) {
        self.give_all(at, reason, give);
        self.delist(at);
        self.by_key.remove(&self.packets[at as usize].key);
        self.ages.remove(&mut self.age_links, at);
        self.free.push(at);
    }
}

/// The key of a fragment; `None` for whole and untranslated packets.
fn key(from: Realm, view: &View) -> Option<Key> {
    let transport = match view.kind {
        Kind::Flow { tuple, .. } => tuple.transport,
        Kind::Error(_) => Transport::Echo,
        Kind::Tail(transport) => transport,
        Kind::Other => return None,
    };
    let ident = view.fragment?.ident;
    Some(Key { src: view.src, dst: view.dst, transport, ident, source: Source::from(from) })
}
