//! A round stage by stage, with the time that each took.

use std::time::Duration;

use fastpath::engine::{Engine, Wait};
use fastpath::{Clock, Nanos};
use vswitch::datapath::{FrameIo, NoObserver, stages};

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
        let io = &mut FrameIo { pool, stats, observer: &mut NoObserver };
        stages::parse(batch, io);
        lap();
        stages::admit(batch, io.pool, snapshot, &state.fdb);
        lap();
        stages::classify(batch, io.pool, snapshot, io.stats);
        lap();
        stages::learn(*now, batch, snapshot, state, io.stats);
        lap();
        stages::lookup(*now, batch, snapshot, &state.fdb);
        lap();
        stages::edit(batch, io.pool, snapshot);
        lap();
        stages::tx(batch, snapshot, state, io, engine);
        lap();
        *now = Nanos(now.0 + 10_000);
        (frames, times)
    }
}
