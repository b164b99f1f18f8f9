//! What another worker translates, where there are several.
//!
//! # Theory of operation
//!
//! Which worker that is says [`nat::shard_spec`]. A frame that is another's gets a verdict of its own, is
//! taken out of the batch at its end, and the worker hands it over; whoever gets it routes it as if it had read it
//! itself, but for the rooms that it has passed already: it comes in here, behind the guard, the
//! rates and learning.
//!
//! ```text
//!                    the worker that reads       the tracker              the one that translates
//! whole packet       out of the batch ---------------------------------->  routed, is placed
//! first fragment     out of the batch -------->  chooses ------------->    routed, is placed
//! other fragments    out of the batch -------->  wait for the first -->    routed, are placed (and may wait again,
//!                                                                          until the first is translated)
//! ```
//!
//! Each of them may be the same worker; then nothing is handed over. A frame that is placed is never handed over
//! again, whatever the policy says meanwhile. Before it is handed over nothing is decided but the way: hop limit, size, next hop, and
//! what its sender is told are for whoever translates.

use fastpath::{Frame, PortIndex};
use nat::{Kind, Policy, Realm, Shard, Time, View};

use super::forward::Room;
use super::state::Memory;
use crate::datapath::batch::Slot;
use crate::datapath::limits::FRAGMENT_OPERATIONS;
use crate::datapath::{Batch, DropReason, Fdb, Key, NetworkIndex, Verdict, parse};

/// Which worker translates a packet that comes in fragments; or why nobody does.
pub(super) type Choice = nat::fragment::Verdict<usize>;

/// A frame for another worker.
#[derive(Debug)]
pub(crate) struct Leaving {
    /// The worker.
    pub(crate) to: usize,
    /// It translates it.
    pub(crate) is_placed: bool,
    /// The port that it came in by.
    pub(crate) port: PortIndex,
    pub(crate) frame: Frame,
}

/// A frame from another worker, in a buffer of this one's.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) is_placed: bool,
    pub(crate) port: PortIndex,
    pub(crate) frame: Frame,
}

impl Room<'_> {
    /// Whether this worker translates a frame. Otherwise the frame has its verdict.
    #[inline]
    pub(super) fn is_here(
        &mut self,
        slot: &mut Slot,
        from: Realm,
        view: &View,
        policy: &Policy,
    ) -> bool {
        self.memory.tracked.is_none() || self.is_placed || self.choose(slot, from, view, policy)
    }

    #[inline(never)]
    fn choose(&mut self, slot: &mut Slot, from: Realm, view: &View, policy: &Policy) -> bool {
        let now = Time(self.now.0);
        match self.memory.nat.shard_of(now, from, view, policy) {
            Shard::Worker(worker) => self.stays(slot, worker, true),
            Shard::Tracker(worker) => {
                self.stays(slot, worker, false) && self.track(slot, from, view)
            }
        }
    }

    /// Whether a frame stays with this worker, where it is that one's.
    fn stays(&mut self, slot: &mut Slot, worker: usize, is_placed: bool) -> bool {
        let is_here = worker == self.memory.nat.shard_spec().worker();
        if !is_here {
            slot.verdict = Verdict::Handed { to: worker as u8, is_placed };
            self.memory.hands_over = true;
        }
        is_here
    }

    /// A fragment whose tracker this worker is. The first says who translates the others.
    fn track(&mut self, slot: &mut Slot, from: Realm, view: &View) -> bool {
        if matches!(view.kind, Kind::Tail(_)) {
            slot.verdict = Verdict::AwaitsChoice;
            self.memory.has_tails = true;
            return false;
        }
        let memory = &mut *self.memory;
        let Some(tracked) = &mut memory.tracked else { return true };
        let worker = memory.nat.worker(from, view);
        let chosen = &mut memory.chosen;
        let give = &mut |slot, choice| chosen.push((slot, choice));
        match tracked.head(Time(self.now.0), from, view, Ok(worker), give) {
            Ok(worker) => self.stays(slot, worker, true),
            Err(refusal) => {
                slot.verdict = Verdict::Drop(refusal.into());
                false
            }
        }
    }

    /// Takes fragments out of a batch whose worker is not known yet.
    pub(super) fn keep_all_untracked(&mut self, batch: &mut Batch) {
        if self.memory.tracked.is_some() {
            for slot in batch.slots.extract_if(.., |slot| slot.verdict == Verdict::AwaitsChoice) {
                self.keep_untracked(slot);
            }
        }
    }

    pub(super) fn keep_untracked(&mut self, slot: Slot) {
        let view = nat::parse::view(&slot.meta, self.ethernet(&slot));
        let from = self.realm(slot.port);
        let memory = &mut *self.memory;
        let Some(tracked) = &mut memory.tracked else {
            return self.leave(slot, Verdict::Drop(DropReason::FragmentTableFull));
        };
        let chosen = &mut memory.chosen;
        let give = &mut |slot, choice| chosen.push((slot, choice));
        tracked.tail(Time(self.now.0), from, &view, slot, give);
    }

    /// Lets fragments go whose first did not come in time.
    pub(super) fn expire_tracked(&mut self) {
        let memory = &mut *self.memory;
        if let Some(tracked) = memory.tracked.as_mut().filter(|tracked| !tracked.is_empty()) {
            let chosen = &mut memory.chosen;
            let give = &mut |slot, choice| chosen.push((slot, choice));
            tracked.tick(Time(self.now.0), FRAGMENT_OPERATIONS, give);
        }
    }

    /// Fragments of which it is known who translates them.
    pub(super) fn settle_choices(&mut self) {
        let here = self.memory.nat.shard_spec().worker();
        let mut chosen = std::mem::take(&mut self.memory.chosen);
        for (slot, choice) in chosen.drain(..) {
            match choice {
                Ok(worker) if worker == here => self.keep_tail(slot),
                Ok(worker) => self.hand_over(slot, worker as u8, true),
                Err(refusal) => self.leave(slot, Verdict::Drop(refusal.into())),
            }
        }
        self.memory.chosen = chosen;
    }

    /// Puts a frame that is not in the batch where the worker finds what it is to hand over.
    pub(super) fn hand_over(&mut self, slot: Slot, to: u8, is_placed: bool) {
        self.memory.leave(slot, to, is_placed);
    }

    /// Routes what other workers have handed over.
    pub(super) fn arrive(&mut self, fdb: &Fdb) {
        let mut arrived = std::mem::take(&mut self.memory.arrived);
        for (is_placed, batch) in [true, false].into_iter().zip(&mut arrived) {
            if batch.is_empty() {
                continue;
            }
            parse::run(batch, self.pool, self.stats);
            for slot in &mut batch.slots {
                self.set_keys(slot, fdb);
                self.route_arrived(slot, is_placed);
            }
            self.memory.joining.append(&mut batch.slots);
        }
        self.memory.arrived = arrived;
    }

    /// Puts them into the batch, where they come first: they were read before.
    pub(super) fn join(&mut self, batch: &mut Batch) {
        if !self.memory.joining.is_empty() {
            batch.slots.splice(..0, self.memory.joining.drain(..));
        }
    }

    fn route_arrived(&mut self, slot: &mut Slot, is_placed: bool) {
        match self.snapshot.port(slot.port) {
            Some(conf) if conf.enabled => {
                self.is_placed = is_placed;
                self.route(slot);
                self.is_placed = false;
            }
            Some(_) => slot.verdict = Verdict::Drop(DropReason::PortDisabled),
            None => slot.verdict = Verdict::Drop(DropReason::PortUnknown),
        }
    }

    /// As `admit` does. Only what is untagged is routed.
    fn set_keys(&self, slot: &mut Slot, fdb: &Fdb) {
        let network = self.snapshot.port(slot.port).map(|conf| conf.network);
        let Some(network) = network.filter(|&network| network != NetworkIndex::NONE) else {
            return;
        };
        slot.src = Key::new(network, 0, slot.meta.src);
        slot.dst = Key::new(network, 0, slot.meta.dst);
        (slot.src_place, slot.dst_place) = (fdb.place(slot.src), fdb.place(slot.dst));
    }
}

impl Memory {
    /// Takes what is another worker's out of a batch.
    #[cold]
    pub(super) fn collect_leaving(&mut self, batch: &mut Batch) {
        let is_handed = |slot: &mut Slot| matches!(slot.verdict, Verdict::Handed { .. });
        for slot in batch.slots.extract_if(.., is_handed) {
            if let Verdict::Handed { to, is_placed } = slot.verdict {
                self.leave(slot, to, is_placed);
            }
        }
    }

    fn leave(&mut self, slot: Slot, to: u8, is_placed: bool) {
        let Slot { port, frame, .. } = slot;
        self.leaving.push(Leaving { to: to.into(), is_placed, port, frame });
    }

    /// Whether fragments are tracked.
    pub(super) fn tracks(&self) -> bool {
        self.tracked.as_ref().is_some_and(|tracked| !tracked.is_empty())
    }
}
