//! Room 5: the source of a frame lives where the frame came from.

use fastpath::Nanos;

use super::fdb::{Learnt, Outcome, Shares};
use super::{Batch, Snapshot, State, Stats, Verdict};

/// Learns the source of every frame that was admitted.
pub(super) fn run(
    now: Nanos,
    batch: &Batch,
    snapshot: &Snapshot,
    state: &mut State,
    stats: &mut Stats,
) {
    let now_s = now.seconds();
    for run in batch.slots.chunk_by(|a, b| a.port == b.port) {
        let Some(network) = snapshot.network_of(run[0].port) else { continue };
        let port = snapshot.limits(run[0].port).macs_max;
        let shares = Shares { network: network.conf.fdb_entries_max, port };
        for slot in run.iter().filter(|slot| !matches!(slot.verdict, Verdict::Drop(_))) {
            let learnt = Learnt { key: slot.src, port: slot.port };
            let place = slot.src_place;
            match state.fdb.learn_at(place, learnt, now_s, network.ageing_s, shares) {
                Outcome::Known | Outcome::Static => continue,
                Outcome::Full => {
                    stats.fdb_full += 1;
                    continue;
                }
                Outcome::PortFull => {
                    stats.mac_limit += 1;
                    continue;
                }
                Outcome::Refreshed | Outcome::New => {}
                Outcome::Moved { from } => {
                    stats.mac_moves += 1;
                    let ports = [from, slot.port];
                    state.loops.moved(now, place.spread(), slot.src, ports, snapshot);
                }
            }
            state.add_news(learnt, now_s);
        }
    }
}
