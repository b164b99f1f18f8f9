//! Each stage of the pipeline by itself: 64-byte frames between 1,000 addresses on four ports, and the
//! same with one address a port and all guards on. Elements are frames. A sample of an empty stage shows
//! what reading the clock adds, a fraction of a nanosecond a frame.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vswitch_pipeline::{Load, Pipeline, stages};

fn each_stage(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stage");
    for (load_name, load) in [("1000 MACs", Load::L2), ("all guards on", Load::GUARDED)] {
        let mut pipeline = Pipeline::new(load);
        let (frames, _) = pipeline.timed_round();
        group.throughput(Throughput::Elements(frames as u64));
        for (stage, name) in stages::NAMES.iter().enumerate() {
            group.bench_function(BenchmarkId::new(*name, load_name), |bencher| {
                bencher.iter_custom(|rounds| {
                    (0..rounds).map(|_| pipeline.timed_round().1[stage]).sum::<Duration>()
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, each_stage);
criterion_main!(benches);
