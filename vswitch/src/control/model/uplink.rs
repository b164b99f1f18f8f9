//! Uplinks, compiled for the datapath: routes, neighbours, and the policy of NAT.
//!
//! The uplinks belong to the switch. Each network whose setting is not `none` uses them: all such
//! networks share the ports, the addresses and one policy, since they share the host's port numbers.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use fastpath::PortIndex;
use vswitch_api::publish::{Protocol, Publication};
use wire::MacAddr;

use super::host_routes::{self, HostRoutes};
use super::{Lease, Model, Network, SlotOwner, UplinkConfs, key};
use crate::config;
use crate::control::error::ControlError;
use crate::datapath::limits::CONNECTIONS_PER_CONTAINER;
use crate::datapath::{
    EgressMode, PortConf, ReachableNetwork, RouterConf, UplinkConf, UplinkLink, UplinkNeighbours,
};
use crate::host::uplink::{LinkState, TapId, UplinkState};

/// The uplinks, as the host describes them now.
#[derive(Debug)]
pub(crate) struct Uplink {
    /// The switch translates; otherwise the kernel.
    pub(crate) is_own: bool,
    /// The ports of its TAPs, by device.
    taps: BTreeMap<String, (PortIndex, TapId)>,
    /// Why the TAP of a device has no port.
    tap_faults: BTreeMap<String, String>,
    pub(crate) state: UplinkState,
    label: String,
}

impl Uplink {
    /// The label of a device's uplink: that of the first TAP has no device.
    pub(crate) fn label_of(&self, device: &str) -> String {
        let tap = self.taps.get(device).map(|(_, tap)| tap);
        match tap.is_none_or(|tap| tap.name.starts_with("up-")) {
            true => self.label.clone(),
            false => format!("{}.{device}", self.label),
        }
    }

    /// The device of the uplink with this port.
    pub(crate) fn device_at(&self, port: PortIndex) -> Option<&str> {
        let mut taps = self.taps.iter();
        taps.find(|(_, (known, _))| *known == port).map(|(device, _)| device.as_str())
    }

    /// Why the TAP of a device has no port.
    pub(crate) fn tap_fault(&self, device: &str) -> Option<&str> {
        self.tap_faults.get(device).map(String::as_str)
    }

    /// TAPs of the state that have no port yet.
    pub(crate) fn taps_without_port(&self) -> Vec<(String, TapId)> {
        let taps =
            self.state.links.iter().filter_map(|it| Some((it.device.clone(), it.tap.clone()?)));
        taps.filter(|(device, _)| !self.taps.contains_key(device)).collect()
    }

    /// Devices whose TAP is gone, or another one.
    pub(crate) fn stale_taps(&self) -> Vec<String> {
        let is_stale = |(device, (_, tap)): &(&String, &(PortIndex, TapId))| {
            self.state.link(device).and_then(|link| link.tap.as_ref()) != Some(tap)
        };
        self.taps.iter().filter(is_stale).map(|(device, _)| device.clone()).collect()
    }

    /// The uplinks for the datapath, in the order of the state.
    fn links(&self) -> Vec<UplinkLink> {
        let link = |link: &LinkState| {
            let tap = self.taps.get(&link.device).filter(|(_, tap)| Some(tap) == link.tap.as_ref());
            UplinkLink {
                port: tap.map_or(NO_PORT, |(port, _)| *port),
                device_mac: link.mac,
                tap_mac: tap.map_or(MacAddr([0; 6]), |(_, tap)| tap.mac),
                mtu: link.mtu,
                up: link.up && tap.is_some(),
                neighbours: UplinkNeighbours::new(link.neighbours.iter().copied()),
            }
        };
        self.state.links.iter().map(link).collect()
    }
}

/// Source addresses of routes, by network.
pub(super) type ZoneSources = Vec<(nat::Zone, Arc<nat::Sources>)>;

/// The port of an uplink whose TAP is being made.
const NO_PORT: PortIndex = PortIndex(u16::MAX);

impl Model {
    /// Adds the uplinks, labelled after the host device of a network.
    pub(crate) fn add_uplink(&mut self, device: &config::IfName, is_own: bool, state: UplinkState) {
        let (taps, tap_faults) = (BTreeMap::new(), BTreeMap::new());
        let label = key::uplink_label(device);
        self.uplink = Some(Uplink { is_own, taps, tap_faults, state, label });
        self.invalidate_uplinks(true);
    }

    /// Replaces the state of the uplinks.
    pub(crate) fn set_uplink_state(&mut self, state: UplinkState) {
        let Some(uplink) = &mut self.uplink else { return };
        let is_policy_stale = !host_routes::is_policy_same(&uplink.state, &state);
        uplink.tap_faults.retain(|device, _| state.link(device).is_some());
        uplink.state = state;
        self.invalidate_uplinks(is_policy_stale);
    }

    /// Allocates the port of an uplink's TAP.
    pub(crate) fn add_tap(
        &mut self,
        device: String,
        tap: TapId,
    ) -> Result<PortIndex, ControlError> {
        let port = self.slots.allocate(SlotOwner::Uplink(device.clone()))?;
        if let Some(uplink) = &mut self.uplink {
            uplink.tap_faults.remove(&device);
            uplink.taps.insert(device, (port, tap));
        }
        self.invalidate_uplinks(false);
        Ok(port)
    }

    /// Notes why the TAP of a device has no port, until it has one.
    pub(crate) fn set_tap_fault(&mut self, device: String, fault: String) {
        if let Some(uplink) = &mut self.uplink {
            uplink.tap_faults.insert(device, fault);
        }
    }

    /// Hides the port of an uplink's TAP from the datapath; [`Model::release_tap`] frees its slot.
    pub(crate) fn hide_tap(&mut self, device: &str) -> Option<PortIndex> {
        let (port, _) = self.uplink.as_mut()?.taps.remove(device)?;
        self.invalidate_uplinks(false);
        Some(port)
    }

    /// Frees the slot of a port that the datapath does not have any more.
    pub(crate) fn release_tap(&mut self, port: PortIndex) {
        self.slots.release(port);
    }

    /// The uplinks.
    pub(crate) fn uplink(&self) -> Option<&Uplink> {
        self.uplink.as_ref()
    }

    /// The port of the TAP with this interface index.
    pub(crate) fn port_of_tap(&self, ifindex: u32) -> Option<PortIndex> {
        let mut taps = self.uplink.as_ref()?.taps.values();
        taps.find(|(_, tap)| tap.ifindex == ifindex).map(|(port, _)| *port)
    }

    /// The uplinks that a network uses.
    pub(crate) fn uplink_of(&self, network: &Network) -> Option<&Uplink> {
        let setting = &network.spec.uplink;
        let (is_none, is_own) = (*setting == config::Uplink::None, setting.is_user_space());
        self.uplink.as_ref().filter(|uplink| !is_none && uplink.is_own == is_own)
    }

    /// Notes a change of the uplinks, or of the networks that use them.
    pub(super) fn invalidate_uplinks(&mut self, is_policy_stale: bool) {
        if is_policy_stale {
            self.zone_sources.invalidate();
            self.policy.invalidate();
        }
        self.uplink_routes.invalidate();
        self.uplink_confs.invalidate();
    }

    /// Notes a change of the ports that are published on the uplinks: their routes and source addresses stay.
    pub(super) fn invalidate_publications(&mut self) {
        self.policy.invalidate();
        self.uplink_confs.invalidate();
    }

    /// The ports of the uplinks.
    pub(super) fn uplink_ports(&self) -> impl Iterator<Item = (PortIndex, PortConf)> {
        let taps = self.uplink.iter().flat_map(|uplink| uplink.taps.values());
        taps.map(|(port, tap)| (*port, PortConf::uplink(tap.mac)))
    }

    /// The uplinks for each network whose packets the switch translates.
    pub(super) fn uplink_confs(&mut self) -> Option<Arc<UplinkConfs>> {
        if let Some(fresh) = self.uplink_confs.fresh() {
            return Some(fresh);
        }
        let local = self.local_addresses(&self.own_uplink()?.state);
        // The same part, where the addresses are: then routes are shared, too.
        if self.local.last().is_none_or(|last| **last != local) {
            self.local.store(Arc::new(local));
        }
        let policy = match self.policy.fresh() {
            Some(policy) => policy,
            None => {
                let policy = self.nat_policy()?;
                let compiled = nat::CompiledPolicy::compile(policy, self.policy.last());
                self.policy.store(compiled)
            }
        };
        let confs = match self.uplink_routes.fresh() {
            Some(routed) => with_policy(&routed, &policy),
            None => self.compile_uplinks(&policy)?,
        };
        let confs = self.uplink_confs.store(Arc::new(confs));
        Some(self.uplink_routes.store(confs))
    }

    /// Addresses of the host, outside of the networks with uplinks, that its rules name as a source.
    pub(crate) fn host_sources(&self) -> Vec<IpAddr> {
        let Some(UplinkState { local, rules, .. }) = self.own_uplink().map(|it| &it.state) else {
            return Vec::new();
        };
        let networks = self.networks().filter(|network| network.spec.uplink.is_user_space());
        let subnets: Vec<_> = networks.flat_map(|it| it.spec.subnets()).collect();
        let is_outside = |address: &IpAddr| !subnets.iter().any(|net| net.contains(address));
        let named = local.iter().filter(|address| rules.names_source(**address));
        named.copied().filter(is_outside).collect()
    }

    /// Networks with the same routes share one configuration.
    fn compile_uplinks(&self, policy: &Arc<nat::CompiledPolicy>) -> Option<UplinkConfs> {
        let uplink = self.own_uplink()?;
        let (links, host) = (Arc::new(uplink.links()), HostRoutes::new(&uplink.state));
        let networks: Vec<_> =
            self.networks().filter(|network| network.spec.uplink.is_user_space()).collect();
        let by_source = host.by_source(&self.host_sources());
        let mut distinct: Vec<Arc<UplinkConf>> = Vec::new();
        let confs = networks.iter().map(|network| {
            let (device, subnets) = (device_of(network), network.spec.subnets());
            let routes = host.routes(device, &subnets);
            let by_container = host.by_container(device, &subnets);
            let is_same = |conf: &&Arc<UplinkConf>| {
                conf.routes == routes && conf.by_container == by_container
            };
            let known = distinct.iter().find(is_same).cloned();
            let conf = known.unwrap_or_else(|| {
                let (links, by_source) = (Arc::clone(&links), by_source.clone());
                let policy = Arc::clone(policy);
                let conf = Arc::new(UplinkConf { links, routes, by_container, by_source, policy });
                distinct.push(Arc::clone(&conf));
                conf
            });
            (network.index, conf)
        });
        Some(confs.collect())
    }

    /// The uplinks that translate in user space.
    fn own_uplink(&self) -> Option<&Uplink> {
        self.uplink.as_ref().filter(|uplink| uplink.is_own)
    }

    /// The router of a network; none where the kernel routes.
    pub(super) fn router(
        &self,
        network: &Network,
        uplinks: Option<&UplinkConfs>,
        reachable: Vec<ReachableNetwork>,
    ) -> Option<RouterConf> {
        let spec = &network.spec;
        let gateways = spec.gateways().to_vec();
        let internal = |gateways: Vec<IpAddr>, reachable| RouterConf {
            gateway_mac: spec.gateway_mac,
            local: Arc::new(gateways.clone()),
            gateways,
            subnets: spec.subnets().to_vec(),
            reachable,
            egress: EgressMode::Internal,
        };
        // Without an uplink, or before it is known, containers reach each other and their gateway only.
        let Some(used) = self.uplink_of(network) else {
            return Some(internal(gateways, reachable));
        };
        if !used.is_own {
            return None;
        }
        let uplink = uplinks?.get(&network.index)?;
        Some(RouterConf {
            local: self.local.last().cloned()?,
            egress: EgressMode::Uplink(Arc::clone(uplink)),
            ..internal(gateways, reachable)
        })
    }

    /// Every address of the host: those of its devices, and the gateways of networks with this uplink.
    fn local_addresses(&self, state: &UplinkState) -> Vec<IpAddr> {
        let networks = self.networks().filter(|network| network.spec.uplink.is_user_space());
        let gateways = networks.flat_map(|network| network.spec.gateways());
        let mut seen = HashSet::new();
        state.local.iter().copied().chain(gateways).filter(|it| seen.insert(*it)).collect()
    }

    /// The source addresses of routes for each network.
    fn zone_sources(&mut self) -> Option<Arc<ZoneSources>> {
        if let Some(fresh) = self.zone_sources.fresh() {
            return Some(fresh);
        }
        let networks: Vec<_> =
            self.networks().filter(|network| network.spec.uplink.is_user_space()).collect();
        let sources = sources_of(&self.own_uplink()?.state, &networks);
        Some(self.zone_sources.store(Arc::new(sources)))
    }

    /// The policy of NAT, for all networks that share the uplinks.
    fn nat_policy(&mut self) -> Option<nat::Policy> {
        let sources = self.zone_sources()?;
        let state = &self.own_uplink()?.state;
        let local = self.local_addresses(state);
        let networks: Vec<_> =
            self.networks().filter(|network| network.spec.uplink.is_user_space()).collect();
        let published = networks.iter().flat_map(|network| {
            let zone = nat::Zone(network.index.0);
            self.shown(&network.spec.name).flat_map(move |endpoint| {
                let publications = endpoint.active_publications();
                publications.filter_map(move |one| published(one, &endpoint.lease, zone))
            })
        });
        Some(nat::Policy {
            external_v4: state.ipv4,
            external_v6: state.ipv6,
            sources: sources.to_vec(),
            published: published.collect(),
            ports: networks.first()?.spec.snat_ports.range(),
            host_addrs: local,
            quota: CONNECTIONS_PER_CONTAINER,
        })
    }
}

/// The same routes with another policy. Networks that shared a configuration still do.
fn with_policy(routed: &UplinkConfs, policy: &Arc<nat::CompiledPolicy>) -> UplinkConfs {
    let mut renewed: Vec<(&Arc<UplinkConf>, Arc<UplinkConf>)> = Vec::new();
    let confs = routed.iter().map(|(network, former)| {
        let known = renewed.iter().find(|(it, _)| Arc::ptr_eq(it, former));
        let conf = known.map(|(_, conf)| Arc::clone(conf)).unwrap_or_else(|| {
            let conf = UplinkConf { policy: Arc::clone(policy), ..UplinkConf::clone(former) };
            let conf = Arc::new(conf);
            renewed.push((former, Arc::clone(&conf)));
            conf
        });
        (*network, conf)
    });
    confs.collect()
}

/// The source addresses of routes for each network; those of equal rules are shared.
fn sources_of(state: &UplinkState, networks: &[&Network]) -> ZoneSources {
    let mut distinct: Vec<Arc<nat::Sources>> = Vec::new();
    let sources = networks.iter().map(|network| {
        let own = host_routes::sources(state, device_of(network), &network.spec.subnets());
        let known = distinct.iter().find(|known| ***known == own).cloned();
        let sources = known.unwrap_or_else(|| {
            distinct.push(Arc::new(own));
            distinct.last().cloned().unwrap_or_default()
        });
        (nat::Zone(network.index.0), sources)
    });
    sources.collect()
}

/// The device that the kernel's rules know a network by.
fn device_of(network: &Network) -> &str {
    network.spec.device.as_ref().map_or("", |device| device.as_str())
}

/// The rule of a publication.
fn published(one: &Publication, lease: &Lease, zone: nat::Zone) -> Option<nat::Published> {
    let host = one.ports.host()?;
    let allow_from = one.allow_from.iter().map(|prefix| {
        let net = prefix.net();
        (net.addr(), net.prefix_len())
    });
    let address = one.ports.address();
    let leads_to = |is_v4: bool| address.is_none_or(|address| address.is_ipv4() == is_v4);
    Some(nat::Published {
        transport: match one.ports.protocol() {
            Protocol::Tcp => nat::Transport::Tcp,
            Protocol::Udp => nat::Transport::Udp,
            Protocol::Sctp => nat::Transport::Sctp,
        },
        address,
        ports: host.first()..=host.last(),
        zone,
        to_v4: lease.ipv4.filter(|_| leads_to(true)),
        to_v6: lease.ipv6.filter(|_| leads_to(false)),
        to_port: one.ports.container().first(),
        owner: nat::OwnerId(lease.slot.get() as u32),
        allow_from: allow_from.collect(),
    })
}

#[cfg(test)]
mod tests;
