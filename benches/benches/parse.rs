//! The one parse of a frame, by shape. The first two go the quick way of common frames.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vswitch_pipeline::shapes;
use wire::meta::Meta;

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Elements(1));
    for (name, frame) in shapes::all() {
        assert!(Meta::parse(&frame).is_ok(), "{name} is a frame");
        group.bench_function(name, |bencher| bencher.iter(|| Meta::parse(black_box(&frame))));
    }
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
