//! Parser: from a frame to the [`View`] for NAT.
//!
//! [`Meta`] has the offsets of the headers. The parser reads the fields there, and walks only the rare
//! headers: IPv4 options, IPv6 extension headers, ICMP errors.
//!
//! Packets that no NAT can translate without damage become [`Kind::Other`]:
//!
//! - packets that the module `translatable` lists;
//! - ICMP redirects, whose address belongs to one side, source quench (RFC 6633), and errors about
//!   packets without ports.

use std::net::{IpAddr, Ipv4Addr};

use wire::Protocol;
use wire::ipv6_ext::Extensions;
use wire::ports::Ports;
use wire::tcp::{Flags, TcpOption};
use wire::{L3, L4, Meta, icmpv4, icmpv6, ipv4, ipv6, tcp};

use crate::quote;
use crate::translatable::{is_translatable_extension, is_translatable_v4, transport};
use crate::tuple::{Endpoint, Transport, Tuple};
use crate::view::{Fragment, Kind, Quoted, Segment, View};

#[cfg(test)]
mod tests;

/// The view of a frame with this `meta`. A frame without IP gives [`Kind::Other`] and unspecified addresses.
#[inline]
pub fn view(meta: &Meta, ethernet: &[u8]) -> View {
    let packet = meta.l3_bytes(ethernet);
    let fixed = match meta.l3 {
        L3::Ipv4 => ipv4::HEADER_LEN,
        L3::Ipv6 => ipv6::HEADER_LEN,
        _ => return no_ip(meta),
    };
    let header_len = usize::from(meta.l4_offset.wrapping_sub(meta.l3_offset));
    let Some((src, dst)) = addresses(meta.l3, packet) else { return no_ip(meta) };
    if header_len != fixed || meta.fragment {
        return unusual(meta, packet, (src, dst));
    }
    let kind = kind(meta.l4, (src, dst), packet.get(fixed..).unwrap_or_default());
    View { src, dst, kind, fragment: None, len: meta.l3_len }
}

#[cold]
fn no_ip(meta: &Meta) -> View {
    let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    View { src: nobody, dst: nobody, kind: Kind::Other, fragment: None, len: meta.l3_len }
}

#[inline(always)]
fn addresses(l3: L3, packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    match l3 {
        L3::Ipv4 => {
            let ip = ipv4::Packet::new_quoted(packet).ok()?;
            Some((ip.src().into(), ip.dst().into()))
        }
        _ => {
            let ip = ipv6::Packet::new_quoted(packet).ok()?;
            Some((ip.src().into(), ip.dst().into()))
        }
    }
}

/// Packets with options, extension headers or fragments.
#[inline(never)]
fn unusual(meta: &Meta, packet: &[u8], (src, dst): (IpAddr, IpAddr)) -> View {
    let (fragment, protocol) = match meta.l3 {
        L3::Ipv4 => ipv4_extras(packet),
        _ => ipv6_extras(packet),
    }
    .unwrap_or((None, None));
    let kind = match (meta.l4, protocol) {
        (_, None) => Kind::Other,
        (L4::FragmentTail, Some(protocol)) => {
            transport(protocol, src.is_ipv6()).map_or(Kind::Other, Kind::Tail)
        }
        (l4, Some(_)) => {
            let header_len = usize::from(meta.l4_offset.wrapping_sub(meta.l3_offset));
            kind(l4, (src, dst), packet.get(header_len..).unwrap_or_default())
        }
    };
    View { src, dst, kind, fragment, len: meta.l3_len }
}

/// The fragment and the transport, if the packet is a fragment and translatable.
type Extras = (Option<Fragment>, Option<Protocol>);

fn ipv4_extras(packet: &[u8]) -> Option<Extras> {
    let ip = ipv4::Packet::new_checked(packet).ok()?;
    let fragment = ip.is_fragment().then(|| Fragment {
        ident: ip.ident().into(),
        offset: ip.fragment_offset().into(),
        len: ip.payload().len() as u32,
        more: ip.more_fragments(),
    });
    Some((fragment, is_translatable_v4(&ip).then(|| ip.protocol())))
}

fn ipv6_extras(packet: &[u8]) -> Option<Extras> {
    let ip = ipv6::Packet::new_checked(packet).ok()?;
    let mut protocol = Some(ip.next_header());
    let (mut at, mut fragment) = (0, None);
    for extension in Extensions::new(ip.next_header(), ip.payload()) {
        let Ok(extension) = extension else { return Some((fragment, None)) };
        at += extension.bytes.len();
        protocol =
            protocol.and(is_translatable_extension(&extension).then_some(extension.next_header));
        if let Some(found) = extension.fragment().filter(|found| !found.is_atomic()) {
            fragment = Some(Fragment {
                ident: found.ident,
                offset: found.offset.into(),
                len: (ip.payload().len() - at) as u32,
                more: found.more,
            });
        }
    }
    Some((fragment, protocol))
}

/// Parses the transport header at the start of `segment`.
#[inline(always)]
fn kind(l4: L4, (src, dst): (IpAddr, IpAddr), segment: &[u8]) -> Kind {
    let flow = |transport, part| {
        let Ok(ports) = Ports::new_checked(segment) else { return Kind::Other };
        let (src, dst) = (Endpoint::new(src, ports.src()), Endpoint::new(dst, ports.dst()));
        Kind::Flow { tuple: Tuple { transport, src, dst }, segment: part, is_request: false }
    };
    match l4 {
        L4::Tcp => match tcp::Packet::new_checked(segment) {
            Ok(tcp) => flow(Transport::Tcp, Some(tcp_part(&tcp))),
            Err(_) => Kind::Other,
        },
        L4::Udp => flow(Transport::Udp, None),
        L4::Sctp => flow(Transport::Sctp, None),
        L4::Icmpv4 => icmpv4_kind((src, dst), segment),
        L4::Icmpv6 => icmpv6_kind((src, dst), segment),
        _ => Kind::Other,
    }
}

#[inline(always)]
fn tcp_part(tcp: &tcp::Packet<&[u8]>) -> Segment {
    let flags = tcp.flags();
    Segment {
        flags,
        seq: tcp.seq(),
        ack: tcp.ack(),
        window: tcp.window(),
        len: tcp.sequence_len(),
        window_scale: if flags.contains(Flags::SYN) { window_scale(tcp) } else { None },
    }
}

/// Stops at an unreadable option.
#[inline(never)]
fn window_scale(tcp: &tcp::Packet<&[u8]>) -> Option<u8> {
    tcp.options().map_while(Result::ok).find_map(|option| match option {
        TcpOption::WindowScale(shift) => Some(shift),
        _ => None,
    })
}

#[inline(never)]
fn icmpv4_kind(addresses: (IpAddr, IpAddr), message: &[u8]) -> Kind {
    let Ok(icmp) = icmpv4::Packet::new_checked(message) else { return Kind::Other };
    let icmp_type = icmp.icmp_type();
    if icmp_type.is_echo() {
        return echo(addresses, icmp.ident(), icmp_type == icmpv4::Type::ECHO_REQUEST);
    }
    let too_big = icmp_type == icmpv4::Type::DST_UNREACHABLE
        && icmp.code() == icmpv4::unreachable::FRAG_NEEDED;
    let mtu = too_big.then(|| icmp.mtu().into());
    let quote = quote::is_icmpv4(icmp_type).then(|| quote::find(false, icmp.payload())).flatten();
    quote.map_or(Kind::Other, |quote| error(&quote, mtu))
}

#[inline(never)]
fn icmpv6_kind(addresses: (IpAddr, IpAddr), message: &[u8]) -> Kind {
    let Ok(icmp) = icmpv6::Packet::new_checked(message) else { return Kind::Other };
    let icmp_type = icmp.icmp_type();
    if icmp_type.is_echo() {
        return echo(addresses, icmp.ident(), icmp_type == icmpv6::Type::ECHO_REQUEST);
    }
    let mtu = (icmp_type == icmpv6::Type::PACKET_TOO_BIG).then(|| icmp.mtu());
    let quote = quote::is_icmpv6(icmp_type).then(|| quote::find(true, icmp.payload())).flatten();
    quote.map_or(Kind::Other, |quote| error(&quote, mtu))
}

fn echo((src, dst): (IpAddr, IpAddr), ident: u16, is_request: bool) -> Kind {
    let (src, dst) = (Endpoint::new(src, ident), Endpoint::new(dst, ident));
    let tuple = Tuple { transport: Transport::Echo, src, dst };
    Kind::Flow { tuple, segment: None, is_request }
}

fn error(quote: &quote::Quote, mtu: Option<u32>) -> Kind {
    Kind::Error(Quoted { tuple: quote.tuple, seq: quote.seq, mtu })
}
