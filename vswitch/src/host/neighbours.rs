//! What the host knows of the containers' addresses: permanent entries of its neighbour table.
//!
//! The table is one for all network namespaces, and by default has room for 1,024 addresses of a family
//! (`net.ipv4.neigh.default.gc_thresh3`): a host that talks to more containers than that, or that shares
//! the table with containers that talk to each other, gets `ENOBUFS`. Permanent entries are not counted,
//! nor does anybody have to ask for them. They go with the bridge.
//!
//! An entry that cannot be set is no reason to refuse an attach: the kernel asks by itself.

use std::net::IpAddr;

use wire::MacAddr;

use super::netlink::Link;
use super::{Netlink, sysctl};

/// The entries on one bridge.
#[derive(Debug)]
pub(crate) struct Neighbours {
    netlink: Netlink,
    bridge: Link,
}

impl Neighbours {
    /// Entries on the bridge of that index and name.
    pub(crate) fn new(netlink: Netlink, index: u32, name: String) -> Self {
        Self { netlink, bridge: Link { index, name, mac: None } }
    }

    /// Sets, or takes away where there is no MAC address for it, the entry of an address.
    pub(crate) async fn set(&self, address: IpAddr, mac: Option<MacAddr>) {
        if address.is_ipv6() && !sysctl::has_ipv6() {
            return;
        }
        let result = match mac {
            Some(mac) => self.netlink.set_neighbour(&self.bridge, address, mac).await,
            None => self.netlink.remove_neighbour(&self.bridge, address).await,
        };
        if let Err(error) = result {
            tracing::warn!(%error, "the host has to ask for a container's address itself");
        }
    }
}
