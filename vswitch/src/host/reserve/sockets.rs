//! Published ports, reserved by sockets.
//!
//! A bound socket without `SO_REUSEADDR` that does not listen keeps every other from the port. For a TCP or
//! UDP port of all addresses, the proxy of ::1 (`proxy`) uses the IPv6 socket. That of TCP listens, which
//! reserves the port as well, with `SO_REUSEADDR`: connections in TIME_WAIT do not block it. The proxy's sockets hear
//! the loopback device alone, so that the kernel refuses who comes by another one and is not for the switch.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, ipproto, listen, socket_with, sockopt,
};
use socket2::SockRef;

use super::ReserveError;
use super::socket_owners::{bound, owner, owner_of_port};
use crate::host::limits::RESERVED_SOCKETS_MAX;
use crate::host::nft::{Protocol, Published};

/// Backlog of the proxy's sockets.
const BACKLOG: i32 = 64;

/// Reserved ports of one publication, as long as the sockets are open.
#[derive(Debug, Default)]
pub(crate) struct PortReservation {
    sockets: Vec<OwnedFd>,
    /// Ports on `[::]` or `[::1]`, and their sockets for the proxy.
    pub(crate) served: Vec<(u16, OwnedFd)>,
    /// The range is too long for sockets: the kernel's setting reserves it.
    pub(crate) by_sysctl: bool,
}

/// Reserves the ports of a publication, without those that are `held` for it (`snat_blocks`).
pub(crate) fn reserve_ports(
    published: &Published,
    held: &BTreeSet<u16>,
) -> Result<PortReservation, ReserveError> {
    let mut reservation = PortReservation::default();
    if published.ports.len() > RESERVED_SOCKETS_MAX {
        check_range(published, held)?;
        reservation.by_sysctl = true;
        return Ok(reservation);
    }
    if let Some(address) = published.address.filter(|_| !held.is_empty()) {
        check_local(address)?;
    }
    for port in published.ports.clone().filter(|port| !held.contains(port)) {
        reserve_port(published, port, &mut reservation)?;
    }
    Ok(reservation)
}

fn reserve_port(
    published: &Published,
    port: u16,
    reservation: &mut PortReservation,
) -> Result<(), ReserveError> {
    let protocol = published.protocol;
    let is_carried = protocol != Protocol::Sctp;
    if let Some(address) = published.address {
        // The proxy serves ::1.
        let is_served =
            is_carried && (address == Ipv6Addr::LOCALHOST || address == Ipv6Addr::UNSPECIFIED);
        match bind_socket(protocol, address, port, is_served)? {
            Some(socket) if is_served => reservation.served.push((port, socket)),
            socket => reservation.sockets.extend(socket),
        }
        return Ok(());
    }
    reservation.sockets.extend(bind_socket(protocol, Ipv4Addr::UNSPECIFIED.into(), port, false)?);
    match bind_socket(protocol, Ipv6Addr::UNSPECIFIED.into(), port, is_carried)? {
        Some(socket) if is_carried => reservation.served.push((port, socket)),
        socket => reservation.sockets.extend(socket),
    }
    Ok(())
}

/// Binds a socket, for the proxy if `served`; `None` where the kernel lacks the protocol or family.
fn bind_socket(
    protocol: Protocol,
    address: IpAddr,
    port: u16,
    served: bool,
) -> Result<Option<OwnedFd>, ReserveError> {
    match try_bind(protocol, SocketAddr::new(address, port), served) {
        Ok(socket) => Ok(Some(socket)),
        Err(Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT | Errno::SOCKTNOSUPPORT) => Ok(None),
        Err(Errno::ADDRNOTAVAIL) if address.is_unspecified() => Ok(None),
        Err(Errno::ADDRNOTAVAIL) => Err(ReserveError::NotLocalAddress(address)),
        Err(Errno::ADDRINUSE) => {
            let at = Some(address).filter(|address| !address.is_unspecified());
            Err(ReserveError::Taken { port, protocol, owner: owner_of_port(protocol, at, port) })
        }
        Err(error) => Err(ReserveError::Socket { port, protocol, source: error.into() }),
    }
}

fn try_bind(protocol: Protocol, at: SocketAddr, served: bool) -> Result<OwnedFd, Errno> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let (kind, number) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
        Protocol::Sctp => (SocketType::STREAM, ipproto::SCTP),
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, kind, flags, Some(number))?;
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    let listens = served && protocol == Protocol::Tcp;
    if listens {
        sockopt::set_socket_reuseaddr(&socket, true)?;
    } else if protocol == Protocol::Udp && !served {
        // The switch never reads from it.
        sockopt::set_socket_recv_buffer_size(&socket, 0)?;
    }
    bind(&socket, &at)?;
    if served {
        // Only now, since a socket of one device may share its port with those of others.
        hear_loopback(&socket)?;
    }
    if listens {
        listen(&socket, BACKLOG)?;
    }
    Ok(socket)
}

/// Restricts a socket to the loopback device.
fn hear_loopback(socket: &OwnedFd) -> Result<(), Errno> {
    let bound = SockRef::from(socket).bind_device(Some(b"lo"));
    bound.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// Fails unless the host has the address.
fn check_local(address: IpAddr) -> Result<(), ReserveError> {
    bind_socket(Protocol::Udp, address, 0, false).map(|_| ())
}

/// Refuses a range, too long for sockets, of which a process has a port now that is not `held`.
fn check_range(published: &Published, held: &BTreeSet<u16>) -> Result<(), ReserveError> {
    let protocol = published.protocol;
    let in_the_way = |bound: &super::socket_owners::BoundSocket| {
        let meets = match published.address {
            Some(all) if all.is_unspecified() => {
                bound.address.is_ipv4() == all.is_ipv4() || bound.address.is_unspecified()
            }
            Some(address) => bound.address == address || bound.address.is_unspecified(),
            None => true,
        };
        published.ports.contains(&bound.port) && !held.contains(&bound.port) && meets
    };
    published.address.map_or(Ok(()), check_local)?;
    match bound(protocol).into_iter().find(in_the_way) {
        None => Ok(()),
        Some(taken) => {
            Err(ReserveError::Taken { port: taken.port, protocol, owner: owner(taken.inode) })
        }
    }
}
