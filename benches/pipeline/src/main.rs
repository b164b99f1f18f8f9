//! The layer-2 pipeline over memory ports, for so many rounds: what `valgrind --tool=callgrind` and
//! `perf` look at.
//!
//! ```text
//! cargo build --release -p vswitch-pipeline
//! perf record -g target/release/pipeline 500000 && perf report
//! ```
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "it tells how many frames passed")]

use vswitch_pipeline::overlay::Direction;
use vswitch_pipeline::{Load, Pipeline};

fn main() {
    let mut words = std::env::args().skip(1);
    let rounds = words.next().map_or(Ok(100_000), |text| text.parse::<u32>());
    let pipeline = match words.next().as_deref() {
        None => Some(Pipeline::new(Load::L2)),
        Some("plain") => Some(Pipeline::new(Load::PLAIN)),
        Some("beside-router") => Some(Pipeline::new(Load::BESIDE_ROUTER)),
        Some("guarded") => Some(Pipeline::new(Load::GUARDED)),
        Some("translated") => {
            words.next().and_then(|flows| flows.parse().ok()).map(Pipeline::routed)
        }
        Some("encapsulated") => Some(Pipeline::overlay(Direction::Encapsulated, 100_000)),
        Some("decapsulated") => Some(Pipeline::overlay(Direction::Decapsulated, 100_000)),
        Some(_) => None,
    };
    let (Ok(rounds), Some(mut pipeline)) = (rounds, pipeline) else {
        println!(
            "usage: pipeline [ROUNDS \
             [plain|guarded|beside-router|translated FLOWS|encapsulated|decapsulated]]"
        );
        std::process::exit(2);
    };
    let frames: usize = (0..rounds).map(|_| pipeline.round()).sum();
    println!("{frames} frames");
}
