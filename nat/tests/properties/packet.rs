//! Packets by what they say, made by `etherparse`.

use std::net::IpAddr;

use etherparse::{
    Icmpv4Type, Icmpv6Type, IpFragOffset, IpHeaders, IpNumber, Ipv4Header, Ipv6Extensions,
    Ipv6FragmentHeader, Ipv6Header, Ipv6RawExtHeader, Ipv6RoutingExtensions, TcpHeader, UdpHeader,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use vswitch_nat::{Endpoint, Transport};

/// Addresses and ports of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) src: Endpoint,
    pub(crate) dst: Endpoint,
}

/// A packet.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) ends: Ends,
    pub(crate) carries: Carries,
    /// Words of IPv4 options, or extension headers.
    extras: u8,
    /// Which part of it, if it comes in two: cut behind this many units of eight bytes.
    pub(crate) cut: Option<(u8, Part)>,
    payload: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Head,
    Tail,
}

/// What a packet carries.
#[derive(Clone, Debug)]
pub(crate) enum Carries {
    Tcp { options: bool },
    Udp { checksum: bool },
    Echo { is_request: bool },
    Sctp,
    Error { kind: u8, quoted: Box<Packet>, quoted_len: usize },
}

impl Packet {
    pub(crate) fn is_v6(&self) -> bool {
        self.ends.src.address.is_ipv6()
    }

    pub(crate) fn transport(&self) -> Transport {
        match self.carries {
            Carries::Tcp { .. } => Transport::Tcp,
            Carries::Udp { .. } => Transport::Udp,
            Carries::Echo { .. } | Carries::Error { .. } => Transport::Echo,
            Carries::Sctp => Transport::Sctp,
        }
    }

    /// The same packet from and to somebody else; `quoted` are the ends of the packet in an error.
    pub(crate) fn between(&self, ends: Ends, quoted: Ends) -> Self {
        let mut packet = self.clone();
        packet.ends = ends;
        if let Carries::Error { quoted: inner, .. } = &mut packet.carries {
            inner.ends = quoted;
        }
        packet
    }

    /// The Ethernet frame.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        frame.extend(if self.is_v6() { [0x86, 0xdd] } else { [8, 0] });
        frame.extend(self.ip());
        frame
    }

    /// From the IP header on.
    pub(crate) fn ip(&self) -> Vec<u8> {
        let mut segment = self.segment();
        let fragment = self.cut.map(|(units, part)| {
            let at = (usize::from(units) * 8).min(segment.len() / 8 * 8);
            match part {
                Part::Head => segment.truncate(at),
                Part::Tail => drop(segment.drain(..at)),
            }
            (if part == Part::Head { 0 } else { at as u16 / 8 }, part == Part::Head)
        });
        let mut ip = match (self.ends.src.address, self.ends.dst.address) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => self.ipv4(src.octets(), dst.octets(), fragment),
            (IpAddr::V6(src), IpAddr::V6(dst)) => self.ipv6(src.octets(), dst.octets(), fragment),
            mixed => panic!("{mixed:?}"),
        };
        ip.set_payload_len(segment.len()).unwrap();
        ip.set_next_headers(self.protocol());
        if let IpHeaders::Ipv4(header, _) = &mut ip {
            header.header_checksum = header.calc_header_checksum();
        }
        let mut out = Vec::new();
        ip.write(&mut out).unwrap();
        out.extend(segment);
        out
    }

    fn protocol(&self) -> IpNumber {
        match self.transport() {
            Transport::Tcp => IpNumber::TCP,
            Transport::Udp => IpNumber::UDP,
            Transport::Sctp => IpNumber::SCTP,
            Transport::Echo if self.is_v6() => IpNumber::IPV6_ICMP,
            Transport::Echo => IpNumber::ICMP,
        }
    }

    fn ipv4(&self, src: [u8; 4], dst: [u8; 4], fragment: Option<(u16, bool)>) -> IpHeaders {
        let mut header = Ipv4Header::new(0, 64, IpNumber::UDP, src, dst).unwrap();
        (header.identification, header.dont_fragment) = (0x1234, fragment.is_none());
        let (offset, more) = fragment.unwrap_or_default();
        (header.fragment_offset, header.more_fragments) =
            (IpFragOffset::try_new(offset).unwrap(), more);
        // Router alerts.
        header.options = [148, 4, 0, 0].repeat(self.extras.into())[..].try_into().unwrap();
        IpHeaders::Ipv4(header, Default::default())
    }

    fn ipv6(&self, src: [u8; 16], dst: [u8; 16], fragment: Option<(u16, bool)>) -> IpHeaders {
        let raw = |bit: u8, first: u8| {
            let content = [[first, 0].as_slice(), &[0; 12]].concat();
            let header = Ipv6RawExtHeader::new_raw(IpNumber::UDP, &content).unwrap();
            (self.extras & bit != 0).then_some(header)
        };
        let extensions = Ipv6Extensions {
            hop_by_hop_options: raw(1, 5),
            destination_options: raw(2, 1),
            // The first byte is the type, the second says that the address in the header is the last.
            routing: raw(4, 2)
                .map(|routing| Ipv6RoutingExtensions { routing, final_destination_options: None }),
            fragment: fragment.map(|(offset, more)| {
                let offset = IpFragOffset::try_new(offset).unwrap();
                Ipv6FragmentHeader::new(IpNumber::UDP, offset, more, 0x0012_3456)
            }),
            auth: None,
        };
        let header = Ipv6Header {
            traffic_class: 0,
            flow_label: 77_u32.try_into().unwrap(),
            payload_length: 0,
            next_header: IpNumber::UDP,
            hop_limit: 64,
            source: src,
            destination: dst,
        };
        IpHeaders::Ipv6(header, extensions)
    }

    /// The transport, with its checksum.
    fn segment(&self) -> Vec<u8> {
        let (ports, payload) = ((self.ends.src.port, self.ends.dst.port), &self.payload[..]);
        let mut out = match &self.carries {
            Carries::Tcp { options } => self.tcp(*options),
            Carries::Udp { checksum } => self.udp(*checksum),
            Carries::Sctp => {
                let mut message = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
                message.extend([1, 2, 3, 4, 0, 0, 0, 0]);
                message.extend(payload);
                let crc = crc32c(&message).to_le_bytes();
                message[8..12].copy_from_slice(&crc);
                return message;
            }
            Carries::Echo { is_request } => {
                let ident = if *is_request { ports.0 } else { ports.1 };
                let icmp_type = match (self.is_v6(), is_request) {
                    (false, true) => 8,
                    (false, false) => 0,
                    (true, true) => 128,
                    (true, false) => 129,
                };
                let [a, b] = ident.to_be_bytes();
                return self.icmp((icmp_type, 0), [a, b, 0, 9], payload);
            }
            Carries::Error { kind, quoted, quoted_len } => {
                let mut inner = quoted.ip();
                let min = inner.len() - quoted.carried_len() + 8;
                inner.truncate(min.max(*quoted_len));
                // Half a checksum tells nobody anything, and nobody can mend it.
                if matches!(quoted.carries, Carries::Tcp { .. }) && inner.len() - min == 9 {
                    inner.pop();
                }
                return self.icmp(error_type(self.is_v6(), *kind), [0, 0, 5, 0], &inner);
            }
        };
        out.extend(payload);
        out
    }

    /// Bytes behind the IP headers.
    fn carried_len(&self) -> usize {
        self.segment().len()
    }

    fn tcp(&self, options: bool) -> Vec<u8> {
        let mut header = TcpHeader::new(self.ends.src.port, self.ends.dst.port, 0xdead_beef, 500);
        header.syn = true;
        if options {
            header.set_options_raw(&[2, 4, 5, 0xb4, 1, 3, 3, 7]).unwrap();
        }
        header.checksum = match (self.ends.src.address, self.ends.dst.address) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                header.calc_checksum_ipv4_raw(src.octets(), dst.octets(), &self.payload)
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                header.calc_checksum_ipv6_raw(src.octets(), dst.octets(), &self.payload)
            }
            mixed => panic!("{mixed:?}"),
        }
        .unwrap();
        header.to_bytes().to_vec()
    }

    fn udp(&self, checksum: bool) -> Vec<u8> {
        let (source_port, destination_port) = (self.ends.src.port, self.ends.dst.port);
        let length = 8 + self.payload.len() as u16;
        let mut header = UdpHeader { source_port, destination_port, length, checksum: 0 };
        if checksum {
            header.checksum = match (self.ends.src.address, self.ends.dst.address) {
                (IpAddr::V4(src), IpAddr::V4(dst)) => {
                    header.calc_checksum_ipv4_raw(src.octets(), dst.octets(), &self.payload)
                }
                (IpAddr::V6(src), IpAddr::V6(dst)) => {
                    header.calc_checksum_ipv6_raw(src.octets(), dst.octets(), &self.payload)
                }
                mixed => panic!("{mixed:?}"),
            }
            .unwrap();
        }
        header.to_bytes().to_vec()
    }

    fn icmp(&self, (type_u8, code_u8): (u8, u8), bytes5to8: [u8; 4], payload: &[u8]) -> Vec<u8> {
        let checksum = match (self.ends.src.address, self.ends.dst.address) {
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let header = Icmpv6Type::Unknown { type_u8, code_u8, bytes5to8 };
                header.calc_checksum(src.octets(), dst.octets(), payload).unwrap()
            }
            _ => Icmpv4Type::Unknown { type_u8, code_u8, bytes5to8 }.calc_checksum(payload),
        };
        let [a, b] = checksum.to_be_bytes();
        [&[type_u8, code_u8, a, b], &bytes5to8[..], payload].concat()
    }
}

/// Type and code of an error, one of four.
pub(crate) fn error_type(is_v6: bool, kind: u8) -> (u8, u8) {
    let types =
        if is_v6 { [(1, 4), (2, 0), (3, 0), (4, 1)] } else { [(3, 3), (3, 4), (11, 0), (12, 0)] };
    types[usize::from(kind % 4)]
}

/// The CRC32c of a message, bit by bit.
fn crc32c(message: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ if crc & 1 != 0 { 0x82f6_3b78 } else { 0 };
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc));
    !message.iter().fold(!0, byte)
}

pub(crate) fn ends(is_v6: bool) -> impl Strategy<Value = Ends> {
    let end = move || {
        // Corners: nothing but zeros, and nothing but ones.
        let bits = prop_oneof![8 => any::<u128>(), 1 => Just(0), 1 => Just(u128::MAX)];
        (bits, any::<u16>()).prop_map(move |(bits, port)| {
            let address =
                if is_v6 { IpAddr::V6(bits.into()) } else { IpAddr::V4((bits as u32).into()) };
            Endpoint::new(address, port)
        })
    };
    (end(), end()).prop_map(|(src, dst)| Ends { src, dst })
}

/// A packet that is no error.
fn plain(is_v6: bool, with_parts: bool) -> impl Strategy<Value = Packet> {
    let carries = prop_oneof![
        any::<bool>().prop_map(|options| Carries::Tcp { options }),
        // IPv6 knows UDP without a checksum as well (RFC 6935).
        prop::bool::weighted(0.8).prop_map(|checksum| Carries::Udp { checksum }),
        any::<bool>().prop_map(|is_request| Carries::Echo { is_request }),
        Just(Carries::Sctp),
    ];
    let part = prop_oneof![Just(Part::Head), Just(Part::Tail)];
    // Behind the longest header.
    let cut =
        option::weighted(0.3, (5..8_u8, part)).prop_map(move |cut| cut.filter(|_| with_parts));
    (ends(is_v6), carries, option::weighted(0.3, 0..8_u8), cut, payload()).prop_map(
        |(mut ends, carries, extras, cut, payload)| {
            if matches!(carries, Carries::Echo { .. }) {
                ends.dst.port = ends.src.port;
            }
            Packet { ends, carries, extras: extras.unwrap_or(0), cut, payload }
        },
    )
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 64..200), vec(prop_oneof![Just(0), Just(0xff_u8)], 64..100)]
}

/// A packet, perhaps an error, perhaps a fragment.
pub(crate) fn packet(is_v6: bool) -> impl Strategy<Value = Packet> {
    let error = (plain(is_v6, true), plain(is_v6, false), any::<u8>(), 0..200_usize).prop_map(
        |(outer, quoted, kind, quoted_len)| Packet {
            carries: Carries::Error { kind, quoted: Box::new(quoted), quoted_len },
            cut: None,
            ..outer
        },
    );
    prop_oneof![3 => plain(is_v6, true), 1 => error]
}
