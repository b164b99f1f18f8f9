//! Rewrites the packet that an ICMP error quotes (RFC 5508 sections 4.2, 4.3).
//!
//! The quoted checksums are updated if present, so that the receiver finds its packet as sent. The ICMP
//! checksum covers each change: [`apply`] returns their sum.

use std::net::IpAddr;

use wire::checksum::{Delta, udp_nonzero};
use wire::{ipv4, ipv6};

use super::{RewriteError, ident, set_ports};
use crate::edit::Edit;
use crate::quote::{self, Quote};
use crate::tuple::Transport;

/// A quoted packet and its rewrite.
pub(super) struct Found {
    quote: Quote,
    edit: Edit,
}

/// Parses the quoted packet, and checks that the edit fits.
pub(super) fn check(edit: &Edit, is_v6: bool, quoted: &[u8]) -> Result<Found, RewriteError> {
    let (src, dst) = edit.quoted.ok_or(RewriteError::Quote)?;
    let quote = quote::find(is_v6, quoted).ok_or(RewriteError::Quote)?;
    if src.address.is_ipv6() != is_v6 || dst.address.is_ipv6() != is_v6 {
        return Err(RewriteError::Quote);
    }
    Ok(Found { quote, edit: Edit { src, dst, quoted: None } })
}

/// Rewrites the quoted packet; returns the change of the ICMP message's sum.
pub(super) fn apply(Found { quote, edit }: &Found, quoted: &mut [u8]) -> Delta {
    let (addresses, mut total) = set_addresses(edit, quoted);
    let segment = quoted.get_mut(quote.l4_offset..).unwrap_or_default();
    let is_v6 = quote.tuple.src.address.is_ipv6();
    let ports = match quote.tuple.transport {
        Transport::Echo => {
            let new = ident(edit, quote.is_request);
            let change = Delta::u16(quote.tuple.src.port, new);
            put(segment, 4, new);
            change
        }
        Transport::Tcp | Transport::Udp | Transport::Sctp => set_ports(edit, segment),
    };
    total = total.and(ports);
    // ICMP covers no addresses, ICMPv6 does; the CRC32c of SCTP covers what is not quoted.
    let (at, change) = match quote.tuple.transport {
        Transport::Tcp => (16, addresses.and(ports)),
        Transport::Udp => (6, addresses.and(ports)),
        Transport::Echo if is_v6 => (2, addresses.and(ports)),
        Transport::Echo => (2, ports),
        Transport::Sctp => return total,
    };
    let Some(old) = get(segment, at) else { return total };
    let is_udp = quote.tuple.transport == Transport::Udp;
    let new = match (is_udp, old) {
        (true, 0) => 0,
        (true, old) => udp_nonzero(change.apply(old)),
        (false, old) => change.apply(old),
    };
    put(segment, at, new);
    total.and(Delta::u16(old, new))
}

/// Sets the addresses; returns their change, and the change of all written bytes.
fn set_addresses(edit: &Edit, quoted: &mut [u8]) -> (Delta, Delta) {
    match (edit.src.address, edit.dst.address) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let Ok(mut ip) = ipv4::Packet::new_quoted(quoted) else {
                return (Delta::NONE, Delta::NONE);
            };
            let (old, change) =
                (ip.checksum(), Delta::ipv4(ip.src(), src).and(Delta::ipv4(ip.dst(), dst)));
            ip.set_src(src);
            ip.set_dst(dst);
            ip.update_checksum(change);
            (change, change.and(Delta::u16(old, ip.checksum())))
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let Ok(mut ip) = ipv6::Packet::new_quoted(quoted) else {
                return (Delta::NONE, Delta::NONE);
            };
            let change = ip.rewrite_src(src).and(ip.rewrite_dst(dst));
            (change, change)
        }
        _ => (Delta::NONE, Delta::NONE),
    }
}

/// A word of the segment, if present.
fn get(segment: &[u8], at: usize) -> Option<u16> {
    segment.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

fn put(segment: &mut [u8], at: usize, value: u16) {
    if let Some(bytes) = segment.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *bytes = value.to_be_bytes();
    }
}
