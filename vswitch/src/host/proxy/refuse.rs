//! "Port unreachable" for a client of UDP, whose datagram the container's kernel has refused.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sendto, socket_with,
};
use wire::{checksum, icmpv4, icmpv6, ipv4, ipv6};

use super::udp_client::Client;

/// Bytes of the quoted datagram: its IP and UDP headers, by which the kernel finds the client's socket.
const QUOTED4_LEN: usize = ipv4::HEADER_LEN + 8;
const QUOTED6_LEN: usize = ipv6::HEADER_LEN + 8;

const UDP: u8 = 17;
const HOP_LIMIT: u8 = 64;

/// Tells a client that nobody listens at the port that it has sent to.
///
/// # Errors
/// The kernel refuses a raw socket, or the message.
pub(super) fn port_unreachable(client: &Client) -> io::Result<()> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let open = |family, protocol| socket_with(family, SocketType::RAW, flags, Some(protocol));
    match (client.address, client.asked) {
        (SocketAddr::V4(from), SocketAddr::V4(asked)) => {
            let raw = open(AddressFamily::INET, ipproto::ICMP)?;
            let to = SocketAddrV4::new(*from.ip(), 0);
            sendto(&raw, &message4(from, asked), SendFlags::empty(), &to)?;
        }
        (SocketAddr::V6(from), SocketAddr::V6(asked)) => {
            let raw = open(AddressFamily::INET6, ipproto::ICMPV6)?;
            let to = SocketAddrV6::new(*from.ip(), 0, 0, from.scope_id());
            sendto(&raw, &message6(from, asked), SendFlags::empty(), &to)?;
        }
        _ => {}
    }
    Ok(())
}

/// Logs that a client is not told; the lack of the privilege is a warning, once.
pub(super) fn log(client: &Client, error: &io::Error) {
    static IS_WARNED: AtomicBool = AtomicBool::new(false);
    let lacks_privilege = error.kind() == io::ErrorKind::PermissionDenied;
    if lacks_privilege && !IS_WARNED.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            ?client, %error,
            "without CAP_NET_RAW, clients of the proxy are not told that nobody listens at a published UDP port"
        );
    } else {
        tracing::debug!(?client, %error, "a client is not told that nobody listens");
    }
}

fn message4(client: SocketAddrV4, asked: SocketAddrV4) -> Vec<u8> {
    let mut message = vec![icmpv4::Type::DST_UNREACHABLE.0, icmpv4::unreachable::PORT];
    message.extend([0; 6]);
    let quoted = (QUOTED4_LEN as u16).to_be_bytes();
    message.extend([0x45, 0, quoted[0], quoted[1], 0, 0, 0, 0, HOP_LIMIT, UDP, 0, 0]);
    message.extend(Ipv4Addr::octets(client.ip()));
    message.extend(asked.ip().octets());
    quote_udp(&mut message, client.port(), asked.port());
    let sum = checksum::checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    debug_assert_eq!(message.len(), 8 + QUOTED4_LEN);
    message
}

/// The kernel adds the checksum (RFC 3542 section 3.1).
fn message6(client: SocketAddrV6, asked: SocketAddrV6) -> Vec<u8> {
    let mut message = vec![icmpv6::Type::DST_UNREACHABLE.0, icmpv6::unreachable::PORT];
    message.extend([0; 6]);
    message.extend([0x60, 0, 0, 0, 0, 8, UDP, HOP_LIMIT]);
    message.extend(Ipv6Addr::octets(client.ip()));
    message.extend(asked.ip().octets());
    quote_udp(&mut message, client.port(), asked.port());
    debug_assert_eq!(message.len(), 8 + QUOTED6_LEN);
    message
}

fn quote_udp(message: &mut Vec<u8>, from: u16, to: u16) {
    message.extend(from.to_be_bytes());
    message.extend(to.to_be_bytes());
    message.extend([0, 8, 0, 0]);
}
