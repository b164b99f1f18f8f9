//! The forwarding database.

use serde::{Deserialize, Serialize};
use wire::MacAddr;

/// A row of `vswitch fdb`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FdbEntry {
    /// Name of the network.
    pub network: String,
    /// VLAN id; 0 for untagged.
    pub vlan: u16,
    /// MAC address.
    #[cfg_attr(test, schemars(with = "String"))]
    pub mac: MacAddr,
    /// Name of the attachment, of the bridge for the host's port, or address and UDP port of the peer.
    pub port: String,
    /// Seconds since its last frame.
    pub age_s: u64,
    /// Configured: neither ages nor moves.
    #[serde(rename = "static")]
    pub is_static: bool,
}

/// Identifies an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EntryKey {
    /// MAC address, unicast.
    #[cfg_attr(test, schemars(with = "String"))]
    pub mac: MacAddr,
    /// Name of the network; the first one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// VLAN id; 0 for untagged.
    #[serde(default)]
    pub vlan: u16,
}

/// A static entry to set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StaticEntry {
    /// The address.
    #[serde(flatten)]
    pub key: EntryKey,
    /// Name of the attachment, or of the bridge for the host's port.
    pub port: String,
}
