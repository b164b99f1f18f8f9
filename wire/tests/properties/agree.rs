//! `Meta` and the views say what `etherparse` says, for any bytes.
//!
//! Where the two differ by intent, the comparison stops: each `return` says why.

use etherparse::{
    ArpPacketSlice, Ipv4Slice, Ipv6Slice, LinkExtSlice, LinkSlice, NetSlice, SlicedPacket,
    TransportSlice,
};
use vswitch_wire::limits::IPV6_EXTENSIONS_MAX;
use vswitch_wire::{EtherType, L3, L4, Meta, Tci, arp, icmpv4, icmpv6, ipv4, ipv6, tcp, udp};

/// Panics where the two disagree about `frame`.
pub(crate) fn check(frame: &[u8]) {
    let ours = Meta::parse(frame);
    match SlicedPacket::from_ethernet(frame) {
        Ok(theirs) => agree(frame, &ours.expect("etherparse accepts it"), &theirs),
        Err(error) => {
            let broken = ours.is_ok_and(|meta| !is_whole(frame, &meta));
            assert!(broken || ours.is_err(), "we accept, they say {error}: {ours:?}");
        }
    }
}

/// We claim that the transport is there, and etherparse would have looked at it as well.
fn is_whole(frame: &[u8], meta: &Meta) -> bool {
    let timestamp = matches!(meta.l4_bytes(frame).first(), Some(13 | 14));
    match meta.l4 {
        // etherparse holds a timestamp message to its exact length.
        L4::Icmpv4 => !timestamp && !meta.fragment,
        L4::Tcp | L4::Udp | L4::Icmpv6 => !meta.fragment,
        _ => false,
    }
}

fn agree(frame: &[u8], meta: &Meta, theirs: &SlicedPacket<'_>) {
    let Some(LinkSlice::Ethernet2(link)) = &theirs.link else { panic!("no Ethernet header") };
    assert_eq!((meta.dst.0, meta.src.0), (link.destination(), link.source()));
    let mut ethertype = EtherType(link.ether_type().0);
    let mut tags = Vec::new();
    for ext in &theirs.link_exts {
        // 0x9100 and MACsec are payload to us, and so is a third tag.
        let LinkExtSlice::Vlan(tag) = ext else { return };
        if !ethertype.is_vlan() || tags.len() == 2 {
            return;
        }
        let header = tag.to_header();
        let (pcp, dei) = (header.pcp.value(), header.drop_eligible_indicator);
        tags.push(Tci::new(pcp, dei, header.vlan_id.value()).expect("in range"));
        ethertype = EtherType(header.ether_type.0);
    }
    assert_eq!((meta.outer, meta.inner), (tags.first().copied(), tags.get(1).copied()));
    assert_eq!(meta.ethertype, ethertype);
    assert_eq!(usize::from(meta.l3_offset), 14 + 4 * tags.len());
    match &theirs.net {
        Some(NetSlice::Ipv4(ip)) => agree_ipv4(frame, meta, ip, theirs),
        Some(NetSlice::Ipv6(ip)) => agree_ipv6(frame, meta, ip, theirs),
        Some(NetSlice::Arp(packet)) => agree_arp(frame, meta, packet),
        None => assert_eq!((meta.l3, meta.l4), (L3::Other, L4::None)),
    }
}

fn agree_arp(frame: &[u8], meta: &Meta, theirs: &ArpPacketSlice<'_>) {
    let Ok(theirs) = theirs.to_packet().try_eth_ipv4() else {
        return assert_eq!(meta.l3, L3::Malformed);
    };
    assert_eq!(meta.l3, L3::Arp);
    let ours = arp::Repr::parse(&arp::Packet::new_checked(meta.l3_bytes(frame)).unwrap());
    assert_eq!(ours.operation.0, theirs.operation.0);
    assert_eq!(
        (ours.sender_mac.0, ours.sender_ip.octets()),
        (theirs.sender_mac, theirs.sender_ipv4)
    );
    assert_eq!(
        (ours.target_mac.0, ours.target_ip.octets()),
        (theirs.target_mac, theirs.target_ipv4)
    );
}

fn agree_ipv4(frame: &[u8], meta: &Meta, theirs: &Ipv4Slice<'_>, packet: &SlicedPacket<'_>) {
    assert_eq!(meta.l3, L3::Ipv4);
    let ours = ipv4::Packet::new_checked(meta.l3_bytes(frame)).unwrap();
    let header = theirs.header().to_header();
    assert_eq!((ours.src().octets(), ours.dst().octets()), (header.source, header.destination));
    assert_eq!(ours.tos(), header.dscp.value() << 2 | header.ecn.value());
    assert_eq!((ours.total_len(), ours.ident()), (header.total_len, header.identification));
    assert_eq!(ours.dont_fragment(), header.dont_fragment);
    assert_eq!(ours.more_fragments(), header.more_fragments);
    assert_eq!(ours.fragment_offset(), header.fragment_offset.byte_offset());
    assert_eq!((ours.ttl(), ours.protocol().0), (header.time_to_live, header.protocol.0));
    assert_eq!((ours.checksum(), ours.header_len()), (header.header_checksum, header.header_len()));
    // etherparse computes anew, without the reserved flag, and of the two zeros it knows one.
    if frame[usize::from(meta.l3_offset) + 6] & 0x80 == 0 && ours.checksum() != 0xffff {
        assert_eq!(ours.verify_checksum(), header.calc_header_checksum() == header.header_checksum);
    }
    assert_eq!(meta.fragment, theirs.is_payload_fragmented());
    if theirs.extensions().auth.is_some() {
        // In IPv4 we take AH for a transport.
        return assert!(matches!(meta.l4, L4::Other(51) | L4::FragmentTail));
    }
    assert_eq!(meta.l4_bytes(frame), theirs.payload().payload);
    agree_transport(frame, meta, packet, theirs.payload().ip_number.0);
}

fn agree_ipv6(frame: &[u8], meta: &Meta, theirs: &Ipv6Slice<'_>, packet: &SlicedPacket<'_>) {
    assert_eq!(meta.l3, L3::Ipv6);
    let ours = ipv6::Packet::new_checked(meta.l3_bytes(frame)).unwrap();
    let header = theirs.header().to_header();
    assert_eq!((ours.src().octets(), ours.dst().octets()), (header.source, header.destination));
    assert_eq!(ours.traffic_class(), header.traffic_class);
    assert_eq!(ours.flow_label(), header.flow_label.value());
    assert_eq!((ours.payload_len(), ours.hop_limit()), (header.payload_length, header.hop_limit));
    assert_eq!(ours.next_header().0, header.next_header.0);
    if header.payload_length == 0 {
        // etherparse takes it for a jumbogram that fills the frame, we take it at its word.
        return;
    }
    if meta.l4 == L4::FragmentTail {
        // etherparse looks for extension headers in the payload of a tail.
        return assert!(theirs.is_payload_fragmented());
    }
    let extensions: Vec<_> = theirs.extensions().clone().into_iter().collect();
    let is_fragment = |e: &_| matches!(e, etherparse::Ipv6ExtensionSlice::Fragment(_));
    let fragments = extensions.iter().filter(|e| is_fragment(e)).count();
    if extensions.len() > IPV6_EXTENSIONS_MAX || fragments > 1 {
        return assert_eq!(meta.l4, L4::Malformed);
    }
    assert_eq!(meta.fragment, theirs.is_payload_fragmented());
    assert_eq!(meta.l4_bytes(frame), theirs.payload().payload);
    agree_transport(frame, meta, packet, theirs.payload().ip_number.0);
}

fn agree_transport(frame: &[u8], meta: &Meta, theirs: &SlicedPacket<'_>, protocol: u8) {
    let segment = meta.l4_bytes(frame);
    match &theirs.transport {
        // etherparse looks for no transport in a fragment.
        None if meta.fragment => {}
        None if protocol == 59 && meta.l3 == L3::Ipv6 => assert_eq!(meta.l4, L4::None),
        None if protocol == 132 && segment.len() < 12 => assert_eq!(meta.l4, L4::Malformed),
        None if protocol == 132 => assert_eq!(meta.l4, L4::Sctp),
        None => assert_eq!(meta.l4, L4::Other(protocol)),
        // etherparse takes a length of 0 for the rest of the packet.
        Some(TransportSlice::Udp(udp)) if udp.length() == 0 => assert_eq!(meta.l4, L4::Malformed),
        Some(TransportSlice::Udp(theirs)) => {
            assert_eq!(meta.l4, L4::Udp);
            let ours = udp::Packet::new_checked(segment).unwrap();
            assert_eq!(ours.src_port(), theirs.source_port());
            assert_eq!(ours.dst_port(), theirs.destination_port());
            assert_eq!((ours.len(), ours.checksum()), (theirs.length(), theirs.checksum()));
            assert_eq!(ours.payload(), theirs.payload());
        }
        Some(TransportSlice::Tcp(theirs)) => {
            assert_eq!(meta.l4, L4::Tcp);
            agree_tcp(&tcp::Packet::new_checked(segment).unwrap(), theirs);
        }
        Some(TransportSlice::Icmpv4(theirs)) if meta.l3 == L3::Ipv4 => {
            assert_eq!(meta.l4, L4::Icmpv4);
            let ours = icmpv4::Packet::new_checked(segment).unwrap();
            assert_eq!((ours.icmp_type().0, ours.code()), (theirs.type_u8(), theirs.code_u8()));
            assert_eq!(ours.checksum(), theirs.checksum());
            let [a, b, c, d] = theirs.bytes5to8();
            assert_eq!((ours.ident().to_be_bytes(), ours.seq().to_be_bytes()), ([a, b], [c, d]));
        }
        Some(TransportSlice::Icmpv6(theirs)) if meta.l3 == L3::Ipv6 => {
            assert_eq!(meta.l4, L4::Icmpv6);
            let ours = icmpv6::Packet::new_checked(segment).unwrap();
            assert_eq!((ours.icmp_type().0, ours.code()), (theirs.type_u8(), theirs.code_u8()));
            assert_eq!(ours.checksum(), theirs.checksum());
            assert_eq!(
                (ours.mtu().to_be_bytes(), ours.payload()),
                (theirs.bytes5to8(), &segment[8..])
            );
            agree_icmpv6_checksum(frame, meta, theirs);
        }
        // ICMP of the other family.
        Some(_) => assert_eq!(meta.l4, L4::Other(protocol)),
    }
}

fn agree_icmpv6_checksum(frame: &[u8], meta: &Meta, theirs: &etherparse::Icmpv6Slice<'_>) {
    let ip = ipv6::Packet::new_checked(meta.l3_bytes(frame)).unwrap();
    let segment = meta.l4_bytes(frame);
    let pseudo = ip.pseudo_header(vswitch_wire::Protocol::ICMPV6, segment.len() as u32);
    let ours = icmpv6::Packet::new_checked(segment).unwrap().verify_checksum(pseudo);
    // etherparse computes anew and compares: of the two zeros it knows one.
    let theirs = theirs.is_checksum_valid(ip.src().octets(), ip.dst().octets());
    assert!(ours == theirs || segment[2..4] == [0xff, 0xff]);
}

fn agree_tcp(ours: &tcp::Packet<&[u8]>, theirs: &etherparse::TcpSlice<'_>) {
    assert_eq!(ours.src_port(), theirs.source_port());
    assert_eq!(ours.dst_port(), theirs.destination_port());
    assert_eq!(
        (ours.seq(), ours.ack()),
        (theirs.sequence_number(), theirs.acknowledgment_number())
    );
    assert_eq!((ours.window(), ours.checksum()), (theirs.window_size(), theirs.checksum()));
    assert_eq!((ours.urgent(), ours.payload()), (theirs.urgent_pointer(), theirs.payload()));
    let flags = [
        theirs.fin(),
        theirs.syn(),
        theirs.rst(),
        theirs.psh(),
        theirs.ack(),
        theirs.urg(),
        theirs.ece(),
        theirs.cwr(),
    ];
    let bits = flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag));
    assert_eq!(ours.flags().0, bits);
    let mut ours = ours.options();
    for option in theirs.options_iterator() {
        use etherparse::TcpOptionElement as Theirs;
        use tcp::TcpOption as Ours;
        // etherparse stops at options that we hand on as unknown, or that break off.
        let Ok(option) = option else { return };
        if option == Theirs::Noop {
            continue;
        }
        let ours = ours.next().expect("as many options").expect("whole");
        match option {
            Theirs::Noop => {}
            Theirs::MaximumSegmentSize(mss) => assert_eq!(ours, Ours::Mss(mss)),
            Theirs::WindowScale(shift) => assert_eq!(ours, Ours::WindowScale(shift)),
            Theirs::SelectiveAcknowledgementPermitted => assert_eq!(ours, Ours::SackPermitted),
            Theirs::SelectiveAcknowledgement(..) => {
                assert!(matches!(ours, Ours::Other { kind: 5, .. }));
            }
            Theirs::Timestamp(value, echo) => assert_eq!(ours, Ours::Timestamps { value, echo }),
        }
    }
    assert!(ours.next().is_none_or(|option| option.is_err()));
}
