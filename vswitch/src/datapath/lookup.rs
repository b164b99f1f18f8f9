//! Stage 7: which ports a frame goes to.

use fastpath::Nanos;

use super::batch::FrameCtx;
use super::{Batch, DropReason, Fdb, Snapshot, Verdict};

/// Gives every frame that is still pending its verdict.
pub(super) fn run(now: Nanos, batch: &mut Batch, snapshot: &Snapshot, fdb: &Fdb) {
    let now_s = now.seconds();
    for run in batch.frames.chunk_by_mut(|a, b| a.port == b.port) {
        let Some(network) = snapshot.network_of(run[0].port) else { continue };
        for ctx in run.iter_mut().filter(|ctx| ctx.verdict == Verdict::Pending) {
            ctx.verdict = match layer_2(ctx, fdb, now_s, network.ageing_s) {
                // What was learnt may be older than the configuration.
                Verdict::Unicast(port) if !snapshot.reaches(port, ctx.dst) => Verdict::Flood,
                Verdict::Unicast(port)
                    if network.has_isolated && !snapshot.may_talk(ctx.port, port) =>
                {
                    Verdict::Drop(DropReason::Isolated)
                }
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
        Some(port) if port == ctx.port => Verdict::Drop(DropReason::SamePort),
        Some(port) => Verdict::Unicast(port),
        None => Verdict::Flood,
    }
}
