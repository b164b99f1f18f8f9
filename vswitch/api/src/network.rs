//! Layer-2 networks with their subnets.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use wire::MacAddr;

use crate::address::Family;
use crate::overlay::{Overlay, OverlayRequest, RemoteEndpoint, Scope};
use crate::port::Configure;
use crate::port_settings::SettingsChange;
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

/// Names that stand for the switch's own network wherever a network is named, as in Docker. No other network has one.
pub const FIRST_NETWORK_NAMES: [&str; 2] = ["bridge", "default"];

/// A row of `vswitch network ls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Network {
    /// Name of the network.
    pub name: String,
    /// Device of the host on it; none where the host has no port.
    #[serde(default)]
    pub device: Option<String>,
    /// Why that device is out of order, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Subnets, IPv4 first.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub subnets: Vec<IpNet>,
    /// The host's address in each subnet, in the same order.
    pub gateways: Vec<IpAddr>,
    /// Largest IP packet in bytes.
    pub mtu: u32,
    /// Names of its uplinks; empty for an internal network.
    pub uplinks: Vec<String>,
    /// No container of it reaches the world.
    #[serde(default)]
    pub internal: bool,
    /// Hosts that it spans.
    #[serde(default = "local")]
    pub scope: Scope,
    /// The part that spans nodes; absent for a local network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlay: Option<Overlay>,
    /// Labels of its owner; the switch keeps and shows them.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Number of container ports.
    pub ports: usize,
}

/// A daemon before overlay networks tells of no scope.
fn local() -> Scope {
    Scope::Local
}

/// A request for a network: all or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NetworkRequest {
    /// Name of the network: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, up to 128 characters.
    pub name: String,
    /// Subnets, at most one of each family; free ones if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub subnets: Vec<IpNet>,
    /// The host's address in a subnet; the first one if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<IpAddr>,
    /// Part of a subnet that addresses come from if nobody names them; all of it if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub ip_ranges: Vec<IpNet>,
    /// Largest IP packet in bytes; if absent that of the first network, or what the underlay leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// No container of it reaches the world.
    #[serde(default)]
    pub internal: bool,
    /// Its containers do not reach each other.
    #[serde(default)]
    pub isolated_ports: bool,
    /// TCP connections between its containers on this host are cut through; as the switch has it if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_through: Option<bool>,
    /// Networks whose containers may open connections to those of this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reachable_from: Vec<String>,
    /// DHCPv4 and DHCPv6 are served.
    #[serde(default)]
    pub dhcp: bool,
    /// Router advertisements are sent.
    #[serde(default)]
    pub ra: bool,
    /// The uplink: `none`, or that of the switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uplink: Option<String>,
    /// Device of the host on it; `br-NAME` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// It spans hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlay: Option<OverlayRequest>,
    /// Settings of its container ports that differ from the defaults. The host's port has the same access VLAN.
    #[serde(default, skip_serializing_if = "SettingsChange::is_empty")]
    pub settings: SettingsChange,
    /// Labels of its owner.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A request to connect a running container to a further network: all or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EndpointRequest {
    /// Name of the attachment, which another network has.
    pub name: String,
    /// A fixed IPv4 address of the network's subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<Ipv4Addr>,
    /// A fixed IPv6 address of the network's subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Addr>,
    /// Only addresses of this family; of both if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// Further addresses of the network's subnets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further_addresses: Vec<IpAddr>,
    /// A fixed unicast MAC address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub mac: Option<MacAddr>,
    /// Name of the interface in the namespace; the next free number if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ifname: Option<String>,
    /// Further names in the network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What is configured of the interface.
    #[serde(default, skip_serializing_if = "Configure::is_static")]
    pub configure: Configure,
    /// The highest one gives the default route.
    #[serde(default)]
    pub gw_priority: i32,
}

/// How a network is removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NetworkRemoval {
    /// Its attachments are detached first.
    #[serde(default)]
    pub force: bool,
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
    /// Its containers do not reach each other.
    #[serde(default)]
    pub isolated_ports: bool,
    /// TCP connections between its containers on this host may be cut through.
    #[serde(default)]
    pub cut_through: bool,
    /// Networks whose containers may open connections to those of this one.
    #[serde(default)]
    pub reachable_from: Vec<String>,
    /// Parts of its subnets that addresses come from if nobody names them.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub ip_ranges: Vec<IpNet>,
    /// Settings of its container ports that differ from the defaults.
    #[serde(default, skip_serializing_if = "SettingsChange::is_empty")]
    pub settings: SettingsChange,
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
    /// Endpoints on other nodes in the order of their addresses, the first 1,000.
    #[serde(default)]
    pub remote_endpoints: Vec<RemoteEndpoint>,
    /// Number of all endpoints on other nodes, one for each address.
    #[serde(default)]
    pub remote_endpoints_total: usize,
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
