//! A GSO frame into its segments, and the segments into one frame again: by payload and family.
//!
//! Coalescing changes its buffer, so each round copies the segments first; "copy of the input" is that part alone.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vswitch_pipeline::gso::{LONGEST, SEGMENT, packet, segments};
use wire::coalesce::{self, Layout};
use wire::segment::Segments;

const VXLAN: [u8; 8] = [8, 0, 0, 0, 0, 0, 42, 0];

/// Name, family, and bytes of payload.
const SHAPES: [(&str, bool, usize); 4] = [
    ("tcp4 45 segments", false, LONGEST),
    ("tcp6 45 segments", true, LONGEST),
    ("tcp4 4 segments", false, 4 * SEGMENT as usize),
    ("tcp4 2 segments, the last of 100 bytes", false, SEGMENT as usize + 100),
];

fn segment(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("segment");
    for (name, is_v6, payload) in SHAPES {
        let (vnet, frame) = packet(is_v6, payload);
        let mut out = vec![0; 80_000];
        group.throughput(Throughput::Bytes(payload as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let segments = Segments::new(black_box(&vnet), black_box(&frame)).expect("GSO");
                segments.write_all(0..segments.count(), &VXLAN, &mut out)
            });
        });
    }
    group.finish();
}

fn coalesce(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("coalesce");
    for (name, is_v6, payload) in SHAPES {
        let (source, stride) = segments(is_v6, payload, &VXLAN);
        let layout = Layout { prefix: VXLAN.len(), stride, udp: false, mtu: 1_500 };
        let (mut buffer, mut out) = (source.clone(), vec![0; source.len()]);
        let run = coalesce::copy(&source, layout, &mut out).expect("frames");
        assert_eq!(run.taken, source.len(), "{name} is one run");
        group.throughput(Throughput::Bytes(payload as u64));
        group.bench_function(BenchmarkId::new("copy of the input", name), |bencher| {
            bencher.iter(|| black_box(&mut buffer).copy_from_slice(black_box(&source)));
        });
        group.bench_function(BenchmarkId::new("in place", name), |bencher| {
            bencher.iter(|| {
                buffer.copy_from_slice(black_box(&source));
                coalesce::in_place(black_box(&mut buffer), layout)
            });
        });
        group.bench_function(BenchmarkId::new("copy", name), |bencher| {
            bencher.iter(|| coalesce::copy(black_box(&source), layout, black_box(&mut out)));
        });
    }
    group.finish();
}

criterion_group!(benches, segment, coalesce);
criterion_main!(benches);
