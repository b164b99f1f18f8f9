//! Permanent entries for the containers in the host's neighbour table.
//!
//! All network namespaces share the table, which by default takes 1,024 addresses of a family
//! (`net.ipv4.neigh.default.gc_thresh3`). With more containers, also with those that talk to each other,
//! the host gets `ENOBUFS`. Permanent entries do not count and need no ARP. They end with the bridge.
//!
//! An attach succeeds without its entry: the kernel then resolves the address by itself.

use std::net::IpAddr;

use wire::MacAddr;

use super::netlink::Link;
use super::{Netlink, sysctl};

/// Entries on one bridge.
#[derive(Debug)]
pub(crate) struct Neighbours {
    netlink: Netlink,
    bridge: Link,
}

impl Neighbours {
    /// Entries on the bridge of that index and name.
    pub(crate) fn new(netlink: Netlink, index: u32, name: String) -> Self {
        Self { netlink, bridge: Link::new(index, name) }
    }

    /// The index of the bridge.
    pub(crate) fn index(&self) -> u32 {
        self.bridge.index
    }

    /// Sets the entry of an address, or removes it where `mac` is none.
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
