//! What a tunnel does to the bytes of single frames: checksum completed, datagram and VXLAN header written; both read,
//! and the frame's offload header found. Lookups and counters are not in it.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fastpath::datagram;
use vswitch_pipeline::gso::{SEGMENT, packet, segments};
use wire::coalesce::{self, Layout};
use wire::vxlan::{self, Vni};
use wire::{checksum, vnet};

/// Datagram header and VXLAN header.
const HEADROOM: usize = datagram::LEN + vxlan::HEADER_LEN;

/// Name, family, and bytes of payload.
const SHAPES: [(&str, bool, usize); 4] = [
    ("tcp4 pure ack", false, 0),
    ("tcp4 100 bytes", false, 100),
    ("tcp6 100 bytes", true, 100),
    ("tcp4 full segment", false, SEGMENT as usize),
];

fn peer() -> SocketAddr {
    (Ipv4Addr::new(192, 0, 2, 2), vxlan::PORT).into()
}

/// Writes the headers in front of the frame at `HEADROOM`.
fn encapsulate(buffer: &mut [u8], vnet: &vnet::Header, vni: Vni) -> Option<()> {
    let (headers, frame) = buffer.split_at_mut_checked(HEADROOM)?;
    checksum::complete_partial(frame, vnet.csum_start, vnet.csum_offset).ok()?;
    let header = datagram::Header { peer: peer(), segment: 0, socket: 3, tos: 0 };
    let written = header.write(headers) && vxlan::emit(vni, &mut headers[datagram::LEN..]).is_ok();
    written.then_some(())
}

/// Reads the headers, and the frame behind them.
fn decapsulate(buffer: &mut [u8]) -> Option<(SocketAddr, Vni, coalesce::Run)> {
    let header = datagram::Header::read(buffer)?;
    let datagram = buffer.get_mut(datagram::LEN..)?;
    let vni = vxlan::Packet::new_checked(&*datagram).ok()?.vni();
    let stride = header.segment.into();
    let layout = Layout { prefix: vxlan::HEADER_LEN, stride, udp: false, mtu: 1_450 };
    Some((header.peer, vni, coalesce::in_place(datagram, layout)?))
}

fn tunnel(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("vxlan");
    let vni = Vni::new(42).expect("24 bits");
    group.throughput(Throughput::Elements(1));
    for (name, is_v6, payload) in SHAPES {
        let (vnet, frame) = packet(is_v6, payload);
        let partial = [&[0; HEADROOM][..], &frame].concat();
        let mut buffer = partial.clone();
        group.bench_function(BenchmarkId::new("encapsulate", name), |bencher| {
            bencher.iter(|| {
                buffer.copy_from_slice(black_box(&partial));
                encapsulate(black_box(&mut buffer), &vnet, vni).expect("room")
            });
        });
        assert_eq!(buffer[HEADROOM..], segments(is_v6, payload, &[]).0, "{name} is complete");
        group.bench_function(BenchmarkId::new("decapsulate", name), |bencher| {
            bencher.iter(|| decapsulate(black_box(&mut buffer)).expect("a frame"));
        });
    }
    group.finish();
}

criterion_group!(benches, tunnel);
criterion_main!(benches);
