//! Forwarding common to all directions: ICMP errors, drops, the final rewrite.

use std::net::IpAddr;

use fastpath::limits::VNET_LEN;
use fastpath::{Nanos, Pool, PortIndex};
use nat::fragment::Verdict as Translated;
use nat::rewrite::rewrite;
use nat::{Edit, Nat, NatDrop, OwnerId, Realm, RoutedTarget, Time, View};
use wire::icmp_error::{IcmpError, IcmpSource, emit_icmp_error};
use wire::limits::ICMP_ERROR_FRAME_MAX;
use wire::meta::Meta;
use wire::{MacAddr, mss_clamp, ttl};

use super::resize::Resizer;
use super::size::{self, Fit};
use super::state::RouterState;
use crate::datapath::batch::FrameCtx;
use crate::datapath::limits::PREFETCH_CONNECTIONS_MIN;
use crate::datapath::{DropReason, Key, Snapshot, Stats, Verdict, edit};

/// The next hop of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Adjacency {
    pub(super) port: PortIndex,
    pub(super) src: MacAddr,
    pub(super) dst: MacAddr,
    /// Largest IP packet in bytes.
    pub(super) mtu: u32,
    /// MSS clamp: the MTU of the path, where it is below the sender's.
    pub(super) clamp: Option<u32>,
    /// The FDB key for the later stages.
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
    pub(super) const NOT_ALLOWED: Self =
        Self::new(DropReason::NatNotAllowed, IcmpError::Prohibited);
    pub(super) const NOT_ITS_ADDRESS: Self =
        Self::new(DropReason::SpoofedInternal, IcmpError::Prohibited);
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
    /// The verdict on the current fragment's head.
    pub(super) head_verdict: Option<Translated>,
    /// This worker translates the current frame.
    pub(super) is_assigned: bool,
}

impl<'a> ForwardCtx<'a> {
    /// Routes queued frames again after a new snapshot, and drops expired ones.
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

    /// Prefetches the connections of a window, if the table exceeds the cache.
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

    /// The router handles this frame of the batch.
    fn is_routed(&self, ctx: &FrameCtx) -> bool {
        let network = self.snapshot.network(ctx.network);
        let router = network.map(|network| network.router.as_ref());
        let is_routed = router.is_none_or(|router| router.is_some_and(|it| it.routes(ctx)));
        is_routed && ctx.verdict == Verdict::Pending
    }

    /// Queues or emits a frame from outside the batch by its verdict; it may wait until `until`.
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

    /// Emits a frame to the later stages.
    pub(super) fn emit(&mut self, ctx: FrameCtx, verdict: Verdict) {
        self.state.emitted.push(FrameCtx { verdict, ..ctx });
    }

    /// The frame from the Ethernet header.
    #[inline]
    pub(super) fn ethernet(&self, ctx: &FrameCtx) -> &[u8] {
        self.pool.ethernet(&ctx.frame)
    }

    /// Drops a frame and sends an ICMP error.
    #[cold]
    pub(super) fn reject(&mut self, ctx: &mut FrameCtx, source: IcmpSource<'_>, why: Rejection) {
        self.send_icmp_error(ctx, source, why.error);
        ctx.verdict = Verdict::Drop(why.reason);
    }

    /// Sends an ICMP error to the frame's sender, unless RFC 1812 forbids it or the rate limit is reached.
    pub(super) fn send_icmp_error(
        &mut self,
        ctx: &FrameCtx,
        source: IcmpSource<'_>,
        error: IcmpError,
    ) {
        let mut buffer = [0; ICMP_ERROR_FRAME_MAX];
        let written = emit_icmp_error(error, &source, &ctx.meta, self.ethernet(ctx), &mut buffer);
        // Suppressed by RFC 1812 section 4.3.2.7.
        let Some(answer) = written.ok().and_then(|len| buffer.get(..len)) else { return };
        if !self.state.icmp_limit.allow(self.now, ctx.port) {
            self.state.counters.icmp_errors_suppressed += 1;
            return;
        }
        if self.emit_answer(ctx, answer) {
            self.state.counters.icmp_errors_sent += 1;
        }
    }

    /// Emits a frame of the switch to the sender of a frame. Returns false without a free buffer.
    pub(super) fn emit_answer(&mut self, ctx: &FrameCtx, answer: &[u8]) -> bool {
        let Ok(meta) = Meta::parse(answer) else { return false };
        let Some(frame) = self.pool.alloc_with(answer) else { return false };
        self.stats.counters.generated += 1;
        self.state.emitted.push(ctx.answer(frame, meta));
        true
    }

    /// Checks the hop limit and the MTU.
    #[inline]
    pub(super) fn check_forward(&self, ctx: &FrameCtx, adj: &Adjacency) -> Result<Fit, Rejection> {
        if !size::has_hops(&ctx.meta, self.ethernet(ctx)) {
            return Err(Rejection::HOP_LIMIT);
        }
        match size::fit(&ctx.meta, self.pool, &ctx.frame, adj.mtu) {
            Fit::TooBig => Err(Rejection::new(DropReason::MtuExceeded, IcmpError::TooBig(adj.mtu))),
            fit => Ok(fit),
        }
    }

    /// Forwards a translated packet to its container.
    pub(super) fn deliver(
        &mut self,
        ctx: &mut FrameCtx,
        source: IcmpSource<'_>,
        Delivery { edit, owner }: Delivery<'_>,
    ) {
        let Some((to, adj)) = self.adjacency_of(owner, edit.dst.address) else {
            return self.reject(ctx, source, Rejection::NO_NEIGHBOUR);
        };
        let is_internal = !self.snapshot.is_uplink(ctx.port);
        if is_internal && to != ctx.port && !self.snapshot.may_hairpin(ctx.port, to) {
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

    /// The adjacency of an address of a container: untagged, on a network with a router.
    pub(super) fn adjacency_of(
        &mut self,
        owner: OwnerId,
        address: IpAddr,
    ) -> Option<(PortIndex, Adjacency)> {
        let port = PortIndex::new(owner.0 as usize)?;
        let conf = self.snapshot.port(port).filter(|conf| conf.kind.is_routed())?;
        let router = self.snapshot.network(conf.network)?.router.as_deref()?;
        let mac = match conf.is_shared {
            true => self.mac_inside((port, conf.mac), address, router),
            false => conf.mac,
        };
        let adj = router.adjacency(port, mac);
        self.snapshot.reaches(port, adj.key).then_some((port, adj))
    }

    /// Translates a packet; `None` for a tail that waits for its head.
    #[inline]
    pub(super) fn translate(
        &mut self,
        ctx: &mut FrameCtx,
        from: Realm,
        view: &View,
    ) -> Option<Translated> {
        if view.fragment.is_some() {
            return self.translate_fragment(ctx, from, view, Nat::translate);
        }
        Some(self.state.nat.translate(Time(self.now.0), from, view))
    }

    /// Tracks a packet to a container of another network; likewise.
    pub(super) fn track_to(
        &mut self,
        ctx: &mut FrameCtx,
        from: Realm,
        to: RoutedTarget,
        view: &View,
    ) -> Option<Translated> {
        if view.fragment.is_some() {
            let route =
                |nat: &mut Nat, now, from, view: &View| nat.track_routed(now, from, to, view);
            return self.translate_fragment(ctx, from, view, route);
        }
        Some(self.state.nat.track_routed(Time(self.now.0), from, to, view))
    }

    /// Drops a refused packet. A container gets an ICMP error for exhaustion (RFC 5508, REQ-8) and policy.
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

    /// Rewrites addresses, TTL, MSS and MAC addresses, and sets the verdict.
    #[inline]
    pub(super) fn send(
        &mut self,
        ctx: &mut FrameCtx,
        adj: &Adjacency,
        change: Option<&Edit>,
        fit: Fit,
    ) {
        if ctx.meta.outer.is_some() && !edit::untag(ctx, self.pool) {
            ctx.verdict = Verdict::Drop(DropReason::NoBuffer);
            return;
        }
        // A received frame has one holder.
        let Some(bytes) = self.pool.bytes_mut(&ctx.frame).filter(|bytes| bytes.len() > VNET_LEN)
        else {
            ctx.verdict = Verdict::Drop(DropReason::NoBuffer);
            return;
        };
        let (vnet, ethernet) = bytes.split_at_mut(VNET_LEN);
        let checksum = edit::checksum_state(vnet);
        if let Some(edit) = change
            && rewrite(edit, &ctx.meta, ethernet, checksum).is_err()
        {
            ctx.verdict = Verdict::Drop(DropReason::NatUnsupportedProtocol);
            return;
        }
        // `check_forward` has checked the TTL.
        ttl::decrement(&ctx.meta, ethernet);
        if let Some(mtu) = adj.clamp {
            mss_clamp::clamp(&ctx.meta, ethernet, mtu, checksum);
        }
        ethernet[..6].copy_from_slice(&adj.dst.0);
        ethernet[6..12].copy_from_slice(&adj.src.0);
        (ctx.meta.dst, ctx.meta.src, ctx.dst) = (adj.dst, adj.src, adj.key);
        ctx.verdict = Verdict::Unicast(adj.port.into());
        if fit != Fit::Whole {
            let RouterState { scratch, emitted, .. } = &mut *self.state;
            let mut resizer = Resizer { pool: self.pool, stats: self.stats, scratch, emitted };
            resizer.fit_to_mtu(ctx, fit, adj.mtu);
        }
    }
}
