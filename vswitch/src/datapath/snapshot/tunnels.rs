//! The tunnel port, VTEPs and VNIs of a snapshot.

use std::sync::Arc;

use fastpath::PortIndex;
use wire::vxlan::Vni;

use super::{Network, NetworkConf, NetworkIndex, Snapshot};
use crate::datapath::{Destination, DestinationKind, Key, TunnelConf, VtepConf, VtepIndex};

/// Networks by VNI, sorted.
pub(super) fn vnis(networks: &[NetworkConf]) -> Vec<(Vni, NetworkIndex)> {
    let networks = (0..).map(NetworkIndex).zip(networks);
    let vnis = networks.filter_map(|(index, conf)| Some((conf.overlay.as_ref()?.vni, index)));
    let mut vnis: Vec<_> = vnis.collect();
    vnis.sort_unstable();
    vnis
}

impl Snapshot {
    /// The same with a tunnel port.
    #[must_use]
    pub fn with_tunnel(self, tunnel: Option<Arc<TunnelConf>>) -> Self {
        Self { tunnel, ..self }
    }

    /// The tunnel port and its VTEPs, if there is one.
    #[inline]
    #[must_use]
    pub fn tunnel(&self) -> Option<&Arc<TunnelConf>> {
        self.tunnel.as_ref()
    }

    /// The tunnel of a port, if it is the tunnel port.
    #[inline]
    pub(in crate::datapath) fn tunnel_at(&self, port: PortIndex) -> Option<&TunnelConf> {
        self.tunnel.as_deref().filter(|tunnel| tunnel.port() == port)
    }

    /// Whether any network spans nodes.
    #[inline]
    pub(in crate::datapath) fn has_overlays(&self) -> bool {
        !self.vnis.is_empty()
    }

    /// A VTEP that a network has.
    #[inline]
    pub(in crate::datapath) fn vtep(&self, vtep: VtepIndex) -> Option<&VtepConf> {
        self.tunnel.as_ref()?.vtep(vtep)
    }

    /// The network with a VNI.
    pub(in crate::datapath) fn network_of_vni(&self, vni: Vni) -> Option<(NetworkIndex, &Network)> {
        let at = self.vnis.binary_search_by_key(&vni, |&(vni, _)| vni).ok()?;
        let index = self.vnis[at].1;
        Some((index, self.network(index)?))
    }

    /// Whether an address may live at a destination: see [`Snapshot::reaches`]; at a VTEP, whether its addresses are
    /// learnt.
    #[inline]
    pub(in crate::datapath) fn leads_to(&self, destination: Destination, key: Key) -> bool {
        match destination.kind() {
            DestinationKind::Port(port) => self.reaches(port, key),
            DestinationKind::Tunnel(vtep) => {
                self.has_tunnel_to(vtep, key) && self.vtep(vtep).is_some_and(|it| it.is_learning)
            }
        }
    }

    /// Whether the network of an address spans the node of a VTEP.
    #[inline]
    pub(in crate::datapath) fn has_tunnel_to(&self, vtep: VtepIndex, key: Key) -> bool {
        let overlay = self.network(key.network()).and_then(|network| network.overlay.as_ref());
        key.vlan() == 0 && overlay.is_some_and(|overlay| overlay.has(vtep))
    }

    /// Whether a port is the tunnel port, and the network of an address spans nodes.
    pub(in crate::datapath) fn tunnels(&self, port: PortIndex, key: Key) -> bool {
        let network = self.network(key.network());
        self.tunnel_at(port).is_some()
            && key.vlan() == 0
            && network.is_some_and(|network| network.overlay.is_some())
    }
}
