//! The stages one by one, for benchmarks. Everything else calls [`super::run`].

use fastpath::{Nanos, Pool};

use super::{Batch, Egress, Fdb, FrameIo, Observer, Snapshot, State, Stats};

/// Stage 2.
pub fn parse(batch: &mut Batch, io: &mut FrameIo<'_, impl Observer>) {
    super::parse::run(batch, io);
}

/// Stage 3, with the source guard.
pub fn admit(batch: &mut Batch, pool: &Pool, snapshot: &Snapshot, fdb: &Fdb) {
    super::admit::run(batch, pool, snapshot, fdb);
}

/// Stage 4: ARP and ND answers.
pub fn classify(batch: &mut Batch, pool: &mut Pool, snapshot: &Snapshot, stats: &mut Stats) {
    super::classify::run(batch, pool, snapshot, stats);
}

/// Stage 5.
pub fn learn(now: Nanos, batch: &Batch, snapshot: &Snapshot, state: &mut State, stats: &mut Stats) {
    super::learn::run(now, batch, snapshot, state, stats);
}

/// Stage 7.
pub fn lookup(now: Nanos, batch: &mut Batch, snapshot: &Snapshot, fdb: &Fdb) {
    super::lookup::run(now, batch, snapshot, fdb);
}

/// Stage 8.
pub fn edit(batch: &mut Batch, pool: &mut Pool, snapshot: &Snapshot) {
    super::edit::run(batch, pool, snapshot);
}

/// Stage 9.
pub fn tx(
    batch: &mut Batch,
    snapshot: &Snapshot,
    state: &State,
    io: &mut FrameIo<'_, impl Observer>,
    egress: &mut impl Egress,
) {
    super::tx::run(batch, snapshot, &state.groups, io, egress);
}
