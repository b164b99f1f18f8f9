//! The layer-2 pipeline over memory ports, for so many rounds: what `valgrind --tool=callgrind` and
//! `perf` look at.
//!
//! ```text
//! cargo build --release -p vswitch-benches --example pipeline
//! perf record -g target/release/examples/pipeline 500000 && perf report
//! ```
#![allow(clippy::print_stdout, reason = "it tells how many frames passed")]

use vswitch_benches::{Load, Pipeline};

fn main() {
    let rounds = std::env::args().nth(1).map_or(Ok(100_000), |text| text.parse::<u32>());
    let Ok(rounds) = rounds else {
        println!("usage: pipeline [ROUNDS]");
        std::process::exit(2);
    };
    let mut pipeline = Pipeline::new(Load::L2);
    let frames: usize = (0..rounds).map(|_| pipeline.round()).sum();
    println!("{frames} frames");
}
