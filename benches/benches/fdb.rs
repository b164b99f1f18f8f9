//! The forwarding database: lookups that hit and miss, learning what is known and what is new, by the
//! number of addresses in it.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fastpath::PortIndex;
use vswitch::datapath::{Fdb, FdbQuota, Key, Learnt, NetworkIndex};
use wire::MacAddr;

const AGEING_S: u32 = 300;
/// Keys that one sample walks through, so that a small table stays in cache and a large one does not.
const WALK: u64 = 1024;

fn key(n: u64) -> Key {
    // Spread over the table's size, in an order that no prefetcher foresees.
    let mac = MacAddr::from_u64(0x0200_0000_0000 | n);
    Key::new(NetworkIndex(0), 0, mac)
}

fn filled(macs: u64) -> Fdb {
    let mut fdb = Fdb::new(0x005e_ed00);
    for n in 0..macs {
        let learnt = Learnt { key: key(n), destination: PortIndex((n % 4) as u16).into() };
        fdb.learn(learnt, 10, AGEING_S, FdbQuota::ALL);
    }
    fdb
}

fn table(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fdb");
    group.throughput(Throughput::Elements(WALK));
    for macs in [100, 1_000, 16_000, 50_000] {
        let mut fdb = filled(macs);
        let walk = |from: u64| (0..WALK).map(move |n| key(from + n * 7919 % macs));
        group.bench_function(BenchmarkId::new("hit", macs), |bencher| {
            bencher.iter(|| walk(0).filter_map(|key| fdb.lookup(key, 11, AGEING_S)).count());
        });
        group.bench_function(BenchmarkId::new("miss", macs), |bencher| {
            let absent = 1 << 32;
            bencher.iter(|| walk(absent).filter_map(|key| fdb.lookup(key, 11, AGEING_S)).count());
        });
        group.bench_function(BenchmarkId::new("learn what is known", macs), |bencher| {
            bencher.iter(|| {
                for key in walk(0) {
                    let learnt = Learnt { key, destination: PortIndex(0).into() };
                    black_box(fdb.learn(learnt, 11, AGEING_S, FdbQuota::ALL));
                }
            });
        });
    }
    group.bench_function("learn what is new", |bencher| {
        let learn = |fdb: &mut Fdb| {
            for n in 0..WALK {
                let learnt = Learnt { key: key(n), destination: PortIndex(0).into() };
                black_box(fdb.learn(learnt, 11, AGEING_S, FdbQuota::ALL));
            }
        };
        bencher.iter_batched_ref(|| Fdb::new(1), learn, BatchSize::LargeInput);
    });
    group.finish();
}

criterion_group!(benches, table);
criterion_main!(benches);
