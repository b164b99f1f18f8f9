//! Stage 3: admits frames by port state, VLAN, addresses and length; sets network and FDB keys.

use fastpath::Pool;
use wire::meta::{L3, L4};
use wire::{EtherType, MacAddr};

use super::batch::FrameCtx;
use super::overlay::{self, Overlay};
use super::snapshot::Network;
use super::{
    Batch, DestinationKind, DropReason, Fdb, Key, NetworkConf, PortVlans, Snapshot, Verdict,
    VtepIndex, guard,
};

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
            has_groups |= of_no_network(run, pool, snapshot, fdb);
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
            match refuse(ctx, port.enabled, network) {
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
        if snapshot.tunnel().is_some() {
            prefetch_remotes(run, snapshot);
        }
    }
    batch.has_groups = has_groups;
}

/// Prefetches endpoints of other nodes for the lookup.
#[inline(never)]
fn prefetch_remotes(run: &[FrameCtx], snapshot: &Snapshot) {
    let network = run.first().and_then(|ctx| snapshot.network(ctx.network));
    if let Some(overlay) = network.and_then(|network| network.overlay.as_ref()) {
        run.iter().for_each(|ctx| overlay.remotes.prefetch(ctx.dst.mac()));
    }
}

/// Frames of the uplink and of the service skip to the router; those of other nodes have their network by the VNI.
/// Frames of unknown ports are dropped. Returns whether any admitted frame is multicast.
#[inline(never)]
fn of_no_network(run: &mut [FrameCtx], pool: &Pool, snapshot: &Snapshot, fdb: &Fdb) -> bool {
    if !snapshot.is_shared_by_networks(run[0].port) {
        run.iter_mut().for_each(|ctx| ctx.verdict = Verdict::Drop(DropReason::PortUnknown));
    } else if snapshot.tunnel_at(run[0].port).is_some() {
        let runs = run.chunk_by_mut(FrameCtx::same_ingress);
        return runs.fold(false, |has_groups, run| of_vtep(run, pool, snapshot, fdb) | has_groups);
    }
    false
}

/// Admits frames of a VTEP for one network.
fn of_vtep(run: &mut [FrameCtx], pool: &Pool, snapshot: &Snapshot, fdb: &Fdb) -> bool {
    const VLANS: PortVlans = PortVlans::access(0);
    let (network, source) = (run[0].network, run[0].source.kind());
    let DestinationKind::Tunnel(vtep) = source else { return false };
    let is_learning = snapshot.vtep(vtep).is_some_and(|vtep| vtep.is_learning);
    let spanning = snapshot.network(network);
    let spanning = spanning.and_then(|network| Some((network, network.overlay.as_ref()?)));
    let mut has_groups = false;
    for ctx in run.iter_mut().filter(|ctx| ctx.verdict == Verdict::Pending) {
        ctx.src = Key::new(network, 0, ctx.meta.src);
        ctx.dst = Key::new(network, 0, ctx.meta.dst);
        let refused = match spanning {
            Some((network, overlay)) => {
                let tagged = VLANS.admit(&ctx.meta).err();
                let foreign = is_learning.then_some(vtep);
                tagged
                    .or_else(|| refuse(ctx, true, &network.conf))
                    .or_else(|| refuse_remote(ctx, network, overlay, foreign, pool))
            }
            None => Some(DropReason::TunnelUnknownVni),
        };
        match refused {
            None => {
                has_groups |= ctx.dst.is_multicast();
                ctx.dst_buckets = fdb.buckets_of(ctx.dst);
                if is_learning {
                    ctx.src_buckets = fdb.buckets_of(ctx.src);
                }
            }
            Some(reason) => ctx.verdict = Verdict::Drop(reason),
        }
    }
    has_groups
}

/// The gateway is on each node; an endpoint is on one. A peer that no registry describes (`foreign`) has none that a
/// registry describes; nodes of a registry guard their containers, and an endpoint that moves is heard at once.
#[inline]
fn refuse_remote(
    ctx: &FrameCtx,
    network: &Network,
    overlay: &Overlay,
    foreign: Option<VtepIndex>,
    pool: &Pool,
) -> Option<DropReason> {
    if overlay.is_gateway(ctx.meta.src) || overlay.is_gateway(ctx.meta.dst) {
        return Some(DropReason::TunnelGateway);
    }
    if overlay.is_local(ctx.meta.src) {
        return Some(DropReason::TunnelLocalSource);
    }
    let is_elsewhere = |vtep| overlay.remotes.by_mac(ctx.meta.src).is_some_and(|it| it != vtep);
    if foreign.is_some_and(is_elsewhere) {
        return Some(DropReason::TunnelSpoofed);
    }
    match (ctx.meta.l3, ctx.meta.l4) {
        (L3::Arp, _) | (L3::Ipv6, L4::Icmpv6) => {
            refuse_claim(ctx, network, overlay, foreign.is_some(), pool)
        }
        _ => None,
    }
}

/// ARP or ND that says that somebody on another node has the address of the gateway, or of an endpoint that is not there.
fn refuse_claim(
    ctx: &FrameCtx,
    network: &Network,
    overlay: &Overlay,
    is_foreign: bool,
    pool: &Pool,
) -> Option<DropReason> {
    let claimed = overlay::host::claimed(&ctx.meta, pool.ethernet(&ctx.frame))?;
    if overlay.is_gateway_address(claimed) {
        return Some(DropReason::TunnelGateway);
    }
    let is_spoofed = network.neighbours.find(claimed).is_some()
        || is_foreign && overlay.remotes.by_ip(claimed).is_some();
    is_spoofed.then_some(DropReason::TunnelSpoofed)
}

#[inline]
fn refuse(ctx: &FrameCtx, is_enabled: bool, network: &NetworkConf) -> Option<DropReason> {
    if !is_enabled {
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
