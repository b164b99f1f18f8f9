//! A router compiled for the datapath.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use super::conf::{EgressMode, ReachableNetwork, RouterConf, UplinkConf};
use super::fib::{Fib, OuterFib};
use crate::datapath::batch::FrameCtx;
use crate::datapath::{Key, NetworkIndex};

/// A network's router as the datapath reads it.
#[derive(Debug)]
pub(in crate::datapath) struct Router {
    /// Destination of routed frames: the gateway's MAC address.
    pub(super) key: Key,
    pub(super) fib: Fib,
    pub(super) gateway4: Option<Ipv4Addr>,
    pub(super) gateway6: Option<Ipv6Addr>,
    pub(super) uplink: Option<Arc<UplinkConf>>,
    /// The smallest MTU of its uplinks that are up.
    pub(super) uplink_mtu: Option<u32>,
    /// The network's largest IP packet in bytes.
    pub(super) mtu: u32,
    /// Broadcast addresses of its subnets.
    pub(super) broadcasts: Vec<Ipv4Addr>,
    /// Subnets of the network.
    subnets: Vec<IpNet>,
    /// Routes to other networks.
    reachable: Vec<NetworkRoute>,
}

/// The route to another network.
#[derive(Debug, Clone, Copy)]
pub(super) struct NetworkRoute {
    pub(super) network: NetworkIndex,
    /// Containers may open connections to it.
    pub(super) may_open: bool,
}

impl Router {
    /// Compiles a router; `outer` comes from a configuration with the same routes.
    pub(in crate::datapath) fn new(
        network: NetworkIndex,
        conf: &RouterConf,
        mtu: u32,
        outer: Arc<OuterFib>,
    ) -> Self {
        let uplink = match &conf.egress {
            EgressMode::Uplink(uplink) => Some(Arc::clone(uplink)),
            EgressMode::Internal | EgressMode::Kernel => None,
        };
        let links = uplink.iter().flat_map(|uplink| uplink.links.iter());
        let v4 = |address: &IpAddr| if let IpAddr::V4(it) = address { Some(*it) } else { None };
        let v6 = |address: &IpAddr| if let IpAddr::V6(it) = address { Some(*it) } else { None };
        Self {
            key: Key::new(network, 0, conf.gateway_mac),
            fib: Fib::new(conf, outer),
            gateway4: conf.gateways.iter().find_map(v4),
            gateway6: conf.gateways.iter().find_map(v6),
            uplink_mtu: links.filter(|link| link.up).map(|link| link.mtu).min(),
            uplink,
            mtu,
            broadcasts: conf.subnets.iter().filter_map(broadcast).collect(),
            subnets: conf.subnets.clone(),
            reachable: conf.reachable.iter().map(NetworkRoute::new).collect(),
        }
    }

    /// Destinations beyond the network.
    pub(in crate::datapath) fn outer_fib(&self) -> &Arc<OuterFib> {
        self.fib.outer()
    }

    /// The route to another network.
    #[inline]
    pub(super) fn network(&self, at: u16) -> NetworkRoute {
        self.reachable[usize::from(at)]
    }

    /// Whether the router takes a frame.
    #[inline]
    pub(super) fn routes(&self, ctx: &FrameCtx) -> bool {
        ctx.dst == self.key
    }

    /// Uplink, if the network has one.
    pub(in crate::datapath) fn uplink(&self) -> Option<&UplinkConf> {
        self.uplink.as_deref()
    }

    /// Subnets of the network.
    pub(in crate::datapath) fn subnets(&self) -> &[IpNet] {
        &self.subnets
    }
}

impl NetworkRoute {
    const fn new(network: &ReachableNetwork) -> Self {
        Self { network: network.index, may_open: network.may_open }
    }
}

fn broadcast(subnet: &IpNet) -> Option<Ipv4Addr> {
    match subnet {
        IpNet::V4(subnet) => Some(subnet.broadcast()),
        IpNet::V6(_) => None,
    }
}
