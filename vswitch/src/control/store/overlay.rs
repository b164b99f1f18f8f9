//! The part of an overlay network that spans nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use wire::MacAddr;

use crate::control::text;

/// An overlay network's number and static peers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OverlayRecord {
    pub(crate) vni: u32,
    /// MAC address of the host's own interface on it.
    #[serde(with = "text")]
    pub(crate) host_mac: MacAddr,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) host_addresses: Vec<IpAddr>,
    /// The MTU that was asked for; absent: as long as the underlay carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mtu: Option<u32>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) peers: BTreeSet<SocketAddr>,
    /// What the registry had of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) registered: Option<RegisteredRecord>,
}

/// A network of the registry, as this node knew it last: with it the node attaches although the registry is away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisteredRecord {
    pub(crate) subnets: Vec<IpNet>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) options: BTreeMap<String, String>,
    /// Blocks of addresses that this node has.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) blocks: BTreeSet<IpNet>,
}
