//! What a worker's router remembers from one batch to the next.

use std::net::IpAddr;
use std::time::Duration;

use fastpath::limits::{FRAME_MAX, ROUND_FRAMES_MAX};
use fastpath::{Nanos, PortIndex};
use nat::fragment::{Fragments, Verdict as Translated};
use nat::limits::{FRAGMENT_FRAMES_MAX, TICK_OPERATIONS};
use nat::{Flushing, Nat, NatConfig, NatDrop, OwnerId, Row, ShardSpec, Time, View, Zone};
use vswitch_counters::{FragmentCounters, NatCounters, RouterCounters};

use super::assignment::{Assignment, HandoffOut};
use super::icmp_limit::IcmpLimit;
use super::neighbour_queue::NeighbourQueue;
use super::resolve::NeighbourResolver;
use crate::datapath::batch::{Batch, FrameCtx};
use crate::datapath::limits::{
    CONNTRACK_FLUSHED_MAX, CONNTRACK_ROWS_MAX, EXPIRY_REST, EXPIRY_WAKE, NAT_CONNECTIONS,
    NAT_OPERATIONS_IDLE, NEIGHBOUR_QUEUE_WAKE, PREFETCH_FRAMES,
};
use crate::datapath::{DropReason, FrameIo, Observer, Snapshot, Verdict};

/// Connections, and frames that wait.
#[derive(Debug)]
pub struct RouterState {
    pub(super) nat: Nat,
    pub(super) neighbour_queue: NeighbourQueue,
    pub(super) icmp_limit: IcmpLimit,
    pub(super) resolver: NeighbourResolver,
    pub(super) counters: RouterCounters,
    pub(super) fragments: Fragments<FrameCtx>,
    /// Fragments of which it is to be found out who translates them, where there are several workers.
    pub(super) tracked: Option<Box<Fragments<FrameCtx, usize>>>,
    /// Of these, those for which that is known.
    pub(super) assigned: Vec<(FrameCtx, Assignment)>,
    /// Frames for other workers.
    pub(in crate::datapath) handoffs_out: Vec<HandoffOut>,
    /// Frames from other workers, first those that are assigned; and the same when they are routed.
    pub(in crate::datapath) handoffs_in: [Batch; 2],
    pub(super) routed_handoffs: Vec<FrameCtx>,
    /// Fragments that wait no longer, and what became of their packet.
    pub(super) released: Vec<(FrameCtx, Translated)>,
    /// There are frames for other workers in the batch.
    pub(super) has_handoffs: bool,
    /// There are fragments in the batch that are to wait.
    pub(super) has_tails: bool,
    /// Views of packets whose connections are asked for.
    pub(super) views: Vec<(Zone, View)>,
    /// A packet while it is cut.
    pub(super) scratch: Vec<u8>,
    /// Frames that the stages behind are to have, too: answers, fragments, frames that have waited.
    pub(super) emitted: Vec<FrameCtx>,
    /// A snapshot came since the last batch.
    pub(super) is_new_snapshot: bool,
    /// Connections ended in the last idle round, or are still to be taken out: there may be more.
    has_backlog: bool,
}

impl RouterState {
    /// Nothing known. `seed` keys the hash of the connection table.
    pub(in crate::datapath) fn new(seed: u64, shard_spec: ShardSpec) -> Self {
        let capacity = if shard_spec.is_single() { 0 } else { ROUND_FRAMES_MAX };
        Self {
            nat: Nat::new(NatConfig { capacity: NAT_CONNECTIONS, seed })
                .with_shard_spec(shard_spec),
            neighbour_queue: NeighbourQueue::new(),
            icmp_limit: IcmpLimit::default(),
            resolver: NeighbourResolver::new(),
            counters: RouterCounters::default(),
            fragments: Fragments::new(),
            tracked: (!shard_spec.is_single()).then(Box::default),
            assigned: Vec::with_capacity(capacity),
            handoffs_out: Vec::with_capacity(capacity),
            handoffs_in: [Batch::with_capacity(capacity), Batch::with_capacity(capacity)],
            routed_handoffs: Vec::with_capacity(capacity),
            released: Vec::with_capacity(FRAGMENT_FRAMES_MAX),
            has_handoffs: false,
            has_tails: false,
            views: Vec::with_capacity(PREFETCH_FRAMES),
            scratch: Vec::with_capacity(FRAME_MAX),
            emitted: Vec::with_capacity(ROUND_FRAMES_MAX),
            is_new_snapshot: false,
            has_backlog: false,
        }
    }

    /// Applies a snapshot. New routes let waiting frames go on; a new policy ends connections.
    pub(in crate::datapath) fn apply_snapshot(
        &mut self,
        snapshot: &Snapshot,
        has_new_routes: bool,
    ) {
        self.is_new_snapshot |= has_new_routes;
        // Without an uplink the connections stay until it comes back, or until they expire.
        if let Some(uplink) = snapshot.uplinks().next() {
            self.nat.revalidate(&uplink.policy);
        }
    }

    /// Lets connections expire, a bounded number at a time. Where no frames came nobody waits, and there
    /// may be more.
    pub(in crate::datapath) fn tick(&mut self, now: Nanos, is_idle: bool) {
        let operations = if is_idle { NAT_OPERATIONS_IDLE } else { TICK_OPERATIONS };
        let before = self.nat.len();
        self.nat.tick(Time(now.0), operations);
        self.has_backlog = self.nat.has_work() || is_idle && self.nat.len() < before;
    }

    /// How long a worker to which nothing comes may sleep; without end if there is nothing to do.
    #[must_use]
    pub fn max_sleep(&self) -> Option<Duration> {
        let waits = (self.neighbour_queue.len() > 0).then_some(NEIGHBOUR_QUEUE_WAKE);
        let rests = !self.is_empty() || !self.fragments.is_empty() || self.tracks();
        waits.or(self.has_backlog.then_some(EXPIRY_WAKE)).or(rests.then_some(EXPIRY_REST))
    }

    /// Forgets a port that is gone: its connections end, and its frames that wait are dropped.
    pub fn forget_port(&mut self, port: PortIndex, io: &mut FrameIo<'_, impl Observer>) {
        let owner = OwnerId(port.get() as u32);
        self.nat.remove_owner(owner);
        let mut release = |ctx: FrameCtx, refusal: Option<NatDrop>| {
            let reason = refusal.map_or(DropReason::PortUnknown, DropReason::from);
            io.drop_frame(ctx.port, ctx.frame, reason);
        };
        self.fragments.remove_owner(owner, &mut |ctx, verdict| release(ctx, verdict.err()));
        if let Some(tracked) = &mut self.tracked {
            tracked.remove_owner(owner, &mut |ctx, assignment| release(ctx, assignment.err()));
        }
        for handoffs_in in self.handoffs_in.iter_mut().map(Batch::incoming) {
            for received in handoffs_in.extract_if(.., |received| received.port == port) {
                io.drop_frame(port, received.frame, DropReason::PortUnknown);
            }
        }
        for _ in 0..self.neighbour_queue.len() {
            let Some(queued) = self.neighbour_queue.pop() else { break };
            if queued.ctx.port == port {
                io.drop_frame(port, queued.ctx.frame, DropReason::PortUnknown);
            } else {
                self.neighbour_queue.put_back(queued);
            }
        }
    }

    /// Next hops that control is to find, and on whose behalf.
    pub fn unresolved(&mut self) -> impl Iterator<Item = (IpAddr, PortIndex)> {
        self.resolver.drain()
    }

    /// Connections, as many as are listed at a time.
    pub fn connections(&self) -> impl Iterator<Item = Row> {
        self.nat.rows().take(CONNTRACK_ROWS_MAX)
    }

    /// Goes on with ending connections, or begins if `flushing` is none. Says how far it is, and whether that was
    /// all.
    pub fn flush(
        &mut self,
        flushing: Option<Flushing>,
        which: impl Fn(&Row) -> bool,
    ) -> (Flushing, bool) {
        let mut flushing = flushing.unwrap_or_else(|| self.nat.start_flush());
        let is_done = self.nat.flush_some(&mut flushing, CONNTRACK_FLUSHED_MAX, which);
        (flushing, is_done)
    }

    /// Connections, those included that have expired and were not taken out yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nat.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frames that wait here.
    #[must_use]
    pub fn queued(&self) -> usize {
        let tracked = self.tracked.as_ref().map_or(0, |tracked| tracked.frames_waiting());
        let handoffs_in: usize = self.handoffs_in.iter().map(Batch::len).sum();
        self.neighbour_queue.len() + self.fragments.frames_waiting() + tracked + handoffs_in
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> RouterCounters {
        self.counters
    }

    /// Counters of connections and of fragments.
    #[must_use]
    pub fn nat_counters(&self) -> (NatCounters, FragmentCounters) {
        (self.nat.counters(), self.fragments.counters())
    }

    /// Puts aside what is to wait, and what is due into the batch.
    pub(super) fn collect(&mut self, now: Nanos, batch: &mut Batch) {
        if self.neighbour_queue.has_reservations() {
            for ctx in batch.frames.extract_if(.., |ctx| ctx.verdict == Verdict::AwaitsNeighbour) {
                if let Some(evicted) = self.neighbour_queue.push(ctx, now) {
                    let verdict = Verdict::Drop(DropReason::NeighbourQueueFull);
                    self.emitted.push(FrameCtx { verdict, ..evicted });
                }
            }
        }
        if std::mem::take(&mut self.has_handoffs) {
            self.collect_handoffs(batch);
        }
        batch.frames.append(&mut self.emitted);
    }
}
