//! Room 9: frames leave for their ports, or for the pool.

use fastpath::engine::Engine;
use fastpath::{Frame, Pool, PortIndex};

use super::batch::Slot;
use super::{Batch, DropReason, Snapshot, Stats, Tagging, Verdict, edit};

/// Where frames go. Every engine is one.
pub trait Egress {
    /// Takes a frame over; releases it in the end.
    fn send(&mut self, pool: &mut Pool, port: PortIndex, frame: Frame);
}

impl<E: Engine + ?Sized> Egress for E {
    #[inline]
    fn send(&mut self, pool: &mut Pool, port: PortIndex, frame: Frame) {
        Engine::send(self, pool, port, frame);
    }
}

/// Empties the batch.
pub(super) fn run(
    batch: &mut Batch,
    pool: &mut Pool,
    snapshot: &Snapshot,
    stats: &mut Stats,
    egress: &mut (impl Egress + ?Sized),
) {
    for slot in batch.slots.drain(..) {
        match slot.verdict {
            Verdict::Unicast(port) => egress.send(pool, port, slot.frame),
            Verdict::Flood => flood(slot, pool, snapshot, stats, egress),
            Verdict::Drop(reason) => {
                stats.drop(slot.port, reason);
                pool.release(slot.frame);
            }
            // Lookup decides whatever admit lets in.
            Verdict::Pending => {
                stats.drop(slot.port, DropReason::PortUnknown);
                pool.release(slot.frame);
            }
        }
    }
}

/// Ports that get the same bytes share a buffer. Where some get a tag and others none, those that want
/// other bytes than the frame has are served from an edited copy; the payload is copied then only.
fn flood(
    slot: Slot,
    pool: &mut Pool,
    snapshot: &Snapshot,
    stats: &mut Stats,
    egress: &mut (impl Egress + ?Sized),
) {
    let (from, vlan, double) = (slot.port, slot.dst.vlan(), slot.meta.inner.is_some());
    let network = snapshot.network_of(from);
    let access = network.map_or(&[][..], |network| network.members.access(vlan));
    let trunks = network.map_or(&[][..], |network| network.members.trunks());
    let isolates = network.is_some_and(|network| network.has_isolated);
    let targets = |wanted| {
        let access = if wanted == Tagging::Untagged { access } else { &[] };
        let leaves = move |&port: &PortIndex| snapshot.egress(port, vlan, double) == Some(wanted);
        let trunks = trunks.iter().copied().filter(leaves);
        let reached = move |port| !isolates || snapshot.may_talk(from, port);
        access.iter().copied().chain(trunks).filter(move |&port| port != from && reached(port))
    };
    let has = edit::tagging(&slot);
    let wanted = has.other();
    if targets(wanted).next().is_none() {
        return share(slot.frame, from, targets(has), pool, stats, egress);
    }
    let (frame, original) = if targets(has).next().is_none() {
        (Some(slot.frame), None)
    } else {
        stats.flood_copies += 1;
        (pool.copy(&slot.frame), Some(slot.frame))
    };
    match frame.map(|mut frame| (edit::retag(pool, &mut frame, vlan, wanted), frame)) {
        Some((true, frame)) => share(frame, from, targets(wanted), pool, stats, egress),
        Some((false, frame)) => {
            stats.drop(from, DropReason::NoBuffer);
            pool.release(frame);
        }
        None => stats.drop(from, DropReason::NoBuffer),
    }
    if let Some(frame) = original {
        share(frame, from, targets(has), pool, stats, egress);
    }
}

/// One buffer for all: each port gets a holder, the last one the original.
fn share(
    frame: Frame,
    from: PortIndex,
    mut targets: impl Iterator<Item = PortIndex>,
    pool: &mut Pool,
    stats: &mut Stats,
    egress: &mut (impl Egress + ?Sized),
) {
    let Some(mut target) = targets.next() else {
        stats.drop(from, DropReason::NoOtherPort);
        pool.release(frame);
        return;
    };
    for next in targets {
        // A pool allows a holder for every port there can be.
        let Some(copy) = pool.share(&frame) else { break };
        stats.flood_copies += 1;
        egress.send(pool, target, copy);
        target = next;
    }
    egress.send(pool, target, frame);
}
