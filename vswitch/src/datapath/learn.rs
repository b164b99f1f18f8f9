//! Stage 5: learns the source MAC address of each frame on its ingress port, or at the VTEP that sent it.

use fastpath::Nanos;

use super::batch::FrameCtx;
use super::fdb::{FdbQuota, Learnt, Outcome};
use super::{Batch, DestinationKind, Snapshot, State, Stats, Verdict};

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
        let source = run[0].source;
        // Endpoints on the nodes of a registry come from there.
        if let DestinationKind::Tunnel(vtep) = source.kind()
            && snapshot.vtep(vtep).is_none_or(|vtep| !vtep.is_learning)
        {
            continue;
        }
        let port = snapshot.macs_max(source);
        let quota = FdbQuota { network: network.conf.fdb_entries_max, port };
        for ctx in run.iter().filter(|ctx| !matches!(ctx.verdict, Verdict::Drop(_))) {
            let learnt = Learnt { key: ctx.src, destination: ctx.source };
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
                    let tunnel = || snapshot.tunnel().map(|tunnel| tunnel.port());
                    let from = from.port().or_else(tunnel).filter(|&from| from != ctx.port);
                    if let Some(from) = from {
                        let ports = [from, ctx.port];
                        state.loops.moved(now, buckets.spread(), ctx.src, ports, snapshot);
                    }
                }
            }
            state.queue_fdb_sync(learnt, now_s);
        }
    }
}
