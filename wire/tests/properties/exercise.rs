//! Every accessor and every edit, over any bytes: nothing panics.

use std::hint::black_box;

use vswitch_wire::checksum::{ChecksumState, Delta, complete_partial};
use vswitch_wire::vlan::Tag;
use vswitch_wire::{
    EtherType, L3, L4, MacAddr, Meta, Protocol, Tci, arp, ethernet, icmpv4, icmpv6, ipv4, ipv6,
    ipv6_ext, membership, ndp, ports, tcp, udp, vlan, vnet, vxlan,
};

const STATES: [ChecksumState; 3] =
    [ChecksumState::Partial, ChecksumState::Complete, ChecksumState::None];

/// Each view over the same bytes, whatever they are.
pub(crate) fn views(bytes: &[u8]) {
    link(bytes);
    ipv4(bytes);
    ipv6(bytes);
    transports(bytes);
    icmp(bytes);
    options(bytes);
    listeners(bytes);
    edits(&mut bytes.to_vec());
}

/// Reports of listeners end, and name groups only.
fn listeners(bytes: &[u8]) {
    for message in [membership::Message::igmp(bytes), membership::Message::mld(bytes)] {
        if let Ok(membership::Message::Report(records)) = message {
            let said: Vec<_> = records.collect();
            assert!(said.len() <= bytes.len() / 4 && said.iter().all(|s| s.group.is_multicast()));
        }
    }
}

/// The parse of a frame, the promises of its offsets, and the views that they lead to.
pub(crate) fn meta(frame: &[u8]) {
    let Ok(meta) = Meta::parse(frame) else { return };
    assert!(14 <= meta.l3_offset && meta.l3_offset <= meta.l4_offset);
    assert!(usize::from(meta.l4_offset) <= meta.l3_end() && meta.l3_end() <= frame.len());
    let (packet, segment) = (meta.l3_bytes(frame), meta.l4_bytes(frame));
    assert_eq!(packet.len(), meta.l3_len as usize);
    match meta.l3 {
        L3::Arp => drop(black_box(arp::Packet::new_checked(packet).unwrap())),
        L3::Ipv4 => drop(black_box(ipv4::Packet::new_checked(packet).unwrap())),
        L3::Ipv6 => drop(black_box(ipv6::Packet::new_checked(packet).unwrap())),
        L3::Other | L3::Malformed => assert_eq!((meta.l4, meta.fragment), (L4::None, false)),
    }
    match meta.l4 {
        L4::Tcp => drop(black_box(tcp::Packet::new_checked(segment).unwrap())),
        L4::Udp if meta.fragment => drop(black_box(udp::Packet::new_quoted(segment).unwrap())),
        L4::Udp => drop(black_box(udp::Packet::new_checked(segment).unwrap())),
        L4::Icmpv4 => drop(black_box(icmpv4::Packet::new_checked(segment).unwrap())),
        L4::Icmpv6 => drop(black_box(icmpv6::Packet::new_checked(segment).unwrap())),
        L4::Sctp => assert!(segment.len() >= ports::SCTP_HEADER_LEN),
        L4::FragmentTail => assert!(meta.fragment),
        L4::None | L4::Other(_) | L4::Malformed => {}
    }
    retag(frame, &meta);
}

/// A pushed tag comes off again, and the metadata keeps up.
fn retag(frame: &[u8], meta: &Meta) {
    let tag = Tag { tpid: EtherType::QINQ, tci: Tci(0x2abc) };
    let mut buffer = [&[0; 4], frame].concat();
    assert_eq!(vlan::push(&mut buffer, 4, tag), Ok(0));
    if let Some(pushed) = meta.pushed(tag.tci) {
        assert_eq!(Meta::parse(&buffer), Ok(pushed));
        assert_eq!(pushed.popped(), Some(*meta));
    }
    assert_eq!(vlan::outer(&buffer), Some(tag));
    assert_eq!(vlan::pop(&mut buffer, 0), Ok((4, tag)));
    assert_eq!(buffer[4..], *frame);
    if let (Some(popped), Ok((start, _))) = (meta.popped(), vlan::pop(&mut buffer, 4)) {
        assert_eq!(Meta::parse(&buffer[start..]), Ok(popped));
    }
}

fn link(bytes: &[u8]) {
    if let Ok(frame) = ethernet::Frame::new_checked(bytes) {
        black_box((ethernet::Repr::parse(&frame), frame.payload()));
    }
    black_box((vlan::outer(bytes), vlan::inner(bytes)));
    if let Ok(packet) = arp::Packet::new_checked(bytes) {
        let repr = arp::Repr::parse(&packet);
        let mut out = [0; arp::PACKET_LEN];
        assert_eq!(repr.emit(&mut out), Ok(arp::PACKET_LEN));
        assert_eq!(out, bytes[..arp::PACKET_LEN]);
    }
    if let Ok(packet) = vxlan::Packet::new_checked(bytes) {
        assert!(packet.vni() <= vxlan::Vni::MAX);
        assert_eq!(packet.payload().len() + vxlan::HEADER_LEN, bytes.len());
    }
    if let Ok(header) = vnet::Header::parse(bytes) {
        assert_eq!(header.to_bytes(), bytes[..vnet::LEN]);
        black_box((header.shifted(4).ok(), header.shifted(-4).ok(), header.checksum_completed()));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let parsed = text.parse::<MacAddr>();
        assert!(parsed.is_err() || parsed == parsed.unwrap().to_string().parse());
    }
}

fn ipv4(bytes: &[u8]) {
    assert!(ipv4::Packet::new_checked(bytes).is_err() || ipv4::Packet::new_quoted(bytes).is_ok());
    if let Ok(ip) = ipv4::Packet::new_quoted(bytes) {
        black_box((ip.tos(), ip.ident(), ip.dont_fragment(), ip.more_fragments(), ip.ttl()));
        black_box((ip.src(), ip.dst(), ip.checksum(), ip.pseudo_header(), ip.is_fragment()));
        assert!(ip.options().count() <= 40);
        assert!(ip.payload().len() <= bytes.len() && ip.header().len() == ip.header_len());
        if let Ok(repr) = ipv4::Repr::parse(&ip) {
            let mut out = [0; ipv4::HEADER_LEN];
            repr.emit(ip.payload().len(), &mut out).unwrap();
            assert_eq!(ipv4::Repr::parse(&ipv4::Packet::new_quoted(out).unwrap()), Ok(repr));
        }
    }
}

fn ipv6(bytes: &[u8]) {
    assert!(ipv6::Packet::new_checked(bytes).is_err() || ipv6::Packet::new_quoted(bytes).is_ok());
    if let Ok(ip) = ipv6::Packet::new_quoted(bytes) {
        black_box((ipv6::Repr::parse(&ip), ip.upper_layer().ok()));
        black_box(ip.pseudo_header(ip.next_header(), ip.payload().len() as u32));
    }
    for protocol in [0, 43, 44, 51, 60] {
        if let Ok(upper) = ipv6_ext::upper_layer(Protocol(protocol), bytes) {
            assert!(0 < upper.offset && upper.offset <= bytes.len());
        }
        let walked: usize = ipv6_ext::Extensions::new(Protocol(protocol), bytes)
            .map_while(Result::ok)
            .map(|extension| extension.bytes.len())
            .sum();
        assert!(walked <= bytes.len());
    }
}

fn transports(bytes: &[u8]) {
    if let Ok(ports) = ports::Ports::new_checked(bytes) {
        black_box((ports.src(), ports.dst()));
    }
    if let Ok(packet) = udp::Packet::new_quoted(bytes) {
        black_box((udp::Repr::parse(&packet), packet.checksum(), packet.verify_checksum(1)));
        assert!(packet.payload().len() + udp::HEADER_LEN <= bytes.len());
    }
    if let Ok(packet) = tcp::Packet::new_checked(bytes) {
        black_box((packet.sequence_len(), packet.urgent(), packet.verify_checksum(1)));
        assert_eq!(packet.payload().len() + packet.header_len(), bytes.len());
        if let Ok(repr) = tcp::Repr::parse(&packet) {
            let mut out = [0; tcp::HEADER_LEN_MAX];
            let len = repr.emit(&[], |_| 1, &mut out).unwrap();
            let again = tcp::Packet::new_checked(&out[..len]).unwrap();
            assert!(again.verify_checksum(1));
            assert_eq!(tcp::Repr::parse(&again), Ok(repr));
        }
    }
}

fn icmp(bytes: &[u8]) {
    let mut out = vec![0xaa; bytes.len()];
    if let Ok(repr) = icmpv4::Repr::parse(bytes) {
        assert_eq!(repr.emit(&mut out), Ok(bytes.len()));
        assert_eq!(icmpv4::Repr::parse(&out), Ok(repr));
    }
    if let Ok(repr) = icmpv6::Repr::parse(bytes, 1) {
        assert_eq!(repr.emit(|_| 1, &mut out), Ok(bytes.len()));
        assert_eq!(icmpv6::Repr::parse(&out, 1), Ok(repr));
    }
    black_box((icmpv4::quote(bytes), icmpv6::quote(bytes)));
    if let Ok((message, options)) = ndp::Message::parse(bytes) {
        let Ok(options) = options.collect::<Result<Vec<_>, _>>() else { return };
        assert_eq!(message.buffer_len(&options), bytes.len());
        let len = message.emit(&options, |_| 1, &mut out).unwrap();
        let (again, _) = ndp::Message::parse(&out[..len]).unwrap();
        assert_eq!(again, message);
    }
}

/// The three iterators over options, started on the bytes themselves.
pub(crate) fn options(bytes: &[u8]) {
    let tcp: Vec<_> = tcp::Options::new(bytes).collect();
    assert!(tcp.len() <= bytes.len());
    assert!(tcp.iter().rev().skip(1).all(Result::is_ok), "nothing follows an error");
    let ndp: Vec<_> = ndp::Options::new(bytes).collect();
    assert!(ndp.len() <= bytes.len().div_ceil(8));
    assert!(ndp.iter().rev().skip(1).all(Result::is_ok), "nothing follows an error");
    for option in ndp.iter().flatten() {
        let mut out = vec![0; option.buffer_len()];
        assert_eq!(option.emit(&mut out), Ok(out.len()));
        assert_eq!(ndp::Options::new(&out).next(), Some(Ok(*option)));
    }
    let mut segment = bytes.to_vec();
    if let Ok(mut packet) = tcp::Packet::new_checked(&mut segment[..]) {
        packet.fill_checksum(1);
        if packet.clamp_mss(1000, ChecksumState::Complete).is_some() {
            assert!(packet.verify_checksum(1));
            assert!(packet.options().any(|o| o == Ok(tcp::TcpOption::Mss(1000))));
        }
    }
}

/// Setters and checksum updates, one after the other over the same bytes.
fn edits(bytes: &mut [u8]) {
    let change = Delta::u32(1, 0xffff_0000);
    if let Ok(mut ip) = ipv4::Packet::new_quoted(&mut bytes[..]) {
        ip.decrement_ttl();
        ip.rewrite_src([1, 2, 3, 4].into());
        ip.rewrite_dst([1, 2, 3, 4].into());
        ip.set_total_len(1);
        assert!(ip.payload_mut().is_empty());
        ip.fill_checksum();
        assert!(ip.verify_checksum());
    }
    if let Ok(mut ip) = ipv6::Packet::new_quoted(&mut bytes[..]) {
        ip.decrement_hop_limit();
        ip.set_payload_len(u16::MAX);
        black_box(ip.payload_mut());
    }
    for state in STATES {
        if let Ok(mut packet) = udp::Packet::new_quoted(&mut bytes[..]) {
            packet.update_for_address(change, state);
            packet.update_for_port(change, state);
            packet.fill_checksum(7);
            assert!(packet.checksum() != 0 && packet.payload_mut().len() <= 0xffff);
        }
        if let Ok(mut packet) = tcp::Packet::new_checked(&mut bytes[..]) {
            packet.update_for_address(change, state);
            packet.clamp_mss(536, state);
        }
        if let Ok(mut packet) = icmpv6::Packet::new_checked(&mut bytes[..]) {
            packet.update_for_address(change, state);
            packet.update_for_port(change, state);
        }
    }
    if let [a, b, c, d, frame @ ..] = bytes {
        let (start, offset) = (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
        let fits = usize::from(start) + usize::from(offset) + 2 <= frame.len();
        assert_eq!(complete_partial(frame, start, offset).is_ok(), fits);
        let _ = vlan::set_tci(frame, Tci(u16::MAX));
        let _ = vlan::pop(frame, start.into());
    }
}
