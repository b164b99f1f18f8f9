//! Proxies of published TCP and UDP ports: for clients on ::1, and for devices that are no uplinks ([`relayed`]).
//!
//! The kernel does not translate packets to ::1, so the socket that reserves the port
//! ([`reserve::sockets`](super::reserve::sockets)) accepts them, and the proxy relays to the container. The socket hears
//! the loopback device alone: the kernel refuses all others, who reach the port through the switch. SCTP, and ranges
//! longer than sockets can reserve, are not available on ::1.
//!
//! A container may listen on one family only, so the proxy tries its addresses in turn. A container that refuses on all
//! of them refuses the client: TCP by a reset, UDP by "port unreachable". The kernel would accept a client of TCP before the
//! container is asked, so its SYN is kept from the socket until then ([`syn_watch`]).
//!
//! A port has at most [`PROXY_CONNECTIONS_MAX`](super::limits::PROXY_CONNECTIONS_MAX) connections: further ones wait in
//! the backlog. It remembers [`PROXY_CLIENTS_MAX`](super::limits::PROXY_CLIENTS_MAX) clients of UDP, and forgets the
//! least recently used.

mod asked_container;
pub(crate) mod counters;
mod publications;
mod refuse;
pub(super) mod relayed;
mod relayed_udp;
mod syn;
pub(super) mod syn_watch;
mod tcp;
mod udp;
mod udp_client;
mod udp_source;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use tokio::net::{TcpListener, UdpSocket};

use super::nft::Protocol;
use super::task::Task;
use syn_watch::SynWatch;
use udp_source::UdpSource;

/// A socket of the proxy: listening, or for UDP bound.
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
    /// Starts to relay to the container's addresses, the first that answers. `watch` is to have the ports of TCP.
    pub(super) fn start(served: ProxySocket, to: Vec<SocketAddr>, watch: &SynWatch) -> Self {
        Self(match served {
            ProxySocket::Tcp(listener) => {
                let syns = watch.listen(listener.local_addr().ok());
                Task::spawn(tcp::relay_all(listener, to, syns))
            }
            ProxySocket::Udp(socket) => {
                Task::spawn(udp::relay_all(UdpSource::loopback(socket, to)))
            }
        })
    }

    /// Ends it and waits until its sockets are closed.
    pub(super) async fn end(self) {
        let _ = self.0.end().await;
    }
}
