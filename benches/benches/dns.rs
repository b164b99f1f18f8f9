//! Lookups of names, by the number of names on the network; a change of one name among them.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fastpath::PortIndex;
use vswitch::datapath::NetworkIndex;
use vswitch::dns::{Asked, EndpointNames, Found, Names, NetworkNames};

/// Names that one sample asks for. All of them are in cache, so that the cost of the table is measured, not
/// that of the memory.
const WALK: usize = 10;

fn endpoint(n: usize) -> EndpointNames {
    let [_, _, third, fourth] = (n as u32 + 2).to_be_bytes();
    EndpointNames {
        network: NetworkIndex(0),
        container: format!("container-{n}"),
        names: vec![format!("container-{n}"), format!("alias-{n}")],
        addresses: vec![[10, 99, third, fourth].into()],
    }
}

fn filled(containers: usize) -> Names {
    let names = Names::default();
    let network = NetworkNames {
        name: "br0".to_owned(),
        subnets: vec!["10.99.0.0/16".parse().expect("a subnet")],
        gateways: vec![[10, 99, 0, 1].into()],
        is_internal: false,
    };
    names.set_network(NetworkIndex(0), network);
    for n in 0..containers {
        names.set_endpoint(PortIndex(n as u16), endpoint(n));
    }
    names
}

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
