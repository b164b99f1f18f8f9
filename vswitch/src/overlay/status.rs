//! The state of a node's part, for `registry status`.

use std::time::Duration;

use vswitch_registry::{LeaseState, Revision};

/// What is known now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayStatus {
    /// URL of the registry, without secrets.
    pub url: String,
    /// Whether the registry answers, and its changes are followed.
    pub is_connected: bool,
    /// Why it is not connected, or the node not registered.
    pub problem: Option<String>,
    /// The registry's endpoint that answered last.
    pub endpoint: Option<String>,
    /// The newest revision that the watch has told.
    pub revision: Revision,
    /// How long the watch took to tell the node's own last write; while it has not, the time since that write.
    pub lag: Duration,
    /// The node's lease; none while it is not registered.
    pub lease: Option<LeaseStatus>,
    /// Writes that the registry has not got yet.
    pub queued: usize,
    /// How long nobody is believed gone; none outside a grace period.
    pub grace: Option<Duration>,
    /// Entries that the registry has no more, while they are still believed.
    pub doubted: usize,
    /// Networks.
    pub networks: usize,
    /// Nodes, with this one.
    pub nodes: usize,
    /// Addresses of all nodes' endpoints.
    pub endpoints: usize,
    /// Addresses of this node's endpoints.
    pub own_endpoints: usize,
    /// Blocks of this node.
    pub own_blocks: usize,
    /// One line for each entry of the registry that is left out, and for each refused endpoint of this node.
    pub faults: Vec<String>,
}

/// The node's lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseStatus {
    /// Its identifier, in the words of the registry.
    pub id: String,
    /// Its time to live as granted.
    pub ttl: Duration,
    /// Its state.
    pub state: LeaseState,
}
