//! Routes of the kernel: from netlink messages to the one that packets to a destination take. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteMessage, RouteNextHopFlags, RoutePreference, RouteType,
    RouteVia,
};

use super::source::RouteKey;
use crate::host::limits::ROUTES_MAX;
use crate::host::netlink::ip;

/// A parsed route.
#[derive(Clone)]
pub(super) struct Parsed {
    pub(super) destination: IpNet,
    pub(super) table: u32,
    pub(super) metric: u32,
    /// Of routers with the same metric (RFC 4191): lower ones first.
    preference: u8,
    pub(super) device: Option<u32>,
    pub(super) gateway: Option<IpAddr>,
    /// The paths that live, of a route with several.
    alive: Vec<Path>,
    source: Option<IpAddr>,
    scope: u8,
    pub(super) kind: RouteType,
}

impl Parsed {
    /// What its source depends on, by this device.
    pub(super) fn key(&self, device: u32) -> RouteKey {
        let is_v6 = self.destination.addr().is_ipv6();
        let (gateway, scope, wished) = (self.gateway, self.scope, self.source);
        RouteKey { is_v6, device, gateway, scope, wished }
    }

    pub(super) fn leads(&self) -> bool {
        self.kind == RouteType::Unicast
    }

    /// The devices of all its paths, with whether a gateway follows.
    pub(super) fn devices(&self) -> impl Iterator<Item = (u32, bool)> {
        let one =
            self.device.map(|device| (device, self.gateway)).filter(|_| self.alive.is_empty());
        let all = self.alive.iter().copied().chain(one);
        all.map(|(device, gateway)| (device, gateway.is_some()))
    }
}

/// The tables that hold the host's routes as long as nobody says otherwise.
pub(super) fn is_of_host(table: u32) -> bool {
    [libc::RT_TABLE_MAIN, libc::RT_TABLE_DEFAULT].map(u32::from).contains(&table)
}

/// A path of a route: device and gateway.
pub(super) type Path = (u32, Option<IpAddr>);

/// Which of several paths of a route is taken.
#[derive(Clone, Copy)]
pub(super) struct Paths<'a> {
    /// Devices of the uplinks.
    pub(super) devices: &'a [u32],
    /// The path of before, by table and destination.
    pub(super) former: &'a dyn Fn(u32, IpNet) -> Option<Path>,
}

impl Paths<'_> {
    /// The path of before while it lives, so that connections stay; else the first by an uplink, else the first.
    fn choose(self, table: u32, destination: IpNet, alive: &[Path]) -> Option<Path> {
        let former = (self.former)(table, destination);
        let before = alive.iter().find(|path| Some(**path) == former);
        let ours = || alive.iter().find(|(device, _)| self.devices.contains(device));
        before.or_else(ours).or(alive.first()).copied()
    }
}

/// Parses a route that packets take.
pub(super) fn parse(message: &RouteMessage, paths: Paths<'_>) -> Option<Parsed> {
    let is_dead = message.header.flags.intersects(RouteFlags::Dead | RouteFlags::Linkdown);
    let is_multipath =
        message.attributes.iter().any(|it| matches!(it, RouteAttribute::MultiPath(_)));
    let route = if is_dead { None } else { parse_any(message, paths) };
    route.filter(|route| !is_multipath || !route.alive.is_empty())
}

/// The same for a route that may be dead.
pub(super) fn parse_any(message: &RouteMessage, paths: Paths<'_>) -> Option<Parsed> {
    use RouteType::{BlackHole, Prohibit, Throw, Unicast, Unreachable};
    let header = &message.header;
    let v6 = u8::from(header.address_family) == libc::AF_INET6 as u8;
    if !matches!(header.kind, Unicast | BlackHole | Unreachable | Prohibit | Throw) {
        return None;
    }
    let any =
        if v6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    let mut table = u32::from(header.table);
    let (mut address, mut metric, mut source) = (any, 0, None);
    let (mut device, mut gateway, mut alive) = (None, None, Vec::new());
    let mut preference = rank(RoutePreference::Medium);
    let scope = u8::from(header.scope);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Priority(number) => metric = *number,
            RouteAttribute::Destination(to) => address = ip(to)?,
            RouteAttribute::PrefSource(from) => source = ip(from),
            RouteAttribute::MultiPath(hops) => {
                let dead = RouteNextHopFlags::Dead | RouteNextHopFlags::Linkdown;
                let hops = hops.iter().filter(|hop| !hop.flags.intersects(dead));
                alive.extend(
                    hops.map(|hop| (hop.interface_index, hop.attributes.iter().find_map(next_hop))),
                );
            }
            RouteAttribute::Preference(it) => preference = rank(*it),
            RouteAttribute::Oif(index) => device = Some(*index),
            other => gateway = next_hop(other).or(gateway),
        }
    }
    let destination = IpNet::new(address, header.destination_prefix_length).ok()?.trunc();
    if let Some(path) = paths.choose(table, destination, &alive) {
        (device, gateway) = (Some(path.0), path.1);
    }
    let is_narrow = match destination.addr() {
        IpAddr::V4(address) => address.is_multicast(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address.is_multicast(),
    };
    let kind = header.kind;
    (table != u32::from(libc::RT_TABLE_LOCAL) && !is_narrow).then_some(Parsed {
        destination,
        table,
        metric,
        preference,
        device,
        gateway,
        alive,
        source,
        scope,
        kind,
    })
}

/// The order of preferences.
fn rank(preference: RoutePreference) -> u8 {
    match preference {
        RoutePreference::High => 0,
        RoutePreference::Low => 2,
        _ => 1,
    }
}

fn next_hop(attribute: &RouteAttribute) -> Option<IpAddr> {
    match attribute {
        RouteAttribute::Gateway(address) => ip(address),
        RouteAttribute::Via(RouteVia::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Via(RouteVia::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

/// One route a destination, with the lowest metric. Over the limit, the longest prefixes are left out.
pub(super) fn best(mut routes: Vec<Parsed>) -> Vec<Parsed> {
    routes.sort_by_key(|route| (route.destination, route.metric, route.preference));
    routes.dedup_by_key(|route| route.destination);
    if routes.len() > ROUTES_MAX {
        tracing::warn!(
            routes = routes.len(),
            max = ROUTES_MAX,
            "too many routes: the longest prefixes are left out"
        );
        routes.sort_by_key(|route| route.destination.prefix_len());
        routes.truncate(ROUTES_MAX);
        routes.sort_by_key(|route| route.destination);
    }
    routes
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::AddressFamily;
    use netlink_packet_route::route::RouteAddress;

    use super::*;

    /// Two routers that announce themselves: the kernel lists both with one metric.
    #[test]
    fn of_routers_with_one_metric_the_preferred_one_is_taken() {
        let router = |device: u32, preference: Option<RoutePreference>| {
            let mut message = RouteMessage::default();
            message.header.address_family = AddressFamily::Inet6;
            message.header.table = libc::RT_TABLE_MAIN;
            message.header.kind = RouteType::Unicast;
            let gateway = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, device as u16);
            message.attributes.push(RouteAttribute::Gateway(RouteAddress::Inet6(gateway)));
            message.attributes.push(RouteAttribute::Oif(device));
            message.attributes.push(RouteAttribute::Priority(1024));
            message.attributes.extend(preference.map(RouteAttribute::Preference));
            parse(&message, Paths { devices: &[], former: &|_, _| None }).expect("a route")
        };
        let (low, high) = (Some(RoutePreference::Low), Some(RoutePreference::High));
        for (first, second, device) in
            [(low, None, 2), (low, high, 2), (None, high, 2), (None, None, 1), (high, low, 1)]
        {
            let best = best(vec![router(1, first), router(2, second)]);
            assert_eq!((best.len(), best[0].device), (1, Some(device)), "{first:?} {second:?}");
        }
    }
}
