//! Rewrite of addresses and ports in a frame, with incremental checksums (RFC 1624).
//!
//! The cost is independent of the length, and a wrong checksum stays wrong. Changes by protocol:
//!
//! | packet | addresses | ports | checksums |
//! |---|---|---|---|
//! | TCP, UDP | yes | yes | IPv4 header; the transport's, see below |
//! | echo | yes | the identifier | IPv4 header; ICMP (ICMPv6 covers the addresses as well) |
//! | SCTP | yes | yes | IPv4 header; CRC32c where a port changes |
//! | ICMP error | yes | none | IPv4 header; ICMP; all of the quoted packet's that are there |
//! | protocol without ports | yes | none | IPv4 header |
//! | fragment's tail | yes | none | IPv4 header |
//!
//! A complete transport checksum covers addresses and ports. A partial one covers the addresses of the
//! pseudo-header only, and stays partial, also in a GSO frame. None (UDP over IPv4, field 0) stays none.
//! The virtio-net header stays as it is.
//!
//! An echo's identifier is the client's port: source port of a request, destination port of a reply.
//!
//! An error leaves the frame unchanged.

use std::net::IpAddr;

use wire::checksum::{Delta, crc32c_update, udp_nonzero, update_for_address};
use wire::ports::{Ports, SCTP_HEADER_LEN};
use wire::{ChecksumState, L3, L4, Meta, icmpv4, icmpv6, ipv4, ipv6, tcp, udp};

use crate::edit::Edit;
use crate::quote;

#[cfg(test)]
mod tests;

mod error;

/// An error; the packet is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    /// The new addresses are of the other family.
    #[error("{l3:?} packet cannot get the source {src}: give addresses of its own family")]
    Family {
        /// The packet's family.
        l3: L3,
        /// The new source.
        src: IpAddr,
    },
    /// The metadata contradicts the frame.
    #[error("frame of {len} bytes does not hold its headers: parse it again")]
    Frame {
        /// Bytes in the frame.
        len: usize,
    },
    /// The transport cannot be translated.
    #[error("{0:?} cannot be translated")]
    Protocol(L4),
    /// The ICMP error has an unreadable quote, or the edit has none.
    #[error("ICMP error without a quoted packet that can be translated")]
    Quote,
    /// A new port in a fragmented SCTP packet: the checksum covers all fragments.
    #[error("fragment of an SCTP packet cannot get port {0}")]
    SctpFragment(u16),
}

/// Rewrites a frame with this `meta`; `state` is the checksum state from its virtio-net header.
///
/// # Errors
/// [`RewriteError`]; the frame is untouched then.
// A call costs 36 instructions a frame.
#[inline(always)]
pub fn rewrite(
    edit: &Edit,
    meta: &Meta,
    ethernet: &mut [u8],
    state: ChecksumState,
) -> Result<(), RewriteError> {
    let header_len = match meta.l4 {
        L4::Tcp => tcp::HEADER_LEN,
        L4::Udp => udp::HEADER_LEN,
        _ => return rewrite_other(edit, meta, ethernet, state),
    };
    if meta.l4_bytes(ethernet).len() < header_len {
        return Err(RewriteError::Frame { len: ethernet.len() });
    }
    let addresses = addresses(edit, meta, ethernet)?;
    let segment = meta.l4_bytes_mut(ethernet);
    let ports = set_ports(edit, segment);
    match meta.l4 {
        L4::Tcp => {
            let Ok(mut tcp) = tcp::Packet::new_checked(segment) else { return Ok(()) };
            tcp.set_checksum(covered(tcp.checksum(), addresses, ports, state));
        }
        _ => {
            let Ok(mut udp) = udp::Packet::new_quoted(segment) else { return Ok(()) };
            let state = state.of_udp(udp.checksum());
            if state != ChecksumState::None {
                let field = covered(udp.checksum(), addresses, ports, state);
                udp.set_checksum(udp_nonzero(field));
            }
        }
    }
    Ok(())
}

/// The new value of a checksum that covers addresses and ports.
#[inline(always)]
fn covered(field: u16, addresses: Delta, ports: Delta, state: ChecksumState) -> u16 {
    match state {
        ChecksumState::Complete => addresses.and(ports).apply(field),
        ChecksumState::Partial | ChecksumState::None => update_for_address(field, addresses, state),
    }
}

/// Sets both addresses, updates the IPv4 header checksum, and returns the change.
#[inline(always)]
fn addresses(edit: &Edit, meta: &Meta, ethernet: &mut [u8]) -> Result<Delta, RewriteError> {
    let no_frame = RewriteError::Frame { len: ethernet.len() };
    let packet = meta.l3_bytes_mut(ethernet);
    match (meta.l3, edit.src.address, edit.dst.address) {
        (L3::Ipv4, IpAddr::V4(src), IpAddr::V4(dst)) => {
            let mut ip = ipv4::Packet::new_quoted(packet).map_err(|_| no_frame)?;
            let change = Delta::ipv4(ip.src(), src).and(Delta::ipv4(ip.dst(), dst));
            ip.set_src(src);
            ip.set_dst(dst);
            ip.update_checksum(change);
            Ok(change)
        }
        (L3::Ipv6, IpAddr::V6(src), IpAddr::V6(dst)) => {
            let mut ip = ipv6::Packet::new_quoted(packet).map_err(|_| no_frame)?;
            Ok(ip.rewrite_src(src).and(ip.rewrite_dst(dst)))
        }
        (l3, src, _) => Err(RewriteError::Family { l3, src }),
    }
}

/// Sets both ports and returns the change.
#[inline(always)]
fn set_ports(edit: &Edit, segment: &mut [u8]) -> Delta {
    let Ok(mut ports) = Ports::new_checked(segment) else { return Delta::NONE };
    let change = Delta::u16(ports.src(), edit.src.port).and(Delta::u16(ports.dst(), edit.dst.port));
    ports.set_src(edit.src.port);
    ports.set_dst(edit.dst.port);
    change
}

#[inline(never)]
fn rewrite_other(
    edit: &Edit,
    meta: &Meta,
    ethernet: &mut [u8],
    state: ChecksumState,
) -> Result<(), RewriteError> {
    let header_len = match meta.l4 {
        L4::FragmentTail | L4::Other(_) => return addresses(edit, meta, ethernet).map(drop),
        L4::Sctp => SCTP_HEADER_LEN,
        L4::Icmpv4 => icmpv4::HEADER_LEN,
        L4::Icmpv6 => icmpv6::HEADER_LEN,
        other => return Err(RewriteError::Protocol(other)),
    };
    if meta.l4_bytes(ethernet).len() < header_len {
        return Err(RewriteError::Frame { len: ethernet.len() });
    }
    match meta.l4 {
        L4::Sctp => sctp(edit, meta, ethernet, state),
        _ => icmp(edit, meta, ethernet, state),
    }
}

fn sctp(
    edit: &Edit,
    meta: &Meta,
    ethernet: &mut [u8],
    state: ChecksumState,
) -> Result<(), RewriteError> {
    let segment = meta.l4_bytes(ethernet);
    let (len, old) = (segment.len(), word(segment, 0));
    let new = u32::from(edit.src.port) << 16 | u32::from(edit.dst.port);
    if meta.fragment && old != new {
        let is_src = old >> 16 != new >> 16;
        let port = if is_src { edit.src.port } else { edit.dst.port };
        return Err(RewriteError::SctpFragment(port));
    }
    addresses(edit, meta, ethernet)?;
    let segment = meta.l4_bytes_mut(ethernet);
    segment[..4].copy_from_slice(&new.to_be_bytes());
    // 0: no checksum (RFC 9653).
    let field = word(segment, 8);
    if state == ChecksumState::Complete && field != 0 {
        let crc = crc32c_update(field.swap_bytes(), old ^ new, len);
        segment[8..12].copy_from_slice(&crc.to_le_bytes());
    }
    Ok(())
}

/// Four bytes of a segment; the caller has checked its length.
fn word(segment: &[u8], at: usize) -> u32 {
    segment[at..].first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// The port that an echo's identifier stands for: the client's.
fn ident(edit: &Edit, is_request: bool) -> u16 {
    if is_request { edit.src.port } else { edit.dst.port }
}

/// ICMP and ICMPv6: type, checksum and identifier have the same offsets.
fn icmp(
    edit: &Edit,
    meta: &Meta,
    ethernet: &mut [u8],
    state: ChecksumState,
) -> Result<(), RewriteError> {
    let no_frame = RewriteError::Frame { len: ethernet.len() };
    let message = meta.l4_bytes(ethernet);
    let icmp = icmpv4::Packet::new_checked(message).map_err(|_| no_frame)?;
    let is_v6 = meta.l4 == L4::Icmpv6;
    let (v4, v6) = (icmp.icmp_type(), icmpv6::Type(icmp.icmp_type().0));
    let (is_echo, is_request, has_quote) = if is_v6 {
        (v6.is_echo(), v6 == icmpv6::Type::ECHO_REQUEST, quote::is_icmpv6(v6))
    } else {
        (v4.is_echo(), v4 == icmpv4::Type::ECHO_REQUEST, quote::is_icmpv4(v4))
    };
    if !is_echo && !has_quote {
        return Err(RewriteError::Protocol(meta.l4));
    }
    let quoted = if is_echo { None } else { Some(error::check(edit, is_v6, icmp.payload())?) };
    let addresses = addresses(edit, meta, ethernet)?;
    let message = meta.l4_bytes_mut(ethernet);
    let Ok(mut icmp) = icmpv4::Packet::new_checked(message) else { return Ok(()) };
    let change = match quoted {
        Some(quoted) => error::apply(&quoted, icmp.payload_mut()),
        None => {
            let new = ident(edit, is_request);
            let change = Delta::u16(icmp.ident(), new);
            icmp.set_ident(new);
            change
        }
    };
    // Only ICMPv6 has a pseudo-header.
    let addresses = if is_v6 { addresses } else { Delta::NONE };
    icmp.set_checksum(covered(icmp.checksum(), addresses, change, state));
    Ok(())
}
