//! The limits of the switch that a user can act on.

use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// Part of the switch that a limit bounds.
    Component {
        /// Ports, and the traffic of each.
        Port = "port",
        /// The threads that move frames.
        Worker = "worker",
        /// MAC addresses and multicast listeners.
        Fdb = "fdb",
        /// Connections, fragments and ICMP errors.
        Nat = "nat",
        /// Routes, neighbours and publications.
        Uplink = "uplink",
        /// DHCP and router advertisements.
        Dhcp = "dhcp",
        /// Names of containers, and upstream servers.
        Dns = "dns",
        /// The control API and the metrics.
        Api = "api",
    }
}

/// A row of `vswitch status --limits`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
