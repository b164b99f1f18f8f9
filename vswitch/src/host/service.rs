//! The service port's namespace: a TAP to the switch, and the sockets of the DNS server.
//!
//! The namespace has no name and no process. The TAP's queues and the sockets keep it alive, so that the kernel
//! removes it with them, also after a crash. `lo` and the TAP are its only interfaces. The switch alone sends to the
//! TAP: neither the host nor a LAN has a route here.
//!
//! The TAP has no ARP and no neighbour discovery: the switch finds a client by its IP address. One default route
//! leads to all clients, so that the kernel has one neighbour, whatever their number. The MTU is the least of IPv6,
//! which every network carries.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

use fastpath::tap::{Tap, TapConfig};
use ipnet::IpNet;
use wire::MacAddr;

use super::netlink::Link;
use super::{HostError, Netlink, netns_exec, sysctl};
use crate::datapath::{SERVER_V4, SERVER_V6, SERVICE_PORT};

#[cfg(test)]
mod tests;

/// The name of the TAP in its namespace.
const IFNAME: &str = "service";

/// The MAC address of the TAP; nothing else in its namespace has one.
const MAC: MacAddr = MacAddr([2, 0x76, 0x73, 0x77, 0, 53]);

/// Largest IP packet to a client: the least MTU of IPv6 (RFC 8200 section 5) and of a network.
const MTU: u32 = 1280;

/// The service port, before the workers have it.
#[derive(Debug)]
pub(crate) struct ServicePort {
    pub(crate) mac: MacAddr,
    /// Descriptors of the TAP, one a worker.
    pub(crate) queues: Vec<OwnedFd>,
    pub(crate) sockets: ServiceSockets,
}

/// Sockets at the server's addresses, not blocking. A client's address tells its port
/// ([`ServiceClient`](crate::datapath::ServiceClient)).
#[derive(Debug)]
pub(crate) struct ServiceSockets {
    pub(crate) udp: Vec<UdpSocket>,
    pub(crate) tcp: Vec<TcpListener>,
}

impl ServicePort {
    /// Creates the namespace with a TAP of so many queues.
    pub(crate) async fn create(queues: usize) -> Result<Self, HostError> {
        netns_exec::create(async move |inside: Netlink| {
            let tap = Tap::create(&TapConfig { name: IFNAME, queues })?;
            let link = Link::new(tap.ifindex, tap.name);
            let addresses = configure(&inside, &link, queues).await?;
            let sockets = ServiceSockets::bind(&addresses)?;
            Ok(Self { mac: MAC, queues: tap.queues, sockets })
        })
        .await
    }
}

/// Sets the TAP up; gives the server's addresses.
async fn configure(
    inside: &Netlink,
    link: &Link,
    queues: usize,
) -> Result<Vec<SocketAddr>, HostError> {
    inside.set_mac_and_mtu(link, MAC, MTU).await?;
    inside.no_arp(link).await?;
    if queues > 1 {
        inside.no_queue(link).await?;
    }
    let mut servers = vec![IpAddr::V4(SERVER_V4)];
    if sysctl::has_ipv6() {
        sysctl::configure_ipv6_without_link_local(&link.name)?;
        servers.push(SERVER_V6.into());
    }
    inside.up(link).await?;
    inside.loopback_up().await?;
    for &server in &servers {
        // Two addresses: the server's, and the next hop's.
        let (prefix_len, hop) = match server {
            IpAddr::V4(it) => (31, IpAddr::V4(Ipv4Addr::from_bits(it.to_bits() | 1))),
            IpAddr::V6(it) => (127, IpAddr::V6(Ipv6Addr::from_bits(it.to_bits() | 1))),
        };
        inside.add_address(link, IpNet::new_assert(server, prefix_len)).await?;
        inside.add_default_route(link, hop).await?;
    }
    if servers.len() > 1 {
        inside.wait_until_local(SERVER_V6).await?;
    }
    Ok(servers.into_iter().map(|server| SocketAddr::new(server, SERVICE_PORT)).collect())
}

impl ServiceSockets {
    fn bind(addresses: &[SocketAddr]) -> Result<Self, HostError> {
        let (mut udp, mut tcp) = (Vec::new(), Vec::new());
        for &address in addresses {
            let failed = |source: io::Error| HostError::Listen { address, source };
            let (socket, listener) = (
                UdpSocket::bind(address).map_err(failed)?,
                TcpListener::bind(address).map_err(failed)?,
            );
            socket.set_nonblocking(true).map_err(failed)?;
            listener.set_nonblocking(true).map_err(failed)?;
            udp.push(socket);
            tcp.push(listener);
        }
        Ok(Self { udp, tcp })
    }
}
