//! Options for what a port may do: the same for `attach`, `run` and `port set`. One file a group of
//! settings, as in [`vswitch_api::policy`].

mod limits;
mod vlan;

use clap::Args;
use vswitch_api::policy::guard::Guard;
use vswitch_api::policy::isolation::Isolation;
use vswitch_api::policy::{PolicyChange, PortPolicy};

use crate::error::Failure;
use crate::table;

/// What a port may do
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "What the port may do")]
pub(crate) struct PolicyArgs {
    #[command(flatten)]
    vlan: vlan::VlanArgs,
    #[command(flatten)]
    limits: limits::LimitsArgs,
    /// Source guard: the container sends from its own addresses only, or from some of them
    /// [default: on]
    #[arg(long, value_name = "on|off|ADDRESSES")]
    guard: Option<Guard>,
    /// Whom it reaches: an isolated port only the gateway and promiscuous ports [default: none]
    #[arg(long, value_name = "none|isolated|promiscuous")]
    isolation: Option<Isolation>,
}

impl PolicyArgs {
    /// What was said, checked as far as it can be here.
    pub(crate) fn change(self) -> Result<PolicyChange, Failure> {
        Ok(PolicyChange {
            vlan: self.vlan.mode()?,
            guard: self.guard,
            isolation: self.isolation,
            limits: self.limits.change(),
        })
    }
}

/// A line a setting.
pub(crate) fn render(policy: &PortPolicy) -> String {
    table::pairs(rows(policy))
}

/// Settings with their values.
pub(crate) fn rows(policy: &PortPolicy) -> impl Iterator<Item = (&'static str, String)> {
    let reach = [
        ("vlan", policy.vlan.to_string()),
        ("guard", policy.guard.to_string()),
        ("isolation", policy.isolation.to_string()),
    ];
    reach.into_iter().chain(limits::rows(&policy.limits))
}
