//! A new snapshot on a worker: 1,000 ports, 1,000 publications, one port's isolation changed. The goal is
//! 20 us a round.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::print_stdout, reason = "it prints the median beside criterion's mean")]

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use vswitch_pipeline::churn::Churn;

fn one_port_of_many(criterion: &mut Criterion) {
    let mut churn = Churn::new();
    let mut rounds: Vec<_> = (0..1_001).map(|_| churn.round()).collect();
    rounds.sort_unstable();
    println!("the worker's round after a new snapshot: median {:?}", rounds[500]);
    criterion.bench_function("snapshot/one port of 1000", |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| churn.round()).sum::<Duration>());
    });
}

criterion_group!(benches, one_port_of_many);
criterion_main!(benches);
