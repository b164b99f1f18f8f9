//! Endpoints of all nodes, compact: 100,000 of them take some 20 MB.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use vswitch_registry::record::Endpoint;

use super::super::change::{OverlayChange, RemoteEndpoint};
use super::super::limits::ENDPOINTS_MAX;

/// Endpoints by network and address, and what differs from what was told.
#[derive(Debug)]
pub(crate) struct Endpoints {
    /// This node, whose endpoints are not told.
    own: Arc<str>,
    networks: HashMap<Arc<str>, HashMap<IpAddr, Arc<RemoteEndpoint>>>,
    nodes: HashSet<Arc<str>>,
    count: usize,
    /// Changed endpoints, with what was told of them.
    changed: HashMap<(Arc<str>, IpAddr), Option<Arc<RemoteEndpoint>>>,
}

impl Endpoints {
    pub(crate) fn new(own: &str) -> Self {
        let own: Arc<str> = own.into();
        let nodes = HashSet::from([Arc::clone(&own)]);
        Self { own, networks: HashMap::new(), nodes, count: 0, changed: HashMap::new() }
    }

    /// Adds or replaces an endpoint.
    ///
    /// # Errors
    /// There are too many.
    pub(crate) fn put(&mut self, endpoint: Endpoint) -> Result<(), String> {
        let network = match self.networks.get_key_value(endpoint.network.as_str()) {
            Some((network, _)) => Arc::clone(network),
            None => endpoint.network.as_str().into(),
        };
        let node = self.node(&endpoint.node);
        let new = RemoteEndpoint {
            network: Arc::clone(&network),
            address: endpoint.address,
            node,
            mac: endpoint.mac,
            name: endpoint.name.into(),
            aliases: endpoint.aliases.into_iter().map(Into::into).collect(),
        };
        let of_network = self.networks.entry(Arc::clone(&network)).or_default();
        let old = of_network.get(&new.address);
        if old.is_some_and(|old| **old == new) {
            return Ok(());
        }
        if old.is_none() && self.count >= ENDPOINTS_MAX {
            return Err(format!("more than {ENDPOINTS_MAX} endpoints"));
        }
        let address = new.address;
        let old = of_network.insert(address, Arc::new(new));
        self.count += usize::from(old.is_none());
        self.note(network, address, old);
        Ok(())
    }

    /// Removes an endpoint.
    pub(crate) fn remove(&mut self, network: &str, address: IpAddr) {
        let Some((network, _)) = self.networks.get_key_value(network) else { return };
        let network = Arc::clone(network);
        let Some(of_network) = self.networks.get_mut(&network) else { return };
        if let Some(old) = of_network.remove(&address) {
            if of_network.is_empty() {
                self.networks.remove(&network);
            }
            self.count -= 1;
            self.note(network, address, Some(old));
        }
    }

    fn note(&mut self, network: Arc<str>, address: IpAddr, old: Option<Arc<RemoteEndpoint>>) {
        let told = old.filter(|old| old.node != self.own);
        self.changed.entry((network, address)).or_insert(told);
    }

    /// One text for each node's name.
    fn node(&mut self, name: &str) -> Arc<str> {
        if let Some(node) = self.nodes.get(name) {
            return Arc::clone(node);
        }
        let node: Arc<str> = name.into();
        self.nodes.insert(Arc::clone(&node));
        node
    }

    pub(crate) fn get(&self, network: &str, address: IpAddr) -> Option<&Arc<RemoteEndpoint>> {
        self.networks.get(network)?.get(&address)
    }

    pub(crate) fn of_network(&self, network: &str) -> impl Iterator<Item = &Arc<RemoteEndpoint>> {
        self.networks.get(network).into_iter().flat_map(HashMap::values)
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Differences to what was told: removals, then the others. A MAC address that moved to another address is thus
    /// removed before it is set.
    pub(crate) fn changes(&mut self) -> Vec<OverlayChange> {
        let (mut removed, mut set) = (Vec::new(), Vec::new());
        for ((network, address), told) in std::mem::take(&mut self.changed) {
            let now = self.get(&network, address).filter(|now| now.node != self.own);
            match (told, now) {
                (Some(told), None) => removed.push(OverlayChange::EndpointRemoved(told)),
                (previous, Some(now)) if previous.as_ref() != Some(now) => {
                    let endpoint = Arc::clone(now);
                    set.push(OverlayChange::EndpointSet { endpoint, previous });
                }
                _ => {}
            }
        }
        // Names of nodes that nobody uses.
        if !removed.is_empty() {
            self.nodes.retain(|node| Arc::strong_count(node) > 1);
        }
        removed.append(&mut set);
        removed
    }
}
