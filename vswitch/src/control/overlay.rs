//! Overlay networks: the tunnel port ([`tunnel`]), static peers, the MTU of the underlay ([`follow`]), networks that
//! runtimes stand for ([`join`]), and what the API shows of them ([`status`]).
//!
//! A peer comes into the model, into the datapath, then into the document; a removal leaves the document first. A slot of
//! a VTEP is free again when each worker has a snapshot without it.

mod error;
mod follow;
mod join;
mod registry;
mod status;
mod tunnel;

use std::net::SocketAddr;
use std::sync::Arc;

use vswitch_api::overlay::{Overlay, Peer, PeerRequest, VtepTraffic};

pub(crate) use error::OverlayError;
pub(super) use registry::Outstanding;
pub(super) use status::{remote_endpoints, underlay_status};
pub(super) use tunnel::UnderlayDevice;

use super::Control;
use super::error::ControlError;
use super::inner::Inner;
use super::model::{Model, Network, NetworkName, Vtep};
use super::task::task;
use crate::datapath::VtepIndex;
use crate::host::underlay;

impl Control {
    /// Static peers of a network.
    pub(crate) fn network_peers(&self, network: &str) -> Result<Vec<SocketAddr>, ControlError> {
        let model = self.0.model();
        let spec = &model.network(Some(network))?.spec;
        let overlay = spec.overlay.as_ref();
        let overlay = overlay.ok_or_else(|| OverlayError::Local(spec.name.to_string()))?;
        Ok(overlay.peers.iter().copied().collect())
    }

    /// Adds a static peer to an overlay network.
    pub(crate) async fn add_peer(
        &self,
        network: &str,
        request: PeerRequest,
    ) -> Result<SocketAddr, ControlError> {
        let network = self.0.network_to_change(Some(network))?;
        let inner = Arc::clone(&self.0);
        let added = task(async move {
            // The network is not removed meanwhile.
            let _changing = inner.network_changes.lock().await;
            let own = underlay::own_addresses(&inner.netlink).await?;
            let peer = peer_of(&inner.model(), network.as_str(), request)?;
            inner.model().add_peer(&network, peer, &own)?;
            inner.read_path_mtu(peer);
            inner.commit_snapshot();
            if let Err(error) = inner.save().await {
                inner.withdraw_peer(&network, peer).await?;
                return Err(error);
            }
            tracing::info!(%network, %peer, "peer added");
            Ok(peer)
        });
        added.await?.map_err(|error| self.count_limit_hit(error))
    }

    /// Removes a static peer.
    pub(crate) async fn remove_peer(
        &self,
        network: &str,
        request: PeerRequest,
    ) -> Result<(), ControlError> {
        let network = self.0.network_to_change(Some(network))?;
        let inner = Arc::clone(&self.0);
        task(async move {
            let _changing = inner.network_changes.lock().await;
            let peer = peer_of(&inner.model(), network.as_str(), request)?;
            inner.withdraw_peer(&network, peer).await?;
            tracing::info!(%network, %peer, "peer removed");
            inner.save().await
        })
        .await?
    }

    /// The peers of all networks.
    pub(crate) async fn peers(&self) -> Result<Vec<Peer>, ControlError> {
        let report = self.0.dataplane.stats().await?;
        Ok(peers(&self.0.model(), &report.vteps))
    }
}

impl Inner {
    /// Removes a peer from the model and from the datapath.
    async fn withdraw_peer(
        &self,
        network: &NetworkName,
        peer: SocketAddr,
    ) -> Result<(), ControlError> {
        let unused = self.model().remove_peer(network, peer)?;
        self.free_vteps(unused.into_iter().collect()).await;
        Ok(())
    }

    /// Frees slots of VTEPs that no network has any more.
    pub(super) async fn free_vteps(&self, mut unused: Vec<VtepIndex>) {
        self.commit_snapshot();
        unused.extend(self.model().take_unused_vteps());
        if unused.is_empty() {
            return;
        }
        // A worker takes the snapshot before it answers, and with it forgets entries that lead to a VTEP which is not there.
        match self.dataplane.stats().await {
            Ok(_) => unused.into_iter().for_each(|vtep| self.model().free_vtep(vtep)),
            Err(error) => tracing::warn!(%error, "slots of peers that are gone stay taken"),
        }
    }
}

/// The peers of all networks in the order of their addresses, with their counters by slot.
pub(super) fn peers(model: &Model, traffic: &[VtepTraffic]) -> Vec<Peer> {
    let (networks, nodes) = (model.networks_by_vtep(), model.nodes_by_vtep());
    let peer = |(index, vtep): (VtepIndex, &Vtep)| Peer {
        address: vtep.address,
        node: nodes.get(&vtep.address).map(|name| (*name).to_owned()),
        networks: networks.get(&vtep.address).into_iter().flatten().cloned().collect(),
        mtu: model.mtu_to(vtep),
        learning: vtep.is_learning(),
        traffic: traffic.get(usize::from(index.0)).copied().unwrap_or_default(),
    };
    let mut peers: Vec<_> = model.vteps().map(peer).collect();
    peers.sort_by_key(|peer| peer.address);
    peers
}

/// The peer of a request; without a port, that of the switch.
fn peer_of(model: &Model, network: &str, request: PeerRequest) -> Result<SocketAddr, OverlayError> {
    let port = match request.port {
        Some(port) => port,
        None => model.underlay(network)?.local.port(),
    };
    Ok(SocketAddr::new(request.address.to_canonical(), port))
}

/// The part of a network that spans nodes, as the API shows it.
pub(super) fn shown(network: &Network) -> Option<Overlay> {
    let overlay = network.spec.overlay.as_ref()?;
    Some(Overlay {
        vni: overlay.vni.get(),
        host_addresses: overlay.host_addresses.clone(),
        peers: overlay.peers.iter().copied().collect(),
    })
}
