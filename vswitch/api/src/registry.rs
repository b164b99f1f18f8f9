//! The registry that the nodes of overlay networks share.

use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// State of a node's lease.
    LeaseState {
        /// Confirmed within its time to live.
        Active = "active",
        /// Not confirmed within its time to live: the node's entries may be gone.
        Unconfirmed = "unconfirmed",
        /// Ended, with all entries under it.
        Ended = "ended",
    }
}

/// The registry and this node's part in it: `vswitch registry status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RegistryStatus {
    /// URL of the registry with its prefix, without user, password and options.
    pub url: String,
    /// Name of this node.
    pub node: String,
    /// The registry answers, and its changes are followed.
    pub connected: bool,
    /// Why it is not connected, or why the node is not registered; absent where all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Server of the registry that answered last; absent before an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Newest revision of the registry that the node has followed, in the registry's own numbers.
    pub revision: u64,
    /// Milliseconds from the node's last write until the registry told it back; while it has not, those since that write.
    pub lag_ms: u64,
    /// Lease of the node's entries; absent while the node is not registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseStatus>,
    /// Writes that the registry has not got yet.
    pub queued: usize,
    /// Seconds in which no other node is believed gone, after the registry came back; absent outside such a period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_s: Option<u64>,
    /// Entries that the registry has no more, while they are still believed.
    pub doubted: usize,
    /// Networks.
    pub networks: usize,
    /// Nodes, with this one.
    pub nodes: usize,
    /// Addresses of the endpoints of all nodes.
    pub endpoints: usize,
    /// Addresses of this node's endpoints.
    pub own_endpoints: usize,
    /// Blocks of addresses that this node gives out.
    pub own_blocks: usize,
    /// One line for each entry of the registry that is left out, and for each refused endpoint of this node.
    #[serde(default)]
    pub faults: Vec<String>,
}

/// The lease of a node: without a confirmation within its time to live, the registry deletes the node's entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LeaseStatus {
    /// Identifier, in the words of the registry.
    pub id: String,
    /// Time to live in seconds, as granted.
    pub ttl_s: u64,
    /// State.
    pub state: LeaseState,
}

/// The registry in short, for `vswitch status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RegistrySummary {
    /// URL of the registry with its prefix, without user, password and options.
    pub url: String,
    /// The registry answers, and its changes are followed.
    pub connected: bool,
    /// Why it is not connected, or why the node is not registered; absent where all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Number of entries that are left out, and of refused endpoints; `vswitch registry status` names them.
    #[serde(default)]
    pub faults: usize,
}
