//! The forwarding database.

use serde::{Deserialize, Serialize};

/// A row of `vswitch fdb`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FdbEntry {
    /// Name of the network.
    pub network: String,
    /// VLAN id; 0 for untagged.
    pub vlan: u16,
    /// MAC address.
    pub mac: String,
    /// Name of the attachment, or of the bridge for the host's port.
    pub port: String,
    /// Seconds since it was last seen.
    pub age_s: u64,
    /// Set by hand: does not age and does not move.
    #[serde(rename = "static")]
    pub is_static: bool,
}

/// Names an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryKey {
    /// MAC address, unicast.
    pub mac: String,
    /// Name of the network; the first one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// VLAN id; 0 for untagged.
    #[serde(default)]
    pub vlan: u16,
}

/// Asks for a static entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticEntry {
    /// Which address.
    #[serde(flatten)]
    pub key: EntryKey,
    /// Name of the attachment, or of the bridge for the host's port.
    pub port: String,
}
