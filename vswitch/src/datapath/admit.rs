//! Room 3: whether a frame may come in at all.

use super::snapshot::{NetworkConf, PortConf};
use super::{Batch, DropReason, Snapshot, Verdict};
use crate::datapath::batch::Slot;

/// Bytes that a frame may be longer than the MTU, so that tags that are payload to us fit in.
const TAG_SLACK: u32 = 8;

/// 01:80:c2:00:00:00, without the last nibble: addresses that a bridge keeps to itself.
const RESERVED_GROUP: u64 = 0x0180_c200_0000;

/// Sets the network of what is admitted, drops the rest.
pub(super) fn run(batch: &mut Batch, snapshot: &Snapshot) {
    for slot in batch.slots.iter_mut().filter(|slot| slot.verdict == Verdict::Pending) {
        let port = snapshot.port(slot.port);
        let network = port.and_then(|port| snapshot.network(port.network));
        let (Some(port), Some(network)) = (port, network) else {
            slot.verdict = Verdict::Drop(DropReason::PortUnknown);
            continue;
        };
        slot.network = port.network;
        if let Some(reason) = refuse(slot, port, &network.conf) {
            slot.verdict = Verdict::Drop(reason);
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
