//! Every limit of the switch, by name.

use serde::{Deserialize, Serialize};

/// A row of `vswitch status --limits`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Limit {
    /// Name of the limit, as in the source.
    pub name: String,
    /// Which part of the switch it bounds: `wire`, `fastpath`, `datapath`, `dataplane`, `control` or
    /// `server`.
    pub component: String,
    /// How many, in `unit`.
    pub value: u64,
    /// What is counted; `ms` for times.
    pub unit: String,
    /// What happens beyond it.
    pub on_exceed: String,
    /// How often it was hit since the switch started; absent where it bounds a pace or a size and
    /// nothing is refused, dropped or put off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hits: Option<u64>,
}
