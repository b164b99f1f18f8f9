//! The host's own address on a network of the registry.
//!
//! All nodes share the gateway's address: a packet of the host from it to a container elsewhere would have its answer there.
//! Hence the host has an address of its own, as a container has one: from the first endpoint of this node on the network
//! until the last one has gone. A `file://` registry gives none.

use std::net::IpAddr;

use ipnet::IpNet;
use vswitch_registry::Scheme;

use crate::control::inner::Inner;
use crate::control::model::NetworkName;
use crate::control::network::bridge_setup;
use crate::host::HostError;
use crate::host::netlink::Link;
use crate::host::own_device::{self, Found};
use crate::overlay::{AddressRequest, Allocation};

impl Inner {
    /// Gives the host an address of each subnet of a network, where this node has endpoints on it. A failure is tried
    /// again.
    pub(super) async fn join_host(&self, network: &NetworkName) {
        let Some(overlay) = self.registry.get() else { return };
        let mut own = Vec::new();
        for subnet in self.subnets_without_host(network) {
            let request = AddressRequest::Any { subnet, name: String::new() };
            match overlay.allocate(network.as_str(), request).await {
                Ok(Allocation { address, .. }) => own.push(address),
                Err(error) => tracing::debug!(%network, %error, "no address for the host"),
            }
        }
        if own.is_empty() {
            return;
        }
        let changing = self.network_changes.lock().await;
        // Another one may have been faster, or the last endpoint has gone.
        let wanted = self.subnets_without_host(network);
        let is_wanted = |it: &IpAddr| wanted.iter().any(|subnet| subnet.contains(it));
        let (own, surplus): (Vec<_>, Vec<_>) = own.into_iter().partition(is_wanted);
        if !own.is_empty() {
            tracing::info!(%network, addresses = ?own, "the host's own addresses");
            self.model().add_host_addresses(network, own);
            self.commit_snapshot();
            self.set_device_addresses(network).await;
        }
        drop(changing);
        self.release_claims(network, surplus).await;
        self.announce_or_note((network.clone(), None)).await;
    }

    /// The same on all networks.
    pub(super) async fn join_hosts(&self) {
        let networks = self.model().registered_networks();
        for network in networks {
            self.join_host(&network).await;
        }
    }

    /// Subnets of a network that this node has endpoints on, and the host no address of. A file has none for the host.
    fn subnets_without_host(&self, network: &NetworkName) -> Vec<IpNet> {
        if self.config.registry.as_ref().is_none_or(|url| url.scheme == Scheme::File) {
            return Vec::new();
        }
        let model = self.model();
        let found = model.network_named(network).filter(|it| it.has_device());
        let Some((spec, registered)) = found.and_then(|it| Some((&it.spec, it.spec.registered()?)))
        else {
            return Vec::new();
        };
        if model.endpoints_on(network) == 0 {
            return Vec::new();
        }
        let own = spec.host_addresses();
        let lacks = |subnet: &&IpNet| !own.iter().any(|address| subnet.contains(address));
        registered.subnets.iter().filter(lacks).copied().collect()
    }

    /// Takes the host's address on a network without endpoints.
    pub(in crate::control) async fn leave_host(&self, network: &NetworkName) {
        if !self.is_host_idle(network) {
            return;
        }
        let changing = self.network_changes.lock().await;
        // One may have come meanwhile.
        let own = match self.is_host_idle(network) {
            true => self.take_host_addresses(network).await,
            false => Vec::new(),
        };
        drop(changing);
        self.give_back(network, own).await;
    }

    /// Takes the host's address on a network.
    pub(in crate::control) async fn withdraw_host(&self, network: &NetworkName) {
        let changing = self.network_changes.lock().await;
        let own = self.take_host_addresses(network).await;
        drop(changing);
        self.give_back(network, own).await;
    }

    async fn give_back(&self, network: &NetworkName, own: Vec<IpAddr>) {
        self.withdraw_endpoint(network, own.clone()).await;
        self.release_claims(network, own).await;
    }

    /// Whether the host has an address on a network where this node has no endpoint.
    fn is_host_idle(&self, network: &NetworkName) -> bool {
        let model = self.model();
        let found = model.network_named(network).filter(|it| it.spec.is_registered());
        found.is_some_and(|it| !it.spec.host_addresses().is_empty())
            && model.endpoints_on(network) == 0
    }

    /// Takes the host's addresses from the model and the device.
    async fn take_host_addresses(&self, network: &NetworkName) -> Vec<IpAddr> {
        let (own, nets, device) = {
            let mut model = self.model();
            let own = model.take_host_addresses(network, self.started.elapsed());
            let Some(found) = model.network_named(network) else { return own };
            let nets: Vec<_> = own.iter().map(|it| found.spec.net_of(*it)).collect();
            (own, nets, found.spec.device.as_ref().map(ToString::to_string))
        };
        if own.is_empty() {
            return own;
        }
        self.commit_snapshot();
        if let (Some(index), Some(device)) = (self.host_port_index(network), device) {
            let link = Link::new(index, device);
            for net in nets {
                if let Err(error) = self.netlink.remove_address(&link, net).await {
                    tracing::debug!(%network, %net, %error, "not removed");
                }
            }
            self.set_device_addresses(network).await;
        }
        own
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
