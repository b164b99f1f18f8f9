//! Uplinks of the networks by port. The index is built with the snapshot, since each frame from an uplink asks.
//!
//! Thousands of networks may have the same uplinks: a frame costs two binary searches, however many they are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use fastpath::PortIndex;
use ipnet::IpNet;

use super::super::router::{Router, UplinkConf, UplinkLink};
use super::{Network, Snapshot};

/// The uplinks of a snapshot, sorted by port.
#[derive(Debug, Default)]
pub(super) struct UplinkPorts(Vec<UplinkPort>);

/// An uplink, as the first network that has it describes it.
#[derive(Debug)]
struct UplinkPort {
    port: PortIndex,
    links: Arc<Vec<UplinkLink>>,
    /// Its position among these.
    position: usize,
    subnets: Arc<Subnets>,
}

/// Subnets of the networks that have an uplink, as disjoint ranges.
#[derive(Debug, Default)]
struct Subnets {
    ipv4: Ranges<Ipv4Addr>,
    ipv6: Ranges<Ipv6Addr>,
}

/// Disjoint ranges of addresses, first and last, sorted.
#[derive(Debug)]
struct Ranges<T>(Vec<(T, T)>);

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + Ord> Ranges<T> {
    fn new(mut all: Vec<(T, T)>) -> Self {
        all.sort_unstable();
        let mut disjoint: Vec<(T, T)> = Vec::with_capacity(all.len());
        for (first, last) in all {
            match disjoint.last_mut() {
                Some((_, end)) if first <= *end => *end = last.max(*end),
                _ => disjoint.push((first, last)),
            }
        }
        Self(disjoint)
    }

    fn contains(&self, address: T) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= address);
        self.0[..after].last().is_some_and(|(_, last)| address <= *last)
    }
}

impl Subnets {
    fn new<'a>(subnets: impl Iterator<Item = &'a IpNet>) -> Self {
        let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
        for subnet in subnets {
            match subnet {
                IpNet::V4(net) => ipv4.push((net.network(), net.broadcast())),
                IpNet::V6(net) => ipv6.push((net.network(), net.broadcast())),
            }
        }
        Self { ipv4: Ranges::new(ipv4), ipv6: Ranges::new(ipv6) }
    }

    fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.ipv4.contains(address),
            IpAddr::V6(address) => self.ipv6.contains(address),
        }
    }
}

impl UplinkPorts {
    /// The index of these networks, or that of `last` if the networks are the same.
    pub(super) fn of(networks: &[Arc<Network>], last: &Snapshot) -> Arc<Self> {
        let routers = |networks: &[Arc<Network>]| -> Vec<_> {
            let routers = networks.iter().filter_map(|network| network.router.as_ref());
            routers.filter(|router| router.uplink().is_some()).map(Arc::as_ptr).collect()
        };
        match routers(networks) == routers(&last.networks) {
            true => Arc::clone(&last.uplink_ports),
            false => Arc::new(Self::new(networks)),
        }
    }

    fn new(networks: &[Arc<Network>]) -> Self {
        let routers = || networks.iter().filter_map(|network| network.router.as_deref());
        let mut all: Vec<UplinkPort> = Vec::new();
        // Most networks share their uplinks, and these have the same subnets.
        let mut known: Vec<(Vec<*const Router>, Arc<Subnets>)> = Vec::new();
        for uplink in routers().filter_map(Router::uplink) {
            if all.iter().any(|it| Arc::ptr_eq(&it.links, &uplink.links)) {
                continue;
            }
            for (position, link) in uplink.links.iter().enumerate() {
                let port = link.port;
                if all.iter().any(|it| it.port == port) {
                    continue;
                }
                let with = || routers().filter(move |router| has_port(router, port));
                let group: Vec<*const Router> = with().map(std::ptr::from_ref).collect();
                let same = known.iter().find(|(other, _)| *other == group);
                let subnets = same.map(|(_, subnets)| Arc::clone(subnets)).unwrap_or_else(|| {
                    let all = with().flat_map(|router| router.subnets());
                    let subnets = Arc::new(Subnets::new(all));
                    known.push((group, Arc::clone(&subnets)));
                    subnets
                });
                let links = Arc::clone(&uplink.links);
                all.push(UplinkPort { port, links, position, subnets });
            }
        }
        all.sort_by_key(|it| it.port);
        Self(all)
    }

    #[inline]
    fn get(&self, port: PortIndex) -> Option<&UplinkPort> {
        self.0.binary_search_by_key(&port, |it| it.port).ok().map(|at| &self.0[at])
    }
}

fn has_port(router: &Router, port: PortIndex) -> bool {
    router.uplink().is_some_and(|it| it.links.iter().any(|link| link.port == port))
}

impl Snapshot {
    /// Uplinks of all networks.
    pub(in super::super) fn uplinks(&self) -> impl Iterator<Item = &UplinkConf> {
        let routers = self.networks.iter().filter_map(|network| network.router.as_deref());
        routers.filter_map(Router::uplink)
    }

    /// Whether a network that has the uplink of a port has the address in its subnets.
    #[inline]
    pub(in super::super) fn is_behind(&self, port: PortIndex, address: IpAddr) -> bool {
        self.uplink_ports.get(port).is_some_and(|it| it.subnets.contains(address))
    }

    /// The uplink of a port, as the first network that has it describes it.
    #[inline]
    pub(in super::super) fn uplink_of(&self, port: PortIndex) -> Option<&UplinkLink> {
        self.uplink_ports.get(port).and_then(|it| it.links.get(it.position))
    }
}

#[cfg(test)]
mod tests;
