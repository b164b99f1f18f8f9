//! The sockets that clients of UDP send to, and where their datagrams go.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use tokio::net::UdpSocket;
use tokio::sync::watch;

use super::counters::{CLIENTS_EVICTED, RELAYED_CLIENTS_EVICTED, SharedCounter};
use super::publications::{Publication, Publications};
use super::refuse;
use super::relayed_udp::{RelayedUdp, answer};
use super::udp_client::Client;
use crate::host::limits::{PROXY_CLIENTS_MAX, RELAYED_CLIENTS_MAX};
use crate::host::nft::Protocol;

/// Where clients send to.
#[derive(Debug)]
pub(super) enum UdpSource {
    /// A published port on the loopback device.
    Loopback(Arc<UdpSocket>, Arc<Targets>),
    /// All published ports, by devices that are no uplinks.
    Relayed(RelayedUdp, Arc<Publications>),
}

/// A container's addresses.
#[derive(Debug)]
pub(super) struct Targets {
    pub(super) addresses: Vec<SocketAddr>,
    /// The one that new clients begin with.
    preferred: AtomicUsize,
}

/// Where the datagrams of a client go.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) targets: Arc<Targets>,
    publication: Option<Publication>,
}

/// Sends answers to a client. A weak reference, so that the port is free when the relay has ended.
#[derive(Debug)]
pub(super) enum Answering {
    Loopback(Weak<UdpSocket>),
    Relayed(Weak<UdpSocket>),
}

impl Targets {
    pub(super) fn new(addresses: Vec<SocketAddr>) -> Arc<Self> {
        Arc::new(Self { addresses, preferred: AtomicUsize::new(0) })
    }

    pub(super) fn preferred(&self) -> usize {
        self.preferred.load(Ordering::Relaxed)
    }

    /// The address after another one, which new clients begin with from now on.
    pub(super) fn prefer_after(&self, former: usize) -> usize {
        let next = (former + 1) % self.addresses.len().max(1);
        self.preferred.store(next, Ordering::Relaxed);
        next
    }
}

impl Destination {
    /// Whether its publication has ended.
    pub(super) fn is_over(&self) -> bool {
        self.publication.as_ref().is_some_and(Publication::is_over)
    }
}

impl UdpSource {
    /// A port on the loopback device, and the container's addresses.
    pub(super) fn loopback(socket: UdpSocket, to: Vec<SocketAddr>) -> Self {
        Self::Loopback(Arc::new(socket), Targets::new(to))
    }

    /// Clients that are remembered.
    pub(super) fn clients_max(&self) -> usize {
        match self {
            Self::Loopback(..) => PROXY_CLIENTS_MAX,
            Self::Relayed(..) => RELAYED_CLIENTS_MAX,
        }
    }

    /// Counts clients that were forgotten for others.
    pub(super) fn evicted(&self) -> &'static SharedCounter {
        match self {
            Self::Loopback(..) => &CLIENTS_EVICTED,
            Self::Relayed(..) => &RELAYED_CLIENTS_EVICTED,
        }
    }

    /// A datagram, and whose it is.
    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Client)> {
        match self {
            Self::Loopback(socket, _) => {
                let (len, address) = socket.recv_from(buffer).await?;
                // A client on this device has the address that it sends to.
                let asked = SocketAddr::new(address.ip(), socket.local_addr()?.port());
                Ok((len, Client { address, asked }))
            }
            Self::Relayed(socket, _) => socket.receive(buffer).await,
        }
    }

    /// Where the datagrams of a client go; `None` if it has asked for no published port.
    pub(super) fn destination(&self, client: &Client) -> Option<Destination> {
        match self {
            Self::Loopback(_, targets) => {
                Some(Destination { targets: Arc::clone(targets), publication: None })
            }
            Self::Relayed(_, publications) => {
                let (asked, from) = (client.asked, client.address.ip());
                let mut found = publications.find(Protocol::Udp, asked, from)?;
                let targets = Targets::new(std::mem::take(&mut found.targets));
                Some(Destination { targets, publication: Some(found) })
            }
        }
    }

    pub(super) fn answering(&self) -> Answering {
        match self {
            Self::Loopback(socket, _) => Answering::Loopback(Arc::downgrade(socket)),
            Self::Relayed(socket, _) => Answering::Relayed(socket.socket()),
        }
    }

    /// Tells a client that nobody listens at the port that it has sent to.
    pub(super) fn refuse(&self, client: &Client) {
        let refused = match self {
            Self::Loopback(..) => refuse::port_unreachable(client),
            // The kernel translates it back.
            Self::Relayed(socket, _) => refuse::port_unreachable(&socket.redirected(client)),
        };
        if let Err(error) = refused {
            refuse::log(client, &error);
        }
    }

    /// Is told when publications end; `None` if the source ends with its own.
    pub(super) fn ends(&self) -> Option<watch::Receiver<()>> {
        match self {
            Self::Loopback(..) => None,
            Self::Relayed(_, publications) => Some(publications.ends()),
        }
    }
}

impl Answering {
    /// Sends an answer; `None` when the relay has ended.
    pub(super) async fn send(&self, client: &Client, datagram: &[u8]) -> Option<io::Result<()>> {
        match self {
            Self::Loopback(socket) => {
                let sent = socket.upgrade()?.send_to(datagram, client.address).await;
                Some(sent.map(drop))
            }
            Self::Relayed(socket) => Some(answer(&*socket.upgrade()?, client, datagram).await),
        }
    }
}
