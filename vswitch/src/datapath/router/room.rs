//! What all ways through the router have in common.

use fastpath::limits::VNET_LEN;
use fastpath::{Nanos, Pool, PortIndex};
use nat::fragment::Verdict as Translated;
use nat::rewrite::rewrite;
use nat::{Edit, NatDrop, OwnerId, Policy, Realm, Time, View};
use wire::icmp_error::{IcmpError, IcmpSource, emit_icmp_error};
use wire::limits::ICMP_ERROR_FRAME_MAX;
use wire::meta::Meta;
use wire::vnet::Flags;
use wire::{ChecksumState, MacAddr, mss_clamp, ttl};

use super::memory::Memory;
use super::size::{self, Fit};
use crate::datapath::batch::Slot;
use crate::datapath::limits::WARM_CONNECTIONS;
use crate::datapath::{DropReason, Key, PortKind, Snapshot, Stats, Tagging, Verdict, edit};

/// Where a frame has its destination, behind the offload header.
pub(super) const DESTINATION: std::ops::Range<usize> = VNET_LEN..VNET_LEN + 6;

/// Where a frame is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exit {
    pub(super) port: PortIndex,
    pub(super) src: MacAddr,
    pub(super) dst: MacAddr,
    /// Largest IP packet in bytes.
    pub(super) mtu: u32,
    /// Largest IP packet both ways, where this way is narrower than the packet's sender may think.
    pub(super) clamp: Option<u32>,
    /// The address that the rooms behind know it by.
    pub(super) key: Key,
}

/// The router at work on a batch.
pub(super) struct Room<'a> {
    pub(super) now: Nanos,
    pub(super) pool: &'a mut Pool,
    pub(super) snapshot: &'a Snapshot,
    pub(super) memory: &'a mut Memory,
    pub(super) stats: &'a mut Stats,
    /// What became of the packet that a fragment is of, which is being routed.
    pub(super) settled: Option<Translated>,
    /// Whether the frame that is being routed is known to be this worker's to translate.
    pub(super) is_placed: bool,
}

impl<'a> Room<'a> {
    /// Lets frames go on that have waited, or gives up on them.
    pub(super) fn wake(&mut self) {
        let is_fresh = std::mem::take(&mut self.memory.is_fresh);
        if !is_fresh && !self.memory.held.is_late(self.now) {
            return;
        }
        for _ in 0..self.memory.held.len() {
            let Some(mut waiting) = self.memory.held.pop() else { break };
            let network = self.snapshot.network_of(waiting.slot.port);
            let router = network.and_then(|network| Some((network, network.router.as_ref()?)));
            let Some((network, router)) = router else {
                self.leave(waiting.slot, Verdict::Drop(DropReason::PortUnknown));
                continue;
            };
            if waiting.until <= self.now {
                self.refuse(&waiting.slot, router.face(), IcmpError::HostUnreachable);
                self.leave(waiting.slot, Verdict::Drop(DropReason::NoNeighbour));
                continue;
            }
            if !is_fresh {
                self.memory.held.put_back(waiting);
                continue;
            }
            waiting.slot.verdict = Verdict::Pending;
            self.inside(&mut waiting.slot, network, router);
            self.pass_on(waiting.slot, waiting.until);
        }
    }

    /// Asks for the connections of frames before the first of them is needed, where there are too many to
    /// be in cache.
    #[inline]
    pub(super) fn warm(&mut self, window: &[Slot]) {
        if self.memory.nat.len() >= WARM_CONNECTIONS {
            self.warm_all(window);
        }
    }

    fn warm_all(&mut self, window: &[Slot]) {
        let mut views = std::mem::take(&mut self.memory.views);
        views.clear();
        let routed = window.iter().filter(|slot| self.is_routed(slot));
        views.extend(routed.map(|slot| nat::parse::view(&slot.meta, self.ethernet(slot))));
        self.memory.nat.prefetch(&views);
        self.memory.views = views;
    }

    /// Whether a frame of the batch is the router's.
    fn is_routed(&self, slot: &Slot) -> bool {
        let network = self.snapshot.network_of(slot.port);
        let router = network.map(|network| network.router.as_ref());
        let is_ours = router.is_none_or(|router| router.is_some_and(|it| it.leads_here(slot)));
        is_ours && slot.verdict == Verdict::Pending
    }

    /// Puts a frame that is not in the batch where its verdict says. It may wait until then.
    pub(super) fn pass_on(&mut self, slot: Slot, until: Nanos) {
        match slot.verdict {
            Verdict::AwaitsHop => {
                if let Some(ousted) = self.memory.held.keep_until(slot, until) {
                    self.leave(ousted, Verdict::Drop(DropReason::NeighbourQueueFull));
                }
            }
            Verdict::AwaitsHead => self.keep_tail(slot),
            Verdict::AwaitsChoice => self.keep_untracked(slot),
            Verdict::Handed { to, is_placed } => self.hand_over(slot, to, is_placed),
            verdict => self.leave(slot, verdict),
        }
    }

    /// Gives a frame that is not in the batch to the rooms behind.
    pub(super) fn leave(&mut self, slot: Slot, verdict: Verdict) {
        self.memory.extra.push(Slot { verdict, ..slot });
    }

    /// The frame from its Ethernet header on.
    #[inline]
    pub(super) fn ethernet(&self, slot: &Slot) -> &[u8] {
        self.pool.bytes(&slot.frame).get(VNET_LEN..).unwrap_or_default()
    }

    /// Drops a frame, and tells its sender.
    #[cold]
    pub(super) fn reject(
        &mut self,
        slot: &mut Slot,
        face: IcmpSource<'_>,
        why: (DropReason, IcmpError),
    ) {
        let (reason, error) = why;
        self.refuse(slot, face, error);
        slot.verdict = Verdict::Drop(reason);
    }

    /// Sends an ICMP error about a frame to its sender, unless there must be none, or were too many.
    pub(super) fn refuse(&mut self, slot: &Slot, face: IcmpSource<'_>, error: IcmpError) {
        let mut buffer = [0; ICMP_ERROR_FRAME_MAX];
        let written = emit_icmp_error(error, &face, &slot.meta, self.ethernet(slot), &mut buffer);
        // Silence is the rule about some packets.
        let Some(answer) = written.ok().and_then(|len| buffer.get(..len)) else { return };
        if !self.memory.answers.may(self.now, slot.port) {
            self.memory.counters.unanswered += 1;
            return;
        }
        let Ok(meta) = Meta::parse(answer) else { return };
        let Some(frame) = self.pool.alloc_with(answer) else { return };
        self.stats.generated += 1;
        self.memory.counters.answered += 1;
        let dst = Key::new(slot.dst.network(), 0, meta.dst);
        let (port, segment) = (slot.port, meta.l3_len);
        let (src, src_place, dst_place) = (Key::NONE, slot.src_place, slot.dst_place);
        let verdict = Verdict::Unicast(port);
        let slot = Slot { frame, port, verdict, segment, src, dst, src_place, dst_place, meta };
        self.memory.extra.push(slot);
    }

    /// Whether a packet may go on: it has hops left, and is not too long for where it goes. Otherwise what
    /// its sender is told.
    #[inline]
    pub(super) fn may_go(&self, slot: &Slot, exit: &Exit) -> Result<Fit, (DropReason, IcmpError)> {
        let bytes = self.pool.bytes(&slot.frame);
        if !size::has_hops(&slot.meta, bytes.get(VNET_LEN..).unwrap_or_default()) {
            return Err((DropReason::HopLimitExceeded, IcmpError::TimeExceeded));
        }
        match size::fit(&slot.meta, bytes, exit.mtu) {
            Fit::TooBig => Err((DropReason::MtuExceeded, IcmpError::TooBig(exit.mtu))),
            fit => Ok(fit),
        }
    }

    /// To the container that translation names.
    pub(super) fn deliver(
        &mut self,
        slot: &mut Slot,
        face: IcmpSource<'_>,
        (edit, owner): (&Edit, OwnerId),
    ) {
        let Some((to, exit)) = self.exit_to(owner) else {
            return self.reject(slot, face, (DropReason::NoNeighbour, IcmpError::HostUnreachable));
        };
        let is_inside = !self.snapshot.is_uplink(slot.port);
        if is_inside && to != slot.port && !self.snapshot.may_talk(slot.port, to) {
            slot.verdict = Verdict::Drop(DropReason::Isolated);
            return;
        }
        match self.may_go(slot, &exit) {
            Ok(fit) => {
                self.memory.counters.translated += 1;
                self.send(slot, &exit, Some(edit), fit);
            }
            Err(why) => self.reject(slot, face, why),
        }
    }

    /// The way to a container that is reached in the untagged domain, on a network with a router.
    fn exit_to(&self, owner: OwnerId) -> Option<(PortIndex, Exit)> {
        let port = PortIndex::new(owner.0 as usize)?;
        let conf = self.snapshot.port(port).filter(|conf| conf.kind == PortKind::Container)?;
        let router = self.snapshot.network(conf.network)?.router.as_ref()?;
        let exit = router.exit(port, conf.mac);
        self.snapshot.reaches(port, exit.key).then_some((port, exit))
    }

    /// What translation says of a packet. Nothing yet of a fragment's tail: it is to wait.
    #[inline]
    pub(super) fn translate(
        &mut self,
        slot: &mut Slot,
        from: Realm,
        view: &View,
        policy: &Policy,
    ) -> Option<Translated> {
        if view.fragment.is_some() {
            return self.translate_fragment(slot, from, view, policy);
        }
        Some(self.memory.nat.translate(Time(self.now.0), from, view, policy))
    }

    /// Drops what translation refuses. A container is told where it is for want of something (RFC 5508, REQ-8) or
    /// forbidden.
    #[cold]
    pub(super) fn refused(&mut self, slot: &mut Slot, face: IcmpSource<'_>, refusal: NatDrop) {
        match refusal {
            NatDrop::TableFull
            | NatDrop::Quota
            | NatDrop::PortsExhausted
            | NatDrop::NoAddress
            | NatDrop::Protocol
            | NatDrop::NotAllowed => {
                self.reject(slot, face, (refusal.into(), IcmpError::Prohibited))
            }
            _ => slot.verdict = Verdict::Drop(refusal.into()),
        }
    }

    /// The last steps: new addresses, one hop less, new MAC addresses.
    #[inline]
    pub(super) fn send(&mut self, slot: &mut Slot, exit: &Exit, change: Option<&Edit>, fit: Fit) {
        if slot.meta.outer.is_some() && !self.untag(slot) {
            slot.verdict = Verdict::Drop(DropReason::NoBuffer);
            return;
        }
        // A frame that came in has one holder.
        let Some(bytes) = self.pool.bytes_mut(&slot.frame).filter(|bytes| bytes.len() > VNET_LEN)
        else {
            slot.verdict = Verdict::Drop(DropReason::NoBuffer);
            return;
        };
        let (vnet, ethernet) = bytes.split_at_mut(VNET_LEN);
        let state = checksum_state(vnet);
        if let Some(edit) = change
            && rewrite(edit, &slot.meta, ethernet, state).is_err()
        {
            slot.verdict = Verdict::Drop(DropReason::NatUnsupportedProtocol);
            return;
        }
        // There is one left: `may_go` has looked.
        ttl::decrement(&slot.meta, ethernet);
        if let Some(mtu) = exit.clamp {
            mss_clamp::clamp(&slot.meta, ethernet, mtu, state);
        }
        ethernet[..6].copy_from_slice(&exit.dst.0);
        ethernet[6..12].copy_from_slice(&exit.src.0);
        (slot.meta.dst, slot.meta.src, slot.dst) = (exit.dst, exit.src, exit.key);
        slot.verdict = Verdict::Unicast(exit.port);
        if fit != Fit::Whole {
            self.make_fit(slot, fit, exit.mtu);
        }
    }

    /// Takes a tag off that only marks a priority: routed frames have none.
    #[cold]
    fn untag(&mut self, slot: &mut Slot) -> bool {
        let is_off = edit::retag(self.pool, &mut slot.frame, 0, Tagging::Untagged);
        match Meta::parse(self.ethernet(slot)) {
            Ok(meta) if is_off => {
                slot.meta = meta;
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
