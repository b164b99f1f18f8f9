//! Room 7: which ports a frame goes to.

use fastpath::Nanos;

use super::batch::Slot;
use super::fdb::{Fdb, Key};
use super::{Batch, DropReason, Snapshot, Verdict};

/// Gives every frame that is still pending its verdict.
pub(super) fn run(now: Nanos, batch: &mut Batch, snapshot: &Snapshot, fdb: &Fdb) {
    let now_s = now.seconds();
    for slot in batch.slots.iter_mut().filter(|slot| slot.verdict == Verdict::Pending) {
        slot.verdict = layer_2(slot, snapshot, fdb, now_s);
    }
}

#[inline]
fn layer_2(slot: &Slot, snapshot: &Snapshot, fdb: &Fdb, now_s: u32) -> Verdict {
    if slot.meta.dst.is_multicast() {
        return Verdict::Flood;
    }
    let ageing_s = snapshot.network(slot.network).map_or(0, |network| network.ageing_s);
    let key = Key::new(slot.network, slot.vlan(), slot.meta.dst);
    match fdb.lookup(key, now_s, ageing_s) {
        Some(port) if port == slot.port => Verdict::Drop(DropReason::SamePort),
        Some(port) => Verdict::Unicast(port),
        None => Verdict::Flood,
    }
}
