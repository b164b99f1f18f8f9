//! Room 9: frames leave for their ports, or for the pool.

use fastpath::engine::Engine;
use fastpath::{Frame, Pool, PortIndex};

use super::batch::Slot;
use super::{Batch, DropReason, Snapshot, Stats, Verdict};

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

/// One buffer for all ports: each gets a holder, the last one the original.
fn flood(
    slot: Slot,
    pool: &mut Pool,
    snapshot: &Snapshot,
    stats: &mut Stats,
    egress: &mut (impl Egress + ?Sized),
) {
    let members = snapshot.network_of(slot.port).map_or(&[][..], |network| &network.members);
    let mut targets = members.iter().copied().filter(|&port| port != slot.port);
    let Some(mut target) = targets.next() else {
        stats.drop(slot.port, DropReason::NoOtherPort);
        pool.release(slot.frame);
        return;
    };
    for next in targets {
        // A pool allows a holder for every port there can be.
        let Some(copy) = pool.share(&slot.frame) else { break };
        stats.flood_copies += 1;
        egress.send(pool, target, copy);
        target = next;
    }
    egress.send(pool, target, slot.frame);
}
