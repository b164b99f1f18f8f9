//! Stage 7: looks destinations up in the FDB; unknown ones are flooded.

use fastpath::Nanos;

use super::DestinationKind::{Port, Tunnel};
use super::batch::FrameCtx;
use super::{Batch, DropReason, Fdb, Snapshot, Verdict};

/// Decides every frame that is still pending.
pub(super) fn run(now: Nanos, batch: &mut Batch, snapshot: &Snapshot, fdb: &Fdb) {
    let now_s = now.seconds();
    for run in batch.frames.chunk_by_mut(FrameCtx::same_ingress) {
        let Some(network) = snapshot.network(run[0].network) else {
            let pending = run.iter_mut().filter(|ctx| ctx.verdict == Verdict::Pending);
            pending.for_each(|ctx| ctx.verdict = Verdict::Drop(DropReason::PortUnknown));
            continue;
        };
        for ctx in run.iter_mut().filter(|ctx| ctx.verdict == Verdict::Pending) {
            ctx.verdict = match layer_2(ctx, fdb, now_s, network.ageing_s) {
                Verdict::Unicast(destination) => match destination.kind() {
                    // The entry may be older than the configuration.
                    Port(port) if !snapshot.reaches(port, ctx.dst) => Verdict::Flood,
                    Port(port) if network.has_isolated && !snapshot.may_talk(ctx.port, port) => {
                        Verdict::Drop(DropReason::Isolated)
                    }
                    Port(_) | Tunnel(_) => Verdict::Unicast(destination),
                },
                verdict => verdict,
            };
        }
    }
}

#[inline]
fn layer_2(ctx: &FrameCtx, fdb: &Fdb, now_s: u32, ageing_s: u32) -> Verdict {
    if ctx.dst.is_multicast() {
        return Verdict::Flood;
    }
    match fdb.lookup_at(ctx.dst_buckets, ctx.dst, now_s, ageing_s) {
        Some(destination) if destination == ctx.source() => Verdict::Drop(DropReason::SamePort),
        Some(destination) => Verdict::Unicast(destination),
        None => Verdict::Flood,
    }
}
