//! Stage 3: admits frames by port state, VLAN, addresses and length; sets network and FDB keys.

use fastpath::Pool;
use wire::{EtherType, MacAddr};

use super::batch::FrameCtx;
use super::{Batch, DropReason, Fdb, Key, NetworkConf, PortConf, Snapshot, Verdict, guard};

/// Bytes that a frame may exceed the MTU by, for two VLAN tags of the payload.
const TAG_SLACK: u32 = 8;

/// 01:80:c2:00:00:0x: group addresses that a bridge never forwards.
const RESERVED_GROUP: u64 = 0x0180_c200_0000;

/// MAC control, of which pause is one (IEEE 802.3, clause 31).
const MAC_CONTROL: EtherType = EtherType(0x8808);

/// Sets the keys of admitted frames and drops the rest. Prefetches their FDB buckets for the next
/// stages.
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

/// Frames of the uplink and of the service skip to the router; frames of unknown ports are dropped.
#[cold]
#[inline(never)]
fn of_no_network(run: &mut [FrameCtx], snapshot: &Snapshot) {
    if !snapshot.is_shared_by_networks(run[0].port) {
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
