//! Room 3: whether a frame may come in at all.

use super::batch::Slot;
use super::snapshot::{NetworkConf, PortConf};
use super::{Batch, DropReason, Fdb, Snapshot, Verdict};

/// Bytes that a frame may be longer than the MTU, so that tags that are payload to us fit in.
const TAG_SLACK: u32 = 8;

/// 01:80:c2:00:00:00, without the last nibble: addresses that a bridge keeps to itself.
const RESERVED_GROUP: u64 = 0x0180_c200_0000;

/// Sets the network of what is admitted, drops the rest. The forwarding database is told which
/// addresses it will be asked for, so that they are in cache when the next rooms ask.
pub(super) fn run(batch: &mut Batch, snapshot: &Snapshot, fdb: &Fdb) {
    for run in batch.slots.chunk_by_mut(|a, b| a.port == b.port) {
        let port = snapshot.port(run[0].port);
        let conf = port.and_then(|port| Some((port, &snapshot.network(port.network)?.conf)));
        for slot in run {
            let refused = match conf {
                Some((port, network)) => refuse(slot, port, network),
                None => Some(DropReason::PortUnknown),
            };
            match (refused, port) {
                (None, Some(port)) => {
                    slot.network = port.network;
                    slot.src_place = fdb.place(slot.src_key());
                    slot.dst_place = fdb.place(slot.dst_key());
                }
                (reason, _) => {
                    slot.verdict = Verdict::Drop(reason.unwrap_or(DropReason::PortUnknown));
                }
            }
        }
    }
}

#[inline]
fn refuse(slot: &Slot, port: &PortConf, network: &NetworkConf) -> Option<DropReason> {
    if !port.enabled {
        Some(DropReason::PortDisabled)
    } else if !slot.meta.src.is_unicast() {
        Some(DropReason::BadSource)
    } else if slot.meta.dst.as_u64() & !0xf == RESERVED_GROUP {
        Some(DropReason::ReservedGroup)
    } else if slot.segment > network.mtu + TAG_SLACK {
        Some(DropReason::TooBig)
    } else {
        None
    }
}
