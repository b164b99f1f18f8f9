//! The underlay: the host's device with an address, its MTU, and the MTU of the paths to peers.
//!
//! The kernel learns the MTU of a path from ICMP errors to the datagrams of the tunnel port, which have DF set, and keeps
//! it with its route. A connected UDP socket reads it (`IP_MTU`, ip(7)); it sends nothing.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Socket, Type};

use super::netlink::Link;
use super::{HostError, Netlink};

/// The device that has an address; none if the host does not have it.
pub(crate) async fn device_of(
    netlink: &Netlink,
    address: IpAddr,
) -> Result<Option<Link>, HostError> {
    let addresses = netlink.all_addresses().await?;
    let own = addresses.iter().find(|(_, net)| net.addr() == address);
    let Some((index, _)) = own else { return Ok(None) };
    Ok(netlink.links().await?.into_iter().find(|link| link.index == *index))
}

/// The host's addresses.
pub(crate) async fn own_addresses(netlink: &Netlink) -> Result<Vec<IpAddr>, HostError> {
    Ok(netlink.all_addresses().await?.iter().map(|(_, net)| net.addr()).collect())
}

/// The largest IP packet that the path to a peer carries, as far as the kernel knows.
///
/// # Errors
/// No route leads there, or the host does not have the address any more.
pub(crate) fn path_mtu(local: IpAddr, peer: SocketAddr) -> io::Result<u32> {
    // A fresh socket each time: a connected one keeps the route of that moment, without what the kernel has learnt since.
    let socket = Socket::new(Domain::for_address(peer), Type::DGRAM, None)?;
    socket.bind(&SocketAddr::new(local, 0).into())?;
    socket.connect(&peer.into())?;
    Ok(match peer {
        SocketAddr::V4(_) => rustix::net::sockopt::ip_mtu(&socket)?,
        SocketAddr::V6(_) => rustix::net::sockopt::ipv6_mtu(&socket)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_to_the_host_itself_has_the_mtu_of_loopback() {
        let loopback: Vec<IpAddr> = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        for local in loopback {
            let mtu = path_mtu(local, SocketAddr::new(local, 4789)).unwrap();
            assert!(mtu >= 1500, "{local}: {mtu}");
        }
        let foreign = "192.0.2.1".parse().unwrap();
        assert!(path_mtu(foreign, SocketAddr::new(foreign, 4789)).is_err(), "not the host's");
    }
}
