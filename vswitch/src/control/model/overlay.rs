//! Overlay networks: their numbers, static peers and MTU, and the tunnel port that they share.
//!
//! A network names peers by address. Each address has one slot ([`vteps`](super::vteps)), which all networks with that
//! peer share. Without an underlay an overlay network has local ports only, and keeps its peers.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use fastpath::PortIndex;
use wire::vxlan::{OVERHEAD_V4, OVERHEAD_V6, Vni};

use super::overlay_spec::OverlaySpec;
use super::vteps::Vtep;
use super::{Model, Network, NetworkName, SlotOwner};
use crate::config::{NodeName, not_unicast};
use crate::control::OverlayError;
use crate::control::error::ControlError;
use crate::control::limits::PEERS_MAX;
use crate::datapath::{NetworkOverlay, PortConf, TunnelConf, VtepConf, VtepIndex};

/// The name of the tunnel port in counters and metrics.
pub(super) const TUNNEL_LABEL: &str = "vswitch.tunnel";

/// The tunnel port: this switch on the underlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tunnel {
    pub(crate) slot: PortIndex,
    /// Where it receives.
    pub(crate) local: SocketAddr,
    pub(crate) node: NodeName,
    /// The device with that address; none while there is none.
    pub(crate) device: Option<String>,
    /// Largest IP packet of the device.
    pub(crate) device_mtu: u32,
}

/// Bytes of an IP packet on the underlay that are not the inner IP packet.
pub(crate) const fn overhead(underlay: IpAddr) -> u32 {
    match underlay {
        IpAddr::V4(_) => OVERHEAD_V4 as u32,
        IpAddr::V6(_) => OVERHEAD_V6 as u32,
    }
}

impl Tunnel {
    /// Whether a VTEP can be a peer of this underlay, which may be another one than when the peer was added.
    fn reaches(&self, peer: SocketAddr) -> bool {
        peer != self.local && peer.is_ipv4() == self.local.is_ipv4()
    }

    /// The device, or the address while no device has it.
    pub(crate) fn device_name(&self) -> String {
        self.device.clone().unwrap_or_else(|| self.local.ip().to_string())
    }

    /// Bytes of a packet on it that are not the inner IP packet.
    pub(crate) const fn overhead(&self) -> u32 {
        overhead(self.local.ip())
    }

    /// Largest inner IP packet that the device carries.
    pub(crate) const fn mtu(&self) -> u32 {
        self.device_mtu.saturating_sub(self.overhead())
    }
}

impl Model {
    /// Adds the tunnel port. Gives its slot.
    pub(crate) fn add_tunnel(
        &mut self,
        local: SocketAddr,
        node: NodeName,
        (device, device_mtu): (String, u32),
    ) -> Result<PortIndex, ControlError> {
        let slot = self.slots.allocate(SlotOwner::Tunnel)?;
        self.tunnel = Some(Tunnel { slot, local, node, device: Some(device), device_mtu });
        self.invalidate_tunnel();
        Ok(slot)
    }

    /// The tunnel port; none without an underlay.
    pub(crate) fn tunnel(&self) -> Option<&Tunnel> {
        self.tunnel.as_ref()
    }

    /// The tunnel port, for a network that needs it.
    pub(crate) fn underlay(&self, network: &str) -> Result<&Tunnel, OverlayError> {
        self.tunnel.as_ref().ok_or_else(|| OverlayError::NoUnderlay(network.to_owned()))
    }

    /// Takes over which device has the underlay's address, and its MTU. Gives the networks whose MTU is another one now.
    pub(crate) fn set_underlay(&mut self, device: Option<String>, mtu: u32) -> Vec<NetworkName> {
        let Some(tunnel) = &mut self.tunnel else { return Vec::new() };
        (tunnel.device, tunnel.device_mtu) = (device, mtu);
        let left = tunnel.mtu();
        let mut changed = Vec::new();
        for network in self.networks.values_mut() {
            let Some(overlay) = &network.spec.overlay else { continue };
            let mtu = overlay.mtu_within(left);
            if network.spec.mtu != mtu {
                network.spec.mtu = mtu;
                network.compiled.invalidate();
                changed.push(network.spec.name.clone());
            }
        }
        self.invalidate_tunnel();
        if !changed.is_empty() {
            self.invalidate_uplinks(true);
        }
        changed
    }

    /// Takes over the largest IP packet that the path to a peer carries on the underlay. Says whether it is another one.
    pub(crate) fn set_path_mtu(&mut self, peer: SocketAddr, path_mtu: u32) -> bool {
        let is_news = self.vteps.set_path_mtu(peer, path_mtu);
        if is_news {
            self.tunnel_conf.invalidate();
        }
        is_news
    }

    /// The network that has a VNI.
    pub(crate) fn network_of_vni(&self, vni: Vni) -> Option<&Network> {
        self.networks.values().find(|it| it.spec.overlay.as_ref().is_some_and(|it| it.vni == vni))
    }

    /// Adds a static peer to an overlay network. `own` are the host's addresses.
    pub(crate) fn add_peer(
        &mut self,
        name: &NetworkName,
        peer: SocketAddr,
        own: &[IpAddr],
    ) -> Result<(), ControlError> {
        let network = name.to_string();
        let overlay = self.overlay_of(name)?;
        let local = self.underlay(&network)?.local;
        if let Some(reason) = not_unicast(peer.ip()) {
            return Err(OverlayError::PeerAddress { peer: peer.ip(), reason }.into());
        }
        if peer.port() == 0 {
            return Err(OverlayError::PeerPort.into());
        }
        if peer.is_ipv4() != local.is_ipv4() {
            return Err(OverlayError::PeerFamily { peer: peer.ip(), underlay: local.ip() }.into());
        }
        if peer.port() == local.port() && (peer.ip() == local.ip() || own.contains(&peer.ip())) {
            return Err(OverlayError::PeerOwn(peer).into());
        }
        if overlay.peers.contains(&peer) {
            return Err(OverlayError::PeerExists { peer, network }.into());
        }
        if overlay.peers.len() >= PEERS_MAX {
            return Err(OverlayError::PeersMax(network).into());
        }
        self.vteps.acquire(peer, true)?;
        self.change_peers(name, |peers| peers.insert(peer));
        Ok(())
    }

    /// Removes a static peer. Gives its slot if no network has the peer any more; [`Model::free_vtep`] frees it, once
    /// no worker knows it.
    pub(crate) fn remove_peer(
        &mut self,
        name: &NetworkName,
        peer: SocketAddr,
    ) -> Result<Option<VtepIndex>, ControlError> {
        if !self.overlay_of(name)?.peers.contains(&peer) {
            return Err(OverlayError::NoPeer { peer, network: name.to_string() }.into());
        }
        self.change_peers(name, |peers| peers.remove(&peer));
        Ok(self.vteps.release(peer, true))
    }

    /// Frees a slot that nothing names any more.
    pub(crate) fn free_vtep(&mut self, vtep: VtepIndex) {
        self.vteps.free(vtep);
    }

    /// The VTEPs of all networks, by their slots.
    pub(crate) fn vteps(&self) -> impl Iterator<Item = (VtepIndex, &Vtep)> {
        self.vteps.iter()
    }

    /// The VTEP in a slot.
    pub(crate) fn vtep_at(&self, index: VtepIndex) -> Option<&Vtep> {
        self.vteps.get(index)
    }

    /// Longest inner IP packet that the path to a VTEP carries.
    pub(crate) fn mtu_to(&self, vtep: &Vtep) -> u32 {
        let Some(tunnel) = &self.tunnel else { return 0 };
        let path = vtep.path_mtu.unwrap_or(tunnel.device_mtu).min(tunnel.device_mtu);
        path.saturating_sub(tunnel.overhead())
    }

    /// The names of the networks that have each VTEP, in their order.
    pub(crate) fn networks_by_vtep(&self) -> HashMap<SocketAddr, BTreeSet<String>> {
        let mut found: HashMap<_, BTreeSet<String>> = HashMap::new();
        for network in self.networks() {
            let Some(overlay) = &network.spec.overlay else { continue };
            for vtep in overlay.peers.iter().copied().chain(self.node_vteps(network)) {
                found.entry(vtep).or_default().insert(network.spec.name.to_string());
            }
        }
        found
    }

    fn overlay_of(&self, name: &NetworkName) -> Result<&OverlaySpec, ControlError> {
        let unknown = || ControlError::UnknownNetwork(name.to_string());
        let network = self.networks.get(name).ok_or_else(unknown)?;
        let overlay = network.spec.overlay.as_ref();
        overlay.ok_or_else(|| OverlayError::Local(name.to_string()).into())
    }

    /// Peers that this underlay does not reach.
    pub(crate) fn unreachable_peers(&self) -> Vec<SocketAddr> {
        let Some(tunnel) = &self.tunnel else { return Vec::new() };
        self.vteps().map(|(_, vtep)| vtep.address).filter(|it| !tunnel.reaches(*it)).collect()
    }

    fn change_peers(
        &mut self,
        name: &NetworkName,
        change: impl FnOnce(&mut BTreeSet<SocketAddr>) -> bool,
    ) {
        let Some(network) = self.networks.get_mut(name) else { return };
        if let Some(overlay) = &mut network.spec.overlay {
            change(&mut overlay.peers);
        }
        network.compiled.invalidate();
        self.tunnel_conf.invalidate();
    }

    /// Refuses a network whose VNI another one has.
    pub(crate) fn check_vni(&self, overlay: &OverlaySpec) -> Result<(), OverlayError> {
        match self.network_of_vni(overlay.vni) {
            Some(other) => Err(OverlayError::VniTaken {
                vni: overlay.vni,
                network: other.spec.name.to_string(),
            }),
            None => Ok(()),
        }
    }

    /// Takes what the overlay of a new network needs: the host's addresses from its pools, and slots for its peers. All,
    /// or nothing.
    pub(super) fn join_overlay(&mut self, network: &mut Network) -> Result<(), ControlError> {
        let Some(overlay) = network.spec.overlay.clone() else { return Ok(()) };
        for address in overlay.host_addresses {
            network.allocate_exact(address)?;
        }
        self.acquire_peers(&overlay.peers)
    }

    fn acquire_peers(&mut self, peers: &BTreeSet<SocketAddr>) -> Result<(), ControlError> {
        for (done, peer) in peers.iter().enumerate() {
            if let Err(error) = self.vteps.acquire(*peer, true) {
                self.release_peers(peers.iter().take(done).copied());
                return Err(error.into());
            }
        }
        self.tunnel_conf.invalidate();
        Ok(())
    }

    /// Takes the peers of a network that goes. Slots that nobody has any more stay taken until they are freed.
    pub(super) fn release_peers(&mut self, peers: impl IntoIterator<Item = SocketAddr>) {
        for peer in peers {
            if let Some(unused) = self.vteps.release(peer, true) {
                self.unused_vteps.push(unused);
            }
        }
        self.tunnel_conf.invalidate();
    }

    /// Slots that no network has any more, and that workers may know.
    pub(crate) fn take_unused_vteps(&mut self) -> Vec<VtepIndex> {
        std::mem::take(&mut self.unused_vteps)
    }

    fn invalidate_tunnel(&mut self) {
        self.tunnel_conf.invalidate();
        let overlays = self.networks.values_mut().filter(|it| it.spec.overlay.is_some());
        overlays.for_each(|network| network.compiled.invalidate());
    }

    /// The tunnel port for a snapshot.
    pub(super) fn tunnel_port(&self) -> Option<(PortIndex, PortConf)> {
        self.tunnel.as_ref().map(|tunnel| (tunnel.slot, PortConf::tunnel()))
    }

    /// The tunnel and its VTEPs for a snapshot.
    pub(super) fn tunnel_conf(&mut self) -> Option<Arc<TunnelConf>> {
        let tunnel = self.tunnel.as_ref()?;
        if let Some(fresh) = self.tunnel_conf.fresh() {
            return Some(fresh);
        }
        let conf = |vtep: &Vtep| VtepConf {
            address: vtep.address,
            mtu: self.mtu_to(vtep),
            is_learning: vtep.is_learning(),
        };
        let usable = |vtep: &&Vtep| tunnel.reaches(vtep.address);
        let vteps = self.vteps.slots().map(|slot| slot.filter(usable).map(conf)).collect();
        Some(self.tunnel_conf.store(Arc::new(TunnelConf::new(tunnel.slot, vteps))))
    }

    /// The overlay of a network for a snapshot; without an underlay it has no VTEPs.
    pub(super) fn network_overlay(&self, network: &Network) -> Option<NetworkOverlay> {
        let overlay = network.spec.overlay.as_ref()?;
        let reaches = |peer: &SocketAddr| self.tunnel.as_ref().is_some_and(|it| it.reaches(*peer));
        let (nodes, remotes) = self.remotes_of(network);
        let is_static = |node: &&SocketAddr| overlay.peers.contains(*node);
        let others = nodes.iter().filter(|node| !is_static(node));
        let peers = overlay.peers.iter().chain(others).filter(|peer| reaches(peer));
        Some(NetworkOverlay {
            vni: overlay.vni,
            vteps: peers.filter_map(|peer| self.vteps.find(*peer)).collect(),
            remotes,
        })
    }
}
