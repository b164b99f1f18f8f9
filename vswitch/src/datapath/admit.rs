//! Stage 3: whether a frame may come in at all, and on which VLAN.

use fastpath::Pool;
use wire::{EtherType, MacAddr};

use super::batch::FrameCtx;
use super::{Batch, DropReason, Fdb, Key, NetworkConf, PortConf, Snapshot, Verdict, guard};

/// Bytes that a frame may be longer than the MTU, so that tags that are payload to us fit in.
const TAG_SLACK: u32 = 8;

/// 01:80:c2:00:00:00, without the last nibble: addresses that a bridge keeps to itself.
const RESERVED_GROUP: u64 = 0x0180_c200_0000;

/// MAC control, of which pause is one (IEEE 802.3, clause 31).
const MAC_CONTROL: EtherType = EtherType(0x8808);

/// Gives what is admitted its keys, drops the rest. The forwarding database is told which addresses
/// it will be asked for, so that they are in cache when the next stages ask.
pub(super) fn run(batch: &mut Batch, pool: &Pool, snapshot: &Snapshot, fdb: &Fdb) {
    let mut has_groups = false;
    for run in batch.frames.chunk_by_mut(|a, b| a.port == b.port) {
        let conf = snapshot.port(run[0].port);
        let conf = conf.and_then(|port| Some((port, &snapshot.network(port.network)?.conf)));
        let Some((port, network)) = conf else {
            of_no_network(run, snapshot);
            continue;
        };
        for ctx in run.iter_mut() {
            ctx.network = port.network;
            let vlan = match port.vlans.admit(&ctx.meta) {
                Ok(vlan) => vlan,
                Err(reason) => {
                    ctx.verdict = Verdict::Drop(reason);
                    continue;
                }
            };
            ctx.src = Key::new(ctx.network, vlan, ctx.meta.src);
            ctx.dst = Key::new(ctx.network, vlan, ctx.meta.dst);
            match refuse(ctx, port, network) {
                None => {
                    has_groups |= ctx.dst.is_multicast();
                    ctx.src_buckets = fdb.buckets_of(ctx.src);
                    ctx.dst_buckets = fdb.buckets_of(ctx.dst);
                }
                Some(reason) => ctx.verdict = Verdict::Drop(reason),
            }
        }
        if let Some(guard) = &port.guard {
            guard::run(guard, run, pool);
        }
    }
    batch.has_groups = has_groups;
}

/// The uplink's frames are the router's, and no other stage's; others are unknown.
#[cold]
#[inline(never)]
fn of_no_network(run: &mut [FrameCtx], snapshot: &Snapshot) {
    if !snapshot.is_uplink(run[0].port) {
        run.iter_mut().for_each(|ctx| ctx.verdict = Verdict::Drop(DropReason::PortUnknown));
    }
}

#[inline]
fn refuse(ctx: &FrameCtx, port: &PortConf, network: &NetworkConf) -> Option<DropReason> {
    if !port.enabled {
        Some(DropReason::PortDisabled)
    } else if ctx.src.is_multicast() || ctx.src.mac() == MacAddr::ZERO {
        Some(bad_source(ctx.src.mac()))
    } else if ctx.dst.mac().as_u64() & !0xf == RESERVED_GROUP {
        Some(reserved(ctx))
    } else if ctx.meta.ethertype == MAC_CONTROL {
        Some(DropReason::MacControl)
    } else if ctx.segment > network.mtu + TAG_SLACK {
        Some(DropReason::TooBig)
    } else {
        None
    }
}

#[cold]
fn bad_source(mac: MacAddr) -> DropReason {
    match mac {
        MacAddr::ZERO => DropReason::ZeroSourceMac,
        MacAddr::BROADCAST => DropReason::BroadcastSourceMac,
        _ => DropReason::MulticastSourceMac,
    }
}

#[cold]
fn reserved(ctx: &FrameCtx) -> DropReason {
    match ctx.dst.mac().as_u64() {
        _ if ctx.meta.ethertype == MAC_CONTROL => DropReason::MacControl,
        RESERVED_GROUP => DropReason::Bpdu,
        _ => DropReason::ReservedMulticast,
    }
}
