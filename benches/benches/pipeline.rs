//! The layer-2 pipeline over memory ports, by frame size and by number of addresses.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vswitch_pipeline::{Load, Pipeline};

fn pipeline(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("l2-pipeline");
    for (frame_len, macs) in [(64, 1_000), (64, 4), (64, 16_000), (512, 1_000), (1514, 1_000)] {
        let mut pipeline = Pipeline::new(Load { macs, frame_len, ..Load::L2 });
        let frames = pipeline.round() as u64;
        group.throughput(Throughput::Elements(frames));
        let id = BenchmarkId::new(format!("{frame_len} bytes"), format!("{macs} MACs"));
        group.bench_function(id, |bencher| bencher.iter(|| pipeline.round()));
        assert_eq!(pipeline.round() as u64, frames, "every round is alike");
    }
    for (name, load) in [("one MAC a port", Load::PLAIN), ("all guards on", Load::GUARDED)] {
        let mut pipeline = Pipeline::new(load);
        group.throughput(Throughput::Elements(pipeline.round() as u64));
        let id = BenchmarkId::new(name, "64 bytes");
        group.bench_function(id, |bencher| bencher.iter(|| pipeline.round()));
    }
    group.finish();
}

/// Datagrams from containers to the outside, through all stages, by number of flows.
fn translated(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("translated");
    for flows in [1_000, 1_000_000] {
        let mut pipeline = Pipeline::routed(flows);
        let (frames, before) = (pipeline.round() as u64, pipeline.translated());
        group.throughput(Throughput::Elements(frames));
        let id = BenchmarkId::new("64 bytes", format!("{flows} flows"));
        group.bench_function(id, |bencher| bencher.iter(|| pipeline.round()));
        assert!(pipeline.translated() > before, "it was translation");
    }
    group.finish();
}

criterion_group!(benches, pipeline, translated);
criterion_main!(benches);
