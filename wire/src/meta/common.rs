//! Fast path for the common frame: untagged, IPv4 without options, unfragmented TCP or UDP.
//!
//! One length check covers all fields, at constant offsets: a third of the general parse. Other frames
//! take the general path, with equal results (a test in `meta/tests.rs` changes every byte;
//! `etherparse` is the oracle of both).

use super::{L3, L4, Meta};
use crate::bytes::{array, be16};
use crate::ethernet::{self, EtherType};
use crate::mac::MacAddr;
use crate::protocol::Protocol;
use crate::{ipv4, tcp, udp};

const L4_OFFSET: usize = ethernet::HEADER_LEN + ipv4::HEADER_LEN;
const TCP_END: usize = L4_OFFSET + tcp::HEADER_LEN;
const UDP_END: usize = L4_OFFSET + udp::HEADER_LEN;

/// Version 4 and a header of five words.
const PLAIN_HEADER: u8 = 0x45;
/// More-fragments and the offset: both are zero in a whole packet (RFC 791, section 3.1).
const FRAGMENT_BITS: u16 = 0x3fff;

/// The metadata of a common frame.
#[inline(always)]
pub(super) fn parse(frame: &[u8]) -> Option<Meta> {
    let head: &[u8; UDP_END] = frame.first_chunk()?;
    let total_len = usize::from(be16(head, 16..18));
    let plain = be16(head, 12..14) == EtherType::IPV4.0
        && head[14] == PLAIN_HEADER
        && be16(head, 20..22) & FRAGMENT_BITS == 0
        && (ipv4::HEADER_LEN..=frame.len() - ethernet::HEADER_LEN).contains(&total_len);
    if !plain {
        return None;
    }
    let payload_len = total_len - ipv4::HEADER_LEN;
    let l4 = match Protocol(head[23]) {
        Protocol::TCP => {
            let header_len = usize::from(frame.first_chunk::<TCP_END>()?[L4_OFFSET + 12] >> 4) * 4;
            (tcp::HEADER_LEN..=payload_len).contains(&header_len).then_some(L4::Tcp)
        }
        Protocol::UDP => {
            let len = usize::from(be16(head, 38..40));
            (udp::HEADER_LEN..=payload_len).contains(&len).then_some(L4::Udp)
        }
        _ => None,
    }?;
    Some(Meta {
        dst: MacAddr(array(head, 0..6)),
        src: MacAddr(array(head, 6..12)),
        outer: None,
        inner: None,
        ethertype: EtherType::IPV4,
        l3_offset: ethernet::HEADER_LEN as u16,
        l4_offset: L4_OFFSET as u16,
        l3_len: total_len as u32,
        l3: L3::Ipv4,
        l4,
        fragment: false,
    })
}
