//! Coalescing and segmentation of any bytes: no panic, and a run segmented again is the frames that it took.

use vswitch_wire::coalesce::{self, Layout, Run};
use vswitch_wire::segment::Segments;
use vswitch_wire::vnet::{GsoType, Header};
use vswitch_wire::{L3, L4, Meta, offload};

/// Coalesces all of `buffer`, in place and by copying, and holds each run against its frames.
pub(crate) fn check(buffer: &[u8], layout: Layout) {
    let (mut at, mut changed) = (0, buffer.to_vec());
    loop {
        let mut out = vec![0; buffer.len()];
        let copied = coalesce::copy(&buffer[at..], layout, &mut out);
        let Some(run) = coalesce::in_place(&mut changed[at..], layout) else {
            assert_eq!(copied, None);
            return;
        };
        assert_eq!(copied, Some(run));
        let one = &changed[at + layout.prefix..][..run.len];
        assert_eq!(one, &out[..run.len]);
        check_run(&buffer[at..at + run.taken], layout, run, one);
        at += run.taken;
        assert_eq!(changed[at..], buffer[at..], "beyond the run");
    }
}

fn check_run(taken: &[u8], layout: Layout, run: Run, one: &[u8]) {
    if run.frames == 1 {
        assert_eq!(one, &taken[layout.prefix..]);
        assert_eq!(run.vnet, offload::received(one, layout.mtu));
        segment(&run.vnet, one);
        return;
    }
    let segments = Segments::new(&run.vnet, one).unwrap();
    assert_eq!(segments.count(), run.frames);
    assert_eq!(segments.header_len(), usize::from(run.vnet.hdr_len));
    for (index, frame) in taken.chunks(layout.stride).enumerate() {
        let mut again = vec![0; segments.frame_len(index)];
        assert_eq!(segments.write(index, &mut again), Some(again.len()));
        assert_eq!(frame[..layout.prefix], taken[..layout.prefix]);
        assert_eq!(comparable(&again), comparable(&frame[layout.prefix..]));
    }
}

/// The frame without what a run may lose: IPv4's identification under DF, and the checksums, which may have been
/// partial.
fn comparable(frame: &[u8]) -> Vec<u8> {
    let meta = Meta::parse(frame).unwrap();
    let (l3, l4) = (usize::from(meta.l3_offset), usize::from(meta.l4_offset));
    let mut frame = frame.to_vec();
    if meta.l3 == L3::Ipv4 && frame[l3 + 6] & 0x40 != 0 {
        frame[l3 + 4..l3 + 6].fill(0);
    }
    if meta.l3 == L3::Ipv4 {
        frame[l3 + 10..l3 + 12].fill(0);
    }
    let checksum = if meta.l4 == L4::Tcp { 16 } else { 6 };
    frame[l4 + checksum..l4 + checksum + 2].fill(0);
    frame
}

/// Segments a frame if it can be: the payloads of the segments are the frame's.
pub(crate) fn segment(vnet: &Header, frame: &[u8]) {
    let Ok(segments) = Segments::new(vnet, frame) else { return };
    let header_len = segments.header_len();
    let (mut payload, mut out) = (Vec::new(), vec![0; segments.stride()]);
    for index in 0..segments.count() {
        let len = segments.write(index, &mut out).unwrap();
        assert_eq!(len, segments.frame_len(index));
        payload.extend_from_slice(&out[header_len..len]);
    }
    assert_eq!(segments.write(segments.count(), &mut out), None);
    assert_eq!(payload, frame[header_len..Meta::parse(frame).unwrap().l3_end()]);
}

/// Segments `frame` by every kind.
pub(crate) fn segment_by_every_kind(frame: &[u8], gso_size: u16) {
    let kinds = [GsoType::None, GsoType::TcpV4, GsoType::Udp, GsoType::TcpV6, GsoType::UdpL4];
    for gso_type in kinds {
        segment(&Header { gso_type, gso_size, ..Header::default() }, frame);
    }
}
