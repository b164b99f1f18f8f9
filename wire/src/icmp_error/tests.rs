//! One test per clause of RFC 1812 section 4.3 and RFC 4443 section 2.4.

use std::vec;
use std::vec::Vec;

use crate::frames::udp;
use crate::{Tci, ip, udp as udp_wire, vlan};

use super::*;

const ROUTER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xfe]);
const HOST_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const BROADCASTS: [Ipv4Addr; 1] = [Ipv4Addr::new(10, 99, 255, 255)];
const V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const ROUTER: IcmpSource<'_> = IcmpSource {
    mac: ROUTER_MAC,
    ipv4: Some(Ipv4Addr::new(10, 99, 0, 1)),
    ipv6: Some(V6),
    broadcasts: &BROADCASTS,
};
const ALL: [IcmpError; 6] = [
    IcmpError::TimeExceeded,
    IcmpError::TooBig(1400),
    IcmpError::NoRoute,
    IcmpError::HostUnreachable,
    IcmpError::PortUnreachable,
    IcmpError::Prohibited,
];

fn addresses(is_v6: bool) -> (IpAddr, IpAddr) {
    match is_v6 {
        true => ([0xfd00, 0, 0, 0, 0, 0, 0, 2].into(), [0x2001, 0, 0, 0, 0, 0, 0, 1].into()),
        false => ([10, 99, 0, 2].into(), [198, 51, 100, 1].into()),
    }
}

/// A frame to the router with a datagram of this length.
fn frame_between((src, dst): (IpAddr, IpAddr), payload: usize) -> Vec<u8> {
    let link = Link::new(HOST_MAC, ROUTER_MAC);
    let header = ip::Repr::new(src, dst, Protocol::UDP).expect("one family");
    let mut buffer = vec![0; payload + 100];
    let ports = udp_wire::Repr { src_port: 1, dst_port: 2 };
    let len = udp(&mut buffer, &link, &header, &ports, &vec![7; payload]).expect("room");
    buffer.truncate(len);
    buffer
}

fn frame(is_v6: bool, payload: usize) -> Vec<u8> {
    frame_between(addresses(is_v6), payload)
}

fn answer_to(error: IcmpError, frame: &[u8]) -> Result<Vec<u8>, Suppressed> {
    let meta = Meta::parse(frame).expect("a frame");
    let mut buffer = vec![0xaa; ICMP_ERROR_FRAME_MAX];
    let len = emit_icmp_error(error, &ROUTER, &meta, frame, &mut buffer)?;
    buffer.truncate(len);
    Ok(buffer)
}

/// About this frame nothing is said, whatever there is to tell.
#[track_caller]
fn silent(frame: &[u8], why: Suppressed) {
    for error in ALL {
        assert_eq!(answer_to(error, frame), Err(why));
    }
}

/// Makes the checksum of the IPv4 header right again.
fn mended(mut frame: Vec<u8>) -> Vec<u8> {
    ipv4::Packet::new_quoted(&mut frame[14..]).expect("a header").fill_checksum();
    frame
}

/// The frame with another protocol and these bytes at the start of the payload.
fn carrying(is_v6: bool, protocol: Protocol, start: &[u8]) -> Vec<u8> {
    let mut frame = frame(is_v6, 100);
    let (number, at) = if is_v6 { (20, 54) } else { (23, 34) };
    frame[number] = protocol.0;
    frame[at..at + start.len()].copy_from_slice(start);
    if is_v6 { frame } else { mended(frame) }
}

#[test]
fn each_error_has_its_type_and_code() {
    let expected = [
        ((11, 0), (3, 0)),
        ((3, 4), (2, 0)),
        ((3, 0), (1, 0)),
        ((3, 1), (1, 3)),
        ((3, 3), (1, 4)),
        ((3, 13), (1, 1)),
    ];
    for (error, (v4, v6)) in ALL.into_iter().zip(expected) {
        let answer = answer_to(error, &frame(false, 10)).expect("an answer");
        assert_eq!((answer[34], answer[35]), v4, "{error:?}");
        let answer = answer_to(error, &frame(true, 10)).expect("an answer");
        assert_eq!((answer[54], answer[55]), v6, "{error:?}");
    }
}

/// It goes back where the frame came from, from the router, with right checksums.
#[test]
fn goes_back_to_the_sender() {
    for is_v6 in [false, true] {
        let about = frame(is_v6, 10);
        let answer = answer_to(IcmpError::TimeExceeded, &about).expect("an answer");
        let meta = Meta::parse(&answer).expect("a frame");
        assert_eq!((meta.dst, meta.src, meta.tags()), (HOST_MAC, ROUTER_MAC, 0));
        let quoted = &about[14..];
        if is_v6 {
            let ip = ipv6::Packet::new_checked(meta.l3_bytes(&answer)).expect("a packet");
            assert_eq!((IpAddr::from(ip.src()), ip.dst().into()), (V6.into(), addresses(true).0));
            let message = meta.l4_bytes(&answer);
            let pseudo = ip.pseudo_header(Protocol::ICMPV6, message.len() as u32);
            let read = icmpv6::Repr::parse(message, pseudo);
            assert_eq!(read, Ok(icmpv6::Repr::TimeExceeded { code: 0, quoted }));
        } else {
            let ip = ipv4::Packet::new_checked(meta.l3_bytes(&answer)).expect("a packet");
            assert_eq!(
                (ip.src(), IpAddr::from(ip.dst())),
                ([10, 99, 0, 1].into(), addresses(false).0)
            );
            assert!(ip.verify_checksum());
            let read = icmpv4::Repr::parse(meta.l4_bytes(&answer));
            assert_eq!(read, Ok(icmpv4::Repr::TimeExceeded { code: 0, quoted }));
        }
    }
}

#[test]
fn keeps_the_tag() {
    let mut buffer = [&[0; 8][..], &frame(false, 10)].concat();
    let tag = vlan::Tag { tpid: crate::EtherType::VLAN, tci: Tci(10) };
    let at = vlan::push(&mut buffer, 8, tag).expect("room");
    let answer = answer_to(IcmpError::NoRoute, &buffer[at..]).expect("an answer");
    assert_eq!(Meta::parse(&answer).expect("a frame").outer, Some(Tci(10)));
    let at = vlan::push(&mut buffer, at, tag).expect("room");
    silent(&buffer[at..], Suppressed::Link);
}

/// RFC 1191 section 4: the MTU is in the second word; RFC 791: never below 68.
#[test]
fn rfc1191_4_tells_the_mtu() {
    let mtu = |mtu| {
        let answer = answer_to(IcmpError::TooBig(mtu), &frame(false, 10)).expect("an answer");
        icmpv4::Packet::new_checked(&answer[34..]).expect("a message").mtu()
    };
    assert_eq!((mtu(1400), mtu(20), mtu(100_000)), (1400, 68, 65535));
}

/// RFC 4443 section 3.2: the MTU; RFC 8200 section 5: never below 1280.
#[test]
fn rfc4443_3_2_tells_the_mtu() {
    let mtu = |mtu| {
        let answer = answer_to(IcmpError::TooBig(mtu), &frame(true, 10)).expect("an answer");
        icmpv6::Packet::new_checked(&answer[54..]).expect("a message").mtu()
    };
    assert_eq!((mtu(1400), mtu(576), mtu(100_000)), (1400, 1280, 100_000));
}

/// RFC 1812 section 4.3.2.3: as much of the packet as fits into 576 bytes.
#[test]
fn rfc1812_4_3_2_3_quotes_up_to_576_bytes() {
    let about = frame(false, 2000);
    let answer = answer_to(IcmpError::NoRoute, &about).expect("an answer");
    assert_eq!(answer.len(), 14 + 576);
    assert_eq!(answer[42..], about[14..14 + 576 - 28]);
}

/// RFC 4443 section 2.4 c: as much of the packet as fits into the minimum MTU.
#[test]
fn rfc4443_2_4_c_quotes_up_to_1280_bytes() {
    let about = frame(true, 2000);
    let answer = answer_to(IcmpError::NoRoute, &about).expect("an answer");
    assert_eq!(answer.len(), 14 + 1280);
    assert_eq!(answer[62..], about[14..14 + 1280 - 48]);
}

/// RFC 1812 section 4.3.2.3: padding of the frame is no part of the packet.
#[test]
fn padding_is_not_quoted() {
    let mut about = frame(false, 1);
    let len = about.len();
    about.resize(60, 0x55);
    let answer = answer_to(IcmpError::NoRoute, &about).expect("an answer");
    assert_eq!(answer.len(), 14 + 28 + len - 14);
}

/// RFC 1812 section 4.3.2.5: the packet's type of service, precedence of network control.
#[test]
fn rfc1812_4_3_2_5_type_of_service() {
    let mut about = frame(false, 10);
    about[15] = 0x3f;
    let answer = answer_to(IcmpError::NoRoute, &mended(about)).expect("an answer");
    assert_eq!(answer[15], 0xdc);
}

/// RFC 1812 section 4.3.2.7: not about an ICMP error; about a query, yes.
#[test]
fn rfc1812_4_3_2_7_not_about_an_error() {
    for icmp_type in [3, 4, 5, 11, 12] {
        silent(&carrying(false, Protocol::ICMPV4, &[icmp_type]), Suppressed::AboutError);
    }
    for icmp_type in [0, 8, 13, 14] {
        assert!(answer_to(ALL[0], &carrying(false, Protocol::ICMPV4, &[icmp_type])).is_ok());
    }
}

/// RFC 1812 section 4.3.2.7: not about a packet whose header is not valid.
#[test]
fn rfc1812_4_3_2_7_not_about_a_broken_header() {
    let mut about = frame(false, 10);
    about[24] ^= 1;
    silent(&about, Suppressed::Broken);
    let mut about = frame(false, 10);
    about[14] = 0x44;
    silent(&about, Suppressed::NotIp);
    let mut cut = frame(false, 10);
    cut[23] = Protocol::ICMPV4.0;
    cut[16..18].copy_from_slice(&[0, 24]);
    silent(&mended(cut), Suppressed::Broken);
}

/// RFC 1812 section 4.3.2.7: not about a packet to an IP broadcast or multicast address.
#[test]
fn rfc1812_4_3_2_7_not_about_a_broadcast() {
    let src = addresses(false).0;
    for dst in [[224, 0, 0, 251], [239, 1, 1, 1], [255, 255, 255, 255], [10, 99, 255, 255]] {
        silent(&frame_between((src, dst.into()), 10), Suppressed::Multicast);
    }
}

/// RFC 1812 section 4.3.2.7: not about a packet sent as a link-layer broadcast or multicast.
#[test]
fn rfc1812_4_3_2_7_not_about_a_link_broadcast() {
    for is_v6 in [false, true] {
        for group in [[0xff; 6], [1, 0, 0x5e, 0, 0, 1], [0x33, 0x33, 0, 0, 0, 1]] {
            let mut about = frame(is_v6, 10);
            about[..6].copy_from_slice(&group);
            silent(&about, Suppressed::Link);
            let mut about = frame(is_v6, 10);
            about[6..12].copy_from_slice(&group);
            silent(&about, Suppressed::Link);
        }
    }
}

/// RFC 1812 section 4.3.2.7: not about a packet whose source is on network 0 or invalid (section 5.3.7).
#[test]
fn rfc1812_4_3_2_7_not_to_an_invalid_source() {
    let dst = addresses(false).1;
    let invalid = [
        [0, 0, 0, 0],
        [0, 1, 2, 3],
        [127, 0, 0, 1],
        [224, 0, 0, 1],
        [240, 0, 0, 1],
        [255, 255, 255, 255],
        [10, 99, 255, 255],
    ];
    for src in invalid {
        silent(&frame_between((src.into(), dst), 10), Suppressed::Source);
    }
    assert!(answer_to(ALL[0], &frame_between(([169, 254, 1, 1].into(), dst), 10)).is_ok());
}

/// RFC 1812 section 4.3.2.7: not about a fragment but the first.
#[test]
fn rfc1812_4_3_2_7_not_about_a_fragments_tail() {
    let fragment = |word: u16| {
        let mut about = frame(false, 100);
        about[20..22].copy_from_slice(&word.to_be_bytes());
        mended(about)
    };
    silent(&fragment(1), Suppressed::Tail);
    silent(&fragment(0x2001), Suppressed::Tail);
    assert!(answer_to(ALL[0], &fragment(0x2000)).is_ok(), "the first");
}

/// RFC 4443 section 2.4 e.1: not about an ICMPv6 error, whether its type is known or not.
#[test]
fn rfc4443_2_4_e1_not_about_an_error() {
    for icmp_type in [1, 2, 3, 4, 100, 127] {
        silent(&carrying(true, Protocol::ICMPV6, &[icmp_type]), Suppressed::AboutError);
    }
    for icmp_type in [128, 129, 200] {
        assert!(answer_to(ALL[0], &carrying(true, Protocol::ICMPV6, &[icmp_type])).is_ok());
    }
}

/// RFC 4443 section 2.4 e.1, where extension headers stand before the error.
#[test]
fn rfc4443_2_4_e1_not_about_an_error_behind_extensions() {
    let extension = |icmp_type| [Protocol::ICMPV6.0, 0, 1, 4, 0, 0, 0, 0, icmp_type];
    silent(&carrying(true, Protocol::DEST_OPTIONS, &extension(1)), Suppressed::AboutError);
    assert!(answer_to(ALL[0], &carrying(true, Protocol::DEST_OPTIONS, &extension(128))).is_ok());
}

/// RFC 4443 section 2.4 e.2: not about a redirect.
#[test]
fn rfc4443_2_4_e2_not_about_a_redirect() {
    silent(&carrying(true, Protocol::ICMPV6, &[137]), Suppressed::AboutError);
}

/// RFC 4443 section 2.4 e.3: not about a packet to a multicast address. Its exceptions are for who
/// routes multicast.
#[test]
fn rfc4443_2_4_e3_not_about_multicast() {
    let (src, dst) = (addresses(true).0, [0xff0e, 0, 0, 0, 0, 0, 0, 1].into());
    silent(&frame_between((src, dst), 10), Suppressed::Multicast);
}

/// RFC 4443 section 2.4 e.6: not to a source that does not name a single node.
#[test]
fn rfc4443_2_4_e6_not_to_many_or_nobody() {
    let dst = addresses(true).1;
    for src in [Ipv6Addr::UNSPECIFIED, Ipv6Addr::LOCALHOST, [0xff02, 0, 0, 0, 0, 0, 0, 1].into()] {
        silent(&frame_between((src.into(), dst), 10), Suppressed::Source);
    }
}

/// The tail of a fragmented ICMPv6 error looks like any tail of ICMPv6; a datagram's is known.
#[test]
fn an_ipv6_tail_is_answered_where_it_is_no_error() {
    let tail = |next: Protocol| carrying(true, Protocol::FRAGMENT, &[next.0, 0, 0, 9, 0, 0, 0, 1]);
    silent(&tail(Protocol::ICMPV6), Suppressed::Tail);
    silent(&tail(Protocol::DEST_OPTIONS), Suppressed::Tail);
    for next in [Protocol::UDP, Protocol::TCP, Protocol::SCTP] {
        assert!(answer_to(IcmpError::TooBig(1400), &tail(next)).is_ok());
    }
}

#[test]
fn no_address_and_no_room() {
    let about = frame(false, 10);
    let meta = Meta::parse(&about).expect("a frame");
    let source = IcmpSource { ipv4: None, ipv6: None, ..ROUTER };
    let mut buffer = [0; ICMP_ERROR_FRAME_MAX];
    let said = emit_icmp_error(ALL[0], &source, &meta, &about, &mut buffer);
    assert_eq!(said, Err(Suppressed::NoAddress));
    let said = emit_icmp_error(ALL[0], &ROUTER, &meta, &about, &mut buffer[..50]);
    assert_eq!(said, Err(Suppressed::BufferTooSmall));
    let mut arp = about.clone();
    arp[12..14].copy_from_slice(&[8, 6]);
    silent(&arp, Suppressed::NotIp);
}
