//! The host's tables and rules, as routes and source addresses of a network.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::datapath::{RouteAction, RouteLayer, RouteTable, Routes};
use crate::host::limits::{HOST_SOURCES_MAX, RULE_SOURCES_MAX};
use crate::host::uplink::{HostTable, Lookup, Route, RuleLayer, Scope, UplinkState};

/// What the kernel calls the device of the host's own packets.
const LOOPBACK: &str = "lo";

/// The tables of the host in the form of the datapath.
pub(super) struct HostRoutes<'a> {
    state: &'a UplinkState,
    tables: BTreeMap<u32, RouteTable>,
}

impl<'a> HostRoutes<'a> {
    pub(super) fn new(state: &'a UplinkState) -> Self {
        let compiled = |table: &HostTable| {
            let routes = table.routes.iter().map(|route| (route.destination, route.action));
            (table.number, Arc::new(routes.collect()))
        };
        Self { state, tables: state.tables.iter().map(compiled).collect() }
    }

    /// Routes for packets from these subnets that come by a device.
    pub(super) fn routes(&self, device: &str, subnets: &[IpNet]) -> Routes {
        let layers = layers(self.state, device, subnets);
        Routes::layered(layers.iter().map(|layer| self.layer(layer)).collect())
    }

    /// Routes for packets from the parts of these subnets that rules name, the narrowest first.
    pub(super) fn by_container(&self, device: &str, subnets: &[IpNet]) -> Vec<(IpNet, Routes)> {
        let narrower = narrower(self.state, subnets).into_iter();
        narrower.map(|net| (net, self.routes(device, &[net]))).collect()
    }

    /// Routes for packets with these addresses of the host, of the first [`HOST_SOURCES_MAX`].
    pub(super) fn by_source(&self, sources: &[IpAddr]) -> Vec<(IpAddr, Routes)> {
        let followed = sources.iter().take(HOST_SOURCES_MAX);
        followed.map(|&it| (it, self.routes(LOOPBACK, &[IpNet::from(it)]))).collect()
    }

    fn layer(&self, layer: &RuleLayer) -> RouteLayer {
        let (scope, is_outside) = match layer.scope {
            Scope::Within(net) => (net, false),
            Scope::Outside(net) => (net, true),
        };
        let (table, len_min) = match layer.lookup {
            Lookup::Table { number, suppressed_len } => {
                let table = self.tables.get(&number).cloned().unwrap_or_default();
                (table, suppressed_len.map_or(0, |len| len.saturating_add(1)))
            }
            Lookup::Unreachable => {
                let all = IpNet::new_assert(unspecified(scope.addr()), 0);
                (Arc::new(vec![(all, RouteAction::Unreachable)]), 0)
            }
        };
        RouteLayer { scope, is_outside, len_min, table }
    }
}

/// The source addresses of routes for packets from these subnets that come by a device.
pub(super) fn sources(state: &UplinkState, device: &str, subnets: &[IpNet]) -> nat::Sources {
    let sources_from = |subnets: &[IpNet]| {
        let sources = nat::Sources::new(state.sources.clone());
        layers(state, device, subnets)
            .iter()
            .fold(sources, |sources, layer| sources.with_layer(sources_of(state, layer)))
    };
    narrower(state, subnets).into_iter().fold(sources_from(subnets), |sources, net| {
        sources.with_narrower((net.addr(), net.prefix_len()), sources_from(&[net]))
    })
}

/// The parts of these subnets that rules name, the narrowest first.
fn narrower(state: &UplinkState, subnets: &[IpNet]) -> Vec<IpNet> {
    let named = subnets.iter().flat_map(|subnet| state.rules.sources_within(*subnet));
    named.take(RULE_SOURCES_MAX).collect()
}

/// Destination, prefix length and source of the routes of a layer that have one, or leave the choice to the next layer.
fn sources_of<'a>(
    state: &'a UplinkState,
    layer: &RuleLayer,
) -> impl Iterator<Item = (IpAddr, u8, Option<u16>)> + use<'a> {
    let (number, len_min) = match layer.lookup {
        Lookup::Table { number, suppressed_len } => {
            (Some(number), suppressed_len.map_or(0, |len| len.saturating_add(1)))
        }
        Lookup::Unreachable => (None, 0),
    };
    let table = number.and_then(|number| state.table(number));
    let scope = layer.scope;
    table.into_iter().flat_map(|table| &table.routes).filter_map(move |route| {
        let (source, net) = (route.source, route.destination);
        if source.is_none() && route.action != RouteAction::Throw {
            return None;
        }
        let net = match scope {
            Scope::Within(scope) => within(net, scope)?,
            Scope::Outside(scope) if scope.contains(&net) => return None,
            Scope::Outside(scope) => within(net, IpNet::new_assert(unspecified(scope.addr()), 0))?,
        };
        (route.destination.prefix_len() >= len_min).then_some((
            net.addr(),
            net.prefix_len(),
            source,
        ))
    })
}

/// The part of a prefix that is in a scope.
fn within(net: IpNet, scope: IpNet) -> Option<IpNet> {
    if scope.contains(&net) {
        return Some(net);
    }
    net.contains(&scope).then_some(scope)
}

fn layers(state: &UplinkState, device: &str, subnets: &[IpNet]) -> Vec<RuleLayer> {
    subnets.iter().flat_map(|&subnet| state.rules.layers(device, subnet)).collect()
}

fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// All that the policy of NAT takes from the host.
pub(super) fn is_policy_same(one: &UplinkState, other: &UplinkState) -> bool {
    let addresses = |state: &UplinkState| (state.ipv4, state.ipv6);
    let by_route = |table: &HostTable| -> Vec<_> {
        let says = |it: &&Route| it.source.is_some() || it.action == RouteAction::Throw;
        table.routes.iter().filter(says).map(|it| (it.destination, it.source)).collect()
    };
    let has_same_routes = |(one, other): (&HostTable, &HostTable)| {
        one.number == other.number && (one == other || by_route(one) == by_route(other))
    };
    addresses(one) == addresses(other)
        && one.local == other.local
        && one.sources == other.sources
        && one.rules == other.rules
        && one.tables.len() == other.tables.len()
        && one.tables.iter().zip(&other.tables).all(has_same_routes)
}
