//! Lookups of names, by the number of names on the network; answers of a worker; a change of one name among them.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fastpath::PortIndex;
use vswitch::dns::{Asked, Found};
use vswitch_pipeline::names::{endpoint, filled, query};

/// Names that one sample asks for. All of them are in cache, so that the cost of the table is measured, not
/// that of the memory.
const WALK: usize = 10;

fn lookups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dns");
    for containers in [10, 1_000, 10_000] {
        let names = filled(containers);
        let asked: Vec<_> =
            (0..WALK).map(|n| format!("container-{}", n * containers / WALK)).collect();
        let qualified: Vec<_> = asked.iter().map(|name| format!("{name}.br0")).collect();
        let absent: Vec<_> = asked.iter().map(|name| format!("{name}.example.com")).collect();
        group.throughput(Throughput::Elements(WALK as u64));
        for (what, asked) in [("name", &asked), ("name.network", &qualified), ("nobody's", &absent)]
        {
            group.bench_function(BenchmarkId::new(what, containers), |bencher| {
                bencher.iter(|| {
                    let found = asked.iter().map(|name| names.lookup(PortIndex(1), name, Asked::A));
                    found.filter(|found| matches!(black_box(found), Found::Elsewhere)).count()
                });
            });
        }
        let queries: Vec<_> = asked.iter().map(|name| query(name)).collect();
        group.bench_function(BenchmarkId::new("answer", containers), |bencher| {
            let mut answer = [0; 512];
            bencher.iter(|| {
                let answers = queries.iter().map(|it| names.answer(PortIndex(1), it, &mut answer));
                answers.map(|len| black_box(len).expect("an answer")).sum::<usize>()
            });
        });
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("detach and attach", containers), |bencher| {
            bencher.iter(|| {
                names.remove_endpoint(PortIndex(5));
                names.set_endpoint(PortIndex(5), endpoint(5));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, lookups);
criterion_main!(benches);
