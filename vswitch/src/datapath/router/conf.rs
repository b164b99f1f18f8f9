//! The configuration of a router, which [`super::Router`] compiles into a snapshot.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use fastpath::PortIndex;
use ipnet::IpNet;
use nat::CompiledPolicy;
use wire::MacAddr;

use crate::datapath::NetworkIndex;

/// The router of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterConf {
    /// The MAC address of the gateway.
    pub gateway_mac: MacAddr,
    /// The gateway's addresses; ICMP errors have the first of their family.
    pub gateways: Vec<IpAddr>,
    /// The network's subnets.
    pub subnets: Vec<IpNet>,
    /// Every address of the host, the gateway's included; networks with an uplink share it.
    pub local: Arc<Vec<IpAddr>>,
    /// Networks that it may reach, or that may reach it.
    pub reachable: Vec<ReachableNetwork>,
    /// The egress beyond the host.
    pub egress: EgressMode,
}

impl RouterConf {
    /// Both configurations compile into the same routes beyond their networks.
    pub(in crate::datapath) fn has_same_routes(&self, other: &Self) -> bool {
        let is_egress_same = match (&self.egress, &other.egress) {
            (EgressMode::Uplink(one), EgressMode::Uplink(other)) => {
                Arc::ptr_eq(one, other) || one.has_same_routes(other)
            }
            (one, other) => one == other,
        };
        is_egress_same && (Arc::ptr_eq(&self.local, &other.local) || self.local == other.local)
    }
}

/// Another network whose containers exchange packets with those of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReachableNetwork {
    /// The network.
    pub index: NetworkIndex,
    /// Its subnets.
    pub subnets: Vec<IpNet>,
    /// Its gateway's addresses, which are the host's.
    pub gateways: Vec<IpAddr>,
    /// Containers may open connections to it, not only answer.
    pub may_open: bool,
    /// The kernel routes between the networks: packets go to the host's port.
    pub by_host: bool,
}

/// The egress of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EgressMode {
    /// No egress.
    Internal,
    /// The kernel routes: packets go to the host's port.
    Kernel,
    /// The uplinks, with NAT in user space.
    Uplink(Arc<UplinkConf>),
}

/// The uplinks of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UplinkConf {
    /// The uplinks, which routes name by position.
    pub links: Arc<Vec<UplinkLink>>,
    /// The host's routes.
    pub routes: Routes,
    /// Routes for packets from containers of these prefixes, which the host's rules name; the first that holds.
    pub by_container: Vec<(IpNet, Routes)>,
    /// Routes for packets that leave with a source address of the host: those that its rules name.
    pub by_source: Vec<(IpAddr, Routes)>,
    /// The NAT policy.
    pub policy: Arc<CompiledPolicy>,
}

/// An uplink: a device of the host and its TAP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UplinkLink {
    /// The port of the uplink's TAP.
    pub port: PortIndex,
    /// The MAC address of the host's device: the source of egress frames.
    pub device_mac: MacAddr,
    /// The MAC address of the TAP: the host receives frames to it.
    pub tap_mac: MacAddr,
    /// Largest IP packet in bytes.
    pub mtu: u32,
    /// The device has a carrier.
    pub up: bool,
    /// The host's neighbours on the device.
    pub neighbours: UplinkNeighbours,
}

impl UplinkConf {
    /// Both compile into the same routes.
    fn has_same_routes(&self, other: &Self) -> bool {
        let neighbours = |conf: &Self| -> Vec<_> {
            conf.links.iter().map(|link| link.neighbours.clone()).collect()
        };
        self.routes == other.routes
            && self.by_container == other.by_container
            && self.by_source == other.by_source
            && (Arc::ptr_eq(&self.links, &other.links) || neighbours(self) == neighbours(other))
    }
}

/// The host's route for a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteAction {
    /// Through the uplink at this position, to this gateway or on link.
    Via {
        /// The position.
        link: u8,
        /// The gateway.
        gateway: Option<IpAddr>,
    },
    /// Through another device, unreachable for containers.
    Elsewhere,
    /// Unreachable.
    Unreachable,
    /// No route of this table: the next table decides.
    Throw,
}

impl RouteAction {
    /// Through the first uplink.
    #[must_use]
    pub const fn via(gateway: Option<IpAddr>) -> Self {
        Self::Via { link: 0, gateway }
    }
}

/// Routes of a table. The longest prefix wins; of equals, the first.
pub type RouteTable = Arc<Vec<(IpNet, RouteAction)>>;

/// A table, and the destinations that it applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteLayer {
    /// The destinations: those of a prefix, or all others of its family.
    pub scope: IpNet,
    /// All others.
    pub is_outside: bool,
    /// Shorter prefixes of the table do not count.
    pub len_min: u8,
    /// The table.
    pub table: RouteTable,
}

/// The host's routes: tables in order of precedence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes(Vec<RouteLayer>);

impl Routes {
    /// The routes of one table.
    pub fn new(routes: impl IntoIterator<Item = (IpNet, RouteAction)>) -> Self {
        let table: RouteTable = Arc::new(routes.into_iter().collect());
        let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let layer = |any| RouteLayer {
            scope: IpNet::new_assert(any, 0),
            is_outside: false,
            len_min: 0,
            table: Arc::clone(&table),
        };
        Self(any.map(layer).into())
    }

    /// The routes of several tables, in order.
    #[must_use]
    pub const fn layered(layers: Vec<RouteLayer>) -> Self {
        Self(layers)
    }

    /// The tables in order.
    pub fn layers(&self) -> impl DoubleEndedIterator<Item = &RouteLayer> {
        self.0.iter()
    }
}

/// The neighbour table of an uplink.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UplinkNeighbours(Vec<(IpAddr, MacAddr)>);

impl UplinkNeighbours {
    /// Neighbours; of equal addresses, the first wins.
    pub fn new(rows: impl IntoIterator<Item = (IpAddr, MacAddr)>) -> Self {
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_by_key(|&(address, _)| address);
        rows.dedup_by_key(|&mut (address, _)| address);
        Self(rows)
    }

    /// The MAC address of a neighbour.
    #[must_use]
    pub fn get(&self, address: IpAddr) -> Option<MacAddr> {
        let at = self.0.binary_search_by_key(&address, |&(address, _)| address).ok()?;
        Some(self.0[at].1)
    }

    /// Neighbours with a MAC address.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The table is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
