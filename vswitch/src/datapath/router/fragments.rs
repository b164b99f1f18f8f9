//! Packets that come in fragments: what becomes of the first holds for the others.
//!
//! The store is [`nat::fragment::Fragments`], which says how long and how many may wait. Tails are taken
//! out of the batch at its end, when the heads that came with them are known; what is settled then, or by a
//! head that came later, is routed as any frame, with the translation that its head got.

use fastpath::PortIndex;
use nat::fragment::Verdict as Translated;
use nat::{Kind, OwnerId, Policy, Realm, Time, View};

use super::forward::Room;
use crate::datapath::batch::{Batch, Slot};
use crate::datapath::limits::{FRAGMENT_OPERATIONS, WAITING_TIME_MAX};
use crate::datapath::{DropReason, PortKind, Verdict};

impl Room<'_> {
    /// A fragment's head is translated, and so are those that wait for it. A tail is to wait, unless it
    /// has waited.
    #[cold]
    pub(super) fn translate_fragment(
        &mut self,
        slot: &mut Slot,
        from: Realm,
        view: &View,
        policy: &Policy,
    ) -> Option<Translated> {
        let now = Time(self.now.0);
        if matches!(view.kind, Kind::Tail(_)) {
            if self.settled.is_none() {
                slot.verdict = Verdict::AwaitsHead;
                self.memory.has_tails = true;
            }
            return self.settled.take();
        }
        let memory = &mut *self.memory;
        let translated = memory.nat.translate(now, from, view, policy);
        let given = &mut memory.given;
        let give = &mut |slot, settled| given.push((slot, settled));
        Some(memory.fragments.head(now, from, view, translated, give))
    }

    /// Lets packets go whose fragments did not come in time.
    pub(super) fn expire_fragments(&mut self) {
        let memory = &mut *self.memory;
        if !memory.fragments.is_empty() {
            let given = &mut memory.given;
            let give = &mut |slot, settled| given.push((slot, settled));
            memory.fragments.tick(Time(self.now.0), FRAGMENT_OPERATIONS, give);
        }
        self.expire_tracked();
    }

    /// Takes the tails of a batch out of it, and routes those fragments whose packets are settled.
    pub(super) fn settle_fragments(&mut self, batch: &mut Batch) {
        if std::mem::take(&mut self.memory.has_tails) {
            for slot in batch.slots.extract_if(.., |slot| slot.verdict == Verdict::AwaitsHead) {
                self.keep_tail(slot);
            }
            self.keep_all_untracked(batch);
        }
        self.settle_choices();
        // Routing one may settle others, but not without end: each was given once.
        let mut given = std::mem::take(&mut self.memory.given);
        for (mut slot, settled) in given.drain(..) {
            (self.settled, self.is_placed) = (Some(settled), true);
            slot.verdict = Verdict::Pending;
            self.route(&mut slot);
            (self.settled, self.is_placed) = (None, false);
            self.pass_on(slot, self.now.after(WAITING_TIME_MAX));
        }
        self.memory.given = given;
    }

    /// From where a port's frames come.
    pub(super) fn realm(&self, port: PortIndex) -> Realm {
        let is_inside = !self.snapshot.is_uplink(port);
        if is_inside { Realm::Internal(OwnerId(port.get() as u32)) } else { Realm::External }
    }

    pub(super) fn keep_tail(&mut self, slot: Slot) {
        let view = nat::parse::view(&slot.meta, self.ethernet(&slot));
        let from = self.realm(slot.port);
        let memory = &mut *self.memory;
        let given = &mut memory.given;
        let give = &mut |slot, settled| given.push((slot, settled));
        memory.fragments.tail(Time(self.now.0), from, &view, slot, give);
    }

    /// Gives a frame that is not in the batch its verdict.
    pub(super) fn route(&mut self, slot: &mut Slot) {
        let conf = self.snapshot.port(slot.port);
        let network = conf.and_then(|conf| self.snapshot.network(conf.network));
        let router = network.and_then(|network| Some((network, network.router.as_ref()?)));
        let is_uplink = conf.is_some_and(|conf| conf.kind == PortKind::Uplink);
        match (router, self.snapshot.way_of(slot.port).filter(|_| is_uplink)) {
            (Some((network, router)), _) => self.inside(slot, network, router),
            (None, Some(way)) => self.outside(slot, way),
            (None, None) => slot.verdict = Verdict::Drop(DropReason::PortUnknown),
        }
    }
}
