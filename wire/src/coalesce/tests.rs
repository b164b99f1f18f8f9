use std::vec;
use std::vec::Vec;

use super::*;
use crate::ipv4;
use crate::testing::Flow;
use crate::vnet::{self, GsoType};

const TCP4: Flow = Flow { v6: false, udp: false };
const FLOWS: [Flow; 4] = [
    TCP4,
    Flow { v6: true, udp: false },
    Flow { v6: false, udp: true },
    Flow { v6: true, udp: true },
];

const VXLAN: [u8; 8] = [8, 0, 0, 0, 0, 0, 42, 0];

/// Offsets of Ethernet, IPv4 and TCP.
const IP: usize = 14;
const TCP: usize = 34;

fn layout(frame_len: usize) -> Layout {
    Layout { prefix: VXLAN.len(), stride: VXLAN.len() + frame_len, udp: true, mtu: 1_450 }
}

/// The frames, each behind a VXLAN header.
fn laid_out(frames: &[Vec<u8>]) -> (Vec<u8>, Layout) {
    let all: Vec<_> = frames.iter().map(|frame| [&VXLAN[..], frame].concat()).collect();
    (all.concat(), layout(frames[0].len()))
}

fn run(frames: &[Vec<u8>]) -> (Run, Vec<u8>) {
    let (mut buffer, layout) = laid_out(frames);
    let run = in_place(&mut buffer, layout).unwrap();
    (run, buffer[VXLAN.len()..VXLAN.len() + run.len].to_vec())
}

fn whole(flow: Flow, count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|index| flow.frame(index, Flow::SIZE)).collect()
}

/// Frames that become one of which the second is edited by `edit`, then given right checksums.
fn frames_with_second(edit: impl Fn(&mut Vec<u8>)) -> usize {
    let mut frames = whole(TCP4, 3);
    edit(&mut frames[1]);
    Flow::refill(&mut frames[1]);
    run(&frames).0.frames
}

#[test]
fn a_flow_becomes_one_frame_as_its_sender_would_have_given_it() {
    for flow in FLOWS {
        let mut frames = whole(flow, 3);
        frames.push(flow.frame(3, 40));
        let (run, one) = run(&frames);
        let header_len = frames[0].len() - Flow::SIZE;
        assert_eq!((run.frames, run.len), (4, header_len + 340));
        let payload: Vec<u8> =
            frames.iter().flat_map(|frame| frame[header_len..].to_vec()).collect();
        assert_eq!(one[header_len..], payload);
        // Headers and checksums but for TCP's: those of one long packet.
        let mut long = flow.frame(0, 340);
        Flow::make_partial(&mut long);
        assert_eq!(one[..header_len], long[..header_len]);
        let transport = if flow.v6 { 54 } else { 34 };
        let expected = vnet::Header {
            flags: vnet::Flags::NEEDS_CSUM,
            gso_type: match (flow.udp, flow.v6) {
                (true, _) => GsoType::UdpL4,
                (_, true) => GsoType::TcpV6,
                _ => GsoType::TcpV4,
            },
            hdr_len: header_len as u16,
            gso_size: Flow::SIZE as u16,
            csum_start: transport,
            csum_offset: if flow.udp { 6 } else { 16 },
            ..Default::default()
        };
        assert_eq!(run.vnet, expected);
    }
}

#[test]
fn a_tagged_flow_becomes_one_frame() {
    let mut frames = whole(TCP4, 2);
    for frame in &mut frames {
        frame.splice(12..12, [0x81, 0, 0, 10]);
    }
    let (joined, one) = run(&frames);
    assert_eq!((joined.frames, joined.vnet.csum_start), (2, 38));
    assert_eq!(one[..18], frames[0][..18]);
    frames[1][15] = 11;
    assert_eq!(run(&frames).0.frames, 1, "another VLAN");
}

#[test]
fn every_header_field_that_differs_ends_the_run() {
    let fields = [
        ("destination MAC", 0, 4),
        ("source MAC", 6, 4),
        ("TOS", IP + 1, 1),
        ("identification", IP + 5, 1),
        ("DF", IP + 6, 0x40),
        ("TTL", IP + 8, 1),
        ("source address", IP + 15, 1),
        ("destination address", IP + 19, 1),
        ("source port", TCP, 1),
        ("destination port", TCP + 3, 1),
        ("sequence number", TCP + 7, 1),
        ("acknowledgement", TCP + 11, 1),
        ("window", TCP + 15, 1),
        ("urgent pointer", TCP + 19, 1),
        ("timestamp", TCP + 27, 1),
        ("SYN", TCP + 13, 0x02),
        ("RST", TCP + 13, 0x04),
        ("no ACK", TCP + 13, 0x10),
        ("URG", TCP + 13, 0x20),
        ("ECE", TCP + 13, 0x40),
        ("CWR", TCP + 13, 0x80),
        ("NS", TCP + 12, 0x01),
    ];
    assert_eq!(frames_with_second(|_| {}), 3);
    for (name, at, bits) in fields {
        assert_eq!(frames_with_second(|frame| frame[at] ^= bits), 1, "{name}");
    }
}

#[test]
fn every_header_field_of_ipv6_that_differs_ends_the_run() {
    let flow = Flow { v6: true, udp: false };
    let fields = [
        ("class", IP, 1),
        ("flow label", IP + 3, 1),
        ("hop limit", IP + 7, 1),
        ("source", IP + 23, 1),
    ];
    for (name, at, bits) in fields {
        let mut frames = whole(flow, 2);
        frames[1][at] ^= bits;
        Flow::refill(&mut frames[1]);
        assert_eq!(run(&frames).0.frames, 1, "{name}");
    }
}

#[test]
fn the_identification_means_nothing_under_df() {
    let mut frames = whole(TCP4, 3);
    for (frame, ident) in frames.iter_mut().zip([9, 9, 3]) {
        frame[IP + 4..IP + 7].copy_from_slice(&[0, ident, 0x40]);
        Flow::refill(frame);
    }
    assert_eq!(run(&frames).0.frames, 3);
}

#[test]
fn another_prefix_ends_the_run() {
    let (mut buffer, layout) = laid_out(&whole(TCP4, 3));
    buffer[2 * layout.stride + 6] = 43;
    assert_eq!(in_place(&mut buffer, layout).unwrap().frames, 2);
}

#[test]
fn psh_and_fin_end_the_run_with_their_frame() {
    for flag in [Flags::PSH, Flags::FIN] {
        let mut frames = whole(TCP4, 3);
        frames[1][TCP + 13] |= flag.0;
        Flow::refill(&mut frames[1]);
        let (joined, one) = run(&frames);
        assert_eq!((joined.frames, one[TCP + 13]), (2, Flags::ACK.with(flag).0));
        frames[0][TCP + 13] |= flag.0;
        Flow::refill(&mut frames[0]);
        assert_eq!(run(&frames).0.frames, 1, "the first frame has {flag:?}");
    }
}

#[test]
fn cwr_of_the_first_frame_becomes_the_ecn_bit() {
    let mut frames = whole(TCP4, 2);
    frames[0][TCP + 13] |= Flags::CWR.0;
    Flow::refill(&mut frames[0]);
    let (joined, one) = run(&frames);
    assert_eq!((joined.frames, joined.vnet.gso_ecn), (2, true));
    assert_eq!(one[TCP + 13], Flags::ACK.with(Flags::CWR).0);
}

#[test]
fn lone_frames_are_untouched() {
    let edits: [fn(&mut Vec<u8>); 4] = [
        |frame| frame[TCP + 13] |= Flags::SYN.0,
        |frame| frame[TCP + 13] |= Flags::RST.0,
        |frame| frame[TCP + 13] |= Flags::URG.0,
        |frame| frame[TCP + 13] = 0,
    ];
    for edit in edits {
        let mut frames = whole(TCP4, 2);
        edit(&mut frames[0]);
        Flow::refill(&mut frames[0]);
        let (joined, one) = run(&frames);
        assert_eq!((joined.frames, joined.vnet), (1, vnet::Header::default()));
        assert_eq!(one, frames[0]);
    }
    let pure_acks = [TCP4.frame(0, 0), TCP4.frame(0, 0)];
    assert_eq!(run(&pure_acks).0.frames, 1);
    let fragments = whole(TCP4, 2).into_iter().map(|mut frame| {
        frame[IP + 6] = 0x20;
        Flow::refill(&mut frame);
        frame
    });
    assert_eq!(run(&fragments.collect::<Vec<_>>()).0.frames, 1);
}

#[test]
fn padding_ends_the_run() {
    let padded = |index| [TCP4.frame(index, Flow::SIZE), vec![0; 6]].concat();
    assert_eq!(run(&[padded(0), padded(1)]).0.frames, 1);
    assert_eq!(run(&[TCP4.frame(0, Flow::SIZE), TCP4.frame(1, 90)]).0.frames, 2);
}

#[test]
fn padding_that_the_checksum_cannot_tell_ends_the_run() {
    for flow in FLOWS {
        // Six bytes more in the pseudo-header, and once more in UDP's: the padding takes them off.
        let more = if flow.udp { 12 } else { 6 };
        let mut tail = flow.frame(1, 90);
        tail.extend([0xff, 0xff - more, 0, 0, 0, 0]);
        assert_eq!(run(&[flow.frame(0, Flow::SIZE), tail.clone()]).0.frames, 1);
        if flow.udp {
            // The IP packet has the bytes, but the datagram has not.
            let at = if flow.v6 { 18 } else { 16 };
            let len = u16::from_be_bytes([tail[at], tail[at + 1]]) + 6;
            tail[at..at + 2].copy_from_slice(&len.to_be_bytes());
            let padding = tail.len() - 5;
            tail[padding] += 6;
            if !flow.v6 {
                ipv4::Packet::new_checked(&mut tail[14..]).unwrap().fill_checksum();
            }
            assert_eq!(run(&[flow.frame(0, Flow::SIZE), tail]).0.frames, 1);
        }
    }
}

#[test]
fn padding_of_the_first_frame_is_no_payload() {
    let mut first = TCP4.frame(0, Flow::SIZE);
    first.extend([0xff, 0xf9, 0, 0, 0, 0]);
    let mut second = TCP4.frame(1, Flow::SIZE);
    second[TCP + 7] += 6;
    Flow::refill(&mut second);
    assert_eq!(run(&[first, second]).0.frames, 1);
}

#[test]
fn an_empty_payload_ends_the_run() {
    for flow in FLOWS {
        assert_eq!(run(&[flow.frame(0, Flow::SIZE), flow.frame(1, 1)]).0.frames, 2);
        assert_eq!(run(&[flow.frame(0, Flow::SIZE), flow.frame(1, 0)]).0.frames, 1);
    }
}

#[test]
fn a_wrong_checksum_ends_the_run() {
    for flow in FLOWS {
        let frames = whole(flow, 3);
        let l4 = if flow.v6 { 54 } else { 34 };
        for (broken, expected) in [(0, 1), (1, 1), (2, 2)] {
            let mut frames = frames.clone();
            *frames[broken].last_mut().unwrap() ^= 1;
            assert_eq!(run(&frames).0.frames, expected, "payload of frame {broken}");
        }
        if !flow.v6 {
            let mut frames = frames.clone();
            frames[1][IP + 10] ^= 1;
            assert_eq!(run(&frames).0.frames, 1, "IPv4 header");
        }
        if flow.udp {
            let mut frames = frames.clone();
            frames[1][l4 + 6..l4 + 8].fill(0);
            assert_eq!(run(&frames).0.frames, 1, "none");
        }
    }
}

#[test]
fn partial_checksums_are_taken_for_right() {
    for flow in FLOWS {
        let mut frames = whole(flow, 3);
        let expected = run(&frames);
        frames.iter_mut().skip(1).for_each(|frame| Flow::make_partial(frame));
        assert_eq!(run(&frames), expected, "complete and partial");
        Flow::make_partial(&mut frames[0]);
        assert_eq!(run(&frames), expected);
    }
}

#[test]
fn udp_only_where_asked_and_64_at_most() {
    let flow = Flow { v6: false, udp: true };
    let (mut buffer, layout) = laid_out(&whole(flow, 70));
    let before = buffer.clone();
    let run = in_place(&mut buffer, Layout { udp: false, ..layout }).unwrap();
    assert_eq!((run.frames, &buffer), (1, &before));
    let run = in_place(&mut buffer, layout).unwrap();
    assert_eq!(run.frames, UDP_COALESCED_MAX);
    assert_eq!(in_place(&mut buffer[run.taken..], layout).unwrap().frames, 6);
}

#[test]
fn the_next_run_begins_where_the_last_one_ended() {
    let other = Flow { v6: false, udp: true };
    let len = Flow::SIZE + 24;
    let frames = [
        TCP4.frame(0, Flow::SIZE),
        TCP4.frame(1, Flow::SIZE),
        other.frame(2, len),
        other.frame(3, len),
        TCP4.frame(4, Flow::SIZE),
    ];
    let (mut buffer, layout) = laid_out(&frames);
    let (before, mut at, mut runs) = (buffer.clone(), 0, Vec::new());
    while let Some(run) = in_place(&mut buffer[at..], layout) {
        let mut out = vec![0; 2_000];
        assert_eq!(copy(&before[at..], layout, &mut out), Some(run));
        assert_eq!(out[..run.len], buffer[at + 8..at + 8 + run.len]);
        at += run.taken;
        runs.push(run.frames);
    }
    assert_eq!((runs, at), (vec![2, 2, 1], before.len()));
}

#[test]
fn a_copy_ends_where_its_buffer_is_full() {
    let (buffer, layout) = laid_out(&whole(TCP4, 3));
    let len = layout.stride - layout.prefix;
    assert_eq!(copy(&buffer, layout, &mut vec![0; len - 1]), None);
    for (room, frames) in [(0, 1), (99, 1), (100, 2), (199, 2), (200, 3)] {
        assert_eq!(copy(&buffer, layout, &mut vec![0; len + room]).unwrap().frames, frames);
    }
}

#[test]
fn a_packet_is_at_most_65_535_bytes() {
    let frames: Vec<_> = (0..50)
        .map(|index| {
            let mut frame = TCP4.frame(0, 1_398);
            frame[IP + 4..IP + 6].copy_from_slice(&(index as u16).to_be_bytes());
            frame[TCP + 4..TCP + 8].copy_from_slice(&(index as u32 * 1_398).to_be_bytes());
            Flow::refill(&mut frame);
            frame
        })
        .collect();
    let (run, one) = run(&frames);
    assert_eq!((run.frames, one.len()), (46, 14 + 52 + 46 * 1_398));
}

#[test]
fn a_packet_that_was_never_segmented_stays_alone_with_a_segment_size() {
    let mut frames = whole(TCP4, 2);
    let (mut buffer, layout) = laid_out(&frames);
    let mtu = (frames[0].len() - IP) as u32;
    assert_eq!(in_place(&mut buffer.clone(), Layout { mtu, ..layout }).unwrap().frames, 2);
    assert_eq!(in_place(&mut buffer, Layout { mtu: mtu - 1, ..layout }).unwrap().frames, 1);
    Flow::make_partial(&mut frames[0]);
    let (mut buffer, layout) = laid_out(&frames[..1]);
    let run = in_place(&mut buffer, Layout { mtu: mtu - 30, stride: 0, ..layout }).unwrap();
    assert_eq!((run.vnet.gso_type, run.vnet.gso_size), (GsoType::TcpV4, 70));
}

#[test]
fn no_frame_no_run() {
    let layout = layout(100);
    assert_eq!(in_place(&mut [], layout), None);
    assert_eq!(in_place(&mut [0; 8], layout), None);
    let run = in_place(&mut [0; 9], layout).unwrap();
    assert_eq!((run.frames, run.taken, run.len), (1, 9, 1));
    // A stride within the prefix.
    assert_eq!(in_place(&mut [0; 100], Layout { stride: 8, ..layout }), None);
    assert_eq!(in_place(&mut [0; 100], Layout { prefix: usize::MAX, ..layout }), None);
}
