//! Translation of addresses and ports: by difference as by computing anew, partial as complete.

use std::net::IpAddr;

use vswitch_wire::checksum::{ChecksumState, Delta, complete_partial, udp_nonzero};
use vswitch_wire::frames::{Link, tcp, udp};
use vswitch_wire::{
    MacAddr, Meta, Protocol, ip, ipv4, ipv6, ports, tcp as tcp_wire, udp as udp_wire,
};

/// A packet, and what its source is translated to.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) is_tcp: bool,
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) new_src: IpAddr,
    pub(crate) ports: (u16, u16),
    pub(crate) new_port: u16,
    pub(crate) payload: Vec<u8>,
}

impl Case {
    /// Makes one of raw bits: the families agree.
    pub(crate) fn new(
        (is_tcp, is_v6): (bool, bool),
        [src, dst, new_src]: [u128; 3],
        (src_port, dst_port, new_port): (u16, u16, u16),
        payload: Vec<u8>,
    ) -> Self {
        let address = |bits: u128| match is_v6 {
            true => IpAddr::V6(bits.into()),
            false => IpAddr::V4((bits as u32).into()),
        };
        Self {
            is_tcp,
            src: address(src),
            dst: address(dst),
            new_src: address(new_src),
            ports: (src_port, dst_port),
            new_port,
            payload,
        }
    }

    fn protocol(&self) -> Protocol {
        if self.is_tcp { Protocol::TCP } else { Protocol::UDP }
    }

    /// The frame from this source, with complete checksums.
    fn frame(&self, src: IpAddr, src_port: u16) -> Vec<u8> {
        let link = Link::new(MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
        let ip = ip::Repr::new(src, self.dst, self.protocol()).expect("one family");
        let mut buffer = vec![0xaa; 14 + 40 + 20 + self.payload.len()];
        let dst_port = self.ports.1;
        let len = match self.is_tcp {
            true => {
                let header = tcp_wire::Repr { src_port, dst_port, ..Default::default() };
                tcp(&mut buffer, &link, &ip, &header, &self.payload)
            }
            false => {
                let header = udp_wire::Repr { src_port, dst_port };
                udp(&mut buffer, &link, &ip, &header, &self.payload)
            }
        };
        buffer.truncate(len.expect("room"));
        buffer
    }

    /// The sum of the pseudo-header from this source.
    fn pseudo(&self, src: IpAddr, len: usize) -> u16 {
        ip::Repr::new(src, self.dst, self.protocol()).expect("one family").pseudo_header(len)
    }
}

/// Translates the frame in place, in this state.
fn translate(case: &Case, frame: &mut [u8], state: ChecksumState) {
    let meta = Meta::parse(frame).expect("a frame");
    let packet = meta.l3_bytes_mut(frame);
    let address = match case.new_src {
        IpAddr::V4(new) => ipv4::Packet::new_checked(packet).unwrap().rewrite_src(new),
        IpAddr::V6(new) => ipv6::Packet::new_checked(packet).unwrap().rewrite_src(new),
    };
    let port = Delta::u16(case.ports.0, case.new_port);
    let segment = meta.l4_bytes_mut(frame);
    ports::Ports::new_checked(&mut *segment).unwrap().set_src(case.new_port);
    if case.is_tcp {
        let mut packet = tcp_wire::Packet::new_checked(segment).unwrap();
        packet.update_for_address(address, state);
        packet.update_for_port(port, state);
    } else {
        let mut packet = udp_wire::Packet::new_checked(segment).unwrap();
        packet.update_for_address(address, state);
        packet.update_for_port(port, state);
    }
}

/// The checksum field of a frame, to be set.
fn field_at(case: &Case, frame: &[u8]) -> (u16, u16) {
    let offset = if case.is_tcp { tcp_wire::CHECKSUM_OFFSET } else { udp_wire::CHECKSUM_OFFSET };
    (Meta::parse(frame).expect("a frame").l4_offset, offset)
}

/// Panics where a translated packet is not what the same packet, made anew, would be.
pub(crate) fn check(case: &Case) {
    let original = case.frame(case.src, case.ports.0);
    let expected = case.frame(case.new_src, case.new_port);
    let (start, offset) = field_at(case, &original);
    let at = usize::from(start + offset);

    let mut complete = original.clone();
    translate(case, &mut complete, ChecksumState::Complete);
    assert_eq!(complete, expected, "complete");

    let segment_len = original.len() - usize::from(start);
    let mut partial = original.clone();
    let pseudo = case.pseudo(case.src, segment_len);
    partial[at..at + 2].copy_from_slice(&pseudo.to_be_bytes());
    translate(case, &mut partial, ChecksumState::Partial);
    let field = u16::from_be_bytes([partial[at], partial[at + 1]]);
    assert_eq!(field, case.pseudo(case.new_src, segment_len), "partial");
    complete_partial(&mut partial, start, offset).expect("in bounds");
    // Completing knows no protocol, and writes 0 as the other zero for TCP as well.
    let mut nonzero = expected.clone();
    let field = udp_nonzero(u16::from_be_bytes([expected[at], expected[at + 1]]));
    nonzero[at..at + 2].copy_from_slice(&field.to_be_bytes());
    assert_eq!(partial, nonzero, "completed");

    if !case.is_tcp {
        let mut none = original.clone();
        none[at..at + 2].fill(0);
        translate(case, &mut none, ChecksumState::Complete);
        assert_eq!(none[at..at + 2], [0, 0], "none");
    }
}
