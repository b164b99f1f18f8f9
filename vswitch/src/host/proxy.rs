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

use super::nft::Protocol;
use super::task::Task;

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

/// Relays one port; dropping it closes all its connections.
#[derive(Debug)]
pub(super) struct Proxy(Task);

impl Proxy {
    /// Starts to relay to that address.
    pub(super) fn start(served: ProxySocket, to: SocketAddr) -> Self {
        Self(match served {
            ProxySocket::Tcp(listener) => Task::spawn(tcp::relay_all(listener, to)),
            ProxySocket::Udp(socket) => Task::spawn(udp::relay_all(socket, to)),
        })
    }

    /// Ends it and waits until its sockets are closed.
    pub(super) async fn end(self) {
        let _ = self.0.end().await;
    }
}
