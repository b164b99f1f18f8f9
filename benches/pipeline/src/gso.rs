//! TCP packets between two containers, for the benchmarks of segmentation and tunnels.

use std::net::IpAddr;

use wire::frames::{Link, tcp};
use wire::segment::Segments;
use wire::tcp::Flags;
use wire::vnet::{self, GsoType, Header};
use wire::{MacAddr, Protocol, checksum, ip};

/// Bytes of a segment's payload: those that fill an MTU of 1,450 with IPv4 and timestamps.
pub const SEGMENT: u16 = 1_398;

/// Bytes of payload of the longest frame: 45 segments.
pub const LONGEST: usize = 45 * SEGMENT as usize;

/// A TCP packet with a partial checksum, as a TAP gives it: its header and frame. GSO where the payload is longer than
/// a segment.
#[must_use]
pub fn packet(is_v6: bool, payload: usize) -> (Header, Vec<u8>) {
    let (src, dst): (IpAddr, IpAddr) = match is_v6 {
        true => ([0xfd00, 0, 0, 0, 0, 0, 0, 2].into(), [0xfd00, 0, 0, 0, 0, 0, 0, 3].into()),
        false => ([10, 99, 0, 2].into(), [10, 99, 0, 3].into()),
    };
    let link = Link::new(MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
    let header = ip::Repr::new(src, dst, Protocol::TCP).expect("one family");
    let repr = wire::tcp::Repr {
        src_port: 40_000,
        dst_port: 443,
        flags: Flags::ACK,
        timestamps: Some((1, 2)),
        ..Default::default()
    };
    let data: Vec<u8> = (0..payload).map(|at| (at * 7 + at / 251) as u8).collect();
    let mut frame = vec![0; 14 + 40 + 60 + payload];
    let len = tcp(&mut frame, &link, &header, &repr, &data).expect("room");
    frame.truncate(len);
    let l4 = 14 + header.header_len();
    let pseudo = header.pseudo_header(len - l4);
    frame[l4 + 16..l4 + 18].copy_from_slice(&pseudo.to_be_bytes());
    let is_gso = payload > SEGMENT.into();
    let vnet = Header {
        flags: vnet::Flags::NEEDS_CSUM,
        gso_type: match (is_gso, is_v6) {
            (false, _) => GsoType::None,
            (true, false) => GsoType::TcpV4,
            (true, true) => GsoType::TcpV6,
        },
        gso_size: if is_gso { SEGMENT } else { 0 },
        csum_start: l4 as u16,
        csum_offset: wire::tcp::CHECKSUM_OFFSET,
        ..Header::default()
    };
    (vnet, frame)
}

/// The same as it comes out of a tunnel: segments with complete checksums, each behind `prefix`. Returns them and the
/// bytes from one to the next.
///
/// # Panics
/// Never: each packet of [`packet`] can be segmented.
#[must_use]
pub fn segments(is_v6: bool, payload: usize, prefix: &[u8]) -> (Vec<u8>, usize) {
    let (vnet, mut frame) = packet(is_v6, payload);
    if !vnet.is_gso() {
        checksum::complete_partial(&mut frame, vnet.csum_start, vnet.csum_offset).expect("whole");
        let buffer = [prefix, &frame].concat();
        return (buffer.clone(), buffer.len());
    }
    let segments = Segments::new(&vnet, &frame).expect("a GSO frame");
    let mut buffer = vec![0; segments.written_len(0..segments.count(), prefix.len())];
    segments.write_all(0..segments.count(), prefix, &mut buffer).expect("room");
    (buffer, prefix.len() + segments.stride())
}
