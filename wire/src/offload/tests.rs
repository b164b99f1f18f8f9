use super::*;
use crate::testing::{Flow, captured, captured_vnet};
use crate::vnet::LEN;

const MTU: u32 = 1_450;

#[test]
fn the_header_that_a_tap_gave_is_found_again() {
    for name in ["complete", "udp", "udp-v6", "tcp-syn"] {
        let bytes = captured_vnet(name);
        let (header, frame) = (Header::parse(&bytes).unwrap(), &bytes[LEN..]);
        assert_eq!(received(frame, MTU), header, "{name}");
    }
}

#[test]
fn complete_checksums_stay_complete() {
    for name in
        ["udp", "udp-v6", "tcp-syn", "tcp-syn-v6", "arp-request", "echo-request", "fragment-tail"]
    {
        assert_eq!(received(&captured(name), MTU), Header::default(), "{name}");
    }
}

#[test]
fn tcp_above_the_mtu_is_segmented_to_fill_it() {
    for (v6, headers, kind) in [(false, 52, GsoType::TcpV4), (true, 72, GsoType::TcpV6)] {
        let mut frame = Flow { v6, udp: false }.frame(0, 5_000);
        assert_eq!(received(&frame, MTU), Header::default());
        Flow::make_partial(&mut frame);
        let header = received(&frame, MTU);
        assert_eq!((header.gso_type, header.gso_size), (kind, MTU as u16 - headers));
        assert!(header.flags.contains(Flags::NEEDS_CSUM));
        assert_eq!(received(&frame, 5_000 + u32::from(headers)).gso_type, GsoType::None);
        // No room for payload: one packet.
        frame[if v6 { 54 } else { 34 } + 13] |= tcp::Flags::CWR.0;
        let one = received(&frame, headers.into());
        assert_eq!((one.gso_type, one.gso_ecn, one.gso_size), (GsoType::None, false, 0));
    }
}

#[test]
fn cwr_of_an_unsegmented_packet_goes_with_the_first_segment_alone() {
    let mut frame = Flow { v6: false, udp: false }.frame(0, 5_000);
    frame[34 + 13] |= tcp::Flags::CWR.0;
    Flow::make_partial(&mut frame);
    assert!(received(&frame, MTU).gso_ecn);
}

#[test]
fn udp_above_the_mtu_has_no_known_segments() {
    let mut frame = Flow { v6: false, udp: true }.frame(0, 5_000);
    Flow::make_partial(&mut frame);
    let header = received(&frame, MTU);
    assert_eq!((header.gso_type, header.csum_start, header.csum_offset), (GsoType::None, 34, 6));
}

#[test]
fn udp_shorter_than_its_ip_packet_is_not_looked_at() {
    let mut frame = Flow { v6: false, udp: true }.frame(0, 100);
    Flow::make_partial(&mut frame);
    assert!(received(&frame, MTU).flags.contains(Flags::NEEDS_CSUM));
    frame[34 + 5] -= 1;
    assert_eq!(received(&frame, MTU), Header::default());
}

#[test]
fn a_udp_packet_is_given_the_segments_that_its_sender_wants() {
    for v6 in [false, true] {
        let header_len = if v6 { 62 } else { 42 };
        let complete = Flow { v6, udp: true }.frame(0, 5_000);
        let mut frame = complete.clone();
        Flow::make_partial(&mut frame);
        let of =
            |frame: &[u8], gso_size| unsegmented_udp(&Meta::parse(frame).unwrap(), frame, gso_size);
        let header = of(&frame, 1_000).expect("five datagrams");
        assert_eq!((header.gso_type, header.gso_size), (GsoType::UdpL4, 1_000));
        assert_eq!(usize::from(header.hdr_len), header_len);
        assert!(header.flags.contains(Flags::NEEDS_CSUM));
        assert_eq!(of(&frame, 40).map(|it| it.gso_size), Some(40), "125 of them");
        for gso_size in [0, 1, 39, 5_000, u16::MAX] {
            assert_eq!(of(&frame, gso_size), None, "segments of {gso_size}");
        }
        assert_eq!(of(&complete, 1_000), None, "a complete checksum");
        assert_eq!(of(&[&frame[..], &[0]].concat(), 1_000), None, "padding");
        let mut tcp = Flow { v6, udp: false }.frame(0, 5_000);
        Flow::make_partial(&mut tcp);
        assert_eq!(of(&tcp, 1_000), None, "TCP");
    }
}
