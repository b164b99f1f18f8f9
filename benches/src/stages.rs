//! A round stage by stage, with the time that each took.

use std::time::Duration;

use fastpath::engine::{Engine, Wait};
use fastpath::{Clock, Nanos};
use vswitch::datapath::stages;

use crate::Pipeline;

/// The stages that every frame comes through, and the memory ports before them.
pub const NAMES: [&str; 8] =
    ["rx (memory)", "parse", "admit", "classify", "learn", "lookup", "edit", "tx (memory)"];

impl Pipeline {
    /// One round. Returns the frames that came in, and how long each of [`NAMES`] took.
    ///
    /// # Panics
    /// Never: memory ports do not fail.
    pub fn timed_round(&mut self) -> (usize, [Duration; NAMES.len()]) {
        let Self { engine, pool, batch, snapshot, state, stats, now } = self;
        let mut times = [Duration::ZERO; NAMES.len()];
        let mut stage = 0;
        let mut begin = Clock.now();
        let mut lap = || {
            let end = Clock.now();
            times[stage] = end - begin;
            (stage, begin) = (stage + 1, end);
        };
        engine.round(pool, Wait::No, batch.incoming()).expect("memory ports do not fail");
        let frames = batch.len();
        lap();
        stages::parse(batch, pool, stats);
        lap();
        stages::admit(batch, pool, snapshot, &state.fdb);
        lap();
        stages::classify(batch, pool, snapshot, stats);
        lap();
        stages::learn(*now, batch, snapshot, state, stats);
        lap();
        stages::lookup(*now, batch, snapshot, &state.fdb);
        lap();
        stages::edit(batch, pool, snapshot);
        lap();
        stages::tx(batch, pool, snapshot, state, stats, engine);
        lap();
        *now = Nanos(now.0 + 10_000);
        (frames, times)
    }
}
