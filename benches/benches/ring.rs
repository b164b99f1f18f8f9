//! The ring with one writer and one reader, within a thread and across two; and the frame pool.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;
use std::thread;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fastpath::limits::POOL_FRAMES;
use fastpath::ring::spsc::ring;
use fastpath::{Clock, Pool};

const ITEMS: u64 = 1024;

fn rings(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("spsc");
    group.throughput(Throughput::Elements(ITEMS));
    group.bench_function("within a thread", |bencher| {
        let (mut producer, mut consumer) = ring::<u64>(ITEMS as usize);
        bencher.iter(|| {
            for item in 0..ITEMS {
                let _ = producer.push(item);
            }
            (0..ITEMS).filter_map(|_| consumer.pop()).count()
        });
    });
    group.bench_function("across threads", |bencher| {
        bencher.iter_custom(|samples| across_threads(samples * ITEMS));
    });
    group.finish();
}

/// How long it takes to hand so many items to another thread.
fn across_threads(items: u64) -> Duration {
    let (mut producer, mut consumer) = ring::<u64>(ITEMS as usize);
    let begin = Clock.now();
    thread::scope(|scope| {
        scope.spawn(move || {
            for item in 0..items {
                while producer.push(item).is_err() {
                    thread::yield_now();
                }
            }
        });
        let mut got = 0;
        while got < items {
            match consumer.pop() {
                Some(item) => {
                    black_box(item);
                    got += 1;
                }
                None => thread::yield_now(),
            }
        }
    });
    Duration::from_nanos(Clock.now().0 - begin.0)
}

fn pool(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pool");
    group.throughput(Throughput::Elements(1));
    let mut pool = Pool::new(POOL_FRAMES).expect("memory for the pool");
    group.bench_function("alloc and release", |bencher| {
        bencher.iter(|| {
            let frame = pool.alloc().expect("a free buffer");
            pool.release(black_box(frame));
        });
    });
    group.finish();
}

criterion_group!(benches, rings, pool);
criterion_main!(benches);
