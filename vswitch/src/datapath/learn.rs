//! Room 5: the source of a frame lives where the frame came from.

use fastpath::Nanos;

use super::fdb::{Key, Learnt, Outcome};
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
    for slot in batch.slots.iter().filter(|slot| slot.verdict == Verdict::Pending) {
        let Some(network) = snapshot.network(slot.network) else { continue };
        let key = Key::new(slot.network, slot.vlan(), slot.meta.src);
        let learnt = Learnt { key, port: slot.port };
        let limit = network.conf.fdb_entries_max;
        match state.fdb.learn(learnt, now_s, network.ageing_s, limit) {
            Outcome::Known => continue,
            Outcome::Refreshed | Outcome::New => {}
            Outcome::Moved => stats.mac_moves += 1,
            Outcome::Static => continue,
            Outcome::Full => {
                stats.fdb_full += 1;
                continue;
            }
        }
        if state.tell {
            state.news.push(learnt);
        }
    }
}
