//! The way out, compiled for the datapath: how the gateway routes, and how addresses are translated.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use fastpath::PortIndex;
use ipnet::IpNet;
use vswitch_api::publish::{Protocol, Publication};
use wire::MacAddr;

use super::{Lease, Model};
use crate::config::Uplink;
use crate::control::limits::CONNECTIONS_PER_CONTAINER;
use crate::datapath::{
    EgressMode, PortConf, RouteAction, RouterConf, Routes, UplinkConf, UplinkNeighbours,
};
use crate::host::uplink::{HostRouteAction, UplinkState};

/// The slot of the uplink's port, where there is one.
pub(crate) const UPLINK_PORT: PortIndex = PortIndex(1);

/// The way out, as the host is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UplinkRuntime {
    /// The MAC address of the uplink's TAP; none where the kernel translates.
    pub(crate) tap_mac: Option<MacAddr>,
    pub(crate) state: UplinkState,
}

impl Model {
    /// Follows the host.
    pub(crate) fn set_uplink(&mut self, uplink: UplinkRuntime) {
        self.uplink = Some(uplink);
    }

    /// The way out, unless the network is internal.
    pub(crate) fn uplink(&self) -> Option<&UplinkRuntime> {
        self.uplink.as_ref()
    }

    /// The port of the uplink.
    pub(super) fn uplink_port(&self) -> Option<(PortIndex, PortConf)> {
        let tap_mac = self.uplink.as_ref()?.tap_mac?;
        Some((UPLINK_PORT, PortConf::uplink(tap_mac)))
    }

    /// How the gateway routes; not at all where the kernel does.
    pub(super) fn router(&self) -> Option<RouterConf> {
        let network = &self.network;
        if network.uplink == Uplink::None {
            return Some(self.internal());
        }
        // Until it is known what leads out, nothing does.
        let Some(uplink) = &self.uplink else { return Some(self.internal()) };
        let (state, tap_mac) = (&uplink.state, uplink.tap_mac?);
        let gateways = self.gateways();
        let mut local = state.local.clone();
        local.extend(gateways.iter().filter(|gateway| !state.local.contains(gateway)));
        let routes = state.routes.iter().map(|route| {
            let action = match &route.action {
                HostRouteAction::Uplink { gateway } => RouteAction::Via(*gateway),
                HostRouteAction::OtherDevice => RouteAction::Elsewhere,
                HostRouteAction::Unreachable => RouteAction::Unreachable,
            };
            (route.destination, action)
        });
        let uplink = UplinkConf {
            port: UPLINK_PORT,
            device_mac: state.mac,
            tap_mac,
            mtu: state.mtu,
            up: state.up,
            routes: Routes::new(routes),
            neighbours: UplinkNeighbours::new(state.neighbours.iter().copied()),
            policy: self.compiled_policy(self.nat_policy(state, &local)),
        };
        Some(RouterConf {
            gateway_mac: network.gateway_mac,
            gateways,
            subnets: self.subnets(),
            local,
            egress: EgressMode::Uplink(Arc::new(uplink)),
        })
    }

    /// Containers reach each other and their gateway, whatever the host would forward.
    fn internal(&self) -> RouterConf {
        let gateways = self.gateways();
        RouterConf {
            gateway_mac: self.network.gateway_mac,
            local: gateways.clone(),
            gateways,
            subnets: self.subnets(),
            egress: EgressMode::Internal,
        }
    }

    fn gateways(&self) -> Vec<IpAddr> {
        vec![self.network.subnet.gateway().into(), self.network.subnet6.gateway().into()]
    }

    fn subnets(&self) -> Vec<IpNet> {
        vec![IpNet::V4(self.network.subnet.net()), IpNet::V6(self.network.subnet6.net())]
    }

    /// Compiles the policy as the successor of the one before.
    fn compiled_policy(&self, policy: nat::Policy) -> Arc<nat::CompiledPolicy> {
        let mut last = self.compiled_policy.borrow_mut();
        let compiled = nat::CompiledPolicy::compile(policy, last.as_ref());
        Arc::clone(last.insert(compiled))
    }

    fn nat_policy(&self, state: &UplinkState, local: &[IpAddr]) -> nat::Policy {
        let shown = self.ports.values().filter(|port| port.in_snapshot);
        let published = shown.flat_map(|port| {
            let lease = &port.lease;
            port.active_publications().flat_map(move |one| published(one, lease, local))
        });
        nat::Policy {
            external_v4: state.ipv4,
            external_v6: state.ipv6,
            host_addrs: local.to_vec(),
            ports: self.network.snat_ports.range(),
            published: published.collect(),
            quota: CONNECTIONS_PER_CONTAINER,
        }
    }
}

/// A publication for translation. One at all addresses of a family becomes one at each of them: there may
/// be another of the other family.
fn published(one: &Publication, lease: &Lease, local: &[IpAddr]) -> Vec<nat::Published> {
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
        to_v4: Some(lease.ipv4),
        to_v6: Some(lease.ipv6),
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
