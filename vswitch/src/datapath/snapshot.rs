//! Snapshot: the datapath's configuration, compiled by control, immutable, published as a whole.
//!
//! A successor shares with its predecessor all that did not change, and says by [`Parts`] what did, so
//! that neither control nor a worker does the work of a part twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fastpath::PortIndex;
use vswitch_api::port_settings::isolation::Isolation;
use vswitch_cutthrough::Allowed;
use wire::MacAddr;
use wire::vxlan::Vni;

use super::neighbours::NeighbourTable;
use super::overlay::Overlay;
use super::overlay::host_port::HostPort;
use super::router::Router;
use super::service::{NameService, NetworkService, ServicePort};
use super::{
    Destination, Key, NetworkConf, NetworkIndex, PortConf, PortKind, PortLimits, Tagging,
    TunnelConf,
};
pub use builder::SnapshotBuilder;
use members::Members;
use port_egress::PortEgress;
use shared_fib::SharedFib;
use uplinks::UplinkPorts;

mod builder;
mod handshakes;
mod members;
mod port_egress;
mod shared_fib;
#[cfg(test)]
mod tests;
mod tunnels;
mod uplinks;

/// Whether ports of these kinds reach each other.
#[inline]
fn reach_each_other(kinds: [Isolation; 2]) -> bool {
    !kinds.contains(&Isolation::Isolated) || kinds.contains(&Isolation::Promiscuous)
}

/// A network as the datapath reads it.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) conf: NetworkConf,
    pub(super) ageing_s: u32,
    /// Ports that a flood reaches.
    pub(super) members: Arc<Members>,
    pub(super) neighbours: Arc<NeighbourTable>,
    /// Whether any port is isolated.
    pub(super) has_isolated: bool,
    pub(super) router: Option<Arc<Router>>,
    pub(super) service: Option<NetworkService>,
    pub(super) overlay: Option<Overlay>,
    /// MAC addresses of its ports, and the host's port, where it has an overlay.
    locals: Vec<MacAddr>,
    host: Option<HostPort>,
}

impl Network {
    /// Compiles what differs from `last`; the rest is shared with it.
    fn compile(
        index: NetworkIndex,
        conf: NetworkConf,
        flood: Flood,
        (last, shared): (Option<&Self>, &mut SharedFib),
    ) -> Self {
        let same = last.filter(|last| *last.members == flood.members);
        let members =
            same.map_or_else(|| Arc::new(flood.members), |last| Arc::clone(&last.members));
        let same = last.filter(|last| last.conf.neighbours == conf.neighbours);
        let table = || Arc::new(NeighbourTable::new(&conf.neighbours));
        let neighbours = same.map_or_else(table, |last| Arc::clone(&last.neighbours));
        let router = conf.router.as_ref().map(|router| {
            let last =
                last.and_then(|it| Some((it, it.conf.router.as_ref()?, it.router.as_ref()?)));
            match last {
                Some((it, last, compiled)) if last == router && it.conf.mtu == conf.mtu => {
                    Arc::clone(compiled)
                }
                last => {
                    let last = last.map(|(_, last, compiled)| (last, compiled.outer_fib()));
                    let outer = shared.compile(router, last);
                    Arc::new(Router::new(index, router, conf.mtu, outer))
                }
            }
        });
        let ageing_s = u32::try_from(conf.ageing.as_secs()).unwrap_or(u32::MAX);
        let has_isolated = flood.has_isolated;
        let service = NetworkService::new(index, &conf);
        let overlay = Overlay::new(&conf, &flood.locals, flood.host.clone());
        let Flood { locals, host, .. } = flood;
        Self {
            conf,
            ageing_s,
            members,
            neighbours,
            has_isolated,
            router,
            service,
            overlay,
            locals,
            host,
        }
    }
}

impl Network {
    /// Whether compiling this would give the same again.
    fn is(&self, conf: &NetworkConf, flood: &Flood) -> bool {
        self.conf == *conf
            && self.has_isolated == flood.has_isolated
            && self.locals == flood.locals
            && self.host == flood.host
            && *self.members == flood.members
    }
}

/// Ports of a network as a flood sees them.
#[derive(Debug, Default)]
struct Flood {
    members: Members,
    has_isolated: bool,
    locals: Vec<MacAddr>,
    host: Option<HostPort>,
}

/// Numbers of those parts that a worker keeps state of. Equal numbers are equal parts; NAT has the epoch
/// of its policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Parts {
    /// Static entries of the FDB.
    pub(super) statics: u64,
    /// Networks and VLANs of ports, and which networks snoop.
    pub(super) vlans: u64,
    /// Routers, neighbours and ports: frames that wait for a next hop may go on.
    pub(super) routing: u64,
}

/// The whole configuration of the datapath at one moment.
#[derive(Debug, Default, Clone)]
pub struct Snapshot {
    epoch: u64,
    parts: Parts,
    networks: Vec<Arc<Network>>,
    uplink_ports: Arc<UplinkPorts>,
    ports: Vec<Option<PortConf>>,
    port_egress: Vec<PortEgress>,
    has_trunks: bool,
    has_routers: bool,
    has_host_config: bool,
    service: Option<ServicePort>,
    names: Option<Arc<dyn NameService>>,
    tunnel: Option<Arc<TunnelConf>>,
    allowed: Option<Arc<Allowed>>,
    /// Networks by VNI, sorted.
    vnis: Vec<(Vni, NetworkIndex)>,
    limits: Vec<PortLimits>,
    limited: Limited,
}

/// Kinds of limit that any port has.
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
    /// that is not there is left out, but for kinds that have none.
    #[must_use]
    pub fn compile(
        networks: Vec<NetworkConf>,
        ports: impl IntoIterator<Item = (PortIndex, PortConf)>,
    ) -> Self {
        Self::default().successor(networks, ports)
    }

    /// The same as [`Snapshot::compile`], with all that did not change shared with this one.
    #[must_use]
    pub fn successor(
        &self,
        networks: Vec<NetworkConf>,
        ports: impl IntoIterator<Item = (PortIndex, PortConf)>,
    ) -> Self {
        let mut next = Self { vnis: tunnels::vnis(&networks), ..Self::default() };
        let mut floods: Vec<_> = networks.iter().map(|_| Flood::default()).collect();
        for (port, conf) in ports {
            let flood = floods.get_mut(usize::from(conf.network.0));
            if flood.is_none() && conf.kind.has_network() {
                continue;
            }
            if let Some(flood) = flood.filter(|_| conf.enabled) {
                flood.members.add(port, &conf);
                flood.has_isolated |= conf.isolation == Isolation::Isolated;
                let spans_nodes = networks[usize::from(conf.network.0)].overlay.is_some();
                flood.locals.extend(spans_nodes.then_some(conf.mac));
                if spans_nodes && conf.kind == PortKind::Host {
                    let (mac, addresses) = (conf.mac, conf.addresses.clone());
                    flood.host = Some(HostPort { port, mac, addresses });
                }
                next.has_trunks |= conf.vlans.is_trunk();
            }
            if next.ports.len() <= port.get() {
                next.ports.resize(port.get() + 1, None);
                next.port_egress.resize(port.get() + 1, PortEgress::CLOSED);
            }
            if conf.kind == PortKind::Service && conf.enabled {
                next.service = Some(ServicePort { port, mac: conf.mac });
            }
            next.port_egress[port.get()] = PortEgress::new(&conf);
            next.ports[port.get()] = Some(conf);
        }
        let confs = (0..).map(NetworkIndex).zip(networks).zip(floods);
        let mut shared = SharedFib::default();
        let compiled = confs.map(|((index, conf), flood)| {
            let last = self.networks.get(usize::from(index.0));
            match last {
                Some(last) if last.is(&conf, &flood) => Arc::clone(last),
                _ => {
                    let from = (last.map(|it| &**it), &mut shared);
                    Arc::new(Network::compile(index, conf, flood, from))
                }
            }
        });
        next.networks = compiled.collect();
        next.uplink_ports = UplinkPorts::of(&next.networks, self);
        next.has_routers = next.networks.iter().any(|network| network.router.is_some());
        next.has_host_config = next.networks.iter().any(|it| it.conf.host_config.is_any());
        next.parts = next.parts_after(self);
        next
    }

    /// Gives a new number to each part that differs from `last`.
    fn parts_after(&self, last: &Self) -> Parts {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = |is_same: bool, last: u64| {
            if is_same { last } else { NEXT.fetch_add(1, Ordering::Relaxed) }
        };
        let vlans = |conf: &Option<PortConf>| {
            conf.as_ref().map(|conf| (conf.enabled, conf.network, conf.vlans.clone()))
        };
        let snooping =
            |network: &Network| network.conf.snooping.then(|| Arc::clone(&network.members));
        let has_same_vlans = self.ports.iter().map(vlans).eq(last.ports.iter().map(vlans))
            && self
                .networks
                .iter()
                .map(|it| snooping(it))
                .eq(last.networks.iter().map(|it| snooping(it)));
        let statics = |it: &Self| -> Vec<_> {
            it.networks().map(|(_, it)| it.conf.statics.clone()).collect()
        };
        Parts {
            statics: number(statics(self) == statics(last), last.parts.statics),
            vlans: number(has_same_vlans, last.parts.vlans),
            routing: number(
                self.networks.len() == last.networks.len()
                    && self.networks.iter().zip(&last.networks).all(|(a, b)| Arc::ptr_eq(a, b))
                    && self.ports == last.ports,
                last.parts.routing,
            ),
        }
    }

    /// Numbers of the parts.
    pub(super) fn parts(&self) -> Parts {
        self.parts
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

    /// Limits of a port.
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

    /// Kinds of limit that any port has.
    #[inline]
    pub(super) fn limited(&self) -> Limited {
        self.limited
    }

    /// The same with another epoch, which the publisher counts up.
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
        self.networks.get(usize::from(network.0)).map(|network| &**network)
    }

    /// Whether a port is enabled, and on the network and VLAN of an address.
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

    /// Whether a port reaches another by a translated address: between networks, like every other client.
    #[inline]
    pub(super) fn may_hairpin(&self, one: PortIndex, other: PortIndex) -> bool {
        let network = |port: PortIndex| self.port_egress.get(port.get()).map(|it| it.network);
        network(one) != network(other) || self.may_talk(one, other)
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

    /// Whether any network serves DHCP or sends router advertisements.
    #[inline]
    pub(super) fn has_host_config(&self) -> bool {
        self.has_host_config
    }

    /// Slots of ports, vacant ones included.
    pub(super) fn slots(&self) -> usize {
        self.ports.len()
    }

    /// The same with names that workers answer for.
    #[must_use]
    pub fn with_names(self, names: Arc<dyn NameService>) -> Self {
        Self { names: Some(names), ..self }
    }

    /// The names that workers answer for, if there are any.
    pub(super) fn names(&self) -> Option<&dyn NameService> {
        self.names.as_deref()
    }

    /// The service port, if there is one.
    #[inline]
    pub(super) fn service(&self) -> Option<ServicePort> {
        self.service
    }

    /// Whether an enabled port belongs to no network, but to all.
    pub(super) fn is_shared_by_networks(&self, port: PortIndex) -> bool {
        self.port(port).is_some_and(|conf| !conf.kind.has_network() && conf.enabled)
    }

    /// Whether a port is an enabled uplink.
    #[must_use]
    pub fn is_uplink(&self, port: PortIndex) -> bool {
        self.port(port).is_some_and(|conf| conf.kind == PortKind::Uplink && conf.enabled)
    }

    /// Whether several hosts send by a port; see [`PortKind::is_shared`].
    #[must_use]
    pub fn is_shared(&self, port: PortIndex) -> bool {
        self.port(port).is_some_and(|conf| conf.kind.is_shared() && conf.enabled)
    }

    /// Enabled ports by slot.
    pub(super) fn ports(&self) -> impl Iterator<Item = (PortIndex, &PortConf)> {
        let ports = (0..).map(PortIndex).zip(&self.ports);
        ports.filter_map(|(port, conf)| Some((port, conf.as_ref().filter(|conf| conf.enabled)?)))
    }

    /// All networks with their slots.
    pub(super) fn networks(&self) -> impl Iterator<Item = (NetworkIndex, &Network)> {
        self.networks.iter().enumerate().map(|(i, network)| (NetworkIndex(i as u16), &**network))
    }
}
