//! What a port lets out, as lookups of many ports read it.

use vswitch_api::port_settings::isolation::Isolation;

use super::{NetworkIndex, PortConf};

/// Egress settings of a port, eight ports a cache line.
#[derive(Debug, Clone, Copy)]
pub(super) struct PortEgress {
    pub(super) network: NetworkIndex,
    /// The VLAN that leaves it without a tag, or [`PortEgress::NO_VLAN`].
    pub(super) untagged: u16,
    pub(super) is_trunk: bool,
    pub(super) isolation: Isolation,
}

impl PortEgress {
    const NO_VLAN: u16 = u16::MAX;
    /// A port that is vacant or disabled.
    pub(super) const CLOSED: Self = Self {
        network: NetworkIndex::NONE,
        untagged: Self::NO_VLAN,
        is_trunk: false,
        isolation: Isolation::None,
    };

    pub(super) fn new(conf: &PortConf) -> Self {
        if !conf.enabled {
            return Self::CLOSED;
        }
        Self {
            network: conf.network,
            untagged: conf.vlans.untagged().unwrap_or(Self::NO_VLAN),
            is_trunk: conf.vlans.is_trunk(),
            isolation: conf.isolation,
        }
    }
}
