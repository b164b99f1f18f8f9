//! Stage 7: looks destinations up in the FDB; unknown ones are flooded. In a network that spans nodes, endpoints that
//! control names come first.

use fastpath::Nanos;

use super::DestinationKind::{Port, Tunnel};
use super::batch::FrameCtx;
use super::overlay::Overlay;
use super::snapshot::Network;
use super::{Batch, Destination, DropReason, Fdb, Snapshot, Verdict, VtepIndex};

/// Decides every frame that is still pending.
pub(super) fn run(now: Nanos, batch: &mut Batch, snapshot: &Snapshot, fdb: &Fdb) {
    let now_s = now.seconds();
    for run in batch.frames.chunk_by_mut(FrameCtx::same_ingress) {
        let Some(network) = snapshot.network(run[0].network) else {
            let pending = run.iter_mut().filter(|ctx| ctx.verdict == Verdict::Pending);
            pending.for_each(|ctx| ctx.verdict = Verdict::Drop(DropReason::PortUnknown));
            continue;
        };
        if let Some(overlay) = &network.overlay {
            of_overlay(run, snapshot, (network, overlay), fdb, now_s);
            continue;
        }
        for ctx in run.iter_mut().filter(|ctx| ctx.verdict == Verdict::Pending) {
            ctx.verdict = local(ctx, snapshot, network, layer_2(ctx, fdb, now_s, network.ageing_s));
        }
    }
}

#[inline]
fn layer_2(ctx: &FrameCtx, fdb: &Fdb, now_s: u32, ageing_s: u32) -> Verdict {
    if ctx.dst.is_multicast() {
        return Verdict::Flood;
    }
    match fdb.lookup_at(ctx.dst_buckets, ctx.dst, now_s, ageing_s) {
        Some(destination) if destination == ctx.source => Verdict::Drop(DropReason::SamePort),
        Some(destination) => Verdict::Unicast(destination),
        None => Verdict::Flood,
    }
}

/// The verdict of the FDB as the configuration allows it.
#[inline]
fn local(ctx: &FrameCtx, snapshot: &Snapshot, network: &Network, found: Verdict) -> Verdict {
    let Verdict::Unicast(destination) = found else { return found };
    match destination.kind() {
        // The entry may be older than the configuration.
        Port(port) if !snapshot.reaches(port, ctx.dst) => Verdict::Flood,
        Port(port) if network.has_isolated && !snapshot.may_talk(ctx.port, port) => {
            Verdict::Drop(DropReason::Isolated)
        }
        Port(_) | Tunnel(_) => found,
    }
}

/// Decides frames of a network that spans nodes. Those of a VTEP stay on this node.
#[inline(never)]
fn of_overlay(
    run: &mut [FrameCtx],
    snapshot: &Snapshot,
    (network, overlay): (&Network, &Overlay),
    fdb: &Fdb,
    now_s: u32,
) {
    for ctx in run.iter_mut().filter(|ctx| ctx.verdict == Verdict::Pending) {
        let is_remote = ctx.is_from_tunnel();
        if !is_remote && let Some(vtep) = overlay.remote(ctx.dst) {
            ctx.verdict = to_vtep(ctx, snapshot, (network, overlay), vtep);
            continue;
        }
        let found = layer_2(ctx, fdb, now_s, network.ageing_s);
        ctx.verdict = match found {
            Verdict::Unicast(destination) => match destination.kind() {
                Tunnel(vtep) if overlay.has(vtep) && ctx.dst.vlan() == 0 => {
                    to_vtep(ctx, snapshot, (network, overlay), vtep)
                }
                // The entry is older than the configuration.
                Tunnel(_) => Verdict::Flood,
                Port(_) => local(ctx, snapshot, network, found),
            },
            Verdict::Flood if is_remote && overlay.remote(ctx.dst).is_some() => {
                Verdict::Drop(DropReason::TunnelToTunnel)
            }
            _ => found,
        };
    }
}

fn to_vtep(
    ctx: &FrameCtx,
    snapshot: &Snapshot,
    (network, overlay): (&Network, &Overlay),
    vtep: VtepIndex,
) -> Verdict {
    let tunnel = snapshot.tunnel().map(|tunnel| tunnel.port());
    let may_talk = |port| !network.has_isolated || snapshot.may_talk(ctx.port, port);
    match tunnel {
        _ if ctx.is_from_tunnel() => Verdict::Drop(DropReason::TunnelToTunnel),
        _ if overlay.is_gateway(ctx.src.mac()) || overlay.is_gateway(ctx.dst.mac()) => {
            Verdict::Drop(DropReason::TunnelGateway)
        }
        Some(port) if !may_talk(port) => Verdict::Drop(DropReason::Isolated),
        _ => Verdict::Unicast(Destination::tunnel(vtep)),
    }
}
