//! What control says about routing. Compiled into a snapshot by [`super::Router`].

use std::net::IpAddr;
use std::sync::Arc;

use fastpath::PortIndex;
use ipnet::IpNet;
use nat::CompiledPolicy;
use wire::MacAddr;

/// How a network's gateway routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterConf {
    /// The MAC address that frames to be routed are sent to.
    pub gateway_mac: MacAddr,
    /// The gateway's addresses; answers come from the first of a family.
    pub gateways: Vec<IpAddr>,
    /// The network's subnets.
    pub subnets: Vec<IpNet>,
    /// Every address of the host, the gateway's included.
    pub local: Vec<IpAddr>,
    /// What lies beyond.
    pub egress: EgressMode,
}

impl RouterConf {
    /// Whether another configuration compiles into the same routes.
    pub(in crate::datapath) fn has_same_fib(&self, other: &Self) -> bool {
        let is_egress_same = match (&self.egress, &other.egress) {
            (EgressMode::Uplink(one), EgressMode::Uplink(other)) => {
                one.routes == other.routes && one.neighbours == other.neighbours
            }
            (one, other) => one == other,
        };
        let addresses = |it: &Self| (it.gateways.clone(), it.subnets.clone(), it.local.clone());
        is_egress_same && addresses(self) == addresses(other)
    }
}

/// What lies beyond the network and its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EgressMode {
    /// Nothing.
    Internal,
    /// Whatever the kernel routes to: all goes to the host's port.
    Kernel,
    /// What the kernel would send out of the uplink's device.
    Uplink(Arc<UplinkConf>),
}

/// The way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UplinkConf {
    /// The port of the uplink's TAP.
    pub port: PortIndex,
    /// The MAC address of the host's device, from which frames leave.
    pub device_mac: MacAddr,
    /// The MAC address of the TAP itself: what is written to it is the host's.
    pub tap_mac: MacAddr,
    /// Largest IP packet in bytes.
    pub mtu: u32,
    /// Whether the device has a carrier.
    pub up: bool,
    /// The host's routes.
    pub routes: Routes,
    /// The host's neighbours on the device.
    pub neighbours: UplinkNeighbours,
    /// How addresses are translated.
    pub policy: Arc<CompiledPolicy>,
}

/// Where the host would send what is for a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteAction {
    /// Out of the uplink's device: to this gateway, or to the destination itself.
    Via(Option<IpAddr>),
    /// Out of another device, which containers do not reach.
    Elsewhere,
    /// Nowhere.
    Unreachable,
}

/// The host's routes. The longest prefix wins; of two alike the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes(Vec<(IpNet, RouteAction)>);

impl Routes {
    /// These routes.
    pub fn new(routes: impl IntoIterator<Item = (IpNet, RouteAction)>) -> Self {
        Self(routes.into_iter().collect())
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (IpNet, RouteAction)> {
        self.0.iter().copied()
    }
}

/// Who is where on the uplink's link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UplinkNeighbours(Vec<(IpAddr, MacAddr)>);

impl UplinkNeighbours {
    /// These neighbours; of two with one address the first.
    pub fn new(rows: impl IntoIterator<Item = (IpAddr, MacAddr)>) -> Self {
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_by_key(|&(address, _)| address);
        rows.dedup_by_key(|&mut (address, _)| address);
        Self(rows)
    }

    /// The MAC address of a neighbour, if it is known.
    #[must_use]
    pub fn get(&self, address: IpAddr) -> Option<MacAddr> {
        let at = self.0.binary_search_by_key(&address, |&(address, _)| address).ok()?;
        Some(self.0[at].1)
    }

    /// How many are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
