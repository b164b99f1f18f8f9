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

/// Carries what comes to one port.
#[derive(Debug)]
pub(super) struct Proxy(JoinHandle<()>);

impl Proxy {
    /// Serves a socket that listens, or for UDP is bound; `None` for other protocols.
    pub(super) fn start(
        protocol: Protocol,
        socket: &OwnedFd,
        to: SocketAddr,
    ) -> io::Result<Option<Self>> {
        let socket = socket.try_clone()?;
        let task = match protocol {
            Protocol::Tcp => {
                tokio::spawn(tcp::carry_all(TcpListener::from_std(socket.into())?, to))
            }
            Protocol::Udp => tokio::spawn(udp::carry_all(UdpSocket::from_std(socket.into())?, to)),
            Protocol::Sctp => return Ok(None),
        };
        Ok(Some(Self(task)))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.0.abort();
    }
}
