//! A GSO frame, its segments, and the frame that coalescing makes of them.
//!
//! `etherparse` is the oracle for lengths and checksums; sequence numbers, flags and identifications are held
//! against a model of one line each.

use etherparse::{NetHeaders, PacketHeaders, PayloadSlice, TransportHeader};
use vswitch_wire::coalesce::{self, Layout, Run};
use vswitch_wire::limits::UDP_COALESCED_MAX;
use vswitch_wire::segment::Segments;
use vswitch_wire::vnet::{Flags, GsoType, Header};

const CWR: u8 = 0x80;

/// The shape of a GSO frame.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) v6: bool,
    pub(crate) tcp: bool,
    /// VLAN tags, modulo 3.
    pub(crate) tags: u8,
    /// Words of IPv4 options, modulo 11.
    pub(crate) ip_options: u8,
    /// Words of TCP options, modulo 11.
    pub(crate) tcp_options: u8,
    pub(crate) tcp_flags: u8,
    /// Source of all other header bytes.
    pub(crate) seed: u64,
    pub(crate) payload: Vec<u8>,
    pub(crate) size: u16,
    /// Bytes of the prefix, modulo 64.
    pub(crate) prefix: u8,
}

impl Case {
    /// The frame with its virtio-net header, as a TAP gives it. `None` for more than IP can carry.
    pub(crate) fn frame(&self) -> Option<(Header, Vec<u8>)> {
        let mut random = Random(self.seed);
        let mut frame = random.bytes(12);
        for _ in 0..self.tags % 3 {
            frame.extend([&[0x81, 0][..], &random.bytes(2)].concat());
        }
        let l4_header = if self.tcp { 20 + 4 * usize::from(self.tcp_options % 11) } else { 8 };
        let l4_len = u16::try_from(l4_header + self.payload.len()).ok()?;
        let (ip, pseudo) =
            if self.v6 { self.ipv6(l4_len, &mut random) } else { self.ipv4(l4_len, &mut random)? };
        frame.extend(ip);
        let l4 = frame.len();
        frame.extend(random.bytes(l4_header));
        let offset = if self.tcp {
            // Of the reserved bits, the oracle keeps NS alone.
            frame[l4 + 12] = (l4_header as u8 / 4) << 4 | frame[l4 + 12] & 1;
            frame[l4 + 13] = self.tcp_flags;
            16
        } else {
            frame[l4 + 4..l4 + 6].copy_from_slice(&l4_len.to_be_bytes());
            6
        };
        frame[l4 + offset..l4 + offset + 2].copy_from_slice(&pseudo.to_be_bytes());
        frame.extend(&self.payload);
        let vnet = Header {
            flags: Flags::NEEDS_CSUM,
            gso_type: match (self.tcp, self.v6) {
                (true, false) => GsoType::TcpV4,
                (true, true) => GsoType::TcpV6,
                (false, _) => GsoType::UdpL4,
            },
            gso_ecn: self.tcp && self.tcp_flags & CWR != 0,
            hdr_len: (l4 + l4_header) as u16,
            gso_size: self.size.max(1),
            csum_start: l4 as u16,
            csum_offset: offset as u16,
            num_buffers: 0,
        };
        Some((vnet, frame))
    }

    /// The segments, each behind the prefix; the prefix' length, and the distance from one to the next.
    pub(crate) fn segments(&self) -> Option<(Vec<u8>, usize, usize)> {
        let (vnet, frame) = self.frame()?;
        let segments = Segments::new(&vnet, &frame).unwrap();
        let prefix: Vec<u8> = (0..self.prefix % 64).collect();
        let all = 0..segments.count();
        let mut buffer = vec![0; segments.written_len(all.clone(), prefix.len())];
        assert_eq!(segments.write_all(all, &prefix, &mut buffer), Some(buffer.len()));
        Some((buffer, prefix.len(), prefix.len() + segments.stride()))
    }

    /// EtherType and IPv4 header, and the sum of the pseudo-header.
    fn ipv4(&self, l4_len: u16, random: &mut Random) -> Option<(Vec<u8>, u16)> {
        let words = 5 + self.ip_options % 11;
        let total = l4_len.checked_add(u16::from(words) * 4)?;
        let mut header = random.bytes(2 + usize::from(words) * 4);
        header[..3].copy_from_slice(&[0x08, 0, 0x40 | words]);
        header[4..6].copy_from_slice(&total.to_be_bytes());
        // DF or not.
        (header[8], header[9]) = (header[8] & 0x40, 0);
        (header[11], header[12], header[13]) = (self.protocol(), 0, 0);
        let checksum = !sum(&header[2..]);
        header[12..14].copy_from_slice(&checksum.to_be_bytes());
        let pseudo = self.pseudo(&header[14..22], l4_len);
        Some((header, pseudo))
    }

    /// EtherType and IPv6 header, and the sum of the pseudo-header.
    fn ipv6(&self, l4_len: u16, random: &mut Random) -> (Vec<u8>, u16) {
        let mut header = random.bytes(42);
        header[..3].copy_from_slice(&[0x86, 0xdd, 0x60]);
        header[6..8].copy_from_slice(&l4_len.to_be_bytes());
        header[8] = self.protocol();
        let pseudo = self.pseudo(&header[10..], l4_len);
        (header, pseudo)
    }

    fn pseudo(&self, addresses: &[u8], l4_len: u16) -> u16 {
        sum(&[addresses, &[0, self.protocol()], &l4_len.to_be_bytes()].concat())
    }

    fn protocol(&self) -> u8 {
        if self.tcp { 6 } else { 17 }
    }

    /// GRO takes such frames: no SYN, RST or URG; ACK; no options of IPv4.
    fn is_coalescable(&self) -> bool {
        let flags = !self.tcp || self.tcp_flags & 0x36 == 0x10;
        flags && (self.v6 || self.ip_options.is_multiple_of(11))
    }
}

/// A generator of bytes (SplitMix64).
struct Random(u64);

impl Random {
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let next = |_| {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            ((self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as u8
        };
        (0..len).map(next).collect()
    }
}

/// Ones'-complement sum, the slow way of RFC 1071.
fn sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|word| {
        u32::from(u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or_default()]))
    });
    let mut total: u32 = words.sum();
    while total > 0xffff {
        total = (total >> 16) + (total & 0xffff);
    }
    total as u16
}

/// Segments the frame and coalesces the segments.
pub(crate) fn check(case: &Case) {
    let Some((vnet, frame)) = case.frame() else { return };
    let Some((buffer, prefix, stride)) = case.segments() else { return };
    let count = (frame.len() - usize::from(vnet.hdr_len)).div_ceil(vnet.gso_size.into()).max(1);
    assert_eq!(buffer.len().div_ceil(stride), count);
    for (index, one) in buffer.chunks(stride).enumerate() {
        assert!(one[..prefix].iter().copied().eq(0..prefix as u8));
        check_segment(&frame, vnet, (index, count), &one[prefix..]);
    }
    check_coalesced(case, &frame, vnet, (prefix, stride), &buffer);
}

fn check_segment(gso: &[u8], vnet: Header, at: (usize, usize), frame: &[u8]) {
    let (index, _) = at;
    let (size, header_len) = (usize::from(vnet.gso_size), usize::from(vnet.hdr_len));
    let whole = PacketHeaders::from_ethernet_slice(gso).unwrap();
    let part = PacketHeaders::from_ethernet_slice(frame).unwrap();
    assert_eq!((&whole.link, &whole.link_exts), (&part.link, &part.link_exts));
    let payload: &[u8] = match part.payload {
        PayloadSlice::Tcp(bytes) | PayloadSlice::Udp(bytes) => bytes,
        other => panic!("{other:?}"),
    };
    let expected = gso[header_len..].chunks(size).nth(index).unwrap_or_default();
    assert_eq!(payload, expected);
    match (whole.net.unwrap(), part.net.clone().unwrap()) {
        (NetHeaders::Ipv4(whole, _), NetHeaders::Ipv4(part, _)) => {
            assert_eq!(part.identification, whole.identification.wrapping_add(index as u16));
            assert_eq!(part.header_checksum, part.calc_header_checksum());
            let (identification, header_checksum) = (whole.identification, whole.header_checksum);
            let total_len = whole.total_len;
            assert_eq!(
                whole,
                etherparse::Ipv4Header { identification, header_checksum, total_len, ..part }
            );
        }
        (NetHeaders::Ipv6(whole, _), NetHeaders::Ipv6(part, _)) => {
            let payload_length = whole.payload_length;
            assert_eq!(whole, etherparse::Ipv6Header { payload_length, ..part });
        }
        other => panic!("{other:?}"),
    }
    check_transport(
        whole.transport.unwrap(),
        part.transport.unwrap(),
        &part.net.unwrap(),
        payload,
        at,
        size,
    );
}

fn check_transport(
    whole: TransportHeader,
    part: TransportHeader,
    net: &NetHeaders,
    payload: &[u8],
    (index, count): (usize, usize),
    size: usize,
) {
    match (whole, part) {
        (TransportHeader::Tcp(whole), TransportHeader::Tcp(part)) => {
            let checksum = match net {
                NetHeaders::Ipv4(ip, _) => part.calc_checksum_ipv4(ip, payload),
                NetHeaders::Ipv6(ip, _) => part.calc_checksum_ipv6(ip, payload),
                NetHeaders::Arp(_) => panic!("ARP"),
            };
            assert_eq!(part.checksum, checksum.unwrap());
            let last = index + 1 == count;
            let expected = etherparse::TcpHeader {
                sequence_number: whole.sequence_number.wrapping_add((index * size) as u32),
                fin: whole.fin && last,
                psh: whole.psh && last,
                cwr: whole.cwr && index == 0,
                checksum: part.checksum,
                ..whole
            };
            assert_eq!(part, expected);
        }
        (TransportHeader::Udp(whole), TransportHeader::Udp(part)) => {
            let checksum = match net {
                NetHeaders::Ipv4(ip, _) => part.calc_checksum_ipv4(ip, payload),
                NetHeaders::Ipv6(ip, _) => part.calc_checksum_ipv6(ip, payload),
                NetHeaders::Arp(_) => panic!("ARP"),
            };
            assert_eq!(part.checksum, checksum.unwrap());
            assert_eq!(usize::from(part.length), 8 + payload.len());
            assert_eq!(part.source_port, whole.source_port);
            assert_eq!(part.destination_port, whole.destination_port);
        }
        other => panic!("{other:?}"),
    }
}

fn check_coalesced(case: &Case, gso: &[u8], vnet: Header, layout: (usize, usize), segments: &[u8]) {
    let (prefix, stride) = layout;
    let layout = Layout { prefix, stride, udp: true, mtu: u32::MAX };
    let count = segments.len().div_ceil(stride);
    let mut buffer = segments.to_vec();
    let mut out = vec![0; segments.len()];
    let run = coalesce::in_place(&mut buffer, layout).unwrap();
    assert_eq!(coalesce::copy(segments, layout, &mut out), Some(run));
    let one = &buffer[prefix..prefix + run.len];
    assert_eq!(one, &out[..run.len]);
    assert_eq!(buffer[run.taken..], segments[run.taken..]);
    if !case.tcp && count > UDP_COALESCED_MAX && case.is_coalescable() {
        assert_eq!(run.frames, UDP_COALESCED_MAX);
    } else if case.is_coalescable() && count > 1 {
        assert_eq!(run, Run { frames: count, taken: segments.len(), len: gso.len(), vnet });
        assert!(one == gso, "{one:02x?} is not {gso:02x?}");
    } else {
        let len = segments.len().min(stride) - prefix;
        assert_eq!((run.frames, run.taken, run.len), (1, prefix + len, len));
        assert_eq!(one, &segments[prefix..prefix + len]);
    }
}
