//! Owners of fragments: their packets and frames, and evictions.

use super::frames::Queue;
use super::list::{Links, List};
use super::{Disposition, Fragments, Verdict};
use crate::drop_reason::NatDrop;
use crate::edit::Realm;
use crate::limits::{FRAGMENT_FRAMES_OWNER_MAX, FRAGMENT_PACKETS_MAX, FRAGMENT_PACKETS_OWNER_MAX};
use crate::owner::OwnerId;

/// The sender of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Source {
    External,
    Internal(OwnerId),
}

impl From<Realm> for Source {
    fn from(realm: Realm) -> Self {
        match realm {
            Realm::External => Self::External,
            Realm::Internal(owner, _) => Self::Internal(owner),
        }
    }
}

/// One owner's packets and frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    packets: usize,
    frames: usize,
    /// Packets that wait for their head; each has frames.
    waiting: List,
    /// Known and dead packets.
    known: List,
}

impl Owner {
    const NOBODY: Self = Self { packets: 0, frames: 0, waiting: List::EMPTY, known: List::EMPTY };

    fn list(&mut self, is_known: bool) -> &mut List {
        if is_known { &mut self.known } else { &mut self.waiting }
    }
}

impl<F, T: Disposition> Fragments<F, T> {
    /// Adds a packet to its owner.
    pub(super) fn enlist(&mut self, at: u32) {
        let packet = &self.packets[at as usize];
        let owner = self.owners.entry(packet.key.source).or_insert(Owner::NOBODY);
        owner.packets += 1;
        owner.list(packet.verdict.is_some()).push(&mut self.owner_links, at);
    }

    /// Removes a packet from its owner.
    pub(super) fn delist(&mut self, at: u32) {
        let packet = &self.packets[at as usize];
        let Some(owner) = self.owners.get_mut(&packet.key.source) else { return };
        owner.packets -= 1;
        owner.list(packet.verdict.is_some()).remove(&mut self.owner_links, at);
        if owner.packets == 0 {
            self.owners.remove(&packet.key.source);
        }
    }

    /// The packet is known or dead now.
    pub(super) fn set_known(&mut self, at: u32, verdict: Verdict<T>) {
        let packet = &mut self.packets[at as usize];
        let was_known = packet.verdict.replace(verdict).is_some();
        let Some(owner) = self.owners.get_mut(&packet.key.source) else { return };
        owner.list(was_known).remove(&mut self.owner_links, at);
        owner.list(true).push(&mut self.owner_links, at);
    }

    /// Queues a frame; the caller has evicted for it.
    pub(super) fn enqueue(&mut self, at: u32, frame: F, give: &mut impl FnMut(F, Verdict<T>)) {
        let packet = &mut self.packets[at as usize];
        match self.frames.push(&mut packet.queue, frame) {
            Ok(()) => {
                packet.waiting += 1;
                self.counters.fragments_queued += 1;
                if let Some(owner) = self.owners.get_mut(&packet.key.source) {
                    owner.frames += 1;
                }
            }
            Err(frame) => give(frame, Err(NatDrop::FragmentsFull)),
        }
    }

    /// The first waiting frame of a packet.
    pub(super) fn pop_frame(&mut self, at: u32) -> Option<F> {
        let packet = &mut self.packets[at as usize];
        let frame = self.frames.pop(&mut packet.queue)?;
        packet.waiting -= 1;
        if let Some(owner) = self.owners.get_mut(&packet.key.source) {
            owner.frames -= 1;
        }
        Some(frame)
    }

    /// Drops the waiting frames of a packet.
    pub(super) fn give_all(
        &mut self,
        at: u32,
        reason: NatDrop,
        give: &mut impl FnMut(F, Verdict<T>),
    ) {
        while let Some(frame) = self.pop_frame(at) {
            give(frame, Err(reason));
        }
        debug_assert_eq!(self.packets[at as usize].queue, Queue::EMPTY);
    }

    /// Evicts for another packet of this owner.
    pub(super) fn evict_for_packet(
        &mut self,
        source: Source,
        give: &mut impl FnMut(F, Verdict<T>),
    ) {
        let own = self.owners.get(&source).map_or(0, |owner| owner.packets);
        let is_full = self.by_key.len() >= FRAGMENT_PACKETS_MAX;
        if own < FRAGMENT_PACKETS_OWNER_MAX && !is_full {
            return;
        }
        let has_share = own >= FRAGMENT_PACKETS_OWNER_MAX || self.has_share(own, self.by_key.len());
        let from =
            if has_share { source } else { self.largest(|owner| owner.packets).unwrap_or(source) };
        let victim = self.owners.get(&from).and_then(|o| o.waiting.first().or(o.known.first()));
        if let Some(victim) = victim {
            self.evict(victim, give);
        }
    }

    /// Evicts for a waiting frame of this packet; false if no frame can go.
    pub(super) fn evict_for_frame(
        &mut self,
        at: u32,
        give: &mut impl FnMut(F, Verdict<T>),
    ) -> bool {
        let source = self.packets[at as usize].key.source;
        let own = self.owners.get(&source).map_or(0, |owner| owner.frames);
        if own < FRAGMENT_FRAMES_OWNER_MAX && !self.frames.is_full() {
            return true;
        }
        let has_share = own >= FRAGMENT_FRAMES_OWNER_MAX || self.has_share(own, self.frames.len());
        let from =
            if has_share { source } else { self.largest(|owner| owner.frames).unwrap_or(source) };
        match self.oldest_waiting(from, at) {
            Some(victim) => {
                self.evict(victim, give);
                true
            }
            None => false,
        }
    }

    /// The owner's oldest waiting packet, except this one.
    fn oldest_waiting(&self, source: Source, but: u32) -> Option<u32> {
        let first = self.owners.get(&source)?.waiting.first()?;
        if first == but { List::next(&self.owner_links, first) } else { Some(first) }
    }

    /// An owner with this much has its share.
    fn has_share(&self, own: usize, taken: usize) -> bool {
        own != 0 && own * self.owners.len() >= taken
    }

    /// The largest owner; of equals, the last.
    fn largest(&self, of: impl Fn(&Owner) -> usize) -> Option<Source> {
        self.owners
            .iter()
            .max_by_key(|(source, owner)| (of(owner), **source))
            .map(|(source, _)| *source)
    }

    fn evict(&mut self, at: u32, give: &mut impl FnMut(F, Verdict<T>)) {
        self.counters.fragments_evicted += 1;
        self.remove(at, NatDrop::FragmentsFull, give);
    }
}

const _: () = assert!(size_of::<Links>() == 8);
