//! The host's own address on a network of the registry.
//!
//! All nodes share the gateway's address, so that what the host sends from it to a container elsewhere has its answer there.
//! Hence the host has an address of its own, as a container has one: from the first endpoint of this node on the network
//! until the last one has gone. A `file://` registry gives none.

use vswitch_registry::record::block_of;

use crate::control::inner::Inner;
use crate::control::model::NetworkName;
use crate::control::network::bridge_setup;
use crate::host::HostError;
use crate::host::netlink::Link;
use crate::host::own_device::{self, Found};
use crate::overlay::{AddressRequest, Allocation};

impl Inner {
    /// Gives the host an address on a network where it has none. What fails is tried with the next endpoint.
    pub(super) async fn join_host(&self, network: &NetworkName) {
        let _changing = self.network_changes.lock().await;
        let Some(overlay) = self.registry.get() else { return };
        let subnets = {
            let model = self.model();
            let Some(found) = model.network_named(network).filter(|it| it.has_device()) else {
                return;
            };
            match found.spec.registered() {
                Some(registered) if found.spec.host_addresses().is_empty() => {
                    registered.subnets.clone()
                }
                _ => return,
            }
        };
        let mut own = Vec::new();
        for subnet in subnets {
            let request = AddressRequest::Any { subnet, name: String::new() };
            match overlay.allocate(network.as_str(), request).await {
                Ok(Allocation { address, .. }) => own.push(address),
                Err(error) => tracing::debug!(%network, %error, "no address for the host"),
            }
        }
        if own.is_empty() {
            return;
        }
        tracing::info!(%network, addresses = ?own, blocks = ?own.iter().map(|it| block_of(*it)).collect::<Vec<_>>(),
            "the host's own addresses");
        self.model().set_host_addresses(network, own);
        self.commit_snapshot();
        self.set_device_addresses(network).await;
        self.announce_or_note((network.clone(), None)).await;
    }

    /// Takes the host's address on a network without endpoints.
    pub(in crate::control) async fn leave_host(&self, network: &NetworkName) {
        let is_idle = |inner: &Self| {
            let model = inner.model();
            model.registered(network).is_some() && model.endpoints_on(network) == 0
        };
        if !is_idle(self) {
            return;
        }
        let _changing = self.network_changes.lock().await;
        // One may have come meanwhile.
        if is_idle(self) {
            self.withdraw_host(network).await;
        }
    }

    /// Takes the host's address on a network. The caller lets no network change meanwhile.
    pub(in crate::control) async fn withdraw_host(&self, network: &NetworkName) {
        let (own, nets) = {
            let mut model = self.model();
            let own = model.take_host_addresses(network, self.started.elapsed());
            let spec = model.network_named(network).map(|it| &it.spec);
            let nets: Vec<_> =
                spec.into_iter().flat_map(|spec| own.iter().map(|it| spec.net_of(*it))).collect();
            (own, nets)
        };
        if own.is_empty() {
            return;
        }
        self.commit_snapshot();
        self.withdraw_endpoint(network, own.clone()).await;
        self.release_claims(network, own).await;
        let device = {
            let model = self.model();
            let found = model.network_named(network);
            found.and_then(|found| found.spec.device.as_ref().map(ToString::to_string))
        };
        if let (Some(index), Some(device)) = (self.host_port_index(network), device) {
            let link = Link::new(index, device);
            for net in nets {
                if let Err(error) = self.netlink.remove_address(&link, net).await {
                    tracing::debug!(%network, %net, %error, "not removed");
                }
            }
            self.set_device_addresses(network).await;
        }
    }

    /// Brings the addresses of the host's device in line with the model.
    async fn set_device_addresses(&self, network: &NetworkName) {
        let setup = {
            let model = self.model();
            let found = model.network_named(network).filter(|it| it.has_device());
            found.and_then(|it| bridge_setup(&it.spec, self.dataplane.workers(), true))
        };
        let (Some(setup), Some(index)) = (setup, self.host_port_index(network)) else { return };
        let restored: Result<_, HostError> = async {
            let found = Found::read(&self.netlink).await?;
            Ok(own_device::restore_bridge(&self.netlink, &found, &setup, index).await)
        }
        .await;
        match restored {
            Ok(repairs) if repairs.faults.is_empty() => {}
            Ok(repairs) => {
                tracing::warn!(%network, faults = repairs.faults.join("; "), "the host's address");
            }
            Err(error) => tracing::warn!(%network, %error, "the host's address"),
        }
    }
}
