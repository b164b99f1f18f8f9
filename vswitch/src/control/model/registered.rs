//! This node's part of networks that the registry has: own endpoints as the registry gets them, blocks of addresses, and the
//! host's own addresses.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use vswitch_registry::record::{self, block_of};
use wire::MacAddr;
use wire::vxlan::Vni;

use super::overlay::Tunnel;
use super::{
    Endpoint, EndpointKey, EndpointState, Model, Name, Network, NetworkName, RegisteredSpec,
};
use crate::control::OverlayError;

/// Longest name and alias of an endpoint in the registry; longer ones are known on this node only.
const NAME_BYTES_MAX: usize = 64;

impl Model {
    /// What the registry has of a network; none for another one.
    pub(crate) fn registered(&self, network: &NetworkName) -> Option<&RegisteredSpec> {
        self.networks.get(network)?.spec.registered()
    }

    /// Networks that the registry has.
    pub(crate) fn registered_networks(&self) -> Vec<NetworkName> {
        let registered = self.networks().filter(|network| network.spec.is_registered());
        registered.map(|network| network.spec.name.clone()).collect()
    }

    /// Takes over another number and MTU of a network that is in use: its containers, and the MAC address of the gateway that
    /// they know, stay.
    pub(crate) fn change_registered(
        &mut self,
        name: &NetworkName,
        vni: Vni,
        mtu: Option<u32>,
    ) -> Result<(), OverlayError> {
        if let Some(other) = self.network_of_vni(vni).filter(|other| other.spec.name != *name) {
            let network = other.spec.name.to_string();
            return Err(OverlayError::VniTaken { vni, network });
        }
        let left = self.tunnel().map(Tunnel::mtu);
        let Some(network) = self.networks.get_mut(name) else { return Ok(()) };
        if let Some(overlay) = &mut network.spec.overlay {
            (overlay.vni, overlay.mtu) = (vni, mtu);
            network.spec.mtu = left.map_or(network.spec.mtu, |left| overlay.mtu_within(left));
        }
        self.invalidate_network(name);
        self.invalidate_uplinks(true);
        Ok(())
    }

    /// Notes that this node has a block of addresses, or has it no more. Says whether that is news.
    pub(crate) fn set_block(&mut self, network: &str, block: IpNet, is_there: bool) -> bool {
        let name: Result<NetworkName, _> = network.parse();
        let network = name.ok().and_then(|name| self.networks.get_mut(&name));
        let overlay = network.and_then(|network| network.spec.overlay.as_mut());
        let Some(registered) = overlay.and_then(|it| it.registered.as_mut()) else { return false };
        match is_there {
            true => registered.blocks.insert(block),
            false => registered.blocks.remove(&block),
        }
    }

    /// An endpoint as the registry gets it, a record for each address; none on a network that the registry does not have.
    pub(crate) fn announcements(&self, key: &EndpointKey) -> Vec<record::Endpoint> {
        let is_told = |it: &&Endpoint| it.in_snapshot && it.state != EndpointState::Detaching;
        let Some(endpoint) = self.endpoints.get(key).filter(is_told) else {
            return Vec::new();
        };
        let Some(network) = self.networks.get(&key.network).filter(|it| it.spec.is_registered())
        else {
            return Vec::new();
        };
        let lease = &endpoint.lease;
        let name = |name: &Name| match name.as_str() {
            text if text.len() <= NAME_BYTES_MAX => text.to_owned(),
            _ => String::new(),
        };
        let aliases = endpoint.aliases.iter().map(name).filter(|alias| !alias.is_empty());
        let aliases: Vec<_> = aliases.collect();
        let names = (name(&lease.name), aliases);
        let of = |address| announcement(network, address, lease.mac, names.clone());
        lease.all_addresses().map(of).collect()
    }

    /// The host's own addresses on a network, likewise. They have no name.
    pub(crate) fn host_announcements(&self, name: &NetworkName) -> Vec<record::Endpoint> {
        let Some(network) = self.networks.get(name).filter(|it| it.spec.is_registered()) else {
            return Vec::new();
        };
        let own = network.spec.host_addresses().iter();
        let mac = network.spec.host_mac();
        own.map(|address| announcement(network, *address, mac, Default::default())).collect()
    }

    /// The endpoint of this node that has an address.
    pub(crate) fn endpoint_with(&self, network: &str, address: IpAddr) -> Option<EndpointKey> {
        let mut leases = self.endpoints().map(|endpoint| &endpoint.lease);
        let found = leases.find(|it| it.network.as_str() == network && it.has(address));
        found.map(|lease| lease.key())
    }

    /// Whether an address of a network is reserved, with or without an endpoint.
    pub(crate) fn is_reserved(&self, network: &NetworkName, address: IpAddr) -> bool {
        self.networks.get(network).is_some_and(|found| found.reserved.contains(&address))
    }

    /// Addresses of a network that this node keeps while nothing has them: reserved ones, and those of endpoints that the
    /// datapath does not know.
    pub(crate) fn kept_addresses(&self, name: &NetworkName) -> Vec<IpAddr> {
        let Some(network) = self.networks.get(name) else { return Vec::new() };
        let idle = self.endpoints().filter(|it| it.lease.network == *name && !it.in_snapshot);
        let idle = idle.flat_map(|endpoint| endpoint.lease.all_addresses());
        network.reserved.iter().copied().chain(idle).collect()
    }

    /// Gives the host further addresses of a network.
    pub(crate) fn add_host_addresses(&mut self, name: &NetworkName, addresses: Vec<IpAddr>) {
        let Some(network) = self.networks.get_mut(name) else { return };
        for address in &addresses {
            // It is the registry's, so that nobody else here can have it.
            let _ = network.allocate_exact(*address);
        }
        if let Some(overlay) = &mut network.spec.overlay {
            overlay.host_addresses.extend(addresses);
        }
        self.invalidate_network(name);
        self.invalidate_uplinks(true);
    }

    /// Takes the host's addresses of a network.
    pub(crate) fn take_host_addresses(&mut self, name: &NetworkName, now: Duration) -> Vec<IpAddr> {
        let Some(network) = self.networks.get_mut(name) else { return Vec::new() };
        let overlay = network.spec.overlay.as_mut();
        let taken = overlay.map(|it| std::mem::take(&mut it.host_addresses)).unwrap_or_default();
        taken.iter().for_each(|address| network.release(*address, Some(now)));
        self.invalidate_network(name);
        self.invalidate_uplinks(true);
        taken
    }
}

fn announcement(
    network: &Network,
    address: IpAddr,
    mac: MacAddr,
    (name, aliases): (String, Vec<String>),
) -> record::Endpoint {
    record::Endpoint {
        network: network.spec.name.to_string(),
        block: block_of(address),
        address,
        // The registration sets it.
        node: String::new(),
        mac,
        name,
        aliases,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::overlay::with_registered_blue;
    use super::*;

    #[test]
    fn a_network_in_use_takes_another_number_and_its_gateway_stays() {
        let mut model = with_registered_blue();
        let name: NetworkName = "blue".parse().unwrap();
        let gateway = model[&name].spec.gateway_mac;
        model.change_registered(&name, Vni::new(77).unwrap(), Some(1300)).unwrap();
        let spec = &model[&name].spec;
        assert_eq!((spec.overlay.as_ref().unwrap().vni.get(), spec.mtu), (77, 1300));
        assert_eq!(spec.gateway_mac, gateway, "containers know that one");
        let network = model.network_named(&name).unwrap();
        assert_eq!(model.network_overlay(network).unwrap().vni.get(), 77);
    }

    #[test]
    fn blocks_and_addresses_of_the_host_come_and_go() {
        let mut model = with_registered_blue();
        let name: NetworkName = "blue".parse().unwrap();
        let block = "10.50.0.64/26".parse().unwrap();
        assert!(model.set_block("blue", block, true));
        assert!(!model.set_block("blue", block, true), "no news");
        assert!(!model.set_block("red", block, true), "no such network");
        let own = IpAddr::from([10, 50, 0, 65]);
        model.add_host_addresses(&name, vec![own]);
        let told = model.host_announcements(&name);
        assert_eq!(
            (told[0].address, told[0].block, told[0].mac),
            (own, block, model[&name].spec.host_mac())
        );
        assert_eq!(told[0].name, "");
        assert_eq!(model.take_host_addresses(&name, Duration::ZERO), [own]);
        assert!(model.host_announcements(&name).is_empty());
        assert!(model.set_block("blue", block, false));
    }
}
