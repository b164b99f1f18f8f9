//! What a port may do: every setting that can be changed while the port works.
//!
//! Each group of settings is one file with its types, and one field of [`PortSettings`]. A group is
//! changed as a whole: [`SettingsChange`] carries those that are to be replaced. Groups that are as they
//! are by default are absent, in answers and in the document on disk.
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

/// What a port may do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PortSettings {
    /// Which VLANs it is on, and how.
    #[serde(default)]
    pub vlan: VlanMode,
    /// From which addresses its container may send.
    #[serde(default)]
    pub guard: Guard,
    /// Whom it reaches.
    #[serde(default)]
    pub isolation: Isolation,
    /// What it may do at most.
    #[serde(default)]
    pub limits: Limits,
}

/// Settings that are to be replaced; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SettingsChange {
    /// Which VLANs it is to be on, and how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<VlanMode>,
    /// From which addresses its container may send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
    /// Whom it is to reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// What it is to do at most.
    #[serde(default, skip_serializing_if = "LimitsChange::is_empty")]
    pub limits: LimitsChange,
}

impl PortSettings {
    /// Whether every setting is as it is by default.
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

    /// The settings of the host's own port unless it was changed: the gateway is reached by all, and the
    /// host is trusted.
    #[must_use]
    pub fn of_host() -> Self {
        Self { guard: Guard::Off, isolation: Isolation::Promiscuous, ..Self::default() }
    }

    /// Whether it is [`PortSettings::of_host`].
    #[must_use]
    pub fn is_of_host(&self) -> bool {
        *self == Self::of_host()
    }
}

impl SettingsChange {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
