//! What the registry tells of other nodes: their VTEPs, and the endpoints on them, by network.
//!
//! An endpoint may come before its node or its network, so each is kept by name. A network's floods go to the nodes that
//! have endpoints on it. A node of a network has a slot of a VTEP (`model/vteps.rs`), once its address is known.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use wire::MacAddr;

use super::vteps::Vteps;
use super::{Model, Network, NetworkName};
use crate::control::OverlayError;
use crate::datapath::{NetworkIndex, Remote, RemoteTable, VtepIndex};
use crate::overlay::RemoteEndpoint;

#[cfg(test)]
mod tests;

/// Nodes, and endpoints of all networks.
#[derive(Debug, Default)]
pub(super) struct Remotes {
    nodes: HashMap<Arc<str>, SocketAddr>,
    networks: BTreeMap<Arc<str>, RemoteNetwork>,
}

/// The endpoints of a network on other nodes.
#[derive(Debug, Default)]
struct RemoteNetwork {
    endpoints: BTreeMap<IpAddr, Arc<RemoteEndpoint>>,
    /// The addresses of each MAC address: a container has one of each family.
    by_mac: HashMap<MacAddr, BTreeSet<IpAddr>>,
    nodes: HashMap<Arc<str>, Site>,
    table: RemoteTable,
}

/// A node on a network.
#[derive(Debug, Default)]
struct Site {
    /// Number of its addresses on the network.
    endpoints: usize,
    /// Where its frames go; none while the node is unknown, or all slots are taken.
    vtep: Option<(SocketAddr, VtepIndex)>,
}

/// VTEPs, and those that nobody has any more.
struct Slots<'a> {
    vteps: &'a mut Vteps,
    unused: &'a mut Vec<VtepIndex>,
}

impl Slots<'_> {
    fn take(
        &mut self,
        address: SocketAddr,
        node: &str,
        is_logged: bool,
    ) -> Option<(SocketAddr, VtepIndex)> {
        match self.vteps.acquire(address, false) {
            Ok(vtep) => Some((address, vtep)),
            Err(error) => {
                if is_logged {
                    tracing::error!(node, %address, %error, "its containers are out of reach");
                }
                None
            }
        }
    }

    fn give_back(&mut self, vtep: Option<(SocketAddr, VtepIndex)>) {
        let last = vtep.and_then(|(address, _)| self.vteps.release(address, false));
        self.unused.extend(last);
    }
}

impl RemoteNetwork {
    fn set(
        &mut self,
        endpoint: Arc<RemoteEndpoint>,
        node: Option<SocketAddr>,
        slots: &mut Slots<'_>,
    ) {
        let (address, mac) = (endpoint.address, endpoint.mac);
        let site = self.nodes.entry(Arc::clone(&endpoint.node)).or_default();
        site.endpoints += 1;
        let is_first = site.endpoints == 1;
        let was_out_of_reach = site.vtep.is_none() && !is_first;
        if site.vtep.is_none() {
            site.vtep = node.and_then(|node| slots.take(node, &endpoint.node, is_first));
        }
        let is_reached_now = was_out_of_reach && site.vtep.is_some();
        let node = Arc::clone(&endpoint.node);
        let previous = self.endpoints.insert(address, endpoint);
        self.by_mac.entry(mac).or_default().insert(address);
        if let Some(previous) = previous {
            self.forget(&previous, slots);
        }
        match is_reached_now {
            true => self.place_all_of(&node),
            false => self.place(mac),
        }
        self.table.insert_ip(address, mac);
    }

    fn remove(&mut self, address: IpAddr, slots: &mut Slots<'_>) {
        let Some(endpoint) = self.endpoints.remove(&address) else { return };
        self.table.remove_ip(address);
        self.forget(&endpoint, slots);
    }

    /// Forgets what an endpoint has been, which may have been replaced.
    fn forget(&mut self, endpoint: &RemoteEndpoint, slots: &mut Slots<'_>) {
        let RemoteEndpoint { address, mac, node, .. } = endpoint;
        let is_replaced = self.endpoints.get(address).is_some_and(|now| now.mac == *mac);
        if !is_replaced && let Some(addresses) = self.by_mac.get_mut(mac) {
            addresses.remove(address);
            if addresses.is_empty() {
                self.by_mac.remove(mac);
            }
            self.place(*mac);
        }
        if let Some(site) = self.nodes.get_mut(node) {
            site.endpoints -= 1;
            if site.endpoints == 0 {
                slots.give_back(site.vtep.take());
                self.nodes.remove(node);
            }
        }
    }

    /// Brings the table's entry of a MAC address in line: the node of one of its addresses, or none.
    fn place(&mut self, mac: MacAddr) {
        let addresses = self.by_mac.get(&mac);
        let endpoint = addresses.and_then(|all| self.endpoints.get(all.first()?));
        let site = endpoint.and_then(|endpoint| self.nodes.get(&endpoint.node));
        match site.and_then(|site| site.vtep) {
            Some((_, vtep)) => self.table.insert(Remote { mac, vtep }),
            None => self.table.remove(mac),
        }
    }

    /// Sends what is for a node to another VTEP, or nowhere.
    fn move_node(&mut self, node: &str, address: Option<SocketAddr>, slots: &mut Slots<'_>) {
        let Some(site) = self.nodes.get_mut(node) else { return };
        let former = site.vtep.take();
        site.vtep = address.and_then(|address| slots.take(address, node, true));
        slots.give_back(former);
        self.place_all_of(node);
    }

    fn place_all_of(&mut self, node: &str) {
        let on_it = self.endpoints.values().filter(|endpoint| *endpoint.node == *node);
        let macs: BTreeSet<_> = on_it.map(|endpoint| endpoint.mac).collect();
        macs.into_iter().for_each(|mac| self.place(mac));
    }
}

impl Model {
    /// Takes over an endpoint of another node. Gives the number of its network, where there is one.
    pub(crate) fn set_remote(&mut self, endpoint: Arc<RemoteEndpoint>) -> Option<NetworkIndex> {
        let name = Arc::clone(&endpoint.network);
        let node = self.remotes.nodes.get(&endpoint.node).copied();
        let network = self.remotes.networks.entry(Arc::clone(&name)).or_default();
        let slots = &mut Slots { vteps: &mut self.vteps, unused: &mut self.unused_vteps };
        network.set(endpoint, node, slots);
        self.invalidate_remotes(&name)
    }

    /// Forgets an endpoint of another node. Gives the number of its network, where there is one.
    pub(crate) fn remove_remote(&mut self, name: &str, address: IpAddr) -> Option<NetworkIndex> {
        let network = self.remotes.networks.get_mut(name)?;
        let slots = &mut Slots { vteps: &mut self.vteps, unused: &mut self.unused_vteps };
        network.remove(address, slots);
        if network.endpoints.is_empty() {
            self.remotes.networks.remove(name);
        }
        self.invalidate_remotes(name)
    }

    /// Takes over the VTEP of another node, or that the node has none any more.
    pub(crate) fn set_node(&mut self, node: &Arc<str>, address: Option<SocketAddr>) {
        match address {
            Some(address) => self.remotes.nodes.insert(Arc::clone(node), address),
            None => self.remotes.nodes.remove(node),
        };
        let slots = &mut Slots { vteps: &mut self.vteps, unused: &mut self.unused_vteps };
        let mut changed = Vec::new();
        for (name, network) in &mut self.remotes.networks {
            if network.nodes.contains_key(node) {
                network.move_node(node, address, slots);
                changed.push(Arc::clone(name));
            }
        }
        for name in changed {
            self.invalidate_remotes(&name);
        }
    }

    fn invalidate_remotes(&mut self, name: &str) -> Option<NetworkIndex> {
        self.tunnel_conf.invalidate();
        let name: NetworkName = name.parse().ok()?;
        let network = self.networks.get_mut(&name)?;
        network.compiled.invalidate();
        Some(network.index)
    }

    /// Endpoints of a network on other nodes, in the order of their addresses.
    pub(crate) fn remotes_on(&self, name: &str) -> impl Iterator<Item = &Arc<RemoteEndpoint>> {
        self.remotes.networks.get(name).into_iter().flat_map(|network| network.endpoints.values())
    }

    /// Number of these.
    pub(crate) fn remotes_count(&self, name: &str) -> usize {
        self.remotes.networks.get(name).map_or(0, |network| network.endpoints.len())
    }

    /// The names of the nodes by their VTEPs.
    pub(crate) fn nodes_by_vtep(&self) -> HashMap<SocketAddr, &str> {
        self.remotes.nodes.iter().map(|(name, address)| (*address, &**name)).collect()
    }

    /// Refuses a network that other nodes have containers on.
    pub(crate) fn check_no_remotes(&self, network: &NetworkName) -> Result<(), OverlayError> {
        let remotes = self.remotes.networks.get(network.as_str());
        let Some(remotes) = remotes.filter(|_| self.registered(network).is_some()) else {
            return Ok(());
        };
        match remotes.endpoints.values().next() {
            Some(first) => Err(OverlayError::UsedElsewhere {
                network: network.to_string(),
                endpoints: remotes.endpoints.len(),
                node: first.node.to_string(),
            }),
            None => Ok(()),
        }
    }

    /// VTEPs of the nodes on a network that the registry tells of, and the table of their endpoints.
    pub(super) fn remotes_of(&self, network: &Network) -> (Vec<SocketAddr>, RemoteTable) {
        match self.remotes.networks.get(network.spec.name.as_str()) {
            Some(remotes) if network.spec.is_registered() => {
                let mut vteps: Vec<_> = self.node_vteps(network).collect();
                vteps.sort_unstable();
                vteps.dedup();
                (vteps, remotes.table.clone())
            }
            _ => Default::default(),
        }
    }

    /// VTEPs of the nodes on a network.
    pub(super) fn node_vteps(&self, network: &Network) -> impl Iterator<Item = SocketAddr> {
        let remotes = self.remotes.networks.get(network.spec.name.as_str());
        let sites = remotes.into_iter().flat_map(|remotes| remotes.nodes.values());
        let is_registered = network.spec.is_registered();
        sites.filter(move |_| is_registered).filter_map(|site| Some(site.vtep?.0))
    }
}
