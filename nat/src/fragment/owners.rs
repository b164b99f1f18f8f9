//! Whose packets wait, how many frames of whose, and who has to make room.

use super::frames::Queue;
use super::list::{Links, List};
use super::{Disposition, Fragments, Verdict};
use crate::drop_reason::NatDrop;
use crate::edit::Realm;
use crate::limits::{FRAGMENT_FRAMES_OWNER_MAX, FRAGMENT_PACKETS_MAX, FRAGMENT_PACKETS_OWNER_MAX};
use crate::owner::OwnerId;

/// Whose a packet is: who sent it.
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

/// What one owner has here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    packets: usize,
    frames: usize,
    /// Packets that wait for their head; each has frames.
    waiting: List,
    /// Packets whose head has come, and dead ones.
    known: List,
}

impl Owner {
    const NOBODY: Self = Self { packets: 0, frames: 0, waiting: List::EMPTY, known: List::EMPTY };

    fn list(&mut self, is_known: bool) -> &mut List {
        if is_known { &mut self.known } else { &mut self.waiting }
    }
}

impl<F, T: Disposition> Fragments<F, T> {
    /// Counts a packet as its owner's.
    pub(super) fn enlist(&mut self, at: u32) {
        let packet = &self.packets[at as usize];
        let owner = self.owners.entry(packet.key.source).or_insert(Owner::NOBODY);
        owner.packets += 1;
        owner.list(packet.verdict.is_some()).push(&mut self.owner_links, at);
    }

    /// Counts it no longer.
    pub(super) fn delist(&mut self, at: u32) {
        let packet = &self.packets[at as usize];
        let Some(owner) = self.owners.get_mut(&packet.key.source) else { return };
        owner.packets -= 1;
        owner.list(packet.verdict.is_some()).remove(&mut self.owner_links, at);
        if owner.packets == 0 {
            self.owners.remove(&packet.key.source);
        }
    }

    /// The packet waits no longer, or it is dead.
    pub(super) fn set_known(&mut self, at: u32, verdict: Verdict<T>) {
        let packet = &mut self.packets[at as usize];
        let was_known = packet.verdict.replace(verdict).is_some();
        let Some(owner) = self.owners.get_mut(&packet.key.source) else { return };
        owner.list(was_known).remove(&mut self.owner_links, at);
        owner.list(true).push(&mut self.owner_links, at);
    }

    /// Lets a frame wait; the caller has made room.
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

    /// The first frame that waits with the packet.
    pub(super) fn pop_frame(&mut self, at: u32) -> Option<F> {
        let packet = &mut self.packets[at as usize];
        let frame = self.frames.pop(&mut packet.queue)?;
        packet.waiting -= 1;
        if let Some(owner) = self.owners.get_mut(&packet.key.source) {
            owner.frames -= 1;
        }
        Some(frame)
    }

    /// Drops the frames that wait with the packet.
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

    /// Makes room for another packet of this owner.
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

    /// Makes room for a frame that waits with this packet; false where there is none.
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

    /// The oldest packet of the owner that waits, but for this one.
    fn oldest_waiting(&self, source: Source, but: u32) -> Option<u32> {
        let first = self.owners.get(&source)?.waiting.first()?;
        if first == but { List::next(&self.owner_links, first) } else { Some(first) }
    }

    /// Whether who has this much of all that is taken has its share.
    fn has_share(&self, own: usize, taken: usize) -> bool {
        own != 0 && own * self.owners.len() >= taken
    }

    /// Who has most; of equals, the last.
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
