//! The part of a network that spans nodes, as the datapath reads it.

use std::net::IpAddr;

use wire::MacAddr;
use wire::vxlan::Vni;

use super::RemoteTable;
use super::host::HostPort;
use super::remote::MacTable;
use crate::datapath::destination::VtepIndex;
use crate::datapath::{Key, NetworkConf};

/// A network's overlay.
#[derive(Debug)]
pub(in crate::datapath) struct Overlay {
    pub(in crate::datapath) vni: Vni,
    /// VTEPs that have the network, sorted.
    pub(in crate::datapath) vteps: Vec<VtepIndex>,
    /// The same, a bit each.
    has: Vec<u64>,
    pub(in crate::datapath) remotes: RemoteTable,
    gateway: MacAddr,
    gateways: Vec<IpAddr>,
    /// MAC addresses of the network's own ports.
    locals: MacTable,
    /// The host's port, where it has one.
    pub(in crate::datapath) host: Option<HostPort>,
}

impl Overlay {
    /// Compiles the overlay of a network with ports of these MAC addresses, and the host's among them.
    pub(in crate::datapath) fn new(
        conf: &NetworkConf,
        locals: &[MacAddr],
        host: Option<HostPort>,
    ) -> Option<Self> {
        let overlay = conf.overlay.as_ref()?;
        let mut vteps = overlay.vteps.clone();
        vteps.sort_unstable();
        vteps.dedup();
        let words = vteps.last().map_or(0, |last| usize::from(last.0) / 64 + 1);
        let mut has = vec![0; words];
        vteps.iter().for_each(|vtep| has[usize::from(vtep.0) / 64] |= 1 << (vtep.0 % 64));
        let service = conf.service.iter().flat_map(|service| &service.gateways);
        let router = conf.router.iter().flat_map(|router| &router.gateways);
        // A network without an uplink and names has neither.
        let of_gateway = conf.neighbours.iter().filter(|it| it.mac == conf.mac);
        let of_host = of_gateway
            .flat_map(|it| it.ipv4.map(IpAddr::V4).into_iter().chain(it.ipv6.map(IpAddr::V6)));
        Some(Self {
            vni: overlay.vni,
            vteps,
            has,
            remotes: overlay.remotes.clone(),
            gateway: conf.mac,
            gateways: router.chain(service).copied().chain(of_host).collect(),
            locals: locals.iter().copied().collect(),
            host,
        })
    }

    /// Whether a VTEP has the network.
    #[inline]
    pub(in crate::datapath) fn has(&self, vtep: VtepIndex) -> bool {
        let word = self.has.get(usize::from(vtep.0) / 64);
        word.is_some_and(|word| word & 1 << (vtep.0 % 64) != 0)
    }

    /// Whether a MAC address is the gateway's, which every node has.
    #[inline]
    pub(in crate::datapath) fn is_gateway(&self, mac: MacAddr) -> bool {
        mac == self.gateway
    }

    /// The gateway's MAC address.
    pub(in crate::datapath) fn gateway(&self) -> MacAddr {
        self.gateway
    }

    /// Whether an IP address is the gateway's.
    pub(in crate::datapath) fn is_gateway_address(&self, address: IpAddr) -> bool {
        self.gateways.contains(&address)
    }

    /// The first address of the gateway for which `family` gives something.
    pub(in crate::datapath) fn gateway_of<T>(
        &self,
        family: impl Fn(&IpAddr) -> Option<T>,
    ) -> Option<T> {
        self.gateways.iter().find_map(family)
    }

    /// Whether a MAC address is that of one of the network's own ports.
    #[inline]
    pub(in crate::datapath) fn is_local(&self, mac: MacAddr) -> bool {
        self.locals.get(mac).is_some()
    }

    /// The VTEP that control names for an address.
    #[inline]
    pub(in crate::datapath) fn remote(&self, key: Key) -> Option<VtepIndex> {
        if key.vlan() == 0 { self.remotes.by_mac(key.mac()) } else { None }
    }
}
