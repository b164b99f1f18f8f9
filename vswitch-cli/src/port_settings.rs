//! Options of port settings, for `attach`, `run` and `port set`. One file a group, as in
//! [`vswitch_api::port_settings`].

mod limits;
mod vlan;

use clap::Args;
use vswitch_api::port_settings::guard::Guard;
use vswitch_api::port_settings::isolation::Isolation;
use vswitch_api::port_settings::{PortSettings, SettingsChange};

use crate::complete;
use crate::error::Failure;
use crate::table;
pub(crate) use limits::Defaults;

/// Port settings
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Port settings")]
pub(crate) struct PortSettingsArgs {
    #[command(flatten)]
    vlan: vlan::VlanArgs,
    #[command(flatten)]
    limits: limits::LimitsArgs,
    /// Source guard: the container sends from its own addresses only, or from some of them
    /// [default: on]
    #[arg(long, value_name = "on|off|ADDRESSES", add = complete::words(&["on", "off"]))]
    guard: Option<Guard>,
    /// Isolation: an isolated port reaches the gateway and promiscuous ports only [default: none]
    #[arg(long, value_name = "none|isolated|promiscuous")]
    #[arg(add = complete::words(&["none", "isolated", "promiscuous"]))]
    isolation: Option<Isolation>,
}

impl PortSettingsArgs {
    /// The change that the options ask for.
    pub(crate) fn change(self) -> Result<SettingsChange, Failure> {
        Ok(SettingsChange {
            vlan: self.vlan.mode()?,
            guard: self.guard,
            isolation: self.isolation,
            limits: self.limits.change(),
        })
    }
}

/// A line a setting.
pub(crate) fn render(settings: &PortSettings, defaults: &Defaults) -> String {
    table::pairs(rows(settings, defaults))
}

/// Settings with their values.
pub(crate) fn rows(
    settings: &PortSettings,
    defaults: &Defaults,
) -> impl Iterator<Item = (&'static str, String)> {
    let reach = [
        ("vlan", settings.vlan.to_string()),
        ("guard", settings.guard.to_string()),
        ("isolation", settings.isolation.to_string()),
    ];
    reach.into_iter().chain(limits::rows(&settings.limits, defaults))
}
