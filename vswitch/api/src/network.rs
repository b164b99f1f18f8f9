//! Layer-2 domains with their subnets.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// A row of `vswitch network ls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Name of the network; for the first one also the name of the host's device.
    pub name: String,
    /// IPv4 subnet.
    pub subnet: Ipv4Net,
    /// The host's address in it.
    pub gateway: Ipv4Addr,
    /// IPv6 subnet.
    pub subnet6: Ipv6Net,
    /// The host's address in it.
    pub gateway6: Ipv6Addr,
    /// Largest IP packet in bytes.
    pub mtu: u32,
    /// `none`: internal; later a device's name.
    pub uplink: String,
    /// Number of container ports.
    pub ports: usize,
}

/// What `vswitch network inspect` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkDetail {
    /// What the list shows.
    #[serde(flatten)]
    pub network: Network,
    /// MAC address of the host's port.
    pub gateway_mac: String,
    /// Seconds until a learnt MAC address is forgotten.
    pub ageing_s: u64,
    /// Most MAC addresses that the network may learn.
    pub fdb_entries_max: usize,
    /// `snoop`: multicast goes to who listens; `flood`: to all.
    pub multicast: String,
    /// MAC addresses known now.
    pub fdb_entries: usize,
    /// Container ports on it.
    pub members: Vec<Member>,
}

/// A container on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Name of the attachment.
    pub name: String,
    /// MAC address.
    pub mac: String,
    /// IPv4 address.
    pub ipv4: Ipv4Addr,
    /// IPv6 address.
    pub ipv6: Ipv6Addr,
}
