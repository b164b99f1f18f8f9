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
    let mut words = std::env::args().skip(1);
    let rounds = words.next().map_or(Ok(100_000), |text| text.parse::<u32>());
    let load = match words.next().as_deref() {
        None => Some(Load::L2),
        Some("plain") => Some(Load::PLAIN),
        Some("guarded") => Some(Load::GUARDED),
        Some(_) => None,
    };
    let (Ok(rounds), Some(load)) = (rounds, load) else {
        println!("usage: pipeline [ROUNDS [plain|guarded]]");
        std::process::exit(2);
    };
    let mut pipeline = Pipeline::new(load);
    let frames: usize = (0..rounds).map(|_| pipeline.round()).sum();
    println!("{frames} frames");
}
