//! Stage 5: learns the source MAC address of each frame on its ingress port.

use fastpath::Nanos;

use super::batch::FrameCtx;
use super::fdb::{FdbQuota, Learnt, Outcome};
use super::{Batch, Snapshot, State, Stats, Verdict};

/// Learns the source of every admitted frame.
pub(super) fn run(
    now: Nanos,
    batch: &Batch,
    snapshot: &Snapshot,
    state: &mut State,
    stats: &mut Stats,
) {
    let now_s = now.seconds();
    for run in batch.frames.chunk_by(FrameCtx::same_ingress) {
        let Some(network) = snapshot.network(run[0].network) else { continue };
        let port = snapshot.macs_max(run[0].source());
        let quota = FdbQuota { network: network.conf.fdb_entries_max, port };
        for ctx in run.iter().filter(|ctx| !matches!(ctx.verdict, Verdict::Drop(_))) {
            let learnt = Learnt { key: ctx.src, destination: ctx.source() };
            let buckets = ctx.src_buckets;
            match state.fdb.learn_at(buckets, learnt, now_s, network.ageing_s, quota) {
                Outcome::Known | Outcome::Static => continue,
                Outcome::Full => {
                    stats.counters.fdb_full += 1;
                    continue;
                }
                Outcome::PortFull => {
                    stats.counters.mac_limit += 1;
                    continue;
                }
                Outcome::Refreshed | Outcome::New => {}
                Outcome::Moved { from } => {
                    stats.counters.mac_moves += 1;
                    if let Some(from) = from.port() {
                        let ports = [from, ctx.port];
                        state.loops.moved(now, buckets.spread(), ctx.src, ports, snapshot);
                    }
                }
            }
            state.queue_fdb_sync(learnt, now_s);
        }
    }
}
