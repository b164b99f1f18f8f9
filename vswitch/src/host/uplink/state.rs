//! The routing state of the host, compiled from netlink messages to an [`UplinkState`]. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use nat::SourceSet;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteMessage, RouteType};
use netlink_packet_route::rule::RuleMessage;
use wire::MacAddr;

use super::devices::{DeviceUse, TapId, name_of};
use super::route::{Parsed, Path, Paths, best, is_of_host, parse, parse_any};
use super::rules::Rules;
use super::source::{RouteKey, SourceTable};
use crate::datapath::RouteAction;
use crate::host::limits::NEIGHBOURS_MAX;

/// State of the host for routing by its uplinks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct UplinkState {
    /// The uplinks, in order of precedence; routes name them by position.
    pub(crate) links: Vec<LinkState>,
    /// Source addresses of SNAT by the default route.
    pub(crate) ipv4: Option<Ipv4Addr>,
    pub(crate) ipv6: Option<Ipv6Addr>,
    /// Addresses of the host on all devices, sorted.
    pub(crate) local: Vec<IpAddr>,
    /// The tables that rules name.
    pub(crate) tables: Vec<HostTable>,
    pub(crate) rules: Rules,
    /// Source addresses that routes name by number.
    pub(crate) sources: Vec<SourceSet>,
    /// The kernel forwards IPv4, and IPv6.
    pub(crate) forwarding: [bool; 2],
    /// Devices that are no uplinks, with the reason.
    pub(crate) hints: Vec<String>,
}

/// State of an uplink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkState {
    /// The device exists, is up, and has a carrier.
    pub(crate) up: bool,
    pub(crate) device: String,
    /// 0 while the device does not exist.
    pub(crate) ifindex: u32,
    pub(crate) mac: MacAddr,
    pub(crate) mtu: u32,
    /// Its TAP; none with `--uplink kernel`.
    pub(crate) tap: Option<TapId>,
    /// Source addresses of SNAT by its default routes, or its own.
    pub(crate) ipv4: Option<Ipv4Addr>,
    pub(crate) ipv6: Option<Ipv6Addr>,
    /// Known neighbours of the device, sorted.
    pub(crate) neighbours: Vec<(IpAddr, MacAddr)>,
}

/// A table of routes, one a destination, sorted by destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostTable {
    pub(crate) number: u32,
    pub(crate) routes: Vec<Route>,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) destination: IpNet,
    pub(crate) action: RouteAction,
    /// The number of its source addresses, if it leads out by an uplink.
    pub(crate) source: Option<u16>,
}

impl UplinkState {
    /// The uplink of a device.
    pub(crate) fn link(&self, device: &str) -> Option<&LinkState> {
        self.links.iter().find(|link| link.device == device)
    }

    /// A table of routes.
    pub(crate) fn table(&self, number: u32) -> Option<&HostTable> {
        self.tables.iter().find(|table| table.number == number)
    }
}

/// Netlink messages of the kernel.
#[derive(Debug, Clone, Default)]
pub(super) struct Kernel {
    pub(super) links: Vec<LinkMessage>,
    pub(super) addresses: Vec<AddressMessage>,
    pub(super) routes: Vec<RouteMessage>,
    pub(super) neighbours: Vec<NeighbourMessage>,
    /// None where the kernel lists none.
    pub(super) rules: Option<Vec<RuleMessage>>,
}

/// A route of the datapath. `links`: the devices of the uplinks.
fn compile(route: &Parsed, links: &[u32], table: &mut SourceTable) -> Route {
    let link = route.device.and_then(|device| links.iter().position(|link| *link == device));
    let (action, source) = match (route.kind, route.device, link) {
        (RouteType::Throw, ..) => (RouteAction::Throw, None),
        (RouteType::Unicast, Some(device), Some(link)) => {
            let action = RouteAction::Via { link: link as u8, gateway: route.gateway };
            (action, table.number(route.key(device)))
        }
        (RouteType::Unicast, ..) => (RouteAction::Elsewhere, None),
        _ => (RouteAction::Unreachable, None),
    };
    Route { destination: route.destination, action, source }
}

impl Kernel {
    pub(super) fn link(&self, name: &str) -> Option<&LinkMessage> {
        self.links.iter().find(|link| name_of(link) == name)
    }

    /// How the host uses its devices.
    pub(super) fn device_use(&self, former: Option<&UplinkState>) -> DeviceUse {
        let mut used = DeviceUse::default();
        for message in &self.addresses {
            let is_far = |address: IpAddr| match address {
                IpAddr::V4(_) => true,
                IpAddr::V6(address) => !address.is_unicast_link_local(),
            };
            if address_of(message).is_some_and(is_far) {
                used.configured.insert(message.header.index);
            }
        }
        let kept = former.into_iter().flat_map(|former| &former.links);
        used.former.extend(kept.map(|link| link.ifindex));
        let routes = self.routes.iter().filter_map(|route| parse_any(route, ANY_PATH));
        for route in routes.filter(Parsed::leads) {
            let is_default = route.destination.prefix_len() == 0;
            let is_first = is_default && is_of_host(route.table);
            let metric = is_first.then_some(route.metric);
            for (device, has_gateway) in route.devices() {
                used.configured.insert(device);
                if is_default || has_gateway {
                    let known = used.gateways.entry(device).or_insert(metric);
                    *known = [*known, metric].into_iter().flatten().min();
                }
            }
        }
        used
    }

    /// Compiles the state of these devices with their TAPs.
    pub(super) fn compile(
        &self,
        devices: &[(String, Option<TapId>)],
        former: Option<&UplinkState>,
    ) -> UplinkState {
        let index = |name: &str| self.link(name).map_or(0, |link| link.header.index);
        let indices: Vec<u32> = devices.iter().map(|(name, _)| index(name)).collect();
        let rules = self.rules.as_deref().map(Rules::read).unwrap_or_default();
        let known = former.map_or(&[][..], |former| &former.sources);
        let mut sources = SourceTable::new(&self.addresses, known);
        let before = |table, destination| path_of_before(former?, table, destination);
        let routes = self.parsed(Paths { devices: &indices, former: &before });
        let main: Vec<_> = routes.iter().filter(|route| is_of_host(route.table)).cloned().collect();
        let links = devices.iter().zip(&indices).map(|((name, tap), index)| {
            let former = former.and_then(|former| former.link(name));
            let (ipv4, ipv6) = defaults(&sources, &main, *index);
            let state = self.link_state(name, former);
            LinkState { tap: tap.clone(), ipv4, ipv6, ..state }
        });
        let links: Vec<_> = links.collect();
        // The default route's device is the first.
        let ipv4 = links.iter().find_map(|link| link.ipv4);
        let ipv6 = links.iter().find_map(|link| link.ipv6);
        let numbers: BTreeSet<u32> = rules.tables().collect();
        let tables = numbers.into_iter().map(|number| {
            let own = routes.iter().filter(|route| route.table == number).cloned().collect();
            let routes = best(own);
            let compiled = routes.iter().map(|route| compile(route, &indices, &mut sources));
            HostTable { number, routes: compiled.collect() }
        });
        let tables = tables.collect();
        UplinkState {
            links,
            ipv4,
            ipv6,
            local: self.local(),
            tables,
            rules,
            sources: sources.into_sets(),
            forwarding: [false; 2],
            hints: Vec::new(),
        }
    }

    /// The MTU of a device.
    pub(super) fn mtu(&self, device: &str) -> u32 {
        self.link_state(device, None).mtu
    }

    /// The link itself.
    fn link_state(&self, device: &str, former: Option<&LinkState>) -> LinkState {
        let link = self.link(device);
        let index = link.map_or(0, |link| link.header.index);
        let mut state = LinkState {
            up: link.is_some_and(is_up),
            device: device.to_owned(),
            ifindex: index,
            mac: former.map_or(MacAddr([0; 6]), |former| former.mac),
            mtu: former.map_or(1500, |former| former.mtu),
            tap: None,
            ipv4: None,
            ipv6: None,
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

    /// Neighbours of a device in one of these states.
    pub(super) fn neighbours_in(&self, index: u32, states: &[NeighbourState]) -> BTreeSet<IpAddr> {
        let of_device = self.neighbours.iter().filter(|message| message.header.ifindex == index);
        let known = of_device.filter(|message| states.contains(&message.header.state));
        known.filter_map(|message| Some(neighbour_of(message)?.0)).collect()
    }

    /// Routes of all tables, without link-local ones.
    fn parsed(&self, paths: Paths<'_>) -> Vec<Parsed> {
        self.routes.iter().filter_map(|message| parse(message, paths)).collect()
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

/// The first path of a route.
const ANY_PATH: Paths<'_> = Paths { devices: &[], former: &|_, _| None };

/// The path that a route led by before.
fn path_of_before(former: &UplinkState, table: u32, destination: IpNet) -> Option<Path> {
    let routes = &former.table(table)?.routes;
    let at = routes.binary_search_by_key(&destination, |route| route.destination).ok()?;
    let RouteAction::Via { link, gateway } = routes[at].action else { return None };
    Some((former.links.get(usize::from(link))?.ifindex, gateway))
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
