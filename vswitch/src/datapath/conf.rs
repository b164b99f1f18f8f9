//! Networks and ports as control describes them; [`super::Snapshot`] compiles them.

use std::time::Duration;

use fastpath::PortIndex;
use vswitch_api::port_settings::isolation::Isolation;
use wire::MacAddr;

use super::router::RouterConf;
use super::{Guard, Neighbour, PortKind, PortVlans};

/// Slot of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NetworkIndex(pub u16);

impl NetworkIndex {
    /// Of a port that is on no network.
    pub const NONE: Self = Self(u16::MAX);
}

/// A static entry of the forwarding database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaticMac {
    /// The address.
    pub mac: MacAddr,
    /// VLAN id, 0 for untagged.
    pub vlan: u16,
    /// Where it lives.
    pub port: PortIndex,
}

/// A network as control describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkConf {
    /// Largest IP packet in bytes.
    pub mtu: u32,
    /// How long a MAC address is remembered.
    pub ageing: Duration,
    /// Most MAC addresses that are learnt.
    pub fdb_entries_max: usize,
    /// Addresses set by hand.
    pub statics: Vec<StaticMac>,
    /// The gateway's MAC address, which the switch's own frames bear.
    pub mac: MacAddr,
    /// Whether multicast goes to who listens, instead of to all.
    pub snooping: bool,
    /// Whose addresses the switch answers for.
    pub neighbours: Vec<Neighbour>,
    /// How its gateway routes; without, frames to the gateway are the host's, as any others.
    pub router: Option<RouterConf>,
}

/// A port as control describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortConf {
    /// Its network.
    pub network: NetworkIndex,
    /// What it is for.
    pub kind: PortKind,
    /// The MAC address of the interface behind it.
    pub mac: MacAddr,
    /// Whether frames may pass.
    pub enabled: bool,
    /// The VLANs that it is on.
    pub vlans: PortVlans,
    /// What its frames may say of their sender; anything if there is none.
    pub guard: Option<Guard>,
    /// Whom it reaches.
    pub isolation: Isolation,
}

impl PortConf {
    /// A port that is switched on, on the untagged domain, without a guard. The host's is promiscuous.
    #[must_use]
    pub const fn new(network: NetworkIndex, kind: PortKind, mac: MacAddr) -> Self {
        let isolation = kind.default_isolation();
        let vlans = PortVlans::access(0);
        Self { network, kind, mac, enabled: true, vlans, guard: None, isolation }
    }

    /// The uplink's port. Only routers lead there.
    #[must_use]
    pub const fn uplink(mac: MacAddr) -> Self {
        Self::new(NetworkIndex::NONE, PortKind::Uplink, mac)
    }
}
