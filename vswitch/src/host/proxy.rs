//! The host's own way to a published TCP or UDP port by ::1.
//!
//! The kernel does not translate what is sent to ::1, so it is accepted here, by the socket that holds the port
//! ([`reserve::sockets`](super::reserve::sockets)), and carried to the container: the client's address, ::1,
//! would mean nothing there anyway. Whoever comes from elsewhere is turned away: outsiders come by the switch.
//! SCTP, and ranges that are longer than what is held by sockets, are not available on ::1.
//!
//! At most [`PROXY_CONNECTIONS_MAX`](super::limits::PROXY_CONNECTIONS_MAX) connections, or clients, of a port
//! at once: further connections wait in the backlog, further datagrams are dropped. Dropping the proxy ends them
//! all.

mod tcp;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

use super::nft::Protocol;

/// A socket to be served: one that listens, or for UDP is bound.
#[derive(Debug)]
pub(super) enum ProxySocket {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl ProxySocket {
    /// The same socket by a descriptor of its own; `None` for other protocols.
    ///
    /// # Errors
    /// No descriptor is left.
    pub(super) fn new(protocol: Protocol, socket: &OwnedFd) -> io::Result<Option<Self>> {
        Ok(match protocol {
            Protocol::Tcp => Some(Self::Tcp(TcpListener::from_std(socket.try_clone()?.into())?)),
            Protocol::Udp => Some(Self::Udp(UdpSocket::from_std(socket.try_clone()?.into())?)),
            Protocol::Sctp => None,
        })
    }
}

/// Carries what comes to one port.
#[derive(Debug)]
pub(super) struct Proxy(JoinHandle<()>);

impl Proxy {
    /// Begins to carry, to that address.
    pub(super) fn start(served: ProxySocket, to: SocketAddr) -> Self {
        Self(match served {
            ProxySocket::Tcp(listener) => tokio::spawn(tcp::relay_all(listener, to)),
            ProxySocket::Udp(socket) => tokio::spawn(udp::relay_all(socket, to)),
        })
    }

    /// Ends, and waits until its sockets are closed.
    pub(super) async fn end(mut self) {
        self.0.abort();
        let _ = (&mut self.0).await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.0.abort();
    }
}
