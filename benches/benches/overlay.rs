//! Frames to and from other nodes through all stages, by number of endpoints there.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vswitch_pipeline::Pipeline;
use vswitch_pipeline::overlay::Direction;

fn overlay(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("overlay");
    for direction in [Direction::Encapsulated, Direction::Decapsulated] {
        for endpoints in [100, 100_000] {
            let mut pipeline = Pipeline::overlay(direction, endpoints);
            let before = pipeline.tunnelled();
            let frames = pipeline.round() as u64;
            let after = pipeline.tunnelled();
            assert_eq!(
                after.0 - before.0 + after.1 - before.1,
                frames,
                "all cross the tunnel port"
            );
            group.throughput(Throughput::Elements(frames));
            let id = BenchmarkId::new(format!("{direction:?}"), format!("{endpoints} endpoints"));
            group.bench_function(id, |bencher| bencher.iter(|| pipeline.round()));
        }
    }
    group.finish();
}

criterion_group!(benches, overlay);
criterion_main!(benches);
