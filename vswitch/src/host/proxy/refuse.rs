//! "Port unreachable" for a client on ::1, whose datagram the container's kernel has refused.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sendto, socket_with,
};
use wire::{icmpv6, ipv6};

/// Bytes of the quoted datagram: its IPv6 and UDP headers, by which the kernel finds the client's socket.
const QUOTED_LEN: usize = ipv6::HEADER_LEN + 8;

const UDP: u8 = 17;
const HOP_LIMIT: u8 = 64;

/// Tells a client that nobody listens at the port that it has sent to.
///
/// # Errors
/// The kernel refuses a raw socket, or the message.
pub(super) fn port_unreachable(client: SocketAddr, asked: SocketAddr) -> io::Result<()> {
    let SocketAddr::V6(client) = client else { return Ok(()) };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let raw = socket_with(AddressFamily::INET6, SocketType::RAW, flags, Some(ipproto::ICMPV6))?;
    let to = SocketAddrV6::new(*client.ip(), 0, 0, client.scope_id());
    sendto(&raw, &message(client, asked.port()), SendFlags::empty(), &to)?;
    Ok(())
}

/// Logs that a client is not told; the lack of the privilege is a warning, once.
pub(super) fn log(client: SocketAddr, error: &io::Error) {
    static IS_WARNED: AtomicBool = AtomicBool::new(false);
    let lacks_privilege = error.kind() == io::ErrorKind::PermissionDenied;
    if lacks_privilege && !IS_WARNED.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            %client, %error,
            "without CAP_NET_RAW, clients on [::1] are not told that nobody listens at a published UDP port"
        );
    } else {
        tracing::debug!(%client, %error, "a client on [::1] is not told that nobody listens");
    }
}

/// The message; the kernel adds the checksum (RFC 3542 section 3.1).
fn message(client: SocketAddrV6, port: u16) -> Vec<u8> {
    let mut message = vec![icmpv6::Type::DST_UNREACHABLE.0, icmpv6::unreachable::PORT];
    message.extend([0; 6]);
    message.extend([0x60, 0, 0, 0, 0, 8, UDP, HOP_LIMIT]);
    message.extend(client.ip().octets());
    message.extend(asked_address(client).octets());
    message.extend(client.port().to_be_bytes());
    message.extend(port.to_be_bytes());
    message.extend([0, 8, 0, 0]);
    debug_assert_eq!(message.len(), 8 + QUOTED_LEN);
    message
}

/// The address that a client on the loopback device has sent to: its own, as it is a local one.
const fn asked_address(client: SocketAddrV6) -> Ipv6Addr {
    *client.ip()
}
