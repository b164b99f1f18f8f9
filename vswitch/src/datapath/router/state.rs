//! The router's state of one worker: connections and queued frames.

use std::net::IpAddr;
use std::time::Duration;

use fastpath::limits::{FRAME_MAX, ROUND_FRAMES_MAX};
use fastpath::{Nanos, PortIndex};
use nat::fragment::{Fragments, Verdict as Translated};
use nat::limits::{FRAGMENT_FRAMES_MAX, TICK_OPERATIONS};
use nat::{
    BlockRequest, Flushing, Nat, NatConfig, NatDrop, OwnerId, Row, ShardSpec, Time, Transport,
    View, Zone,
};
use vswitch_counters::{FragmentCounters, NatCounters, RouterCounters};

use super::answer_limit::AnswerLimit;
use super::assignment::{Assignment, HandoffOut};
use super::inside::{HeardInside, InsideNeighbours};
use super::neighbour_queue::NeighbourQueue;
use super::on_link::OnLinkUses;
use super::portless::{Portless, PortlessFlows};
use super::resolve::NeighbourResolver;
use crate::datapath::batch::{Batch, FrameCtx};
use crate::datapath::limits::{
    CONNECTIONS_PER_CONTAINER, CONNTRACK_FLUSHED_MAX, CONNTRACK_ROWS_MAX, EXPIRY_REST, EXPIRY_WAKE,
    ICMP_ERROR_RATE, NAT_CONNECTIONS, NAT_OPERATIONS_IDLE, NEIGHBOUR_QUEUE_WAKE, PREFETCH_FRAMES,
    RESET_RATE,
};
use crate::datapath::{DropReason, FrameIo, Observer, Snapshot, Verdict};

/// A worker's router state.
#[derive(Debug)]
pub struct RouterState {
    pub(super) nat: Nat,
    pub(super) neighbour_queue: NeighbourQueue,
    pub(super) icmp_limit: AnswerLimit,
    pub(super) reset_limit: AnswerLimit,
    pub(super) resolver: NeighbourResolver,
    pub(super) inside: InsideNeighbours,
    pub(super) on_link_uses: OnLinkUses,
    pub(super) portless: PortlessFlows,
    pub(super) counters: RouterCounters,
    pub(super) fragments: Fragments<FrameCtx>,
    /// Fragments that await their worker, with several workers.
    pub(super) tracked: Option<Box<Fragments<FrameCtx, usize>>>,
    /// Fragments with a known worker.
    pub(super) assigned: Vec<(FrameCtx, Assignment)>,
    /// Frames for other workers.
    pub(in crate::datapath) handoffs_out: Vec<HandoffOut>,
    /// Frames from other workers: assigned, unassigned.
    pub(in crate::datapath) handoffs_in: [Batch; 2],
    pub(super) routed_handoffs: Vec<FrameCtx>,
    /// Released fragments, with the verdict on their packet.
    pub(super) released: Vec<(FrameCtx, Translated)>,
    /// The batch has frames for other workers.
    pub(super) has_handoffs: bool,
    /// The batch has tails that wait.
    pub(super) has_tails: bool,
    /// Views of packets to prefetch.
    pub(super) views: Vec<(Zone, View)>,
    /// The packet that is being fragmented.
    pub(super) scratch: Vec<u8>,
    /// Extra frames for the later stages: ICMP errors, fragments, queued frames.
    pub(super) emitted: Vec<FrameCtx>,
    /// A new snapshot since the last batch.
    pub(super) is_new_snapshot: bool,
    /// Expiry or reclaim has work left.
    has_backlog: bool,
}

impl RouterState {
    /// An empty state. `seed` keys the hash of the connection table. `is_claiming`: control claims blocks of SNAT ports.
    pub(in crate::datapath) fn new(seed: u64, shard_spec: ShardSpec, is_claiming: bool) -> Self {
        let capacity = if shard_spec.is_single() { 0 } else { ROUND_FRAMES_MAX };
        // Without an uplink, connections between networks are tracked all the same.
        let nat = Nat::new(NatConfig { capacity: NAT_CONNECTIONS, seed })
            .with_shard_spec(shard_spec)
            .with_quota(CONNECTIONS_PER_CONTAINER);
        Self {
            nat: if is_claiming { nat.with_claimed_blocks() } else { nat },
            neighbour_queue: NeighbourQueue::new(),
            icmp_limit: AnswerLimit::new(ICMP_ERROR_RATE),
            reset_limit: AnswerLimit::new(RESET_RATE),
            resolver: NeighbourResolver::new(),
            inside: InsideNeighbours::new(),
            on_link_uses: OnLinkUses::new(),
            portless: PortlessFlows::new(is_claiming),
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

    /// Applies a snapshot: new routes retry queued frames, a new policy revokes connections.
    pub(in crate::datapath) fn apply_snapshot(
        &mut self,
        snapshot: &Snapshot,
        has_new_routes: bool,
    ) {
        self.is_new_snapshot |= has_new_routes;
        // Without an uplink, connections stay until it returns or they expire.
        if let Some(uplink) = snapshot.uplinks().next() {
            self.nat.revalidate(&uplink.policy);
        }
    }

    /// Expires connections in bounded steps; an idle round does more.
    pub(in crate::datapath) fn tick(&mut self, now: Nanos, is_idle: bool) {
        let operations = if is_idle { NAT_OPERATIONS_IDLE } else { TICK_OPERATIONS };
        let before = self.nat.len();
        self.nat.tick(Time(now.0), operations);
        self.portless.tick(now);
        self.has_backlog = self.nat.has_work() || is_idle && self.nat.len() < before;
    }

    /// Answers of neighbours behind unguarded ports that the other workers are to hear.
    pub(crate) fn take_told(&mut self) -> impl Iterator<Item = HeardInside> + '_ {
        self.inside.take_told()
    }

    /// Notes such an answer to another worker.
    pub(crate) fn hear_inside(&mut self, told: HeardInside) {
        self.inside.hear_from_other(told);
    }

    /// How long an idle worker may block; `None` without work.
    #[must_use]
    pub fn max_sleep(&self) -> Option<Duration> {
        let waits = (self.neighbour_queue.len() > 0).then_some(NEIGHBOUR_QUEUE_WAKE);
        let rests = !self.portless.is_empty()
            || !self.is_empty()
            || !self.fragments.is_empty()
            || self.tracks();
        waits.or(self.has_backlog.then_some(EXPIRY_WAKE)).or(rests.then_some(EXPIRY_REST))
    }

    /// Removes a port: revokes its connections, and drops its queued frames.
    pub fn forget_port(&mut self, port: PortIndex, io: &mut FrameIo<'_, impl Observer>) {
        let owner = OwnerId(port.get() as u32);
        self.nat.remove_owner(owner);
        self.inside.forget_port(port);
        self.portless.forget_port(port);
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

    /// Next hops for control to resolve, each with the port of its uplink, and the requesting ports.
    pub fn unresolved(&mut self) -> impl Iterator<Item = ((IpAddr, PortIndex), PortIndex)> {
        self.resolver.drain()
    }

    /// Adds claimed blocks of SNAT ports.
    pub fn claim_blocks(&mut self, transport: Transport, first_ports: &[u16], obtainable: usize) {
        self.nat.claim_blocks(transport, first_ports, obtainable);
    }

    /// Notes how many blocks there may be, without an answer to a request.
    pub fn set_obtainable_blocks(&mut self, transport: Transport, obtainable: usize) {
        self.nat.set_obtainable_blocks(transport, obtainable);
    }

    /// Gives up blocks that stay empty: their first ports.
    pub fn collect_empty_blocks(&mut self, transport: Transport) -> Vec<u16> {
        self.nat.collect_empty_blocks(transport)
    }

    /// Takes back a request that could not be sent.
    pub fn put_back_block_request(&mut self, request: BlockRequest) {
        self.nat.put_back_block_request(request);
    }

    /// [`Self::poll_block_request`] has one.
    #[inline]
    #[must_use]
    pub fn has_block_request(&self) -> bool {
        self.nat.has_block_request()
    }

    /// A request for further blocks of SNAT ports, once.
    pub fn poll_block_request(&mut self) -> Option<BlockRequest> {
        self.nat.poll_block_request()
    }

    /// Flows without ports that containers have, for control: new ones at once, and all of them from time to time.
    pub(crate) fn portless(&mut self) -> impl Iterator<Item = Portless> {
        self.portless.drain()
    }

    /// Refuses flows without ports to containers for a while: the host itself uses them.
    pub(crate) fn refuse_portless(&mut self, now: Nanos, flows: &[Portless]) {
        for flow in flows {
            self.is_new_snapshot |= self.portless.refuse(now, *flow);
        }
    }

    /// For tests: flows without ports wait until the NIC hands them over.
    #[cfg(test)]
    pub(in crate::datapath) fn await_handover(&mut self) {
        self.portless.await_handover();
    }

    /// Flows without ports that the NIC hands over from now on: packets that wait for that are routed again.
    pub(crate) fn admit_portless(&mut self, flows: &[Portless]) {
        for flow in flows {
            self.is_new_snapshot |= self.portless.admit(*flow);
        }
    }

    /// The first connections, at most one listing.
    pub fn connections(&self) -> impl Iterator<Item = Row> {
        self.nat.rows().take(CONNTRACK_ROWS_MAX)
    }

    /// Starts or continues a flush. Returns its progress, and true when done.
    pub fn flush(
        &mut self,
        flushing: Option<Flushing>,
        which: impl Fn(&Row) -> bool,
    ) -> (Flushing, bool) {
        let mut flushing = flushing.unwrap_or_else(|| self.nat.start_flush());
        let is_done = self.nat.flush_some(&mut flushing, CONNTRACK_FLUSHED_MAX, which);
        (flushing, is_done)
    }

    /// Connections, including expired ones that await reclaim.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nat.len()
    }

    /// Those of them that share their external port.
    #[must_use]
    pub const fn sharing(&self) -> usize {
        self.nat.shared()
    }

    /// The connection table is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Queued frames.
    #[must_use]
    pub fn queued(&self) -> usize {
        let tracked = self.tracked.as_ref().map_or(0, |tracked| tracked.frames_waiting());
        let handoffs_in: usize = self.handoffs_in.iter().map(Batch::len).sum();
        self.neighbour_queue.len() + self.fragments.frames_waiting() + tracked + handoffs_in
    }

    /// Counters of the router.
    #[must_use]
    pub fn counters(&self) -> RouterCounters {
        self.counters
    }

    /// Counters of connections and of fragments.
    #[must_use]
    pub fn nat_counters(&self) -> (NatCounters, FragmentCounters) {
        (self.nat.counters(), self.fragments.counters())
    }

    /// Moves waiting frames out of the batch, and emitted frames into it.
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
