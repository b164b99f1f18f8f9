//! Follows the other nodes: one batch of changes is one snapshot of the datapath.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;
use vswitch_registry::record::Network;

use super::{record_of, vtep_of};
use crate::control::Control;
use crate::control::inner::Inner;
use crate::control::limits::REGISTRY_RETRY;
use crate::control::model::{EndpointKey, Model, NetworkName};
use crate::overlay::{OverlayChange, OverlayChanges, RemoteEndpoint};

/// Applies changes until the switch ends.
pub(super) async fn run(control: Control, mut changes: OverlayChanges) {
    while let Some(batch) = changes.next().await
        && control.0.check_not_ending().is_ok()
    {
        control.apply(batch).await;
    }
}

/// Tries again what failed, until the switch ends.
pub(super) async fn retry(control: Control) {
    while control.0.check_not_ending().is_ok() {
        tokio::time::sleep(REGISTRY_RETRY).await;
        control.retry_unmade().await;
        control.announce_missing().await;
        control.0.join_hosts().await;
    }
}

/// The rest of a batch, once the model is unlocked.
#[derive(Default)]
struct Rest {
    /// Networks to make or to remove, in the order in which the registry tells of them.
    networks: Vec<(Arc<Network>, bool)>,
    /// VTEPs whose path is to be looked at.
    vteps: BTreeSet<SocketAddr>,
    /// Blocks that this node has, or has no more: of networks that may have to be made first.
    blocks: Vec<(String, IpNet, bool)>,
}

impl Control {
    async fn apply(&self, changes: Vec<OverlayChange>) {
        let inner = &self.0;
        let mut rest = Rest::default();
        {
            let mut model = inner.model();
            for change in changes {
                inner.apply_one(&mut model, change, &mut rest);
            }
        }
        // With the batch's only snapshot.
        inner.free_vteps(Vec::new()).await;
        for peer in std::mem::take(&mut rest.vteps) {
            inner.read_path_mtu(peer);
        }
        for (network, is_there) in rest.networks {
            match is_there {
                true => self.make_registered(&network).await,
                false => self.drop_network(&network.name).await,
            }
        }
        let mut is_dirty = false;
        for (network, block, is_there) in rest.blocks {
            let one = (network.clone(), block);
            match is_there {
                true => inner.outstanding.blocks().insert(one),
                false => inner.outstanding.blocks().remove(&one),
            };
            is_dirty |= inner.model().set_block(&network, block, is_there);
        }
        if is_dirty && let Err(error) = inner.save().await {
            tracing::warn!(%error, "what the registry tells is not in the document yet");
        }
    }
}

impl Inner {
    fn apply_one(&self, model: &mut Model, change: OverlayChange, rest: &mut Rest) {
        match change {
            OverlayChange::NetworkSet { network, .. } => rest.networks.push((network, true)),
            OverlayChange::NetworkRemoved(network) => rest.networks.push((network, false)),
            OverlayChange::NodeSet { node, .. } => {
                let address = vtep_of(&node);
                tracing::info!(node = node.name, %address, "a node of the registry");
                model.set_node(&node.name.as_str().into(), Some(address));
                rest.vteps.insert(address);
            }
            OverlayChange::NodeRemoved(node) => {
                tracing::info!(node = node.name, "a node has left the registry");
                model.set_node(&node.name.as_str().into(), None);
            }
            OverlayChange::EndpointSet { endpoint, .. } => {
                if let Some(index) = model.set_remote(Arc::clone(&endpoint)) {
                    self.names.set_remote(index, endpoint.address, &names_of(&endpoint));
                }
            }
            OverlayChange::EndpointRemoved(endpoint) => {
                let RemoteEndpoint { network, address, .. } = &*endpoint;
                if let Some(index) = model.remove_remote(network, *address) {
                    self.names.remove_remote(index, *address);
                }
            }
            OverlayChange::BlockSet { network, block } => {
                rest.blocks.push((network, block, true));
            }
            OverlayChange::BlockRemoved { network, block } => {
                rest.blocks.push((network, block, false));
            }
            OverlayChange::AddressRefused { network, address, problem } => {
                let key = model.endpoint_with(&network, address);
                let name = key.as_ref().map(EndpointKey::to_string);
                tracing::error!(name, network, %address, problem,
                    "other nodes do not reach it: it is tried again when the address is free");
            }
        }
    }

    /// Adds the names of a network's endpoints on other nodes, which may have come before it.
    pub(in crate::control) fn add_remote_names(&self, network: &NetworkName) {
        let model = self.model();
        let Some(found) = model.network_named(network).filter(|it| record_of(it).is_some()) else {
            return;
        };
        for endpoint in model.remotes_on(network.as_str()) {
            self.names.set_remote(found.index, endpoint.address, &names_of(endpoint));
        }
    }
}

/// Its name, then its aliases.
fn names_of(endpoint: &RemoteEndpoint) -> Vec<&str> {
    std::iter::once(&endpoint.name).chain(&endpoint.aliases).map(|name| &**name).collect()
}
