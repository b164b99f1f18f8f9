//! Records of the table, and the indices that lead to them.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use fastpath::PortIndex;

use super::remotes::{Remote, RemoteIndex, RemoteOwners, Remotes};
use super::subnets::Subnets;
use super::{EndpointNames, NetworkNames};
use crate::datapath::NetworkIndex;

/// Endpoints that share a name.
#[derive(Debug, Default)]
pub(super) struct Owners {
    pub(super) ports: Vec<PortIndex>,
    /// Endpoints on other nodes.
    pub(super) remotes: RemoteOwners,
    /// Turns of the next answers with IPv4 and with IPv6 addresses of ports.
    turns: [AtomicUsize; 2],
}

impl Owners {
    /// The turn of this answer. Each family has its own, since clients ask for both at once; each name has its
    /// own, whatever else is asked.
    pub(super) fn next_turn(&self, is_ipv6: bool) -> usize {
        self.turns[usize::from(is_ipv6)].fetch_add(1, Ordering::Relaxed)
    }
}

/// An entry of an index. It goes when it is empty.
trait Entry: Default {
    fn ports(&mut self) -> &mut Vec<PortIndex>;
    fn is_empty(&self) -> bool;
}

impl Entry for Owners {
    fn ports(&mut self) -> &mut Vec<PortIndex> {
        &mut self.ports
    }

    fn is_empty(&self) -> bool {
        self.ports.is_empty() && self.remotes.is_empty()
    }
}

impl Entry for Vec<PortIndex> {
    fn ports(&mut self) -> &mut Self {
        self
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

/// A network with its indices.
#[derive(Debug, Default)]
pub(super) struct Network {
    pub(super) names: NetworkNames,
    /// Endpoints by name and alias, in lower case.
    pub(super) by_name: HashMap<String, Owners>,
    /// Networks that this one may open connections to: the reverse of [`NetworkNames::reachable_from`].
    reaches: Vec<NetworkIndex>,
    /// Ports by address.
    pub(super) by_address: HashMap<IpAddr, Vec<PortIndex>>,
    /// Endpoints on other nodes by address.
    pub(super) remotes: HashMap<IpAddr, RemoteIndex>,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) networks: HashMap<NetworkIndex, Network>,
    pub(super) endpoints: HashMap<PortIndex, EndpointNames>,
    pub(super) remotes: Remotes,
    /// Ports of each container, in the order in which they came.
    by_container: HashMap<String, Vec<PortIndex>>,
    /// Number of networks with a host port that have a gateway's address.
    gateways: HashMap<IpAddr, usize>,
    /// Those of networks with a host port: addresses of the others may be other people's as well.
    pub(super) subnets: Subnets,
}

impl Table {
    pub(super) fn set_network(&mut self, index: NetworkIndex, mut names: NetworkNames) {
        names.name.make_ascii_lowercase();
        self.forget_network(index);
        if names.has_host_port {
            names.subnets.iter().for_each(|subnet| self.subnets.add(*subnet));
            for gateway in &names.gateways {
                *self.gateways.entry(*gateway).or_default() += 1;
            }
        }
        for source in &names.reachable_from {
            self.networks.entry(*source).or_default().reaches.push(index);
        }
        self.networks.entry(index).or_default().names = names;
    }

    pub(super) fn remove_network(&mut self, index: NetworkIndex) {
        self.forget_network(index);
        let ports: Vec<_> = match self.networks.get(&index) {
            Some(network) => {
                network.by_name.values().flat_map(|owners| owners.ports.iter().copied()).collect()
            }
            None => return,
        };
        ports.into_iter().for_each(|port| self.remove_endpoint(port));
        let Some(network) = self.networks.remove(&index) else { return };
        for remote in network.remotes.into_values() {
            self.remotes.remove(remote);
        }
    }

    /// Removes what the indices of all networks have of this one.
    fn forget_network(&mut self, index: NetworkIndex) {
        let Some(network) = self.networks.get_mut(&index) else { return };
        let former = std::mem::take(&mut network.names);
        for source in &former.reachable_from {
            if let Some(source) = self.networks.get_mut(source) {
                source.reaches.retain(|other| *other != index);
            }
        }
        if !former.has_host_port {
            return;
        }
        former.subnets.iter().for_each(|subnet| self.subnets.remove(*subnet));
        for gateway in &former.gateways {
            if let Some(count) = self.gateways.get_mut(gateway) {
                *count -= 1;
                if *count == 0 {
                    self.gateways.remove(gateway);
                }
            }
        }
    }

    pub(super) fn set_endpoint(&mut self, port: PortIndex, mut endpoint: EndpointNames) {
        self.remove_endpoint(port);
        endpoint.names.iter_mut().for_each(|name| name.make_ascii_lowercase());
        let network = self.networks.entry(endpoint.network).or_default();
        for name in &endpoint.names {
            add(&mut network.by_name, name, port);
        }
        for address in &endpoint.addresses {
            add(&mut network.by_address, address, port);
        }
        add(&mut self.by_container, &endpoint.container, port);
        self.endpoints.insert(port, endpoint);
    }

    pub(super) fn remove_endpoint(&mut self, port: PortIndex) {
        let Some(endpoint) = self.endpoints.remove(&port) else { return };
        remove(&mut self.by_container, &endpoint.container, port);
        let Some(network) = self.networks.get_mut(&endpoint.network) else { return };
        for name in &endpoint.names {
            remove(&mut network.by_name, name, port);
        }
        for address in &endpoint.addresses {
            remove(&mut network.by_address, address, port);
        }
    }

    /// Sets the names of an address on another node. Without a name there is nothing to keep.
    pub(super) fn set_remote(
        &mut self,
        network: NetworkIndex,
        address: IpAddr,
        names: impl Iterator<Item = Box<str>>,
    ) {
        self.remove_remote(network, address);
        let names: Box<[Box<str>]> = names.filter(|name| !name.is_empty()).collect();
        if names.is_empty() {
            return;
        }
        let Some(index) = self.remotes.insert(Remote { address, names }) else { return };
        let network = self.networks.entry(network).or_default();
        network.remotes.insert(address, index);
        let names = self.remotes.get(index).map_or(&[][..], |remote| &remote.names);
        for name in names {
            let owners = network.by_name.entry(name.to_string()).or_default();
            owners.remotes.insert(index, address);
        }
    }

    pub(super) fn remove_remote(&mut self, network: NetworkIndex, address: IpAddr) {
        let Some(network) = self.networks.get_mut(&network) else { return };
        let Some(index) = network.remotes.remove(&address) else { return };
        let Some(remote) = self.remotes.remove(index) else { return };
        for name in &remote.names {
            let Some(owners) = network.by_name.get_mut(&**name) else { continue };
            owners.remotes.remove(index, address);
            if owners.is_empty() {
                network.by_name.remove(&**name);
            }
        }
    }

    pub(super) fn ports_of(&self, container: &str) -> &[PortIndex] {
        self.by_container.get(container).map_or(&[], Vec::as_slice)
    }

    pub(super) fn is_gateway(&self, address: IpAddr) -> bool {
        self.gateways.contains_key(&address)
    }

    /// Endpoints of the port's container with their networks, the port's own first.
    pub(super) fn visible(
        &self,
        port: PortIndex,
    ) -> impl Iterator<Item = (&EndpointNames, &Network)> {
        let own = self.endpoints.get(&port);
        let others = own.map_or(&[][..], |own| self.ports_of(&own.container));
        let others = others.iter().filter(move |other| **other != port);
        let endpoints = own.into_iter().chain(others.filter_map(|n| self.endpoints.get(n)));
        endpoints.filter_map(|endpoint| Some((endpoint, self.networks.get(&endpoint.network)?)))
    }

    /// Networks that the port's own one may open connections to.
    pub(super) fn reached(&self, port: PortIndex) -> impl Iterator<Item = &Network> {
        let own = self.endpoints.get(&port).and_then(|own| self.networks.get(&own.network));
        let reaches = own.map_or(&[][..], |own| &own.reaches);
        reaches.iter().filter_map(|index| self.networks.get(index))
    }
}

/// Adds a port to an entry, unless it is there.
fn add<K, V>(index: &mut HashMap<K, V>, key: &K, port: PortIndex)
where
    K: Clone + Eq + Hash,
    V: Entry,
{
    let ports = index.entry(key.clone()).or_default().ports();
    if !ports.contains(&port) {
        ports.push(port);
    }
}

/// Removes a port from an entry, and the entry with its last port.
fn remove<K, V>(index: &mut HashMap<K, V>, key: &K, port: PortIndex)
where
    K: Eq + Hash,
    V: Entry,
{
    let Some(entry) = index.get_mut(key) else { return };
    entry.ports().retain(|other| *other != port);
    if entry.is_empty() {
        index.remove(key);
    }
}
