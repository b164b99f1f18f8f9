//! The limits of the switch that a user can act on.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Part of the switch that a limit bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// Ports, and the traffic of each.
    Port,
    /// The threads that move frames.
    Worker,
    /// MAC addresses and multicast listeners.
    Fdb,
    /// Connections, fragments and ICMP errors.
    Nat,
    /// Routes, neighbours and publications.
    Uplink,
    /// The control API and the metrics.
    Api,
}

/// The name, as in JSON.
impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Port => "port",
            Self::Worker => "worker",
            Self::Fdb => "fdb",
            Self::Nat => "nat",
            Self::Uplink => "uplink",
            Self::Api => "api",
        })
    }
}

/// A row of `vswitch status --limits`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Name of the limit, in kebab case; stable.
    pub name: String,
    /// Part of the switch that it bounds.
    pub component: Component,
    /// Number in `unit`.
    pub value: u64,
    /// Unit of the value: `s` and `ms` for times, `frames`, `bytes`, `frames/s` and such.
    pub unit: String,
    /// Effect when the limit is exceeded.
    pub on_exceed: String,
    /// Hits since the switch started; absent where nothing is refused, dropped or put off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hits: Option<u64>,
}
