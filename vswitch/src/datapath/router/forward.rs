//! What all ways through the router have in common.

use fastpath::limits::VNET_LEN;
use fastpath::{Nanos, Pool, PortIndex};
use nat::fragment::Verdict as Translated;
use nat::rewrite::rewrite;
use nat::{Edit, NatDrop, OwnerId, Realm, Time, View};
use wire::icmp_error::{IcmpError, IcmpSource, emit_icmp_error};
use wire::limits::ICMP_ERROR_FRAME_MAX;
use wire::meta::Meta;
use wire::vnet::Flags;
use wire::{ChecksumState, MacAddr, mss_clamp, ttl};

use super::size::{self, Fit};
use super::state::RouterState;
use crate::datapath::batch::FrameCtx;
use crate::datapath::limits::PREFETCH_CONNECTIONS_MIN;
use crate::datapath::{DropReason, Key, Snapshot, Stats, Tagging, Verdict, edit};

/// Where a frame has its destination, behind the offload header.
pub(super) const DESTINATION: std::ops::Range<usize> = VNET_LEN..VNET_LEN + 6;

/// Where a frame is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Adjacency {
    pub(super) port: PortIndex,
    pub(super) src: MacAddr,
    pub(super) dst: MacAddr,
    /// Largest IP packet in bytes.
    pub(super) mtu: u32,
    /// Largest IP packet both ways, where this way is narrower than the packet's sender may think.
    pub(super) clamp: Option<u32>,
    /// The address that the stages behind know it by.
    pub(super) key: Key,
}

/// A drop reason, and the ICMP error for the sender.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rejection {
    reason: DropReason,
    error: IcmpError,
}

impl Rejection {
    const HOP_LIMIT: Self = Self::new(DropReason::HopLimitExceeded, IcmpError::TimeExceeded);
    pub(super) const NO_NEIGHBOUR: Self =
        Self::new(DropReason::NoNeighbour, IcmpError::HostUnreachable);

    pub(super) const fn new(reason: DropReason, error: IcmpError) -> Self {
        Self { reason, error }
    }
}

/// A translated packet's new addresses, and the container that gets it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivery<'a> {
    pub(super) edit: &'a Edit,
    pub(super) owner: OwnerId,
}

/// The router's context for one batch.
pub(super) struct ForwardCtx<'a> {
    pub(super) now: Nanos,
    pub(super) pool: &'a mut Pool,
    pub(super) snapshot: &'a Snapshot,
    pub(super) state: &'a mut RouterState,
    pub(super) stats: &'a mut Stats,
    /// What became of the packet that a fragment is of, which is being routed.
    pub(super) head_verdict: Option<Translated>,
    /// Whether the frame that is being routed is known to be this worker's to translate.
    pub(super) is_assigned: bool,
}

impl<'a> ForwardCtx<'a> {
    /// Lets frames go on that have waited, or gives up on them.
    pub(super) fn retry_queued(&mut self) {
        let is_new_snapshot = std::mem::take(&mut self.state.is_new_snapshot);
        if !is_new_snapshot && !self.state.neighbour_queue.has_expired(self.now) {
            return;
        }
        for _ in 0..self.state.neighbour_queue.len() {
            let Some(mut queued) = self.state.neighbour_queue.pop() else { break };
            let conf = self.snapshot.port(queued.ctx.port);
            let network = conf.and_then(|_| self.snapshot.network(queued.ctx.network));
            let router = network.and_then(|network| Some((network, network.router.as_ref()?)));
            let Some((network, router)) = router else {
                self.emit(queued.ctx, Verdict::Drop(DropReason::PortUnknown));
                continue;
            };
            if queued.until <= self.now {
                self.send_icmp_error(&queued.ctx, router.icmp_source(), IcmpError::HostUnreachable);
                self.emit(queued.ctx, Verdict::Drop(DropReason::NoNeighbour));
                continue;
            }
            if !is_new_snapshot {
                self.state.neighbour_queue.put_back(queued);
                continue;
            }
            queued.ctx.verdict = Verdict::Pending;
            self.route_container(&mut queued.ctx, network, router);
            self.dispatch(queued.ctx, queued.until);
        }
    }

    /// Asks for the connections of frames before the first of them is needed, where there are too many to
    /// be in cache.
    #[inline]
    pub(super) fn prefetch(&mut self, window: &[FrameCtx]) {
        if self.state.nat.len() >= PREFETCH_CONNECTIONS_MIN {
            self.prefetch_all(window);
        }
    }

    fn prefetch_all(&mut self, window: &[FrameCtx]) {
        let mut views = std::mem::take(&mut self.state.views);
        views.clear();
        let routed = window.iter().filter(|ctx| self.is_routed(ctx));
        views.extend(
            routed.map(|ctx| {
                (self.realm(ctx).zone(), nat::parse::view(&ctx.meta, self.ethernet(ctx)))
            }),
        );
        self.state.nat.prefetch(views.iter().map(|(zone, view)| (*zone, view)));
        self.state.views = views;
    }

    /// Whether a frame of the batch is the router's.
    fn is_routed(&self, ctx: &FrameCtx) -> bool {
        let network = self.snapshot.network(ctx.network);
        let router = network.map(|network| network.router.as_ref());
        let is_ours = router.is_none_or(|router| router.is_some_and(|it| it.routes(ctx)));
        is_ours && ctx.verdict == Verdict::Pending
    }

    /// Puts a frame that is not in the batch where its verdict says. It may wait until then.
    pub(super) fn dispatch(&mut self, ctx: FrameCtx, until: Nanos) {
        match ctx.verdict {
            Verdict::AwaitsNeighbour => {
                if let Some(evicted) = self.state.neighbour_queue.push_until(ctx, until) {
                    self.emit(evicted, Verdict::Drop(DropReason::NeighbourQueueFull));
                }
            }
            Verdict::AwaitsFragment => self.queue_tail(ctx),
            Verdict::AwaitsAssignment => self.queue_untracked(ctx),
            Verdict::Handoff { to, is_assigned } => self.hand_off(ctx, to, is_assigned),
            verdict => self.emit(ctx, verdict),
        }
    }

    /// Gives a frame that is not in the batch to the stages behind.
    pub(super) fn emit(&mut self, ctx: FrameCtx, verdict: Verdict) {
        self.state.emitted.push(FrameCtx { verdict, ..ctx });
    }

    /// The frame from its Ethernet header on.
    #[inline]
    pub(super) fn ethernet(&self, ctx: &FrameCtx) -> &[u8] {
        self.pool.ethernet(&ctx.frame)
    }

    /// Drops a frame, and tells its sender.
    #[cold]
    pub(super) fn reject(&mut self, ctx: &mut FrameCtx, source: IcmpSource<'_>, why: Rejection) {
        self.send_icmp_error(ctx, source, why.error);
        ctx.verdict = Verdict::Drop(why.reason);
    }

    /// Sends an ICMP error about a frame to its sender, unless there must be none, or were too many.
    pub(super) fn send_icmp_error(
        &mut self,
        ctx: &FrameCtx,
        source: IcmpSource<'_>,
        error: IcmpError,
    ) {
        let mut buffer = [0; ICMP_ERROR_FRAME_MAX];
        let written = emit_icmp_error(error, &source, &ctx.meta, self.ethernet(ctx), &mut buffer);
        // Silence is the rule about some packets.
        let Some(answer) = written.ok().and_then(|len| buffer.get(..len)) else { return };
        if !self.state.icmp_limit.allow(self.now, ctx.port) {
            self.state.counters.icmp_errors_suppressed += 1;
            return;
        }
        let Ok(meta) = Meta::parse(answer) else { return };
        let Some(frame) = self.pool.alloc_with(answer) else { return };
        self.stats.counters.generated += 1;
        self.state.counters.icmp_errors_sent += 1;
        let dst = Key::new(ctx.network, 0, meta.dst);
        let (port, segment) = (ctx.port, meta.l3_len);
        let (src, src_buckets, dst_buckets) = (Key::NONE, ctx.src_buckets, ctx.dst_buckets);
        let (network, verdict) = (ctx.network, Verdict::Unicast(port.into()));
        let ctx = FrameCtx {
            frame,
            port,
            network,
            verdict,
            segment,
            src,
            dst,
            src_buckets,
            dst_buckets,
            meta,
        };
        self.state.emitted.push(ctx);
    }

    /// Whether a packet may go on: it has hops left, and is not too long for where it goes. Otherwise what
    /// its sender is told.
    #[inline]
    pub(super) fn check_forward(&self, ctx: &FrameCtx, adj: &Adjacency) -> Result<Fit, Rejection> {
        if !size::has_hops(&ctx.meta, self.ethernet(ctx)) {
            return Err(Rejection::HOP_LIMIT);
        }
        match size::fit(self.pool, ctx, adj.mtu) {
            Fit::TooBig => Err(Rejection::new(DropReason::MtuExceeded, IcmpError::TooBig(adj.mtu))),
            fit => Ok(fit),
        }
    }

    /// To the container that translation names.
    pub(super) fn deliver(
        &mut self,
        ctx: &mut FrameCtx,
        source: IcmpSource<'_>,
        Delivery { edit, owner }: Delivery<'_>,
    ) {
        let Some((to, adj)) = self.adjacency_of(owner) else {
            return self.reject(ctx, source, Rejection::NO_NEIGHBOUR);
        };
        let is_internal = !self.snapshot.is_uplink(ctx.port);
        if is_internal && to != ctx.port && !self.snapshot.may_talk(ctx.port, to) {
            ctx.verdict = Verdict::Drop(DropReason::Isolated);
            return;
        }
        match self.check_forward(ctx, &adj) {
            Ok(fit) => {
                self.state.counters.translated += 1;
                self.send(ctx, &adj, Some(edit), fit);
            }
            Err(why) => self.reject(ctx, source, why),
        }
    }

    /// The way to a container that is reached in the untagged domain, on a network with a router.
    fn adjacency_of(&self, owner: OwnerId) -> Option<(PortIndex, Adjacency)> {
        let port = PortIndex::new(owner.0 as usize)?;
        let conf = self.snapshot.port(port).filter(|conf| conf.kind.is_routed())?;
        let router = self.snapshot.network(conf.network)?.router.as_ref()?;
        let adj = router.adjacency(port, conf.mac);
        self.snapshot.reaches(port, adj.key).then_some((port, adj))
    }

    /// What translation says of a packet. Nothing yet of a fragment's tail: it is to wait.
    #[inline]
    pub(super) fn translate(
        &mut self,
        ctx: &mut FrameCtx,
        from: Realm,
        view: &View,
    ) -> Option<Translated> {
        if view.fragment.is_some() {
            return self.translate_fragment(ctx, from, view);
        }
        Some(self.state.nat.translate(Time(self.now.0), from, view))
    }

    /// Drops what translation refuses. A container is told where it is for want of something (RFC 5508, REQ-8) or
    /// forbidden.
    #[cold]
    pub(super) fn drop_refused(
        &mut self,
        ctx: &mut FrameCtx,
        source: IcmpSource<'_>,
        refusal: NatDrop,
    ) {
        match refusal {
            NatDrop::TableFull
            | NatDrop::Quota
            | NatDrop::PortsExhausted
            | NatDrop::NoAddress
            | NatDrop::Protocol
            | NatDrop::NotAllowed => {
                self.reject(ctx, source, Rejection::new(refusal.into(), IcmpError::Prohibited))
            }
            _ => ctx.verdict = Verdict::Drop(refusal.into()),
        }
    }

    /// The last steps: new addresses, one hop less, new MAC addresses.
    #[inline]
    pub(super) fn send(
        &mut self,
        ctx: &mut FrameCtx,
        adj: &Adjacency,
        change: Option<&Edit>,
        fit: Fit,
    ) {
        if ctx.meta.outer.is_some() && !self.untag(ctx) {
            ctx.verdict = Verdict::Drop(DropReason::NoBuffer);
            return;
        }
        // A frame that came in has one holder.
        let Some(bytes) = self.pool.bytes_mut(&ctx.frame).filter(|bytes| bytes.len() > VNET_LEN)
        else {
            ctx.verdict = Verdict::Drop(DropReason::NoBuffer);
            return;
        };
        let (vnet, ethernet) = bytes.split_at_mut(VNET_LEN);
        let checksum = checksum_state(vnet);
        if let Some(edit) = change
            && rewrite(edit, &ctx.meta, ethernet, checksum).is_err()
        {
            ctx.verdict = Verdict::Drop(DropReason::NatUnsupportedProtocol);
            return;
        }
        // There is one left: `check_forward` has looked.
        ttl::decrement(&ctx.meta, ethernet);
        if let Some(mtu) = adj.clamp {
            mss_clamp::clamp(&ctx.meta, ethernet, mtu, checksum);
        }
        ethernet[..6].copy_from_slice(&adj.dst.0);
        ethernet[6..12].copy_from_slice(&adj.src.0);
        (ctx.meta.dst, ctx.meta.src, ctx.dst) = (adj.dst, adj.src, adj.key);
        ctx.verdict = Verdict::Unicast(adj.port.into());
        if fit != Fit::Whole {
            self.fit_to_mtu(ctx, fit, adj.mtu);
        }
    }

    /// Takes a tag off that only marks a priority: routed frames have none.
    #[cold]
    fn untag(&mut self, ctx: &mut FrameCtx) -> bool {
        let is_off = edit::retag(self.pool, &mut ctx.frame, 0, Tagging::Untagged);
        match Meta::parse(self.ethernet(ctx)) {
            Ok(meta) if is_off => {
                ctx.meta = meta;
                true
            }
            _ => false,
        }
    }
}

/// What the offload header says of the transport checksum.
#[inline]
fn checksum_state(vnet: &[u8]) -> ChecksumState {
    match vnet.first() {
        Some(&flags) if Flags(flags).contains(Flags::NEEDS_CSUM) => ChecksumState::Partial,
        _ => ChecksumState::Complete,
    }
}
