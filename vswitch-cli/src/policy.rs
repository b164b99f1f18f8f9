//! Options for what a port may do: the same for `attach`, `run` and `port set`. One file a group of
//! settings, as in [`vswitch_api::policy`].

mod limits;
mod vlan;

use clap::Args;
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
}

impl PolicyArgs {
    /// What was said, checked as far as it can be here.
    pub(crate) fn change(self) -> Result<PolicyChange, Failure> {
        Ok(PolicyChange { vlan: self.vlan.mode()?, limits: self.limits.change() })
    }
}

/// A line a setting.
pub(crate) fn render(policy: &PortPolicy) -> String {
    table::pairs(rows(policy))
}

/// Settings with their values.
pub(crate) fn rows(policy: &PortPolicy) -> impl Iterator<Item = (&'static str, String)> {
    let vlan = ("vlan", policy.vlan.to_string());
    std::iter::once(vlan).chain(limits::rows(&policy.limits))
}
