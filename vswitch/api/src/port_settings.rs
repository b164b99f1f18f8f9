//! Port settings: all that can change while the port forwards.
//!
//! A group of settings is one file with its types, and one field of [`PortSettings`].
//! [`SettingsChange`] replaces whole groups.
//!
//! | group | file | default |
//! |---|---|---|
//! | [`PortSettings::limits`] | [`limits`] | see there |
//! | [`PortSettings::vlan`] | [`vlan`] | access to untagged frames |
//! | [`PortSettings::guard`] | [`guard`] | on |
//! | [`PortSettings::isolation`] | [`isolation`] | none |

pub mod guard;
pub mod isolation;
pub mod limits;
pub mod vlan;

use serde::{Deserialize, Serialize};

use guard::Guard;
use isolation::Isolation;
use limits::{Limits, LimitsChange};
use vlan::VlanMode;

/// Settings of a port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PortSettings {
    /// VLANs of the port.
    #[serde(default)]
    pub vlan: VlanMode,
    /// Source guard.
    #[serde(default)]
    pub guard: Guard,
    /// Port isolation.
    #[serde(default)]
    pub isolation: Isolation,
    /// Rates, storm control, MAC addresses, loop protection.
    #[serde(default)]
    pub limits: Limits,
}

/// Settings to replace; absent ones stay.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SettingsChange {
    /// VLANs of the port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<VlanMode>,
    /// Source guard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
    /// Port isolation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// Limits to replace.
    #[serde(default, skip_serializing_if = "LimitsChange::is_empty")]
    pub limits: LimitsChange,
}

impl PortSettings {
    /// True if all settings have their defaults.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The settings after a change.
    #[must_use]
    pub fn changed(&self, change: &SettingsChange) -> Self {
        Self {
            vlan: change.vlan.clone().unwrap_or_else(|| self.vlan.clone()),
            guard: change.guard.clone().unwrap_or_else(|| self.guard.clone()),
            isolation: change.isolation.unwrap_or(self.isolation),
            limits: self.limits.changed(&change.limits),
        }
    }

    /// Default settings of the host's port: all ports reach the gateway, and the host is trusted.
    #[must_use]
    pub fn of_host() -> Self {
        Self { guard: Guard::Off, isolation: Isolation::Promiscuous, ..Self::default() }
    }

    /// True if they equal [`PortSettings::of_host`].
    #[must_use]
    pub fn is_of_host(&self) -> bool {
        *self == Self::of_host()
    }
}

impl SettingsChange {
    /// True if the change is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
