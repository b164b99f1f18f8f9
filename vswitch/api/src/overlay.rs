//! Overlay networks: those that span hosts by VXLAN (RFC 7348), and their peers.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
pub use vswitch_counters::VtepTraffic;
use wire::MacAddr;

use crate::words::words;

words! {
    /// Hosts that a network spans.
    Scope {
        /// This one.
        Local = "local",
        /// Those of its peers, too.
        Overlay = "overlay",
    }
}

/// The part of a request for a network that makes it an overlay network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OverlayRequest {
    /// Its number in VXLAN, 1 to 16777215; no other network of the switch has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vni: Option<u32>,
    /// Addresses of the host itself on this node, at most one of each family, from which it reaches containers on other
    /// nodes. Without, it reaches those of this node only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_addresses: Vec<IpAddr>,
}

/// The part of a network that spans nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Overlay {
    /// Its number in VXLAN.
    pub vni: u32,
    /// Addresses of the host itself on this node.
    #[serde(default)]
    pub host_addresses: Vec<IpAddr>,
    /// Its static peers, in the order of their addresses.
    #[serde(default)]
    pub peers: Vec<SocketAddr>,
}

/// A static peer of a network: a VTEP that has the network, such as a device of the kernel. MAC addresses are learnt
/// from its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PeerRequest {
    /// Address where it receives, of the family of the underlay.
    pub address: IpAddr,
    /// UDP port where it receives; that of the switch if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// A row of `vswitch peers`: a VTEP of any network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Peer {
    /// Address and UDP port where it receives.
    pub address: SocketAddr,
    /// Its name in the registry; absent for a static peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Networks that it has in common with this switch.
    pub networks: Vec<String>,
    /// Longest inner IP packet in bytes that the path to it carries.
    pub mtu: u32,
    /// MAC addresses are learnt from its frames.
    pub learning: bool,
    /// Counters of its tunnel.
    #[serde(flatten)]
    pub traffic: VtepTraffic,
}

/// An address of an endpoint on another node, as the registry has it. An endpoint with several addresses has one of these
/// for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RemoteEndpoint {
    /// The address.
    pub address: IpAddr,
    /// MAC address.
    #[cfg_attr(test, schemars(with = "String"))]
    pub mac: MacAddr,
    /// Name; absent for an endpoint without one, such as the host itself on that node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Further names in the network.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Node that it is on.
    pub node: String,
}

/// The switch on the underlay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UnderlayStatus {
    /// Name of this node.
    pub node: String,
    /// Address and UDP port where the switch receives.
    pub address: SocketAddr,
    /// Device that has the address; absent while none has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Largest IP packet of that device in bytes.
    pub device_mtu: u32,
    /// Largest IP packet of overlay networks in bytes: what the outer headers leave.
    pub mtu: u32,
    /// Number of peers.
    pub peers: usize,
    /// Whether datagrams have a UDP checksum.
    #[serde(default = "has_checksum")]
    pub checksum: bool,
}

const fn has_checksum() -> bool {
    true
}
