//! Layer-2 networks with their subnets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use wire::MacAddr;

use crate::words::words;

words! {
    /// Receivers of multicast.
    Multicast {
        /// Listeners, by IGMP and MLD snooping.
        Snoop = "snoop",
        /// All ports.
        Flood = "flood",
    }
}

/// A row of `vswitch network ls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Network {
    /// Name of the network; for the first one also the name of the host's device.
    pub name: String,
    /// Subnets, IPv4 first.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub subnets: Vec<IpNet>,
    /// The host's address in each subnet, in the same order.
    pub gateways: Vec<IpAddr>,
    /// Largest IP packet in bytes.
    pub mtu: u32,
    /// Names of its uplinks; empty for an internal network.
    pub uplinks: Vec<String>,
    /// Number of container ports.
    pub ports: usize,
}

/// One network: `vswitch network inspect`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NetworkDetail {
    /// The row of the list.
    #[serde(flatten)]
    pub network: Network,
    /// MAC address of the host's port.
    #[cfg_attr(test, schemars(with = "String"))]
    pub gateway_mac: MacAddr,
    /// Seconds until a learnt MAC address ages out.
    pub ageing_s: u64,
    /// Most MAC addresses that the network may learn.
    pub fdb_entries_max: usize,
    /// Receivers of multicast.
    pub multicast: Multicast,
    /// DHCPv4 and DHCPv6 are served.
    #[serde(default)]
    pub dhcp: bool,
    /// Router advertisements are sent.
    #[serde(default)]
    pub ra: bool,
    /// Number of known MAC addresses.
    pub fdb_entries: usize,
    /// Container ports on it.
    pub members: Vec<Member>,
    /// Name records for DNS, in the order of the names.
    #[serde(default)]
    pub names: Vec<NameRecord>,
}

/// Addresses of a name: those of the attachment of that name, and of all that have it as an alias.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NameRecord {
    /// The name, in lower case.
    pub name: String,
    /// IPv4 addresses.
    pub ipv4: Vec<Ipv4Addr>,
    /// IPv6 addresses.
    pub ipv6: Vec<Ipv6Addr>,
}

/// A container on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Member {
    /// Name of the attachment.
    pub name: String,
    /// MAC address.
    #[cfg_attr(test, schemars(with = "String"))]
    pub mac: MacAddr,
    /// IPv4 addresses.
    pub ipv4: Vec<Ipv4Addr>,
    /// IPv6 addresses.
    pub ipv6: Vec<Ipv6Addr>,
}
