//! Destination lookup: binary searches over address intervals.
//!
//! The intervals cover both families (IPv4 as IPv4-mapped IPv6). Those of a network itself are few: its subnets,
//! subnets of networks that it may reach, and addresses of the host in them. All else is in [`OuterFib`], which
//! networks share: of later inserts the last wins, the host's routes, martians, then the host's own addresses.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use wire::MacAddr;

use super::conf::{
    EgressMode, ReachableNetwork, RouteAction, RouteLayer, RouterConf, Routes, UplinkLink,
};

/// Prefixes that no router forwards (RFC 1812 section 5.3.7, RFC 6890): "this" network, loopback,
/// link-local, multicast, reserved and broadcast.
const UNROUTABLE: [(IpAddr, u8); 9] = [
    (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8),
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(224, 0, 0, 0)), 4),
    (IpAddr::V4(Ipv4Addr::new(240, 0, 0, 0)), 4),
    (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 128),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
    (IpAddr::V6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0)), 8),
];

/// The target of a destination address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RouteTarget {
    /// The host.
    Host,
    /// A container of the network.
    Subnet,
    /// A router on the link of an uplink: see [`Fib::next_hop`].
    NextHop(u16),
    /// On the link of the uplink at this position.
    OnLink(u8),
    /// No route.
    Unreachable,
    /// Never routed.
    Martian,
    /// Another network: see [`RouterConf::reachable`].
    Network(u16),
    /// Beyond the network: see [`OuterFib`].
    Beyond,
}

/// A router on the link of an uplink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NextHop {
    /// The position of the uplink.
    pub(super) link: u8,
    pub(super) address: IpAddr,
    /// The MAC address, if known.
    pub(super) mac: Option<MacAddr>,
}

/// Intervals and their targets.
#[derive(Debug)]
struct Intervals {
    /// The start of each interval; the first is zero.
    starts: Vec<u128>,
    targets: Vec<RouteTarget>,
}

impl Intervals {
    #[inline]
    fn lookup(&self, number: u128) -> RouteTarget {
        let after = self.starts.partition_point(|&start| start <= number);
        self.targets[after - 1]
    }
}

/// Destinations beyond a network, which networks with the same egress share.
#[derive(Debug)]
pub(in crate::datapath) struct OuterFib {
    intervals: Intervals,
    /// Routers of all intervals here.
    next_hops: Vec<NextHop>,
    /// The same for packets from containers of these prefixes, the first that holds.
    by_container: Vec<(IpNet, Intervals)>,
    /// The same for packets with these source addresses of the host, sorted.
    by_source: Vec<(IpAddr, Intervals)>,
}

impl OuterFib {
    pub(in crate::datapath) fn new(conf: &RouterConf) -> Self {
        let default = match &conf.egress {
            EgressMode::Kernel => RouteTarget::Host,
            EgressMode::Internal | EgressMode::Uplink(_) => RouteTarget::Unreachable,
        };
        let mut next_hops = Vec::new();
        let (mut by_container, mut by_source) = (Vec::new(), Vec::new());
        let intervals = match &conf.egress {
            EgressMode::Uplink(uplink) => {
                let mut compile = |routes: &Routes| {
                    let routes = Some((routes, uplink.links.as_slice()));
                    compile(&conf.local, default, routes, &mut next_hops)
                };
                let containers = uplink.by_container.iter();
                by_container.extend(containers.map(|(net, routes)| (*net, compile(routes))));
                let sources = uplink.by_source.iter();
                by_source.extend(sources.map(|(source, routes)| (*source, compile(routes))));
                by_source.sort_by_key(|(source, _)| *source);
                compile(&uplink.routes)
            }
            EgressMode::Kernel | EgressMode::Internal => {
                compile(&conf.local, default, None, &mut next_hops)
            }
        };
        Self { intervals, next_hops, by_container, by_source }
    }

    /// Rules of the host name source addresses.
    #[inline]
    pub(super) fn has_sources(&self) -> bool {
        !self.by_source.is_empty()
    }

    /// The target of a packet that leaves with this source, if a rule of the host names it, and the router to it.
    pub(super) fn lookup_from(
        &self,
        source: IpAddr,
        destination: IpAddr,
    ) -> Option<(RouteTarget, Option<NextHop>)> {
        let at = self.by_source.binary_search_by_key(&source, |(known, _)| *known).ok()?;
        let target = self.by_source[at].1.lookup(number(destination));
        let hop = match target {
            RouteTarget::NextHop(hop) => self.next_hops.get(usize::from(hop)).copied(),
            _ => None,
        };
        Some((target, hop))
    }

    /// The target of a packet from a container.
    #[inline]
    fn lookup(&self, container: IpAddr, destination: u128) -> RouteTarget {
        let mut intervals = &self.intervals;
        if !self.by_container.is_empty() {
            intervals = self.intervals_for(container);
        }
        intervals.lookup(destination)
    }

    #[cold]
    fn intervals_for(&self, container: IpAddr) -> &Intervals {
        let narrower = self.by_container.iter().find(|(net, _)| net.contains(&container));
        narrower.map_or(&self.intervals, |(_, intervals)| intervals)
    }
}

/// The intervals of routes, martians, and the host's own addresses.
fn compile(
    local: &[IpAddr],
    default: RouteTarget,
    routes: Option<(&Routes, &[UplinkLink])>,
    next_hops: &mut Vec<NextHop>,
) -> Intervals {
    let mut builder = FibBuilder::new(default);
    if let Some((routes, links)) = routes {
        for layer in routes.layers().rev() {
            builder.insert_layer(layer, links, next_hops);
        }
    }
    for (address, len) in UNROUTABLE {
        builder.insert_range(prefix(address, len), RouteTarget::Martian);
    }
    // Loopback addresses belong to the host only.
    for &address in local.iter().filter(|address| !address.is_loopback()) {
        builder.insert_range(one(address), RouteTarget::Host);
    }
    builder.intervals()
}

/// An address in 128 bits, IPv4 as IPv4-mapped IPv6.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => mapped(address),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The destinations of a network.
#[derive(Debug)]
pub(super) struct Fib {
    own: Intervals,
    outer: Arc<OuterFib>,
}

impl Fib {
    pub(super) fn new(conf: &RouterConf, outer: Arc<OuterFib>) -> Self {
        let mut builder = FibBuilder::new(RouteTarget::Beyond);
        for &subnet in &conf.subnets {
            builder.insert(subnet, RouteTarget::Subnet);
        }
        builder.insert_broadcasts(&conf.subnets);
        for (at, other) in (0..).zip(&conf.reachable) {
            let target = if other.by_host { RouteTarget::Host } else { RouteTarget::Network(at) };
            builder.insert_network(other, target, &conf.local);
        }
        let own = IpAddr::V6(link_local(conf.gateway_mac));
        let is_in = |address: &&IpAddr| conf.subnets.iter().any(|net| net.contains(*address));
        let local = conf.local.iter().filter(is_in);
        for &address in local.chain(&conf.gateways).chain([&own]) {
            builder.insert_range(one(address), RouteTarget::Host);
        }
        Self { own: builder.intervals(), outer }
    }

    pub(super) fn outer(&self) -> &Arc<OuterFib> {
        &self.outer
    }

    /// The target of a packet of anybody's.
    #[inline]
    pub(super) fn lookup(&self, destination: IpAddr) -> RouteTarget {
        self.lookup_for(destination, destination)
    }

    /// The target of a packet from a container.
    #[inline]
    pub(super) fn lookup_for(&self, container: IpAddr, destination: IpAddr) -> RouteTarget {
        let number = match destination {
            IpAddr::V4(address) => mapped(address),
            IpAddr::V6(address) if is_mapped(address) => return RouteTarget::Martian,
            IpAddr::V6(address) => address.to_bits(),
        };
        match self.own.lookup(number) {
            RouteTarget::Beyond => self.outer.lookup(container, number),
            own => own,
        }
    }

    #[inline]
    pub(super) fn next_hop(&self, hop: u16) -> NextHop {
        self.outer.next_hops[usize::from(hop)]
    }
}

/// Intervals under construction: start and target of each.
struct FibBuilder(BTreeMap<u128, RouteTarget>);

impl FibBuilder {
    fn new(default: RouteTarget) -> Self {
        Self(BTreeMap::from([(0, default)]))
    }

    /// Lays a table over those below it.
    fn insert_layer(
        &mut self,
        layer: &RouteLayer,
        links: &[UplinkLink],
        next_hops: &mut Vec<NextHop>,
    ) {
        let is_v4 = layer.scope.addr().is_ipv4();
        // Shorter prefixes first; of equal prefixes, the first inserted last.
        let routes =
            layer.table.iter().rev().filter(|(net, _)| {
                net.addr().is_ipv4() == is_v4 && net.prefix_len() >= layer.len_min
            });
        let mut routes: Vec<_> = routes.collect();
        routes.sort_by_key(|(net, _)| net.prefix_len());
        let mut table = Self::new(RouteTarget::Beyond);
        for &&(net, action) in &routes {
            table.insert(net, target(action, links, next_hops));
        }
        if !is_v4 {
            // A short IPv6 prefix also covers the mapped IPv4 addresses.
            table.insert_range(prefix(Ipv4Addr::UNSPECIFIED.into(), 0), RouteTarget::Beyond);
        }
        let scope = prefix(layer.scope.addr(), layer.scope.prefix_len());
        if layer.is_outside {
            table.insert_range(scope, RouteTarget::Beyond);
            self.overlay(table, (0, u128::MAX));
        } else {
            self.overlay(table, scope);
        }
    }

    /// Takes the targets of another one over, within a range.
    fn overlay(&mut self, other: Self, (first, last): (u128, u128)) {
        let starts: Vec<_> = other.0.into_iter().collect();
        for (at, &(start, target)) in starts.iter().enumerate() {
            let end = starts.get(at + 1).map_or(u128::MAX, |(next, _)| next - 1);
            let (from, to) = (start.max(first), end.min(last));
            if target != RouteTarget::Beyond && from <= to {
                self.insert_range((from, to), target);
            }
        }
    }

    /// Subnets of another network, without the host's addresses in them.
    fn insert_network(&mut self, other: &ReachableNetwork, target: RouteTarget, local: &[IpAddr]) {
        for &subnet in &other.subnets {
            self.insert(subnet, target);
        }
        self.insert_broadcasts(&other.subnets);
        let is_in = |address: &&IpAddr| other.subnets.iter().any(|net| net.contains(*address));
        for &address in other.gateways.iter().chain(local.iter().filter(is_in)) {
            self.insert_range(one(address), RouteTarget::Beyond);
        }
    }

    /// The first and the last address of IPv4 subnets, where they are not of hosts.
    fn insert_broadcasts(&mut self, subnets: &[IpNet]) {
        for subnet in subnets.iter().filter(|net| net.max_prefix_len() - net.prefix_len() > 1) {
            if let IpNet::V4(subnet) = subnet {
                self.insert_range(one(subnet.network().into()), RouteTarget::Martian);
                self.insert_range(one(subnet.broadcast().into()), RouteTarget::Martian);
            }
        }
    }

    fn insert(&mut self, net: IpNet, target: RouteTarget) {
        self.insert_range(prefix(net.addr(), net.prefix_len()), target);
    }

    fn insert_range(&mut self, (first, last): (u128, u128), target: RouteTarget) {
        let after = last.checked_add(1);
        if let Some(after) = after {
            let (_, &continued) = self.0.range(..=after).next_back().expect("zero is inserted");
            self.0.insert(after, continued);
        }
        let mut covered = self.0.split_off(&first);
        if let Some(after) = after {
            self.0.append(&mut covered.split_off(&after));
        }
        self.0.insert(first, target);
    }

    fn intervals(self) -> Intervals {
        let mut rows: Vec<_> = self.0.into_iter().collect();
        rows.dedup_by_key(|&mut (_, target)| target);
        let (starts, targets) = rows.into_iter().unzip();
        Intervals { starts, targets }
    }
}

/// The target of a route.
fn target(action: RouteAction, links: &[UplinkLink], next_hops: &mut Vec<NextHop>) -> RouteTarget {
    match action {
        RouteAction::Via { link, gateway: Some(address) } => {
            let is_known = |hop: &NextHop| (hop.link, hop.address) == (link, address);
            let at = next_hops.iter().position(is_known).unwrap_or_else(|| {
                let mac = links.get(usize::from(link)).and_then(|it| it.neighbours.get(address));
                next_hops.push(NextHop { link, address, mac });
                next_hops.len() - 1
            });
            u16::try_from(at).map_or(RouteTarget::Unreachable, RouteTarget::NextHop)
        }
        RouteAction::Via { link, gateway: None } => RouteTarget::OnLink(link),
        RouteAction::Elsewhere | RouteAction::Unreachable => RouteTarget::Unreachable,
        RouteAction::Throw => RouteTarget::Beyond,
    }
}

/// First and last address of a prefix.
fn prefix(address: IpAddr, len: u8) -> (u128, u128) {
    let (number, len) = match address {
        IpAddr::V4(address) => (mapped(address), 96 + len),
        IpAddr::V6(address) => (address.to_bits(), len),
    };
    let host = u128::MAX.checked_shr(len.into()).unwrap_or(0);
    (number & !host, number | host)
}

fn one(address: IpAddr) -> (u128, u128) {
    prefix(address, if address.is_ipv4() { 32 } else { 128 })
}

#[inline]
fn mapped(address: Ipv4Addr) -> u128 {
    0xffff << 32 | u128::from(address.to_bits())
}

#[inline]
fn is_mapped(address: Ipv6Addr) -> bool {
    address.to_bits() >> 32 == 0xffff
}

/// The kernel's link-local address for a MAC address (RFC 4291 appendix A).
fn link_local(mac: MacAddr) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0.map(u16::from);
    Ipv6Addr::new(0xfe80, 0, 0, 0, (a ^ 2) << 8 | b, c << 8 | 0xff, 0xfe00 | d, e << 8 | f)
}
