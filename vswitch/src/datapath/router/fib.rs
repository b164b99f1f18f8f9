//! From a destination address to what becomes of the packet, in one search.
//!
//! Everything that the router knows about addresses is one list of intervals that cover both families
//! (IPv4 as IPv6-mapped addresses): the host's routes, our subnets, the addresses that are never routed,
//! the host's own addresses. Whoever is painted later wins, so that order is the precedence.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use wire::MacAddr;

use super::conf::{Beyond, RouteAction, RouterConf, UplinkConf};

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

/// What becomes of what is for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// It is the host's.
    Host,
    /// It is for one of our containers.
    Subnet,
    /// To a router on the uplink: see [`Table::hop`].
    Hop(u16),
    /// To the destination itself, on the uplink's link.
    OnLink,
    /// No route leads there.
    Nowhere,
    /// Nobody routes such an address.
    Martian,
}

/// A router on the uplink's link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) address: IpAddr,
    /// Its MAC address, if the host knows it.
    pub(super) mac: Option<MacAddr>,
}

/// All destinations.
#[derive(Debug)]
pub(super) struct Table {
    /// Where each interval begins; the first at zero.
    starts: Vec<u128>,
    ways: Vec<Way>,
    hops: Vec<Hop>,
}

impl Table {
    pub(super) fn new(conf: &RouterConf) -> Self {
        let mut canvas = Canvas::new(match conf.beyond {
            Beyond::Kernel => Way::Host,
            Beyond::Internal | Beyond::Uplink(_) => Way::Nowhere,
        });
        let mut hops = Vec::new();
        if let Beyond::Uplink(uplink) = &conf.beyond {
            canvas.routes(uplink, &mut hops);
        }
        for &subnet in &conf.subnets {
            canvas.paint(subnet, Way::Subnet);
        }
        for (address, len) in UNROUTABLE {
            canvas.range(prefix(address, len), Way::Martian);
        }
        for subnet in conf.subnets.iter().filter(|net| net.max_prefix_len() - net.prefix_len() > 1)
        {
            if let IpNet::V4(subnet) = subnet {
                canvas.range(one(subnet.network().into()), Way::Martian);
                canvas.range(one(subnet.broadcast().into()), Way::Martian);
            }
        }
        let own = link_local(conf.gateway_mac);
        for &address in conf.local.iter().chain(&conf.gateways).chain([&IpAddr::V6(own)]) {
            // Loopback addresses are the host's own, and nobody else's business.
            if !address.is_loopback() {
                canvas.range(one(address), Way::Host);
            }
        }
        let (starts, ways) = canvas.intervals();
        Self { starts, ways, hops }
    }

    #[inline]
    pub(super) fn way(&self, destination: IpAddr) -> Way {
        let number = match destination {
            IpAddr::V4(address) => mapped(address),
            IpAddr::V6(address) if is_mapped(address) => return Way::Martian,
            IpAddr::V6(address) => address.to_bits(),
        };
        let after = self.starts.partition_point(|&start| start <= number);
        self.ways[after - 1]
    }

    #[inline]
    pub(super) fn hop(&self, hop: u16) -> Hop {
        self.hops[usize::from(hop)]
    }
}

/// Intervals while they are painted: where one begins, and what it is up to the next.
struct Canvas(BTreeMap<u128, Way>);

impl Canvas {
    fn new(ground: Way) -> Self {
        Self(BTreeMap::from([(0, ground)]))
    }

    /// Shorter prefixes first, and of two alike the one that came first last.
    fn routes(&mut self, uplink: &UplinkConf, hops: &mut Vec<Hop>) {
        let mut routes: Vec<_> = uplink.routes.iter().rev().collect();
        routes.sort_by_key(|(net, _)| net.prefix_len());
        let (v4, v6): (Vec<_>, Vec<_>) =
            routes.into_iter().partition(|(net, _)| net.addr().is_ipv4());
        self.family(&v6, uplink, hops);
        // A short IPv6 prefix covers what stands for IPv4.
        self.range(prefix(Ipv4Addr::UNSPECIFIED.into(), 0), Way::Nowhere);
        self.family(&v4, uplink, hops);
    }

    fn family(
        &mut self,
        routes: &[(IpNet, RouteAction)],
        uplink: &UplinkConf,
        hops: &mut Vec<Hop>,
    ) {
        for &(net, action) in routes {
            let way = match action {
                RouteAction::Via(Some(address)) => {
                    let known = hops.iter().position(|hop| hop.address == address);
                    let at = known.unwrap_or_else(|| {
                        hops.push(Hop { address, mac: uplink.neighbours.get(address) });
                        hops.len() - 1
                    });
                    u16::try_from(at).map_or(Way::Nowhere, Way::Hop)
                }
                RouteAction::Via(None) => Way::OnLink,
                RouteAction::Elsewhere | RouteAction::Unreachable => Way::Nowhere,
            };
            self.paint(net, way);
        }
    }

    fn paint(&mut self, net: IpNet, way: Way) {
        self.range(prefix(net.addr(), net.prefix_len()), way);
    }

    fn range(&mut self, (first, last): (u128, u128), way: Way) {
        let beyond = last.checked_add(1);
        if let Some(beyond) = beyond {
            let (_, &continued) = self.0.range(..=beyond).next_back().expect("zero is painted");
            self.0.insert(beyond, continued);
        }
        let mut covered = self.0.split_off(&first);
        if let Some(beyond) = beyond {
            self.0.append(&mut covered.split_off(&beyond));
        }
        self.0.insert(first, way);
    }

    fn intervals(self) -> (Vec<u128>, Vec<Way>) {
        let mut rows: Vec<_> = self.0.into_iter().collect();
        rows.dedup_by_key(|&mut (_, way)| way);
        rows.into_iter().unzip()
    }
}

/// First and last number of a prefix.
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

/// The link-local address that the kernel makes of a MAC address (RFC 4291 appendix A).
fn link_local(mac: MacAddr) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0.map(u16::from);
    Ipv6Addr::new(0xfe80, 0, 0, 0, (a ^ 2) << 8 | b, c << 8 | 0xff, 0xfe00 | d, e << 8 | f)
}
