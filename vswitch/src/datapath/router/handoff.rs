//! Handoff of frames that another worker translates.
//!
//! # Theory of operation
//!
//! [`nat::shard_spec`] names the worker. Another worker's frame gets a handoff verdict and leaves the batch
//! at its end. The receiver routes it like a frame of its own, but enters at this stage: guard, rate limits and
//! learning have run on the reader.
//!
//! ```text
//!                    the worker that reads       the tracker              the one that translates
//! whole packet       out of the batch ---------------------------------->  routed, is assigned
//! first fragment     out of the batch -------->  assigns ------------->    routed, is assigned
//! other fragments    out of the batch -------->  wait for the first -->    routed, are assigned (and may wait again,
//!                                                                          until the first is translated)
//! ```
//!
//! A step on the same worker needs no handoff. An assigned frame is never handed off again, even after a
//! policy change. The reader only looks up the route: hop limit, MTU, next hop and ICMP errors are the translating
//! worker's.

use nat::{Kind, OwnerId, Realm, Shard, Time, View};

use super::assignment::HandoffOut;
use super::forward::ForwardCtx;
use super::state::RouterState;
use crate::datapath::batch::FrameCtx;
use crate::datapath::limits::FRAGMENT_OPERATIONS;
use crate::datapath::{Batch, DropReason, Fdb, Key, NetworkIndex, Verdict};

impl ForwardCtx<'_> {
    /// This worker translates the frame; otherwise its verdict is set.
    #[inline]
    pub(super) fn is_local(&mut self, ctx: &mut FrameCtx, from: Realm, view: &View) -> bool {
        self.state.tracked.is_none() || self.is_assigned || self.assign(ctx, from, view)
    }

    /// The same for a packet to a container of another network.
    pub(super) fn is_local_to_pair(&mut self, ctx: &mut FrameCtx, to: OwnerId) -> bool {
        if self.state.tracked.is_none() || self.is_assigned {
            return true;
        }
        let from = OwnerId(ctx.port.get() as u32);
        let worker = self.state.nat.shard_spec().worker_of_pair(from, to);
        self.keep_or_hand_off(ctx, worker, true)
    }

    /// This worker translates for an owner; otherwise the handoff verdict of the frame is set, even if another worker
    /// assigned it.
    pub(super) fn is_local_to(&mut self, ctx: &mut FrameCtx, owner: OwnerId) -> bool {
        let worker = self.state.nat.shard_spec().worker_of(owner);
        self.keep_or_hand_off(ctx, worker, true)
    }

    #[inline(never)]
    fn assign(&mut self, ctx: &mut FrameCtx, from: Realm, view: &View) -> bool {
        let now = Time(self.now.0);
        match self.state.nat.shard_of(now, from, view) {
            Shard::Worker(worker) => self.keep_or_hand_off(ctx, worker, true),
            Shard::Tracker(worker) => {
                self.keep_or_hand_off(ctx, worker, false) && self.track(ctx, from, view)
            }
        }
    }

    /// Keeps a frame of this worker, or sets its handoff verdict.
    fn keep_or_hand_off(&mut self, ctx: &mut FrameCtx, worker: usize, is_assigned: bool) -> bool {
        let is_local = worker == self.state.nat.shard_spec().worker();
        if !is_local {
            ctx.verdict = Verdict::Handoff { to: worker as u8, is_assigned };
            self.state.has_handoffs = true;
        }
        is_local
    }

    /// Tracks a fragment: the head chooses the worker for all.
    fn track(&mut self, ctx: &mut FrameCtx, from: Realm, view: &View) -> bool {
        if matches!(view.kind, Kind::Tail(_)) {
            ctx.verdict = Verdict::AwaitsAssignment;
            self.state.has_tails = true;
            return false;
        }
        let state = &mut *self.state;
        let Some(tracked) = &mut state.tracked else { return true };
        let worker = state.nat.worker(from, view);
        let assigned = &mut state.assigned;
        let release = &mut |ctx, assignment| assigned.push((ctx, assignment));
        match tracked.head(Time(self.now.0), from, view, Ok(worker), release) {
            Ok(worker) => self.keep_or_hand_off(ctx, worker, true),
            Err(refusal) => {
                ctx.verdict = Verdict::Drop(refusal.into());
                false
            }
        }
    }

    /// Queues the batch's fragments that await their worker.
    pub(super) fn queue_all_untracked(&mut self, batch: &mut Batch) {
        if self.state.tracked.is_some() {
            for ctx in batch.frames.extract_if(.., |ctx| ctx.verdict == Verdict::AwaitsAssignment) {
                self.queue_untracked(ctx);
            }
        }
    }

    pub(super) fn queue_untracked(&mut self, ctx: FrameCtx) {
        let view = nat::parse::view(&ctx.meta, self.ethernet(&ctx));
        let from = self.realm(&ctx);
        let state = &mut *self.state;
        let Some(tracked) = &mut state.tracked else {
            return self.emit(ctx, Verdict::Drop(DropReason::FragmentTableFull));
        };
        let assigned = &mut state.assigned;
        let release = &mut |ctx, assignment| assigned.push((ctx, assignment));
        tracked.tail(Time(self.now.0), from, &view, ctx, release);
    }

    /// Drops tracked fragments that timed out.
    pub(super) fn expire_tracked(&mut self) {
        let state = &mut *self.state;
        if let Some(tracked) = state.tracked.as_mut().filter(|tracked| !tracked.is_empty()) {
            let assigned = &mut state.assigned;
            let release = &mut |ctx, assignment| assigned.push((ctx, assignment));
            tracked.tick(Time(self.now.0), FRAGMENT_OPERATIONS, release);
        }
    }

    /// Dispatches fragments whose worker is known.
    pub(super) fn settle_assignments(&mut self) {
        let here = self.state.nat.shard_spec().worker();
        let mut assigned = std::mem::take(&mut self.state.assigned);
        for (ctx, assignment) in assigned.drain(..) {
            match assignment {
                Ok(worker) if worker == here => self.queue_tail(ctx),
                Ok(worker) => self.hand_off(ctx, worker as u8, true),
                Err(refusal) => self.emit(ctx, Verdict::Drop(refusal.into())),
            }
        }
        self.state.assigned = assigned;
    }

    /// Queues a frame from outside the batch for handoff.
    pub(super) fn hand_off(&mut self, ctx: FrameCtx, to: u8, is_assigned: bool) {
        self.state.queue_handoff(ctx, to, is_assigned);
    }

    /// Routes frames from other workers.
    pub(super) fn route_handoffs(&mut self, fdb: &Fdb) {
        let mut handoffs_in = std::mem::take(&mut self.state.handoffs_in);
        for (is_assigned, batch) in [true, false].into_iter().zip(&mut handoffs_in) {
            for ctx in &mut batch.frames {
                self.set_keys(ctx, fdb);
                self.route_handoff(ctx, is_assigned);
            }
            self.state.routed_handoffs.append(&mut batch.frames);
        }
        self.state.handoffs_in = handoffs_in;
    }

    /// Inserts them at the front of the batch, since they were read earlier.
    pub(super) fn merge_handoffs(&mut self, batch: &mut Batch) {
        if !self.state.routed_handoffs.is_empty() {
            batch.frames.splice(..0, self.state.routed_handoffs.drain(..));
        }
    }

    fn route_handoff(&mut self, ctx: &mut FrameCtx, is_assigned: bool) {
        match self.snapshot.port(ctx.port) {
            Some(conf) if conf.enabled => {
                self.is_assigned = is_assigned;
                self.route(ctx);
                self.is_assigned = false;
            }
            Some(_) => ctx.verdict = Verdict::Drop(DropReason::PortDisabled),
            None => ctx.verdict = Verdict::Drop(DropReason::PortUnknown),
        }
    }

    /// Sets the keys as `admit` does, untagged.
    fn set_keys(&self, ctx: &mut FrameCtx, fdb: &Fdb) {
        let network = self.snapshot.port(ctx.port).map(|conf| conf.network);
        let Some(network) = network.filter(|&network| network != NetworkIndex::NONE) else {
            return;
        };
        ctx.network = network;
        ctx.src = Key::new(network, 0, ctx.meta.src);
        ctx.dst = Key::new(network, 0, ctx.meta.dst);
        (ctx.src_buckets, ctx.dst_buckets) = (fdb.buckets_of(ctx.src), fdb.buckets_of(ctx.dst));
    }
}

impl RouterState {
    /// Removes frames for other workers from a batch.
    #[cold]
    pub(super) fn collect_handoffs(&mut self, batch: &mut Batch) {
        let is_handoff = |ctx: &mut FrameCtx| matches!(ctx.verdict, Verdict::Handoff { .. });
        for ctx in batch.frames.extract_if(.., is_handoff) {
            if let Verdict::Handoff { to, is_assigned } = ctx.verdict {
                self.queue_handoff(ctx, to, is_assigned);
            }
        }
    }

    fn queue_handoff(&mut self, ctx: FrameCtx, to: u8, is_assigned: bool) {
        let FrameCtx { port, frame, .. } = ctx;
        self.handoffs_out.push(HandoffOut { to: to.into(), is_assigned, port, frame });
    }

    /// Fragments are tracked.
    pub(super) fn tracks(&self) -> bool {
        self.tracked.as_ref().is_some_and(|tracked| !tracked.is_empty())
    }
}
