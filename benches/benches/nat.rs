//! Translation: packets of known connections, and how long a worker's round takes while a million connections
//! begin and expire.
//!
//! The mix: 2,000 endpoints of 100 containers, half of them UDP and half TCP, each to as many remotes as it takes.
//! Of the packets that are measured half go out and half come in, in an order that no prefetcher foresees.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::print_stdout, reason = "it tells what criterion has no words for")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fastpath::Clock;
use nat::{
    CompiledPolicy, Endpoint, Kind, Nat, NatConfig, OwnerId, Policy, Realm, Segment, Time,
    Translation, Transport, Tuple, View, Zone,
};
use wire::tcp::Flags;

const MILLION: usize = 1_000_000;
const OWNERS: u32 = 100;
const ENDPOINTS: u32 = 2_000;
/// Packets of one sample.
const WALK: usize = 4096;
/// Operations of a round in which nobody waits.
const IDLE_OPERATIONS: usize = 1024;
/// Packets that are prepared together, and connections that begin in a round: a full batch of one port, of four.
const BATCH: usize = 64;

fn policy() -> Arc<CompiledPolicy> {
    let policy = Policy {
        external_v4: Some(Ipv4Addr::new(192, 0, 2, 1)),
        external_v6: None,
        sources: Vec::new(),
        host_addrs: vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))],
        ports: 20_000..=29_999,
        published: Vec::new(),
        quota: 1 << 20,
    };
    CompiledPolicy::compile(policy, None)
}

fn segment(flags: Flags, seq: u32, ack: u32) -> Option<Segment> {
    let len = u32::from(flags.contains(Flags::SYN));
    Some(Segment { flags, seq, ack, window: 64_000, len, window_scale: None })
}

fn view(tuple: Tuple, segment: Option<Segment>) -> View {
    let kind = Kind::Flow { tuple, segment, is_request: false };
    View { src: tuple.src.address, dst: tuple.dst.address, kind, fragment: None, len: 1500 }
}

/// The first packet of the `n`th connection, and its container.
fn first(n: usize) -> (Realm, View) {
    let n = n as u32;
    let (endpoint, remote) = (n % ENDPOINTS, n / ENDPOINTS);
    let (owner, port) = (endpoint % OWNERS, endpoint / OWNERS);
    let address = Ipv4Addr::from_bits(0x0a63_0002 + owner);
    let transport = if port % 2 == 0 { Transport::Udp } else { Transport::Tcp };
    let src = Endpoint::new(address.into(), 40_000 + port as u16);
    let dst = Endpoint::new(Ipv4Addr::from_bits(0x2d00_0001 + remote * 977).into(), 443);
    let syn = segment(Flags::SYN, 1000, 0).filter(|_| transport == Transport::Tcp);
    (Realm::Internal(OwnerId(owner), Zone(0)), view(Tuple { transport, src, dst }, syn))
}

fn table(capacity: usize) -> Nat {
    let mut nat = Nat::new(NatConfig { capacity, seed: 0x005e_ed00 });
    nat.revalidate(&policy());
    nat
}

/// A table with so many established connections, and packets of them in both directions.
fn filled(flows: usize) -> (Nat, Vec<(Realm, View)>) {
    let mut nat = table(flows + flows / 16);
    let now = Time(1 << 40);
    let mut packets = Vec::with_capacity(flows);
    for n in 0..flows {
        let (from, out) = first(n);
        let Ok(Translation::Edit { edit, .. }) = nat.translate(now, from, &out) else {
            panic!("connection {n} does not begin");
        };
        let Kind::Flow { mut tuple, .. } = out.kind else { panic!("a flow") };
        let back = Tuple { src: edit.dst, dst: edit.src, ..tuple };
        let is_tcp = tuple.transport == Transport::Tcp;
        let of_tcp = |segment: Option<Segment>| segment.filter(|_| is_tcp);
        let syn_ack = view(back, of_tcp(segment(Flags::SYN.with(Flags::ACK), 5000, 1001)));
        nat.translate(now, Realm::External, &syn_ack).expect("an answer");
        let ack = view(tuple, of_tcp(segment(Flags::ACK, 1001, 5001)));
        nat.translate(now, from, &ack).expect("an answer to it");
        if n % 2 == 0 {
            packets.push((from, ack));
        } else {
            tuple = back;
            packets.push((Realm::External, view(tuple, of_tcp(segment(Flags::ACK, 5001, 1001)))));
        }
    }
    shuffle(&mut packets);
    (nat, packets)
}

fn shuffle<T>(items: &mut [T]) {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for n in (1..items.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        items.swap(n, (state % (n as u64 + 1)) as usize);
    }
}

fn translated(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("nat");
    group.throughput(Throughput::Elements(WALK as u64));
    for flows in [1_000, MILLION] {
        let (mut nat, packets) = filled(flows);
        println!("{flows} connections: {} bytes each", nat.bytes() / (flows + flows / 16));
        let now = Time((1 << 40) + 1);
        let mut at = 0;
        let mut walk = |nat: &mut Nat, is_warmed: bool| {
            for _ in 0..WALK / BATCH {
                let batch: Vec<_> =
                    (0..BATCH).map(|n| &packets[(at + n) % packets.len()]).collect();
                at = (at + BATCH) % packets.len();
                if is_warmed {
                    nat.prefetch(batch.iter().map(|(from, view)| (from.zone(), view)));
                }
                for (from, view) in batch {
                    black_box(nat.translate(now, *from, view)).expect("translated");
                }
            }
        };
        group.bench_function(BenchmarkId::new("translate", flows), |bencher| {
            bencher.iter(|| walk(&mut nat, false));
        });
        group.bench_function(BenchmarkId::new("translate batches", flows), |bencher| {
            bencher.iter(|| walk(&mut nat, true));
        });
    }
    group.finish();
}

/// What share of rounds took no longer than this.
fn distribution(what: &str, mut rounds: Vec<Duration>, connections: usize) {
    rounds.sort_unstable();
    let at = |share: f64| rounds[((rounds.len() - 1) as f64 * share) as usize];
    let total: Duration = rounds.iter().sum();
    println!(
        "{what}: {:.2} M/s; {} rounds, p50 {:?}, p99 {:?}, p99.9 {:?}, longest {:?}",
        connections as f64 / total.as_secs_f64() / 1e6,
        rounds.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
    );
}

/// A million connections begin in rounds of `frames`, then all expire in rounds of `TICK_OPERATIONS`. The table
/// is one whose first connection began a while ago, so that its memory was touched in idle rounds; or one of
/// which nobody had need before.
fn rounds(_: &mut Criterion) {
    for (frames, is_cold) in [(BATCH, false), (4 * BATCH, false), (4 * BATCH, true)] {
        for _ in 0..3 {
            let what = if is_cold { "the first ever" } else { "later" };
            run(&format!("{frames} frames a round, {what}"), frames, is_cold);
        }
    }
}

fn run(what: &str, frames: usize, is_cold: bool) {
    let mut nat = table(MILLION + MILLION / 16);
    let timed = |work: &mut dyn FnMut()| {
        let start = Clock.now();
        work();
        Clock.now() - start
    };
    let mut now = Time(1 << 40);
    if !is_cold {
        let (from, view) = first(0);
        black_box(nat.translate(now, from, &view)).expect("begun");
        let mut idle = Vec::new();
        while nat.has_work() {
            idle.push(timed(&mut || nat.tick(now, IDLE_OPERATIONS)));
        }
        distribution(&format!("{what}, idle rounds before"), idle, 0);
    }
    let mut begun = Vec::with_capacity(MILLION / frames);
    for round in 0..MILLION / frames {
        now = now.after(Duration::from_micros(50));
        let packets: Vec<_> = (0..frames).map(|n| first(round * frames + n)).collect();
        begun.push(timed(&mut || {
            for (from, view) in &packets {
                black_box(nat.translate(now, *from, view)).expect("begun");
            }
            nat.tick(now, nat::limits::TICK_OPERATIONS);
        }));
    }
    let connections = nat.len();
    distribution(&format!("{what}, begin"), begun, connections);
    // All are due: as much work in a round as there may be.
    now = now.after(Duration::from_secs(300));
    let mut ended = Vec::with_capacity(MILLION);
    while !nat.is_empty() {
        ended.push(timed(&mut || nat.tick(now, nat::limits::TICK_OPERATIONS)));
    }
    distribution(&format!("{what}, expire"), ended, connections);
}

criterion_group!(benches, translated, rounds);
criterion_main!(benches);
