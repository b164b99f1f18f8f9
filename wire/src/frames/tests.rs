use super::*;
use crate::meta::{L3, L4, Meta};
use crate::testing::captured;

const A: MacAddr = MacAddr([2, 0, 0, 0, 0, 10]);
const B: MacAddr = MacAddr([2, 0, 0, 0, 0, 11]);
const IP_A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const IP_B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const V6_A: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const V6_B: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

/// Room for what a test writes; not zero, so that every byte must be written.
fn dirty() -> [u8; 256] {
    [0xaa; 256]
}

#[test]
fn arp_is_that_of_linux() {
    assert_eq!(arp_request(A, IP_A, IP_B)[..], captured("arp-request"));
    let request = arp::Repr::request(A, IP_A, IP_B);
    assert_eq!(arp_reply(&request, B)[..], captured("arp-reply"));
}

#[test]
fn gratuitous_arp_is_for_everyone() {
    let frame = gratuitous_arp(A, IP_A);
    let meta = Meta::parse(&frame).unwrap();
    assert_eq!((meta.dst, meta.src, meta.l3), (MacAddr::BROADCAST, A, L3::Arp));
    let repr = arp::Repr::parse(&arp::Packet::new_checked(&frame[14..]).unwrap());
    assert_eq!(repr, arp::Repr::gratuitous(A, IP_A));
}

#[test]
fn neighbor_frames_are_those_of_linux() {
    assert_eq!(neighbor_solicit(A, V6_A, V6_B)[..], captured("neighbor-solicit"));
    let advert = solicited_na(B, V6_B, false, (A, V6_A));
    assert_eq!(advert[..], captured("neighbor-advert"));
}

#[test]
fn rfc4861_7_2_6_unsolicited_advertisement() {
    let frame = unsolicited_na(A, V6_A);
    let meta = Meta::parse(&frame).unwrap();
    assert_eq!((meta.l3, meta.l4), (L3::Ipv6, L4::Icmpv6));
    assert_eq!(meta.dst, MacAddr([0x33, 0x33, 0, 0, 0, 1]));
    let ip = ipv6::Packet::new_checked(&frame[14..]).unwrap();
    assert_eq!((ip.src(), ip.dst(), ip.hop_limit()), (V6_A, ndp::ALL_NODES, 255));
    let icmp = icmpv6::Packet::new_checked(ip.payload()).unwrap();
    assert!(icmp.verify_checksum(ip.pseudo_header(Protocol::ICMPV6, 32)));
    let (message, mut options) = Message::parse(ip.payload()).unwrap();
    let (router, solicited, overrides) = (false, false, true);
    assert_eq!(message, Message::NeighborAdvert { router, solicited, overrides, target: V6_A });
    assert_eq!(options.next(), Some(Ok(NdpOption::TargetLinkLayer(A))));
}

#[test]
fn udp_is_that_of_linux() {
    let ip = ipv4::Repr { ident: 0xccfd, ..ipv4::Repr::new(IP_A, IP_B, Protocol::TCP) };
    let udp_header = udp::Repr { src_port: 39142, dst_port: 5353 };
    let mut buffer = dirty();
    let len = udp(&mut buffer, &Link::new(A, B), &ip::Repr::V4(ip), &udp_header, b"hello");
    assert_eq!(buffer[..len.unwrap()], captured("udp"));

    let ip = ipv6::Repr { flow_label: 0xc92c3, ..ipv6::Repr::new(V6_A, V6_B, Protocol::TCP) };
    let udp_header = udp::Repr { src_port: 0xa151, dst_port: 5353 };
    let len = udp(&mut buffer, &Link::new(A, B), &ip::Repr::V6(ip), &udp_header, b"hello");
    assert_eq!(buffer[..len.unwrap()], captured("udp-v6"));
}

#[test]
fn tcp_reset_is_that_of_linux() {
    let ip = ip::Repr::V4(ipv4::Repr::new(IP_B, IP_A, Protocol::UDP));
    let reset = tcp::Repr {
        src_port: 81,
        dst_port: 42976,
        ack: 0x0dd0_9dbe,
        flags: tcp::Flags::RST.with(tcp::Flags::ACK),
        ..tcp::Repr::default()
    };
    let mut buffer = dirty();
    let len = tcp(&mut buffer, &Link::new(B, A), &ip, &reset, &[]).unwrap();
    assert_eq!(buffer[..len], captured("tcp-reset"));
}

#[test]
fn icmp_errors_are_those_of_linux() {
    let original = captured("udp").split_off(14);
    let quoted = icmpv4::quote(&original);
    let code = icmpv4::unreachable::PORT;
    let message = icmpv4::Repr::DstUnreachable { code, mtu: 0, quoted };
    let ip = ipv4::Repr::new(IP_B, IP_A, Protocol::UDP);
    let ip = ipv4::Repr { tos: 0xc0, ident: 0x72f3, dont_fragment: false, ..ip };
    let mut buffer = dirty();
    let len = icmpv4(&mut buffer, &Link::new(B, A), &ip, &message).unwrap();
    assert_eq!(buffer[..len], captured("port-unreachable"));

    let original = captured("udp-v6").split_off(14);
    let code = icmpv6::unreachable::PORT;
    let message = icmpv6::Repr::DstUnreachable { code, quoted: icmpv6::quote(&original) };
    let ip = ipv6::Repr { flow_label: 0xa4436, ..ipv6::Repr::new(V6_B, V6_A, Protocol::UDP) };
    let len = icmpv6(&mut buffer, &Link::new(B, A), &ip, &message).unwrap();
    assert_eq!(buffer[..len], captured("port-unreachable-v6"));
}

#[test]
fn a_tag_goes_between() {
    let tci = Tci::new(3, false, 42).unwrap();
    let link = Link { vlan: Some(tci), ..Link::new(A, B) };
    let ip = ip::Repr::V4(ipv4::Repr::new(IP_A, IP_B, Protocol::UDP));
    let mut buffer = dirty();
    let len = udp(&mut buffer, &link, &ip, &udp::Repr { src_port: 1, dst_port: 2 }, b"x").unwrap();
    let meta = Meta::parse(&buffer[..len]).unwrap();
    assert_eq!((meta.outer, meta.tags(), meta.l4), (Some(tci), 1, L4::Udp));
    assert_eq!(meta.l4_bytes(&buffer[..len])[8..], *b"x");
}

#[test]
fn no_room_is_an_error() {
    let link = Link::new(A, B);
    let ip = ip::Repr::V4(ipv4::Repr::new(IP_A, IP_B, Protocol::UDP));
    let header = udp::Repr { src_port: 1, dst_port: 2 };
    let error = Error::BufferTooSmall { header: "frame", need: 43, have: 42 };
    assert_eq!(udp(&mut [0; 42], &link, &ip, &header, b"x"), Err(error));
    let mut big = std::vec![0; 70_000];
    let payload = std::vec![0; 65_508];
    assert!(udp(&mut big, &link, &ip, &header, &payload).is_err());
    assert_eq!(udp(&mut big, &link, &ip, &header, &payload[1..]), Ok(14 + 65_535));
}
