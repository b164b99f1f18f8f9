use std::vec;

use super::*;
use crate::checksum::complete_partial;
use crate::testing::{Flow, captured_vnet};
use crate::vnet::LEN;
use crate::{ipv6_ext, offload, udp};

fn gso(flow: Flow, len: usize, size: u16) -> (Header, vec::Vec<u8>) {
    let frame = flow.frame(0, len);
    let gso_type = match (flow.udp, flow.v6) {
        (true, _) => GsoType::UdpL4,
        (_, true) => GsoType::TcpV6,
        _ => GsoType::TcpV4,
    };
    (Header { gso_type, gso_size: size, ..Header::default() }, frame)
}

#[test]
fn the_segments_of_a_flow_are_its_frames() {
    for (v6, udp) in [(false, false), (true, false), (false, true), (true, true)] {
        let flow = Flow { v6, udp };
        let (vnet, frame) = gso(flow, 0, 100);
        // The payload of frame `i` of the flow depends on `i`.
        let payload: vec::Vec<u8> =
            (0..3).flat_map(|index| flow.frame(index, 100)[frame.len()..].to_vec()).collect();
        let mut whole = flow.frame(0, 300);
        whole[frame.len()..].copy_from_slice(&payload);
        let segments = Segments::new(&vnet, &whole).unwrap();
        assert_eq!((segments.count(), segments.stride()), (3, frame.len() + 100));
        for index in 0..3 {
            let mut out = [0xaa; 300];
            let len = segments.write(index, &mut out).unwrap();
            assert_eq!(out[..len], flow.frame(index, 100), "{v6} {udp} {index}");
        }
    }
}

#[test]
fn a_captured_udp_frame_is_segmented() {
    let bytes = captured_vnet("udp-gso");
    let vnet = Header::parse(&bytes).unwrap();
    let segments = Segments::new(&vnet, &bytes[LEN..]).unwrap();
    assert_eq!((segments.count(), segments.header_len()), (3, 42));
    let mut out = [0; 200];
    let lens = [0, 1, 2].map(|index| segments.write(index, &mut out).unwrap());
    assert_eq!(lens, [142, 142, 42 + 50]);
}

#[test]
fn one_segment_is_the_frame_with_a_complete_checksum() {
    for flow in [Flow { v6: false, udp: false }, Flow { v6: true, udp: true }] {
        for len in [0, 1, 99, 100] {
            let (vnet, mut frame) = gso(flow, len, 100);
            let complete = frame.clone();
            Flow::make_partial(&mut frame);
            let segments = Segments::new(&vnet, &frame).unwrap();
            let mut out = [0; 300];
            assert_eq!((segments.count(), segments.write(0, &mut out)), (1, Some(frame.len())));
            assert_eq!(out[..frame.len()], complete);
            // As the kernel's own completion has it.
            let header = offload::received(&frame, 1_450);
            complete_partial(&mut frame, header.csum_start, header.csum_offset).unwrap();
            assert_eq!(frame, complete);
        }
    }
}

#[test]
fn flags_go_with_the_segments_that_linux_gives_them_to() {
    let (vnet, mut frame) = gso(Flow { v6: false, udp: false }, 300, 100);
    // All but SYN, RST and URG.
    frame[34 + 13] = !0x26;
    let segments = Segments::new(&vnet, &frame).unwrap();
    let mut out = [0; 300];
    let flags = [0, 1, 2].map(|index| {
        segments.write(index, &mut out).unwrap();
        Flags(out[34 + 13])
    });
    let middle = Flags::ACK.with(Flags::ECE);
    let last = middle.with(Flags::PSH).with(Flags::FIN);
    assert_eq!(flags, [middle.with(Flags::CWR), middle, last]);
}

#[test]
fn padding_is_no_payload() {
    let (vnet, mut frame) = gso(Flow { v6: false, udp: false }, 150, 100);
    let len = frame.len();
    frame.extend([0xee; 80]);
    let segments = Segments::new(&vnet, &frame).unwrap();
    assert_eq!((segments.count(), segments.frame_len(1)), (2, len - 100));
}

#[test]
fn segments_lie_at_equal_distances_behind_their_prefixes() {
    let (vnet, frame) = gso(Flow { v6: true, udp: false }, 250, 100);
    let segments = Segments::new(&vnet, &frame).unwrap();
    let (prefix, stride) = ([1, 2, 3], 3 + segments.stride());
    let mut out = vec![0; 3 * stride];
    let len = segments.write_all(0..3, &prefix, &mut out).unwrap();
    assert_eq!((len, segments.written_len(0..3, 3)), (3 * stride - 50, 3 * stride - 50));
    for index in 0..3 {
        let mut one = [0; 300];
        let len = segments.write(index, &mut one).unwrap();
        assert_eq!(out[index * stride..][..3], prefix);
        assert_eq!(out[index * stride + 3..][..len], one[..len]);
    }
    let mut tail = vec![0; segments.written_len(1..3, 3)];
    assert_eq!(segments.write_all(1..3, &prefix, &mut tail), Some(tail.len()));
    assert_eq!(tail, out[stride..len]);
}

#[test]
fn no_segment_beyond_the_last_or_into_too_little_room() {
    let (vnet, frame) = gso(Flow { v6: false, udp: true }, 250, 100);
    let segments = Segments::new(&vnet, &frame).unwrap();
    let mut out = [0; 1_000];
    assert_eq!(segments.write(3, &mut out), None);
    assert_eq!(segments.write(usize::MAX, &mut out), None);
    assert_eq!(segments.write(0, &mut out[..141]), None);
    assert_eq!(segments.write_all(0..4, &[], &mut out), None);
    assert_eq!(segments.write_all(0..2, &[0; 8], &mut out[..299]), None);
    assert_eq!((segments.written_len(0..9, 8), segments.written_len(3..9, 8)), (3 * 50 + 250, 0));
}

#[test]
fn what_is_no_gso_frame_is_refused() {
    let tcp4 = Flow { v6: false, udp: false };
    let refused = |vnet: Header, frame: &[u8]| Segments::new(&vnet, frame).map(|_| ()).unwrap_err();
    let (vnet, frame) = gso(tcp4, 250, 100);
    for kind in [GsoType::None, GsoType::Udp] {
        let vnet = Header { gso_type: kind, ..vnet };
        assert_eq!(refused(vnet, &frame), SegmentationError::Kind(kind));
    }
    assert_eq!(refused(Header { gso_size: 0, ..vnet }, &frame), SegmentationError::SegmentSize);
    for kind in [GsoType::TcpV6, GsoType::UdpL4] {
        let vnet = Header { gso_type: kind, ..vnet };
        assert_eq!(refused(vnet, &frame), SegmentationError::Headers(kind));
    }
    let headers = SegmentationError::Headers(GsoType::TcpV4);
    assert_eq!(refused(vnet, &frame[..60]), headers);
    let mut fragment = frame.clone();
    fragment[20] |= 0x20;
    assert_eq!(refused(vnet, &fragment), headers);
}

#[test]
fn extension_headers_of_ipv6_are_refused() {
    let (vnet, mut frame) = gso(Flow { v6: true, udp: true }, 250, 100);
    assert!(Segments::new(&vnet, &frame).is_ok());
    frame.splice(54..54, [17, 0, 1, 4, 0, 0, 0, 0]);
    frame[20] = 60;
    frame[18..20].copy_from_slice(&(250 + udp::HEADER_LEN as u16 + 8).to_be_bytes());
    assert!(ipv6_ext::is_extension(crate::Protocol(60)));
    assert_eq!(crate::Meta::parse(&frame).unwrap().l4, crate::L4::Udp, "a whole packet");
    assert_eq!(
        Segments::new(&vnet, &frame).map(|_| ()),
        Err(SegmentationError::Headers(GsoType::UdpL4))
    );
}
