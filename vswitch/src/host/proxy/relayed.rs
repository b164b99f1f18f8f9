//! A proxy of published ports for devices that are no uplinks, where the kernel does not forward: docker0, a VPN, a NIC that
//! was left out.
//!
//! # Theory of operation
//!
//! The kernel would translate such a packet to the container, and then refuse to forward it. So rules ([`nft`](super::super::nft),
//! chain `prerouting`) translate its port only: to that of the proxy's sockets, a listening one of TCP and one of UDP for
//! each IP version. They serve all publications. The kernel's connection tracking says which address and port a client
//! had asked for; the proxy connects to the container, which sees the gateway.
//!
//! - The host's rules for `input` judge the packets, after the translation.
//! - Nobody else reaches the port: rules drop what comes for it untranslated. Where it is published itself, the sockets reserve
//!   and serve it.
//! - A client of TCP is accepted before the container is asked, and reset when that refuses.
//! - It ends with its publication. A peer that vanished is noticed by keep-alive probes.
//! - A publication has at most [`PROXY_CONNECTIONS_MAX`] connections, further ones are reset; all have
//!   [`RELAYED_CONNECTIONS_MAX`], further ones wait in the backlog, and [`RELAYED_CLIENTS_MAX`] clients of UDP, of whom the
//!   least recently used is forgotten.
//!
//! It costs nothing but its sockets while no such client comes. A socket that gets packets with their destination as it was
//! (`tproxy`) would do without the translation, but not where br_netfilter hands the packets of a bridge to the rules: the
//! bridge lets go of the socket.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, getsockname, ipproto, listen, socket_with,
    sockopt,
};
use tokio::net::{TcpListener, UdpSocket};

use super::publications::Publications;
use super::relayed_udp::RelayedUdp;
use super::udp_source::UdpSource;
use super::{tcp, udp};
#[cfg(doc)]
use crate::host::limits::{PROXY_CONNECTIONS_MAX, RELAYED_CLIENTS_MAX, RELAYED_CONNECTIONS_MAX};
use crate::host::limits::{RELAYED_BACKLOG, RELAYED_PORTS_TRIED};
use crate::host::nft::{Forward, Protocol, Published};
use crate::host::task::Task;

/// Relays to all publications; dropping it closes all connections.
#[derive(Debug)]
pub(in crate::host) struct RelayProxy {
    publications: Arc<Publications>,
    sockets: RelaySockets,
    tasks: Vec<Task>,
}

/// The proxy's sockets.
#[derive(Debug)]
pub(in crate::host) struct RelaySockets {
    port: u16,
    /// IPv4 and IPv6: of TCP and UDP.
    by_family: [Option<[OwnedFd; 2]>; 2],
}

impl RelayProxy {
    /// Opens the sockets, in the network namespace of the calling thread; `None` if there is no port for them.
    pub(in crate::host) fn start() -> Option<Self> {
        open().and_then(Self::from_parts).inspect_err(warn).ok()
    }

    /// Takes over sockets.
    ///
    /// # Errors
    /// No descriptor is left.
    pub(in crate::host) fn from_parts(sockets: RelaySockets) -> io::Result<Self> {
        let publications = Arc::<Publications>::default();
        let mut tasks = Vec::new();
        for [listener, datagrams] in sockets.by_family.iter().flatten() {
            let listener = TcpListener::from_std(listener.try_clone()?.into())?;
            let datagrams = UdpSocket::from_std(datagrams.try_clone()?.into())?;
            let connections = tcp::relay_redirected(listener, Arc::clone(&publications));
            let source = UdpSource::Relayed(RelayedUdp::new(datagrams)?, Arc::clone(&publications));
            tasks.extend([Task::spawn(connections), Task::spawn(udp::relay_all(source))]);
        }
        Ok(Self { publications, sockets, tasks })
    }

    /// Ends all connections, and gives up the sockets.
    pub(in crate::host) async fn into_parts(self) -> RelaySockets {
        for task in self.tasks {
            let _ = task.end().await;
        }
        self.sockets
    }

    /// IPv4 and IPv6: the port that rules lead packets to.
    pub(in crate::host) fn ports(&self) -> [Option<u16>; 2] {
        let RelaySockets { port, by_family } = &self.sockets;
        by_family.each_ref().map(|sockets| sockets.is_some().then_some(*port))
    }

    /// Its own port, if a publication has it: the sockets reserve it, and serve its clients, too.
    pub(in crate::host) fn port_of(&self, published: &Published) -> Option<u16> {
        let is_relayed = published.protocol != Protocol::Sctp;
        Some(self.sockets.port).filter(|port| is_relayed && published.ports.contains(port))
    }

    /// Replaces publications by others. Clients of those that go are dropped, and this waits for it.
    pub(in crate::host) async fn change(&self, gone: &[Arc<Forward>], new: &[Arc<Forward>]) {
        self.publications.change(gone, new).await;
    }
}

fn warn(error: &io::Error) {
    tracing::warn!(
        %error,
        "published ports are refused by devices that are no uplinks, unless the kernel forwards"
    );
}

/// Opens sockets at one port, at all addresses of each IP version that the kernel has.
fn open() -> io::Result<RelaySockets> {
    let mut tried = 0;
    loop {
        let first = bind_to(SocketType::STREAM, (Ipv4Addr::UNSPECIFIED, 0).into())?;
        let port = SocketAddr::try_from(getsockname(&first)?)?.port();
        tried += 1;
        match open_at(first, port) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && tried < RELAYED_PORTS_TRIED => {}
            by_family => return Ok(RelaySockets { port, by_family: by_family? }),
        }
    }
}

fn open_at(first: OwnedFd, port: u16) -> io::Result<[Option<[OwnedFd; 2]>; 2]> {
    let [v4, v6]: [SocketAddr; 2] =
        [(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()];
    let v4 = with_datagrams(first, v4)?;
    let v6 = match bind_to(SocketType::STREAM, v6) {
        Ok(listener) => Some(with_datagrams(listener, v6)?),
        // Without IPv6.
        Err(error) if lacks_family(&error) => None,
        Err(error) => return Err(error),
    };
    Ok([Some(v4), v6])
}

fn with_datagrams(listener: OwnedFd, at: SocketAddr) -> io::Result<[OwnedFd; 2]> {
    let datagrams = bind_to(SocketType::DGRAM, at)?;
    listen(&listener, RELAYED_BACKLOG)?;
    Ok([listener, datagrams])
}

fn lacks_family(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

fn bind_to(kind: SocketType, at: SocketAddr) -> io::Result<OwnedFd> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let protocol = if kind == SocketType::STREAM { ipproto::TCP } else { ipproto::UDP };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, kind, flags, Some(protocol))?;
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    bind(&socket, &at)?;
    Ok(socket)
}
