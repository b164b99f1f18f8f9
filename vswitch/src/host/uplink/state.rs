//! The routing state of the host, compiled from netlink messages to an [`UplinkState`]. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use nat::SourceSet;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteMessage, RouteNextHopFlags, RouteType, RouteVia,
};
use wire::MacAddr;

use super::source::{RouteKey, SourceTable};
use crate::datapath::RouteAction;
use crate::host::limits::{NEIGHBOURS_MAX, ROUTES_MAX};
use crate::host::netlink::ip;

/// Selection of the uplink device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UplinkSelector {
    /// The device of the default route, of IPv4 or else of IPv6.
    Auto,
    /// The device of this name.
    Device(String),
}

/// State of the host for routing by the uplink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UplinkState {
    /// The device exists, is up, and has a carrier.
    pub(crate) up: bool,
    pub(crate) device: String,
    /// 0 while the device does not exist.
    pub(crate) ifindex: u32,
    pub(crate) mac: MacAddr,
    pub(crate) mtu: u32,
    /// Source addresses of SNAT by the default route.
    pub(crate) ipv4: Option<Ipv4Addr>,
    pub(crate) ipv6: Option<Ipv6Addr>,
    /// Addresses of the host on all devices, sorted.
    pub(crate) local: Vec<IpAddr>,
    /// Routes of the host, one a destination, sorted by destination.
    pub(crate) routes: Vec<Route>,
    /// Source addresses that routes name by number.
    pub(crate) sources: Vec<SourceSet>,
    /// Known neighbours of the device, sorted.
    pub(crate) neighbours: Vec<(IpAddr, MacAddr)>,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) destination: IpNet,
    pub(crate) action: RouteAction,
    /// The number of its source addresses, if it leads out by the uplink.
    pub(crate) source: Option<u16>,
}

/// Netlink messages of the kernel.
#[derive(Debug, Clone, Default)]
pub(super) struct Kernel {
    pub(super) links: Vec<LinkMessage>,
    pub(super) addresses: Vec<AddressMessage>,
    pub(super) routes: Vec<RouteMessage>,
    pub(super) neighbours: Vec<NeighbourMessage>,
}

/// The name of a link.
pub(super) fn name_of(link: &LinkMessage) -> &str {
    let mut names = link.attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    });
    names.next().unwrap_or_default()
}

/// Whether a link carries Ethernet frames of the outside world.
pub(super) fn is_ethernet(link: &LinkMessage) -> bool {
    link.header.link_layer_type == LinkLayerType::Ether
        && !link.header.flags.contains(LinkFlags::Loopback)
}

/// A parsed route.
struct Parsed {
    destination: IpNet,
    metric: u32,
    device: Option<u32>,
    gateway: Option<IpAddr>,
    source: Option<IpAddr>,
    scope: u8,
    leads: bool,
}

impl Parsed {
    /// What its source depends on, by this device.
    fn key(&self, device: u32) -> RouteKey {
        let is_v6 = self.destination.addr().is_ipv6();
        let (gateway, scope, wished) = (self.gateway, self.scope, self.source);
        RouteKey { is_v6, device, gateway, scope, wished }
    }

    fn compile(&self, index: u32, table: &mut SourceTable) -> Route {
        let (action, source) = match self.device {
            _ if !self.leads => (RouteAction::Unreachable, None),
            Some(device) if device == index => {
                (RouteAction::Via(self.gateway), table.number(self.key(index)))
            }
            _ => (RouteAction::Elsewhere, None),
        };
        Route { destination: self.destination, action, source }
    }
}

impl Kernel {
    pub(super) fn link(&self, name: &str) -> Option<&LinkMessage> {
        self.links.iter().find(|link| name_of(link) == name)
    }

    /// The selected device; `None` if it does not exist.
    pub(super) fn choose(&self, selector: &UplinkSelector) -> Option<&LinkMessage> {
        match selector {
            UplinkSelector::Device(name) => self.link(name),
            UplinkSelector::Auto => {
                let defaults = self.parsed(None).into_iter().filter(|route| {
                    route.leads && route.destination.prefix_len() == 0 && route.device.is_some()
                });
                let key = |route: &Parsed| (route.destination.addr().is_ipv6(), route.metric);
                let device = defaults.min_by_key(key)?.device?;
                self.links.iter().find(|link| link.header.index == device)
            }
        }
    }

    /// Compiles the state of the device of that name.
    pub(super) fn compile(&self, device: &str, former: Option<&UplinkState>) -> UplinkState {
        let link = self.link(device);
        let index = link.map_or(0, |link| link.header.index);
        let mut state = UplinkState {
            up: link.is_some_and(is_up),
            device: device.to_owned(),
            ifindex: index,
            mac: former.map_or(MacAddr([0; 6]), |former| former.mac),
            mtu: former.map_or(1500, |former| former.mtu),
            ipv4: None,
            ipv6: None,
            local: self.local(),
            routes: Vec::new(),
            sources: Vec::new(),
            neighbours: self.neighbours(index),
        };
        for attribute in link.iter().flat_map(|link| &link.attributes) {
            match attribute {
                LinkAttribute::Address(octets) => {
                    if let Ok(octets) = <[u8; 6]>::try_from(octets.as_slice()) {
                        state.mac = MacAddr(octets);
                    }
                }
                LinkAttribute::Mtu(mtu) => state.mtu = *mtu,
                _ => {}
            }
        }
        let former = former.map_or(&[][..], |former| &former.sources);
        let mut table = SourceTable::new(&self.addresses, former);
        let routes = best(self.parsed(Some(index)));
        (state.ipv4, state.ipv6) = defaults(&table, &routes, index);
        state.routes = routes.iter().map(|route| route.compile(index, &mut table)).collect();
        state.sources = table.into_sets();
        state
    }

    fn local(&self) -> Vec<IpAddr> {
        self.addresses.iter().filter_map(address_of).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn neighbours(&self, index: u32) -> Vec<(IpAddr, MacAddr)> {
        use NeighbourState::{Delay, Noarp, Permanent, Probe, Reachable, Stale};
        let mut known = BTreeMap::new();
        for message in self.neighbours.iter().filter(|message| message.header.ifindex == index) {
            let state = message.header.state;
            let usable = matches!(state, Reachable | Stale | Delay | Probe | Permanent | Noarp);
            if let (true, Some((address, mac))) = (usable, neighbour_of(message)) {
                known.insert(address, mac);
            }
        }
        known.into_iter().take(NEIGHBOURS_MAX).collect()
    }

    /// Routes of the main and default tables, without link-local ones.
    fn parsed(&self, prefer: Option<u32>) -> Vec<Parsed> {
        self.routes.iter().filter_map(|message| parse(message, prefer)).collect()
    }
}

fn is_up(link: &LinkMessage) -> bool {
    link.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp)
}

fn address_of(message: &AddressMessage) -> Option<IpAddr> {
    let mut found = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => return Some(*address),
            AddressAttribute::Address(address) => found = Some(*address),
            _ => {}
        }
    }
    found
}

fn neighbour_of(message: &NeighbourMessage) -> Option<(IpAddr, MacAddr)> {
    let (mut address, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => {
                address = Some(IpAddr::V4(*ip));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => {
                address = Some(IpAddr::V6(*ip));
            }
            NeighbourAttribute::LinkLayerAddress(octets) => {
                mac = <[u8; 6]>::try_from(octets.as_slice()).ok().map(MacAddr);
            }
            _ => {}
        }
    }
    // The kernel also lists multicast groups.
    let mac = mac.filter(|mac| mac.0 != [0; 6] && mac.0[0] & 1 == 0)?;
    Some((address?, mac))
}

/// Parses a route. `prefer`: of several paths, the one by this device.
fn parse(message: &RouteMessage, prefer: Option<u32>) -> Option<Parsed> {
    use RouteType::{BlackHole, Prohibit, Unicast, Unreachable};
    let header = &message.header;
    let v6 = u8::from(header.address_family) == libc::AF_INET6 as u8;
    let is_dead = header.flags.intersects(RouteFlags::Dead | RouteFlags::Linkdown);
    if is_dead || !matches!(header.kind, Unicast | BlackHole | Unreachable | Prohibit) {
        return None;
    }
    let any =
        if v6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    let mut table = u32::from(header.table);
    let (mut address, mut metric, mut source) = (any, 0, None);
    let (mut device, mut gateway) = (None, None);
    let scope = u8::from(header.scope);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Priority(number) => metric = *number,
            RouteAttribute::Destination(to) => address = ip(to)?,
            RouteAttribute::PrefSource(from) => source = ip(from),
            RouteAttribute::MultiPath(hops) => {
                let dead = RouteNextHopFlags::Dead | RouteNextHopFlags::Linkdown;
                let mut alive = hops.iter().filter(|hop| !hop.flags.intersects(dead));
                let ours = alive.clone().find(|hop| Some(hop.interface_index) == prefer);
                if let Some(hop) = ours.or_else(|| alive.next()) {
                    device = Some(hop.interface_index);
                    gateway = hop.attributes.iter().find_map(next_hop);
                }
            }
            RouteAttribute::Oif(index) => device = Some(*index),
            other => gateway = next_hop(other).or(gateway),
        }
    }
    let applies = [libc::RT_TABLE_MAIN, libc::RT_TABLE_DEFAULT].map(u32::from).contains(&table);
    let destination = IpNet::new(address, header.destination_prefix_length).ok()?.trunc();
    let is_narrow = match destination.addr() {
        IpAddr::V4(address) => address.is_multicast(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address.is_multicast(),
    };
    let leads = header.kind == Unicast;
    (applies && !is_narrow).then_some(Parsed {
        destination,
        metric,
        device,
        gateway,
        source,
        scope,
        leads,
    })
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
fn best(mut routes: Vec<Parsed>) -> Vec<Parsed> {
    routes.sort_by_key(|route| (route.destination, route.metric));
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

/// The source addresses of the default routes by a device, or of packets that it would send without one.
fn defaults(
    table: &SourceTable,
    routes: &[Parsed],
    index: u32,
) -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
    let choose = |outside: IpAddr| {
        let is_default = |route: &&Parsed| {
            let destination = route.destination;
            route.device == Some(index)
                && destination.prefix_len() == 0
                && destination.addr().is_ipv6() == outside.is_ipv6()
        };
        let (is_v6, gateway, scope, wished) = (outside.is_ipv6(), None, 0, None);
        let unnamed = RouteKey { is_v6, device: index, gateway, scope, wished };
        let key = routes.iter().find(is_default).map_or(unnamed, |route| route.key(index));
        (index != 0).then(|| table.set(key).choose(outside)).flatten()
    };
    let (outside4, outside6) =
        (Ipv4Addr::new(1, 0, 0, 0), Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0));
    let v4 = choose(outside4.into())
        .and_then(|ip| if let IpAddr::V4(ip) = ip { Some(ip) } else { None });
    let v6 = choose(outside6.into())
        .and_then(|ip| if let IpAddr::V6(ip) = ip { Some(ip) } else { None });
    (v4, v6)
}
