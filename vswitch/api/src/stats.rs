//! Counters. Directions are the switch's: rx came from the port's owner.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
pub use vswitch_counters::{CutThroughCounters, DnsCounters, PortTraffic, WorkerStats};

/// Answer of `GET /v1/stats`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stats {
    /// One entry per port, the host's first.
    pub ports: Vec<PortStats>,
    /// One entry per worker.
    pub workers: Vec<WorkerStats>,
    /// Drops of all ports by reason; reasons that never happened are absent.
    pub drops: BTreeMap<String, u64>,
    /// Counters of the DNS service.
    #[serde(default)]
    pub dns: DnsCounters,
    /// Counters of cut-through.
    #[serde(default)]
    pub cut_through: CutThroughCounters,
}

/// Counters of a port, summed over the workers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PortStats {
    /// Name of the attachment, or of the bridge for the host's port.
    pub name: String,
    /// Its network; empty for an uplink, since it serves several networks.
    pub network: String,
    /// Frames and bytes from and to it.
    #[serde(flatten)]
    pub traffic: PortTraffic,
    /// Frames of, or for, this port that were dropped.
    pub drops: u64,
    /// Its drops by reason; reasons that never happened are absent.
    pub drops_by_reason: BTreeMap<String, u64>,
}
