//! The bytes' side of translation: the view of a frame, new addresses and ports into it, and the stage's
//! three steps together. Metadata is there already, as in the pipeline.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;
use std::net::IpAddr;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use nat::{Edit, Endpoint, parse, rewrite};
use wire::frames::{Link, icmpv4, tcp, udp};
use wire::{ChecksumState, MacAddr, Meta, Protocol, icmpv4 as icmp, ip, ipv4, ttl};

/// Bytes of payload: what is edited lies in the headers, so that more makes no difference.
const PAYLOAD: usize = 64;

/// Name, frame, and whether its checksum is partial.
fn frames() -> Vec<(&'static str, Vec<u8>, ChecksumState)> {
    use ChecksumState::{Complete, Partial};
    let v4 = ([10, 99, 0, 2].into(), [1, 1, 1, 1].into());
    let v6 = ([0xfd00, 0, 0, 0, 0, 0, 0, 2].into(), [0x2001, 0, 0, 0, 0, 0, 0, 1].into());
    vec![
        ("tcp4", made(v4, Protocol::TCP), Complete),
        ("tcp4 partial", made(v4, Protocol::TCP), Partial),
        ("udp4", made(v4, Protocol::UDP), Complete),
        ("tcp6", made(v6, Protocol::TCP), Complete),
        ("udp6", made(v6, Protocol::UDP), Complete),
        ("icmp error", error(), Complete),
    ]
}

fn link() -> Link {
    Link::new(MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]))
}

fn made((src, dst): (IpAddr, IpAddr), protocol: Protocol) -> Vec<u8> {
    let header = ip::Repr::new(src, dst, protocol).expect("one family");
    let (mut buffer, payload) = (vec![0; 200], [7; PAYLOAD]);
    let len = match protocol {
        Protocol::TCP => {
            let flags = wire::tcp::Flags::ACK;
            let repr = wire::tcp::Repr {
                src_port: 40_000,
                dst_port: 443,
                flags,
                timestamps: Some((1, 2)),
                ..Default::default()
            };
            tcp(&mut buffer, &link(), &header, &repr, &payload)
        }
        _ => {
            let repr = wire::udp::Repr { src_port: 40_000, dst_port: 53 };
            udp(&mut buffer, &link(), &header, &repr, &payload)
        }
    };
    buffer.truncate(len.expect("room"));
    buffer
}

/// A router's answer to what came from the outside address.
fn error() -> Vec<u8> {
    let about = made(([192, 0, 2, 1].into(), [1, 1, 1, 1].into()), Protocol::UDP);
    let quoted = icmp::quote(&about[14..]);
    let message = icmp::Repr::DstUnreachable { code: 3, mtu: 0, quoted };
    let header = ipv4::Repr::new([1, 1, 1, 1].into(), [192, 0, 2, 1].into(), Protocol::ICMPV4);
    let mut buffer = vec![0; 700];
    let len = icmpv4(&mut buffer, &link(), &header, &message).expect("room");
    buffer.truncate(len);
    buffer
}

fn edit(frame: &[u8]) -> Edit {
    let is_v6 = frame[12] == 0x86;
    let (src, dst): (IpAddr, IpAddr) = match is_v6 {
        true => ([0x2001, 0, 0, 0, 0, 0, 0, 9].into(), [0x2001, 0, 0, 0, 0, 0, 0, 1].into()),
        false => ([192, 0, 2, 1].into(), [1, 1, 1, 1].into()),
    };
    let (src, dst) = (Endpoint::new(src, 20_000), Endpoint::new(dst, 443));
    Edit { src, dst, quoted: Some((src, dst)) }
}

fn edits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("nat_edit");
    group.throughput(Throughput::Elements(1));
    for (name, mut frame, state) in frames() {
        let meta = Meta::parse(&frame).expect("a frame");
        let edit = edit(&frame);
        group.bench_function(BenchmarkId::new("view", name), |bencher| {
            bencher.iter(|| parse::view(black_box(&meta), black_box(&frame)));
        });
        group.bench_function(BenchmarkId::new("rewrite", name), |bencher| {
            bencher.iter(|| {
                rewrite::rewrite(black_box(&edit), black_box(&meta), black_box(&mut frame), state)
            });
        });
        group.bench_function(BenchmarkId::new("hop", name), |bencher| {
            bencher.iter(|| {
                // Never used up, however often it is counted.
                frame[if meta.l3 == wire::L3::Ipv4 { 22 } else { 21 }] = 64;
                ttl::decrement(black_box(&meta), black_box(&mut frame))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, edits);
criterion_main!(benches);
