use wire::frames::{Link, udp};
use wire::{MacAddr, ip, udp as udp_wire};

use super::*;

/// A datagram with these options or extension headers between IP and UDP.
fn frame(is_v6: bool, next: Protocol, extras: &[u8]) -> Vec<u8> {
    let link = Link::new(MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
    let address = if is_v6 { [0xfd00; 8].into() } else { [10, 99, 0, 2].into() };
    let header = ip::Repr::new(address, address, Protocol::UDP).expect("one family");
    let mut buffer = vec![0; 100];
    let ports = udp_wire::Repr { src_port: 40_000, dst_port: 53 };
    let len = udp(&mut buffer, &link, &header, &ports, &[0; 32]).expect("room");
    buffer.truncate(len);
    let at = 14 + header.header_len();
    buffer.splice(at..at, extras.iter().copied());
    let payload = (buffer.len() - at) as u16;
    if is_v6 {
        buffer[18..20].copy_from_slice(&payload.to_be_bytes());
        buffer[20] = next.0;
    } else {
        buffer[14] = 0x45 + extras.len() as u8 / 4;
        buffer[16..18].copy_from_slice(&(payload + 20).to_be_bytes());
        buffer[23] = next.0;
    }
    buffer
}

fn kind_of(frame: &[u8]) -> Kind {
    view(&Meta::parse(frame).expect("a frame"), frame).kind
}

#[track_caller]
fn is_flow(frame: &[u8]) {
    let is_flow = matches!(kind_of(frame), Kind::Flow { tuple, .. } if tuple.src.port == 40_000);
    assert!(is_flow, "{:?}", kind_of(frame));
}

#[test]
fn what_is_no_ip() {
    let mut arp = frame(false, Protocol::UDP, &[]);
    arp[12..14].copy_from_slice(&[8, 6]);
    let meta = Meta::parse(&arp).expect("a frame");
    let view = view(&meta, &arp);
    assert_eq!((view.kind, view.fragment, view.len), (Kind::Other, None, meta.l3_len));
    assert!(view.src.is_unspecified() && view.dst.is_unspecified());
    assert_eq!(kind_of(&frame(false, Protocol(47), &[])), Kind::Other, "GRE");
    assert_eq!(kind_of(&frame(true, Protocol::ESP, &[])), Kind::Other);
}

/// RFC 7126 sections 4.3 and 4.4: source routes are dropped; one at its end is history.
#[test]
fn rfc7126_4_source_routes() {
    for kind in [131, 137] {
        let route = |pointer| [kind, 7, pointer, 1, 2, 3, 4, 0];
        assert_eq!(kind_of(&frame(false, Protocol::UDP, &route(4))), Kind::Other);
        is_flow(&frame(false, Protocol::UDP, &route(8)));
    }
    is_flow(&frame(false, Protocol::UDP, &[7, 7, 4, 0, 0, 0, 0, 0]));
    is_flow(&frame(false, Protocol::UDP, &[148, 4, 0, 0]));
    assert_eq!(kind_of(&frame(false, Protocol::UDP, &[131, 2, 1, 1])), Kind::Other, "no pointer");
    assert_eq!(kind_of(&frame(false, Protocol::UDP, &[7, 9, 4, 0])), Kind::Other, "cut off");
}

/// RFC 8200 section 8.1: with segments left the checksum covers an address that is not in the header.
#[test]
fn rfc8200_8_1_routing_headers() {
    let routing = |left| [17, 0, 2, left, 0, 0, 0, 0];
    is_flow(&frame(true, Protocol::ROUTING, &routing(0)));
    assert_eq!(kind_of(&frame(true, Protocol::ROUTING, &routing(1))), Kind::Other);
}

/// RFC 4302 section 3.3.3: an authentication header covers the addresses.
#[test]
fn rfc4302_3_3_3_authentication_headers() {
    let auth = [17, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    assert_eq!(kind_of(&frame(true, Protocol::AUTH, &auth)), Kind::Other);
    let hidden = [&[51, 0, 1, 4, 0, 0, 0, 0][..], &auth].concat();
    assert_eq!(kind_of(&frame(true, Protocol::DEST_OPTIONS, &hidden)), Kind::Other);
}

#[test]
fn fragments_of_ipv4() {
    let fragment = |word: u16| {
        let mut frame = frame(false, Protocol::UDP, &[]);
        frame[18..20].copy_from_slice(&[0x12, 0x34]);
        frame[20..22].copy_from_slice(&word.to_be_bytes());
        view(&Meta::parse(&frame).expect("a frame"), &frame)
    };
    assert_eq!(fragment(0x4000).fragment, None);
    let head = fragment(0x2000);
    let expected = Fragment { ident: 0x1234, offset: 0, len: 40, more: true };
    assert_eq!(head.fragment, Some(expected));
    assert!(matches!(head.kind, Kind::Flow { .. }));
    let tail = fragment(0x0005);
    assert_eq!(tail.fragment, Some(Fragment { offset: 40, more: false, ..expected }));
    assert_eq!(tail.kind, Kind::Tail(Transport::Udp));
}

/// Behind the fragment header, whatever stands before it, and between it and the transport.
#[test]
fn fragments_of_ipv6() {
    let options = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let header = |next: u8, word: u8| [next, 0, 0, word, 0, 0x12, 0x34, 0x56];
    let fragment = |before: bool, word: u8, behind: bool| {
        let (next, last) = (if behind { 60 } else { 17 }, options(17));
        let parts = [&options(44)[..], &header(next, word), &last];
        let parts = &parts[usize::from(!before)..2 + usize::from(behind)];
        let first = if before { Protocol::DEST_OPTIONS } else { Protocol::FRAGMENT };
        let frame = frame(true, first, &parts.concat());
        view(&Meta::parse(&frame).expect("a frame"), &frame)
    };
    let expected = Fragment { ident: 0x0012_3456, offset: 0, len: 40, more: true };
    for before in [false, true] {
        let head = fragment(before, 1, false);
        assert_eq!(head.fragment, Some(expected));
        assert!(matches!(head.kind, Kind::Flow { .. }));
        let head = fragment(before, 1, true);
        assert_eq!(head.fragment, Some(Fragment { len: 48, ..expected }));
        assert!(matches!(head.kind, Kind::Flow { .. }));
        let tail = fragment(before, 8, false);
        assert_eq!(tail.fragment, Some(Fragment { offset: 8, more: false, ..expected }));
        assert_eq!(tail.kind, Kind::Tail(Transport::Udp));
        // What a tail's packet begins with behind the fragment header is not there to be read.
        assert_eq!(fragment(before, 8, true).kind, Kind::Other);
        // RFC 6946: one in one piece is whole.
        assert_eq!(fragment(before, 0, false).fragment, None);
        assert!(matches!(fragment(before, 0, false).kind, Kind::Flow { .. }));
    }
}

/// RFC 6633: source quench is dead. A redirect is about the sender's own link.
#[test]
fn icmp_that_is_not_translated() {
    let message = |icmp_type: u8| {
        let mut frame = frame(false, Protocol::ICMPV4, &[]);
        frame[34] = icmp_type;
        let inner = self::frame(false, Protocol::UDP, &[])[14..46].to_vec();
        frame[42..74].copy_from_slice(&inner);
        kind_of(&frame)
    };
    for icmp_type in [3, 11, 12] {
        assert!(matches!(message(icmp_type), Kind::Error(_)), "{icmp_type}");
    }
    for icmp_type in [4, 5, 9, 13, 17] {
        assert_eq!(message(icmp_type), Kind::Other, "{icmp_type}");
    }
}

/// RFC 1812 section 4.3.2.7: nobody sends an error about an error, or about a tail.
#[test]
fn quotes_that_are_nobodys() {
    let about = |change: &dyn Fn(&mut [u8])| {
        let mut frame = frame(false, Protocol::ICMPV4, &[]);
        frame[34] = 3;
        let mut inner = self::frame(false, Protocol::UDP, &[])[14..46].to_vec();
        change(&mut inner);
        frame[42..74].copy_from_slice(&inner);
        kind_of(&frame)
    };
    assert!(matches!(about(&|_| {}), Kind::Error(_)));
    assert_eq!(about(&|inner| inner[7] = 1), Kind::Other, "a tail");
    assert!(matches!(about(&|inner| inner[6] = 0x20), Kind::Error(_)), "a first fragment");
    assert_eq!(about(&|inner| inner[9] = 47), Kind::Other, "GRE");
    assert_eq!(about(&|inner| (inner[9], inner[20]) = (1, 3)), Kind::Other, "an error");
    assert!(matches!(about(&|inner| (inner[9], inner[20]) = (1, 8)), Kind::Error(_)), "an echo");
    assert_eq!(about(&|inner| inner[0] = 0x65), Kind::Other, "IPv6");
    assert_eq!(
        about(&|inner| inner[0] = 0x47),
        Kind::Other,
        "less than eight bytes behind options"
    );
}

/// A window scale counts in a SYN only, and where it can be read.
#[test]
fn window_scales() {
    let scale = |flags: Flags, options: [u8; 4]| {
        let mut frame = frame(false, Protocol::TCP, &[]);
        (frame[46], frame[47]) = (0x60, flags.0);
        frame[54..58].copy_from_slice(&options);
        match kind_of(&frame) {
            Kind::Flow { segment: Some(segment), .. } => (segment.window_scale, segment.len),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(scale(Flags::SYN, [3, 3, 7, 0]), (Some(7), 17));
    assert_eq!(scale(Flags::SYN, [1, 3, 3, 7]), (Some(7), 17));
    assert_eq!(scale(Flags::SYN, [5, 9, 3, 3]), (None, 17));
    assert_eq!(scale(Flags::ACK, [3, 3, 7, 0]), (None, 16));
    assert_eq!(scale(Flags::FIN.with(Flags::ACK), [3, 3, 7, 0]), (None, 17));
}
