//! The part of an overlay network that spans nodes.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

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
}
