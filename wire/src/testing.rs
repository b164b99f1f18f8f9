//! Captured frames, and made ones, for the unit tests.

use core::net::IpAddr;
use std::string::String;
use std::vec;
use std::vec::Vec;

use crate::frames::{self, Link};
use crate::{L3, L4, MacAddr, Meta, Protocol, checksum, ip, ipv4, ipv6, tcp, udp};

/// A frame of `testdata/linux.txt`.
pub(crate) fn captured(name: &str) -> Vec<u8> {
    find(include_str!("../testdata/linux.txt"), name)
}

/// A header and frame of `testdata/linux-vnet.txt`.
pub(crate) fn captured_vnet(name: &str) -> Vec<u8> {
    find(include_str!("../testdata/linux-vnet.txt"), name)
}

fn find(file: &str, name: &str) -> Vec<u8> {
    let mut lines = file.lines().filter_map(|line| line.split_once(' '));
    let found = lines.find(|(first, _)| *first == name);
    hex(found.map(|(_, bytes)| bytes).unwrap_or_else(|| panic!("no frame called {name}")))
}

/// Bytes from hexadecimal digits; blanks are skipped.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let pair = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16);
    digits.chunks(2).map(|digits| pair(digits).expect("hexadecimal digits")).collect()
}

/// A TCP flow between two containers: segments of 100 bytes payload that a coalescer takes together.
#[derive(Clone, Copy)]
pub(crate) struct Flow {
    /// IPv6, not IPv4.
    pub(crate) v6: bool,
    /// UDP, not TCP.
    pub(crate) udp: bool,
}

impl Flow {
    /// Payload bytes of a whole segment.
    pub(crate) const SIZE: usize = 100;

    /// Frame `index` of the flow with `len` bytes of payload and complete checksums.
    pub(crate) fn frame(self, index: usize, len: usize) -> Vec<u8> {
        let addresses: (IpAddr, IpAddr) = match self.v6 {
            true => ([0xfd00, 0, 0, 0, 0, 0, 0, 2].into(), [0xfd00, 0, 0, 0, 0, 0, 0, 3].into()),
            false => ([10, 99, 0, 2].into(), [10, 99, 0, 3].into()),
        };
        let protocol = if self.udp { Protocol::UDP } else { Protocol::TCP };
        let ip = match ip::Repr::new(addresses.0, addresses.1, protocol).expect("one family") {
            ip::Repr::V4(ip) => {
                let ident = u16::MAX.wrapping_add(index as u16);
                ip::Repr::V4(ipv4::Repr { ident, dont_fragment: false, ..ip })
            }
            v6 => v6,
        };
        let link = Link::new(MacAddr([2, 0, 0, 0, 0, 2]), MacAddr([2, 0, 0, 0, 0, 3]));
        let payload: Vec<u8> = (0..len).map(|at| (at * 31 + index) as u8).collect();
        let mut buffer = vec![0; 14 + 40 + 60 + len];
        let len = match self.udp {
            true => {
                let header = udp::Repr { src_port: 7, dst_port: 9 };
                frames::udp(&mut buffer, &link, &ip, &header, &payload)
            }
            false => {
                let header = tcp::Repr {
                    src_port: 7,
                    dst_port: 9,
                    seq: 0xffff_ff80_u32.wrapping_add((index * Self::SIZE) as u32),
                    ack: 5,
                    flags: tcp::Flags::ACK,
                    window: 512,
                    timestamps: Some((1, 2)),
                    ..Default::default()
                };
                frames::tcp(&mut buffer, &link, &ip, &header, &payload)
            }
        };
        buffer.truncate(len.expect("room"));
        buffer
    }

    /// Sets the checksums of an edited frame right.
    pub(crate) fn refill(frame: &mut [u8]) {
        let meta = Meta::parse(frame).expect("a frame");
        let (v4, l4) = (meta.l3 == L3::Ipv4, meta.l4);
        let len = meta.l4_bytes(frame).len();
        let pseudo = match v4 {
            true => {
                let mut ip = ipv4::Packet::new_checked(meta.l3_bytes_mut(frame)).expect("IPv4");
                ip.fill_checksum();
                ip.pseudo_header()
            }
            false => {
                let ip = ipv6::Packet::new_checked(meta.l3_bytes(frame)).expect("IPv6");
                ip.pseudo_header(ip.next_header(), len as u32)
            }
        };
        let bytes = meta.l4_bytes_mut(frame);
        match l4 {
            L4::Tcp => tcp::Packet::new_checked(bytes).expect("TCP").fill_checksum(pseudo),
            _ => udp::Packet::new_checked(bytes).expect("UDP").fill_checksum(pseudo),
        }
    }

    /// Leaves the transport's checksum partial.
    pub(crate) fn make_partial(frame: &mut [u8]) {
        let meta = Meta::parse(frame).expect("a frame");
        let addresses = match meta.l3 {
            L3::Ipv4 => &meta.l3_bytes(frame)[12..20],
            _ => &meta.l3_bytes(frame)[8..40],
        };
        let (protocol, at) = if meta.l4 == L4::Tcp { (6, 16) } else { (17, 6) };
        let len = meta.l4_bytes(frame).len() as u16;
        let pseudo = checksum::sum(&[addresses, &[0, protocol], &len.to_be_bytes()].concat());
        meta.l4_bytes_mut(frame)[at..at + 2].copy_from_slice(&pseudo.to_be_bytes());
    }
}
