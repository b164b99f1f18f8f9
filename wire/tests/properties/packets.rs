//! Frames of every kind, made by `etherparse`.

use etherparse::{
    ArpHardwareId, ArpOperation, ArpPacket, EtherType, Ethernet2Header, Icmpv4Header, Icmpv4Type,
    Icmpv6Header, Icmpv6Type, IpAuthHeader, IpEcn, IpFragOffset, IpHeaders, IpNumber, Ipv4Header,
    Ipv6Extensions, Ipv6FragmentHeader, Ipv6Header, Ipv6RawExtHeader, Ipv6RoutingExtensions,
    SingleVlanHeader, TcpHeader, UdpHeader, VlanId, VlanPcp,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// What follows the IP header.
#[derive(Clone, Debug)]
enum Transport {
    Udp(UdpHeader),
    Tcp(TcpHeader),
    /// ICMP of the packet's own family: identifier and sequence number.
    Echo(u16, u16),
    Other(u8),
}

/// An Ethernet frame, with 0 to 2 tags and perhaps padding.
pub(crate) fn frame() -> impl Strategy<Value = Vec<u8>> {
    let tags = vec((0..8_u8, any::<bool>(), 0..4096_u16, any::<bool>()), 0..=2);
    let body = prop_oneof![4 => ip(true), 4 => ip(false), 1 => arp(), 1 => other()];
    (any::<[u8; 6]>(), any::<[u8; 6]>(), tags, body, 0..20_usize).prop_map(
        |(destination, source, tags, (ethertype, body), padding)| {
            let tpid = |service| if service { 0x88a8 } else { 0x8100 };
            let mut types: Vec<u16> = tags.iter().map(|tag| tpid(tag.3)).collect();
            types.push(ethertype);
            let ether_type = EtherType(types[0]);
            let mut out = Ethernet2Header { source, destination, ether_type }.to_bytes().to_vec();
            for ((pcp, drop_eligible_indicator, vid, _), next) in tags.iter().zip(&types[1..]) {
                let tag = SingleVlanHeader {
                    pcp: VlanPcp::try_new(*pcp).unwrap(),
                    drop_eligible_indicator: *drop_eligible_indicator,
                    vlan_id: VlanId::try_new(*vid).unwrap(),
                    ether_type: EtherType(*next),
                };
                out.extend(tag.to_bytes());
            }
            out.extend(body);
            out.resize(out.len() + padding, 0x55);
            out
        },
    )
}

fn arp() -> BoxedStrategy<(u16, Vec<u8>)> {
    let fields =
        (any::<u16>(), any::<[u8; 6]>(), any::<[u8; 4]>(), any::<[u8; 6]>(), any::<[u8; 4]>());
    let packet = fields.prop_map(|(operation, sender, sender_ip, target, target_ip)| {
        let (kind, protocol) = (ArpHardwareId::ETHERNET, EtherType::IPV4);
        let operation = ArpOperation(operation);
        let packet =
            ArpPacket::new(kind, protocol, operation, &sender, &sender_ip, &target, &target_ip);
        (0x0806, packet.unwrap().to_bytes().to_vec())
    });
    packet.boxed()
}

fn other() -> BoxedStrategy<(u16, Vec<u8>)> {
    let ethertype = prop_oneof![0..=1500_u16, Just(0x88cc), Just(0x1234)];
    (ethertype, vec(any::<u8>(), 0..60)).boxed()
}

fn ip(v6: bool) -> BoxedStrategy<(u16, Vec<u8>)> {
    let payload = vec(any::<u8>(), 0..100);
    let headers = if v6 { ipv6().boxed() } else { ipv4().boxed() };
    let packet = (headers, transport(), payload).prop_map(move |(mut ip, transport, payload)| {
        let (protocol, segment) = segment(&ip, &transport, &payload);
        ip.set_payload_len(segment.len()).unwrap();
        // What this gives back is IPv4's EtherType for both families (etherparse 0.20.3).
        ip.set_next_headers(IpNumber(protocol));
        let mut out = Vec::new();
        if let IpHeaders::Ipv4(header, _) = &mut ip {
            header.header_checksum = header.calc_header_checksum();
        }
        ip.write(&mut out).unwrap();
        out.extend(segment);
        (if v6 { 0x86dd } else { 0x0800 }, out)
    });
    packet.boxed()
}

fn ipv4() -> impl Strategy<Value = IpHeaders> {
    let bits = (any::<u8>(), any::<u16>(), any::<bool>(), any::<u8>());
    let fragment = option::weighted(0.2, (0..0x1fff_u16, any::<bool>()));
    let options = vec(any::<[u8; 4]>(), 0..=10);
    (any::<[u8; 4]>(), any::<[u8; 4]>(), bits, fragment, options).prop_map(
        |(source, destination, (tos, ident, dont_fragment, ttl), fragment, options)| {
            let (offset, more) = fragment.unwrap_or_default();
            let mut header = Ipv4Header::new(0, ttl, IpNumber::UDP, source, destination).unwrap();
            header.dscp = (tos >> 2).try_into().unwrap();
            header.ecn = IpEcn::try_new(tos & 3).unwrap();
            header.identification = ident;
            (header.dont_fragment, header.more_fragments) = (dont_fragment, more);
            header.fragment_offset = IpFragOffset::try_new(offset).unwrap();
            header.options = options.concat()[..].try_into().unwrap();
            IpHeaders::Ipv4(header, Default::default())
        },
    )
}

fn ipv6() -> impl Strategy<Value = IpHeaders> {
    let bits = (any::<u8>(), 0..0x10_0000_u32, any::<u8>());
    (any::<[u8; 16]>(), any::<[u8; 16]>(), bits, extensions()).prop_map(
        |(source, destination, (traffic_class, flow, hop_limit), extensions)| {
            let header = Ipv6Header {
                traffic_class,
                flow_label: flow.try_into().unwrap(),
                payload_length: 0,
                next_header: IpNumber::UDP,
                hop_limit,
                source,
                destination,
            };
            IpHeaders::Ipv6(header, extensions)
        },
    )
}

fn extensions() -> impl Strategy<Value = Ipv6Extensions> {
    // Lengths of 6, 14, 22... bytes fill the units.
    let raw = || {
        (0..4_usize, any::<u8>()).prop_map(|(units, fill)| {
            Ipv6RawExtHeader::new_raw(IpNumber::UDP, &vec![fill; 6 + 8 * units]).unwrap()
        })
    };
    let raw = move || option::weighted(0.2, raw());
    let fragment = option::weighted(0.2, (0..0x1fff_u16, any::<bool>(), any::<u32>()));
    let auth = option::weighted(0.2, (any::<(u32, u32)>(), 0..5_usize));
    (raw(), raw(), raw(), raw(), fragment, auth).prop_map(
        |(hop_by_hop_options, destination_options, routing, last, fragment, auth)| Ipv6Extensions {
            hop_by_hop_options,
            destination_options,
            routing: routing
                .map(|routing| Ipv6RoutingExtensions { routing, final_destination_options: last }),
            fragment: fragment.map(|(offset, more, ident)| {
                let offset = IpFragOffset::try_new(offset & if more { 0 } else { 0x1fff }).unwrap();
                Ipv6FragmentHeader::new(IpNumber::UDP, offset, more, ident)
            }),
            auth: auth.map(|((spi, sequence), words)| {
                IpAuthHeader::new(IpNumber::UDP, spi, sequence, &vec![7; words * 4]).unwrap()
            }),
        },
    )
}

fn transport() -> impl Strategy<Value = Transport> {
    let ports = any::<(u16, u16)>();
    let udp = ports.prop_map(|(source_port, destination_port)| {
        Transport::Udp(UdpHeader { source_port, destination_port, length: 0, checksum: 0 })
    });
    let echo = any::<(u16, u16)>().prop_map(|(ident, seq)| Transport::Echo(ident, seq));
    prop_oneof![3 => udp, 3 => tcp(), 2 => echo, 1 => any::<u8>().prop_map(Transport::Other)]
}

fn tcp() -> impl Strategy<Value = Transport> {
    let fields = (any::<(u16, u16)>(), any::<(u32, u32)>(), any::<(u16, u16)>(), any::<u8>());
    (fields, options()).prop_map(|((ports, (seq, ack), (window, urgent), flags), options)| {
        let mut header = TcpHeader::new(ports.0, ports.1, seq, window);
        header.acknowledgment_number = ack;
        header.urgent_pointer = urgent;
        (header.fin, header.syn) = (flags & 1 != 0, flags & 2 != 0);
        (header.rst, header.psh) = (flags & 4 != 0, flags & 8 != 0);
        (header.ack, header.urg) = (flags & 16 != 0, flags & 32 != 0);
        (header.ece, header.cwr) = (flags & 64 != 0, flags & 128 != 0);
        header.set_options_raw(&options).unwrap();
        Transport::Tcp(header)
    })
}

/// Options of TCP as bytes, at most 40.
fn options() -> impl Strategy<Value = Vec<u8>> {
    let with = |start: &'static [u8], len: usize| {
        vec(any::<u8>(), len).prop_map(move |data| [start, &data].concat())
    };
    let option = prop_oneof![
        Just(vec![1]),
        Just(vec![4, 2]),
        with(&[2, 4], 2),
        with(&[3, 3], 1),
        with(&[8, 10], 8),
        with(&[5, 10], 8),
        with(&[254, 5], 3),
    ];
    vec(option, 0..6).prop_map(|options| {
        let mut bytes = options.concat();
        bytes.truncate(40);
        bytes
    })
}

/// Protocol number and bytes of the transport, with the right checksum.
fn segment(ip: &IpHeaders, transport: &Transport, payload: &[u8]) -> (u8, Vec<u8>) {
    match (transport, ip) {
        (Transport::Udp(udp), IpHeaders::Ipv4(ip, _)) => {
            let UdpHeader { source_port, destination_port, .. } = *udp;
            let header =
                UdpHeader::with_ipv4_checksum(source_port, destination_port, ip, payload).unwrap();
            (17, [&header.to_bytes(), payload].concat())
        }
        (Transport::Udp(udp), IpHeaders::Ipv6(ip, _)) => {
            let UdpHeader { source_port, destination_port, .. } = *udp;
            let header =
                UdpHeader::with_ipv6_checksum(source_port, destination_port, ip, payload).unwrap();
            (17, [&header.to_bytes(), payload].concat())
        }
        (Transport::Tcp(tcp), ip) => {
            let mut tcp = tcp.clone();
            tcp.checksum = match ip {
                IpHeaders::Ipv4(ip, _) => tcp.calc_checksum_ipv4(ip, payload).unwrap(),
                IpHeaders::Ipv6(ip, _) => tcp.calc_checksum_ipv6(ip, payload).unwrap(),
            };
            (6, [&tcp.to_bytes(), payload].concat())
        }
        (Transport::Echo(id, seq), IpHeaders::Ipv4(..)) => {
            let echo = etherparse::IcmpEchoHeader { id: *id, seq: *seq };
            let header = Icmpv4Header::with_checksum(Icmpv4Type::EchoRequest(echo), payload);
            (1, [&header.to_bytes(), payload].concat())
        }
        (Transport::Echo(id, seq), IpHeaders::Ipv6(ip, _)) => {
            let echo = etherparse::IcmpEchoHeader { id: *id, seq: *seq };
            let kind = Icmpv6Type::EchoRequest(echo);
            let header =
                Icmpv6Header::with_checksum(kind, ip.source, ip.destination, payload).unwrap();
            (58, [&header.to_bytes(), payload].concat())
        }
        // Not an extension header: what would follow is not one.
        (Transport::Other(protocol), _) => match protocol {
            0 | 43 | 44 | 51 | 60 | 1 | 6 | 17 | 58 => (132, payload.to_vec()),
            other => (*other, payload.to_vec()),
        },
    }
}
