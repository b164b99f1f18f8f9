//! Uplinks, compiled for the datapath: routes, neighbours, and the policy of NAT.
//!
//! The uplinks belong to the switch. Each network whose setting is not `none` uses them: all such
//! networks share the ports, the addresses and one policy, since they share the host's port numbers.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use fastpath::PortIndex;
use vswitch_api::publish::{Protocol, Publication};
use wire::MacAddr;

use super::{Lease, Model, Network, SlotOwner, key};
use crate::config;
use crate::control::error::ControlError;
use crate::datapath::limits::CONNECTIONS_PER_CONTAINER;
use crate::datapath::{
    EgressMode, PortConf, ReachableNetwork, RouterConf, Routes, UplinkConf, UplinkNeighbours,
};
use crate::host::uplink::UplinkState;

/// An uplink, as the host describes it now.
#[derive(Debug)]
pub(crate) struct Uplink {
    /// The port of its TAP and the TAP's MAC address; none where the kernel translates.
    pub(crate) tap: Option<(PortIndex, MacAddr)>,
    pub(crate) state: UplinkState,
    /// The source addresses of its routes.
    sources: Arc<nat::Sources>,
    pub(crate) label: String,
}

impl Model {
    /// Adds an uplink, labelled after the host device of a network; `tap_mac` is that of its TAP, if it has one.
    /// Gives its position.
    pub(crate) fn add_uplink(
        &mut self,
        device: &config::IfName,
        tap_mac: Option<MacAddr>,
        state: UplinkState,
    ) -> Result<usize, ControlError> {
        let position = self.uplinks.len();
        let tap = match tap_mac {
            Some(mac) => Some((self.slots.allocate(SlotOwner::Uplink(position))?, mac)),
            None => None,
        };
        let sources = Arc::new(sources(&state));
        self.uplinks.push(Uplink { tap, state, sources, label: key::uplink_label(device) });
        self.invalidate_uplinks(true);
        Ok(position)
    }

    /// Replaces the state of an uplink.
    pub(crate) fn set_uplink_state(&mut self, position: usize, state: UplinkState) {
        let Some(uplink) = self.uplinks.get_mut(position) else { return };
        let addresses = |state: &UplinkState| (state.ipv4, state.ipv6, state.local.clone());
        let is_same = uplink.state.sources == state.sources
            && sources_by_route(&uplink.state).eq(sources_by_route(&state));
        let sources = (!is_same).then(|| sources(&state)).filter(|it| *it != *uplink.sources);
        let is_policy_stale = sources.is_some() || addresses(&uplink.state) != addresses(&state);
        uplink.state = state;
        if let Some(sources) = sources {
            uplink.sources = Arc::new(sources);
        }
        self.invalidate_uplinks(is_policy_stale);
    }

    /// All uplinks.
    pub(crate) fn uplinks(&self) -> &[Uplink] {
        &self.uplinks
    }

    /// The uplinks that a network uses.
    pub(crate) fn uplinks_of(&self, network: &Network) -> impl Iterator<Item = &Uplink> {
        let setting = &network.spec.uplink;
        let (is_none, is_own) = (*setting == config::Uplink::None, setting.is_user_space());
        self.uplinks.iter().filter(move |uplink| !is_none && uplink.tap.is_some() == is_own)
    }

    /// Notes a change of the uplinks, or of the ports that are published on them.
    pub(super) fn invalidate_uplinks(&mut self, is_policy_stale: bool) {
        if is_policy_stale {
            self.policy.invalidate();
        }
        self.uplink_conf.invalidate();
    }

    /// The ports of the uplinks.
    pub(super) fn uplink_ports(&self) -> impl Iterator<Item = (PortIndex, PortConf)> {
        let taps = self.uplinks.iter().filter_map(|uplink| uplink.tap);
        taps.map(|(port, mac)| (port, PortConf::uplink(mac)))
    }

    /// The uplink for the networks that translate in user space.
    pub(super) fn uplink_conf(&mut self) -> Option<Arc<UplinkConf>> {
        if let Some(fresh) = self.uplink_conf.fresh() {
            return Some(fresh);
        }
        let state = &self.own_uplink()?.0.state;
        let local = self.local_addresses(state);
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
        let (uplink, (port, tap_mac)) = self.own_uplink()?;
        let state = &uplink.state;
        let routes = state.routes.iter().map(|route| (route.destination, route.action));
        let conf = Arc::new(UplinkConf {
            port,
            device_mac: state.mac,
            tap_mac,
            mtu: state.mtu,
            up: state.up,
            routes: Routes::new(routes),
            neighbours: UplinkNeighbours::new(state.neighbours.iter().copied()),
            policy,
        });
        Some(self.uplink_conf.store(conf))
    }

    /// The first uplink that translates in user space, with the port and MAC address of its TAP.
    fn own_uplink(&self) -> Option<(&Uplink, (PortIndex, MacAddr))> {
        self.uplinks.iter().find_map(|uplink| Some((uplink, uplink.tap?)))
    }

    /// The router of a network; none where the kernel routes.
    pub(super) fn router(
        &self,
        network: &Network,
        uplink: Option<&Arc<UplinkConf>>,
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
        let Some(used) = self.uplinks_of(network).next() else {
            return Some(internal(gateways, reachable));
        };
        used.tap?;
        Some(RouterConf {
            local: self.local.last().cloned()?,
            egress: EgressMode::Uplink(Arc::clone(uplink?)),
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

    /// The policy of NAT, for all networks that share the uplinks.
    fn nat_policy(&self) -> Option<nat::Policy> {
        let Uplink { state, sources, .. } = self.own_uplink()?.0;
        let local = self.local_addresses(state);
        let networks: Vec<_> =
            self.networks().filter(|network| network.spec.uplink.is_user_space()).collect();
        let published = networks.iter().flat_map(|network| {
            let zone = nat::Zone(network.index.0);
            let local = &local;
            self.shown(&network.spec.name).flat_map(move |endpoint| {
                let publications = endpoint.active_publications();
                publications.flat_map(move |one| published(one, &endpoint.lease, zone, local))
            })
        });
        Some(nat::Policy {
            external_v4: state.ipv4,
            external_v6: state.ipv6,
            sources: networks
                .iter()
                .map(|it| (nat::Zone(it.index.0), Arc::clone(sources)))
                .collect(),
            published: published.collect(),
            ports: networks.first()?.spec.snat_ports.range(),
            host_addrs: local,
            quota: CONNECTIONS_PER_CONTAINER,
        })
    }
}

/// The source addresses of the routes by an uplink.
fn sources(state: &UplinkState) -> nat::Sources {
    nat::Sources::new(state.sources.clone()).with_layer(sources_by_route(state))
}

/// Destination, prefix length and source of the routes that have one.
fn sources_by_route(state: &UplinkState) -> impl Iterator<Item = (IpAddr, u8, u16)> {
    state.routes.iter().filter_map(|route| {
        let net = route.destination;
        Some((net.addr(), net.prefix_len(), route.source?))
    })
}

/// The rules of a publication. One at all addresses of a family becomes one at each of them, since another
/// publication may have the other family.
fn published(
    one: &Publication,
    lease: &Lease,
    zone: nat::Zone,
    local: &[IpAddr],
) -> Vec<nat::Published> {
    let Some(host) = one.ports.host() else { return Vec::new() };
    let allow_from = one.allow_from.iter().map(|prefix| {
        let net = prefix.net();
        (net.addr(), net.prefix_len())
    });
    let all = nat::Published {
        transport: match one.ports.protocol() {
            Protocol::Tcp => nat::Transport::Tcp,
            Protocol::Udp => nat::Transport::Udp,
            Protocol::Sctp => nat::Transport::Sctp,
        },
        address: None,
        ports: host.first()..=host.last(),
        zone,
        to_v4: lease.ipv4,
        to_v6: lease.ipv6,
        to_port: one.ports.container().first(),
        owner: nat::OwnerId(lease.slot.get() as u32),
        allow_from: allow_from.collect(),
    };
    let at = |address: IpAddr| nat::Published {
        address: Some(address),
        to_v4: all.to_v4.filter(|_| address.is_ipv4()),
        to_v6: all.to_v6.filter(|_| address.is_ipv6()),
        ..all.clone()
    };
    match one.ports.address() {
        None => vec![all],
        Some(any) if any == Ipv4Addr::UNSPECIFIED || any == Ipv6Addr::UNSPECIFIED => {
            let family = local.iter().filter(|address| address.is_ipv4() == any.is_ipv4());
            family.map(|&address| at(address)).collect()
        }
        Some(address) => vec![at(address)],
    }
}

#[cfg(test)]
mod tests;
