//! Fragments: the head's verdict holds for the tails.
//!
//! [`nat::fragment::Fragments`] stores waiting tails, with its limits. Tails leave the batch at its end,
//! after the heads of the same batch. Once the head is known, a tail is routed with its translation.

use nat::fragment::Verdict as Translated;
use nat::{Kind, Nat, Realm, Time, View};

use super::forward::ForwardCtx;
use super::from_container::internal;
use crate::datapath::batch::{Batch, FrameCtx};
use crate::datapath::limits::{FRAGMENT_OPERATIONS, NEIGHBOUR_QUEUE_TIMEOUT};
use crate::datapath::{DropReason, PortKind, Verdict};

impl ForwardCtx<'_> {
    /// Translates a head, as `translate` does, and releases its tails. A tail waits, or uses the verdict of its head.
    #[cold]
    pub(super) fn translate_fragment(
        &mut self,
        ctx: &mut FrameCtx,
        from: Realm,
        view: &View,
        translate: impl FnOnce(&mut Nat, Time, Realm, &View) -> Translated,
    ) -> Option<Translated> {
        let now = Time(self.now.0);
        if matches!(view.kind, Kind::Tail(_)) {
            if self.head_verdict.is_none() {
                ctx.verdict = Verdict::AwaitsFragment;
                self.state.has_tails = true;
            }
            return self.head_verdict.take();
        }
        let state = &mut *self.state;
        let translated = translate(&mut state.nat, now, from, view);
        let released = &mut state.released;
        let release = &mut |ctx, head_verdict| released.push((ctx, head_verdict));
        Some(state.fragments.head(now, from, view, translated, release))
    }

    /// Drops packets whose fragments timed out.
    pub(super) fn expire_fragments(&mut self) {
        let state = &mut *self.state;
        if !state.fragments.is_empty() {
            let released = &mut state.released;
            let release = &mut |ctx, head_verdict| released.push((ctx, head_verdict));
            state.fragments.tick(Time(self.now.0), FRAGMENT_OPERATIONS, release);
        }
        self.expire_tracked();
    }

    /// Queues the tails of a batch, and routes the released fragments.
    pub(super) fn release_fragments(&mut self, batch: &mut Batch) {
        if std::mem::take(&mut self.state.has_tails) {
            for ctx in batch.frames.extract_if(.., |ctx| ctx.verdict == Verdict::AwaitsFragment) {
                self.queue_tail(ctx);
            }
            self.queue_all_untracked(batch);
            // Heads first: a tail must not meet an older head with its identification at the other worker.
            if std::mem::take(&mut self.state.has_handoffs) {
                self.state.collect_handoffs(batch);
            }
        }
        self.settle_assignments();
        // Routing one may release others; this ends, since each is released once.
        let mut released = std::mem::take(&mut self.state.released);
        for (mut ctx, head_verdict) in released.drain(..) {
            (self.head_verdict, self.is_assigned) = (Some(head_verdict), true);
            ctx.verdict = Verdict::Pending;
            self.route(&mut ctx);
            (self.head_verdict, self.is_assigned) = (None, false);
            self.dispatch(ctx, self.now.after(NEIGHBOUR_QUEUE_TIMEOUT));
        }
        self.state.released = released;
    }

    /// The source realm of a frame.
    pub(super) fn realm(&self, ctx: &FrameCtx) -> Realm {
        if self.snapshot.is_uplink(ctx.port) { Realm::External } else { internal(ctx) }
    }

    pub(super) fn queue_tail(&mut self, ctx: FrameCtx) {
        let view = nat::parse::view(&ctx.meta, self.ethernet(&ctx));
        let from = self.realm(&ctx);
        let state = &mut *self.state;
        let released = &mut state.released;
        let release = &mut |ctx, head_verdict| released.push((ctx, head_verdict));
        state.fragments.tail(Time(self.now.0), from, &view, ctx, release);
    }

    /// Sets the verdict of a frame from outside the batch.
    pub(super) fn route(&mut self, ctx: &mut FrameCtx) {
        let conf = self.snapshot.port(ctx.port);
        let network = conf.and_then(|_| self.snapshot.network(ctx.network));
        let router = network.and_then(|network| Some((network, network.router.as_ref()?)));
        let is_uplink = conf.is_some_and(|conf| conf.kind == PortKind::Uplink);
        match (router, self.snapshot.uplink_of(ctx.port).filter(|_| is_uplink)) {
            (Some((network, router)), _) => self.route_container(ctx, network, router),
            (None, Some(link)) => self.route_uplink(ctx, link),
            (None, None) => ctx.verdict = Verdict::Drop(DropReason::PortUnknown),
        }
    }
}
