//! What control wants, compiled for the datapath: immutable, published as a whole.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use fastpath::PortIndex;
use vswitch_api::port_settings::isolation::Isolation;
use wire::MacAddr;

use super::classify::NeighbourTable;
use super::router::{Router, RouterConf, UplinkConf};
use super::{Destination, Guard, Key, PortKind, PortLimits, PortVlans, Tagging};
use members::Members;

mod members;

/// Slot of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NetworkIndex(pub u16);

impl NetworkIndex {
    /// Of a port that is on no network.
    pub const NONE: Self = Self(u16::MAX);
}

/// Whether ports of these kinds reach each other.
#[inline]
fn reach_each_other(kinds: [Isolation; 2]) -> bool {
    !kinds.contains(&Isolation::Isolated) || kinds.contains(&Isolation::Promiscuous)
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

/// Addresses that the switch gave out, and where they live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// MAC address.
    pub mac: MacAddr,
    /// IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// The port.
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

/// A network as the datapath reads it.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) conf: NetworkConf,
    pub(super) ageing_s: u32,
    /// Who gets a frame that is flooded.
    pub(super) members: Members,
    pub(super) neighbours: NeighbourTable,
    /// Whether any port is isolated.
    pub(super) has_isolated: bool,
    pub(super) router: Option<Router>,
}

/// What must be known of a port that a frame goes to, eight ports a cache line.
#[derive(Debug, Clone, Copy)]
struct PortEgress {
    network: NetworkIndex,
    /// The VLAN that leaves it without a tag, or [`PortEgress::NO_VLAN`].
    untagged: u16,
    is_trunk: bool,
    isolation: Isolation,
}

impl PortEgress {
    const NO_VLAN: u16 = u16::MAX;
    /// Of a port that is not there, or switched off.
    const CLOSED: Self = Self {
        network: NetworkIndex::NONE,
        untagged: Self::NO_VLAN,
        is_trunk: false,
        isolation: Isolation::None,
    };

    fn new(conf: &PortConf) -> Self {
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

/// The whole configuration of the datapath at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    epoch: u64,
    networks: Vec<Network>,
    ports: Vec<Option<PortConf>>,
    port_egress: Vec<PortEgress>,
    has_trunks: bool,
    has_routers: bool,
    limits: Vec<PortLimits>,
    limited: Limited,
}

/// Whether any port has a limit of a kind: decided once, where limits are compiled.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Limited {
    pub(super) rate_in: bool,
    pub(super) rate_out: bool,
    pub(super) storm: bool,
    pub(super) loop_guard: bool,
}

static NO_LIMITS: PortLimits = PortLimits::NONE;

impl Snapshot {
    /// Compiles networks, whose position is their [`NetworkIndex`], and ports. A port of a network
    /// that is not there is left out, but for the uplink's.
    #[must_use]
    pub fn compile(
        networks: Vec<NetworkConf>,
        ports: impl IntoIterator<Item = (PortIndex, PortConf)>,
    ) -> Self {
        let mut snapshot = Self::default();
        for (index, conf) in (0..).map(NetworkIndex).zip(networks) {
            let neighbours = NeighbourTable::new(&conf.neighbours);
            let router = conf.router.as_ref().map(|router| Router::new(index, router, conf.mtu));
            snapshot.has_routers |= router.is_some();
            let ageing_s = u32::try_from(conf.ageing.as_secs()).unwrap_or(u32::MAX);
            snapshot.networks.push(Network {
                conf,
                ageing_s,
                members: Members::default(),
                neighbours,
                has_isolated: false,
                router,
            });
        }
        for (port, conf) in ports {
            let network = snapshot.networks.get_mut(usize::from(conf.network.0));
            match network {
                None if conf.kind.has_network() => continue,
                Some(network) if conf.enabled => {
                    network.members.add(port, &conf);
                    network.has_isolated |= conf.isolation == Isolation::Isolated;
                    snapshot.has_trunks |= conf.vlans.is_trunk();
                }
                _ => {}
            }
            if snapshot.ports.len() <= port.get() {
                snapshot.ports.resize(port.get() + 1, None);
                snapshot.port_egress.resize(port.get() + 1, PortEgress::CLOSED);
            }
            snapshot.port_egress[port.get()] = PortEgress::new(&conf);
            snapshot.ports[port.get()] = Some(conf);
        }
        snapshot
    }

    /// The same with limits for these ports; all others have none.
    #[must_use]
    pub fn with_limits(
        mut self,
        limits: impl IntoIterator<Item = (PortIndex, PortLimits)>,
    ) -> Self {
        for (port, limits) in limits {
            if self.limits.len() <= port.get() {
                self.limits.resize(port.get() + 1, PortLimits::NONE);
            }
            self.limited.rate_in |= limits.rate_in.is_some();
            self.limited.rate_out |= limits.rate_out.is_some();
            self.limited.storm |= limits.storm.is_some();
            self.limited.loop_guard |= limits.loop_guard;
            self.limits[port.get()] = limits;
        }
        self
    }

    /// What the port in a slot may do at most.
    #[inline]
    #[must_use]
    pub fn limits(&self, port: PortIndex) -> &PortLimits {
        self.limits.get(port.get()).unwrap_or(&NO_LIMITS)
    }

    /// MAC addresses that may be learnt at a destination.
    #[inline]
    pub(super) fn macs_max(&self, destination: Destination) -> usize {
        destination.port().map_or(usize::MAX, |port| self.limits(port).macs_max)
    }

    /// Which limits there are at all.
    #[inline]
    pub(super) fn limited(&self) -> Limited {
        self.limited
    }

    /// The same with another epoch: whoever publishes numbers what is published.
    #[must_use]
    pub fn with_epoch(mut self, epoch: u64) -> Self {
        self.epoch = epoch;
        self
    }

    /// The number of this snapshot.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The port in a slot.
    #[inline]
    #[must_use]
    pub fn port(&self, port: PortIndex) -> Option<&PortConf> {
        self.ports.get(port.get())?.as_ref()
    }

    #[inline]
    pub(super) fn network(&self, network: NetworkIndex) -> Option<&Network> {
        self.networks.get(usize::from(network.0))
    }

    /// Whether an address may live at a destination; see [`Snapshot::reaches`]. There are no tunnels yet.
    #[inline]
    pub(super) fn leads_to(&self, destination: Destination, key: Key) -> bool {
        destination.port().is_some_and(|port| self.reaches(port, key))
    }

    /// Whether a port is switched on, and on the network and VLAN of an address.
    #[inline]
    pub(super) fn reaches(&self, port: PortIndex, key: Key) -> bool {
        let Some(egress) = self.port_egress.get(port.get()) else { return false };
        let is_on = egress.untagged == key.vlan()
            || egress.is_trunk && self.trunk_carries(port, key.vlan());
        egress.network == key.network() && is_on
    }

    fn trunk_carries(&self, port: PortIndex, vlan: u16) -> bool {
        self.port(port).is_some_and(|port| port.vlans.egress(vlan, false).is_some())
    }

    /// Whether isolation lets two ports of a network reach each other.
    #[inline]
    pub(super) fn may_talk(&self, one: PortIndex, other: PortIndex) -> bool {
        let isolation = |port: PortIndex| self.port_egress.get(port.get()).map(|it| it.isolation);
        isolation(one)
            .zip(isolation(other))
            .is_some_and(|(one, other)| reach_each_other([one, other]))
    }

    /// How frames of a VLAN leave by a port; see [`PortVlans::egress`].
    pub(super) fn egress(&self, port: PortIndex, vlan: u16, double: bool) -> Option<Tagging> {
        self.port(port)?.vlans.egress(vlan, double)
    }

    /// Whether any port is a trunk.
    #[inline]
    pub(super) fn has_trunks(&self) -> bool {
        self.has_trunks
    }

    /// Whether any network has a router.
    #[inline]
    pub(super) fn has_routers(&self) -> bool {
        self.has_routers
    }

    /// The ways out of all networks.
    pub(super) fn uplinks(&self) -> impl Iterator<Item = &UplinkConf> {
        let routers = self.networks.iter().filter_map(|network| network.router.as_ref());
        routers.filter_map(Router::uplink)
    }

    /// The way out that a port is of: that of the first network that has it.
    pub(super) fn uplink_of(&self, port: PortIndex) -> Option<(&Router, &UplinkConf)> {
        let mut routers = self.networks.iter().filter_map(|network| network.router.as_ref());
        routers.find_map(|router| Some((router, router.uplink().filter(|it| it.port == port)?)))
    }

    /// Whether a port is the uplink's, and switched on.
    #[must_use]
    pub fn is_uplink(&self, port: PortIndex) -> bool {
        self.port(port).is_some_and(|conf| conf.kind == PortKind::Uplink && conf.enabled)
    }

    /// Whether several hosts send by a port; see [`PortKind::is_shared`].
    #[must_use]
    pub fn is_shared(&self, port: PortIndex) -> bool {
        self.port(port).is_some_and(|conf| conf.kind.is_shared() && conf.enabled)
    }

    /// Ports that are switched on, in the order of their slots.
    pub(super) fn ports(&self) -> impl Iterator<Item = (PortIndex, &PortConf)> {
        let ports = (0..).map(PortIndex).zip(&self.ports);
        ports.filter_map(|(port, conf)| Some((port, conf.as_ref().filter(|conf| conf.enabled)?)))
    }

    /// All networks with their slots.
    pub(super) fn networks(&self) -> impl Iterator<Item = (NetworkIndex, &Network)> {
        self.networks.iter().enumerate().map(|(i, network)| (NetworkIndex(i as u16), network))
    }
}
