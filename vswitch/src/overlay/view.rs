//! What the node knows of the registry: entries as the watch tells them, and what of it was told to the consumer.
//!
//! An entry that is deleted stays believed until it is removed (`gone.rs`). Entries that are no records, and records
//! that another one contradicts, are left out and named (`faults.rs`, `claims.rs`).

mod claims;
mod endpoints;
mod faults;
mod gone;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use vswitch_registry::record::{Key, Network, Node, Record, block_of};
use vswitch_registry::{Entry, Revision};

use super::change::{OverlayChange, RemoteEndpoint};
use super::limits::ENTRIES_MAX;
use claims::Told;
use endpoints::Endpoints;
use faults::Faults;
use gone::Gone;

/// The registry's content as this node believes it.
#[derive(Debug)]
pub(crate) struct View {
    /// Name of this node.
    own: String,
    networks: BTreeMap<String, Arc<Network>>,
    vnis: BTreeMap<u32, String>,
    nodes: BTreeMap<String, Arc<Node>>,
    vteps: BTreeMap<(IpAddr, u16), String>,
    blocks: BTreeMap<String, BTreeMap<IpNet, String>>,
    endpoints: Endpoints,
    gone: Gone,
    faults: Faults,
    /// Records that contradict others.
    conflicts: Faults,
    told: Told,
    /// Whether anything but endpoints differs from what was told.
    is_changed: bool,
    /// The newest revision that was seen.
    pub(crate) revision: Revision,
}

impl View {
    pub(crate) fn new(own: &str) -> Self {
        Self {
            own: own.to_owned(),
            networks: BTreeMap::new(),
            vnis: BTreeMap::new(),
            nodes: BTreeMap::new(),
            vteps: BTreeMap::new(),
            blocks: BTreeMap::new(),
            endpoints: Endpoints::new(own),
            gone: Gone::default(),
            faults: Faults::default(),
            conflicts: Faults::default(),
            told: Told::default(),
            is_changed: false,
            revision: Revision::default(),
        }
    }

    /// Notes an entry; an entry that is no record counts as deleted. Returns its key.
    pub(crate) fn handle_put(&mut self, entry: &Entry, now: Duration) -> Option<Key> {
        self.revision = self.revision.max(entry.revision);
        let result = match Record::decode(entry) {
            Ok(record) => self.insert(record),
            Err(error) => Err(error.problem),
        };
        match result {
            Ok(key) => {
                self.faults.clear(&entry.key);
                Some(key)
            }
            Err(problem) => {
                self.handle_delete(&entry.key, now);
                self.faults.set(&entry.key, problem);
                None
            }
        }
    }

    /// Notes that an entry was deleted; returns its key if it was known.
    pub(crate) fn handle_delete(&mut self, text: &str, now: Duration) -> Option<Key> {
        self.faults.clear(text);
        let key = Key::parse(text).ok().filter(|key| self.contains(key))?;
        self.gone.add(key.clone(), now);
        Some(key)
    }

    /// Notes that everything is deleted, before a listing tells what is not.
    pub(crate) fn handle_relist(&mut self, now: Duration) {
        let networks = self.networks.keys().cloned().map(Key::Network);
        let blocks = self.blocks.iter().flat_map(|(network, blocks)| {
            blocks.keys().map(|block| Key::Block(network.clone(), *block))
        });
        let vnis = self.vnis.keys().copied().map(Key::Vni);
        let keys: Vec<_> = networks.chain(blocks).chain(vnis).collect();
        for key in keys {
            self.gone.add(key, now);
        }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// There are too many of its kind.
    pub(crate) fn insert(&mut self, record: Record) -> Result<Key, String> {
        let key = Key::from(&record);
        self.gone.take(&key);
        let is_full = match &key {
            Key::Network(_) => self.networks.len() >= ENTRIES_MAX,
            Key::Node(_) => self.nodes.len() >= ENTRIES_MAX,
            Key::Block(network, _) => {
                self.blocks.get(network).is_some_and(|blocks| blocks.len() >= ENTRIES_MAX)
            }
            Key::Vni(_) | Key::Vtep(..) | Key::Endpoint(..) => false,
        };
        if is_full && !self.contains(&key) {
            return Err(format!("more than {ENTRIES_MAX} of its kind"));
        }
        match record {
            Record::Endpoint(endpoint) => {
                self.endpoints.put(endpoint)?;
                return Ok(key);
            }
            Record::Network(network) => {
                self.networks.insert(network.name.clone(), Arc::new(network));
            }
            Record::Vni { vni, network } => drop(self.vnis.insert(vni, network)),
            Record::Node(node) => drop(self.nodes.insert(node.name.clone(), Arc::new(node))),
            Record::Vtep { address, port, node } => {
                self.vteps.insert((address, port), node);
            }
            Record::Block { network, block, node } => {
                self.blocks.entry(network).or_default().insert(block, node);
            }
        }
        self.is_changed = true;
        Ok(key)
    }

    /// Forgets an entry.
    pub(crate) fn remove(&mut self, key: &Key) {
        self.gone.take(key);
        match key {
            Key::Endpoint(network, _, address) => return self.endpoints.remove(network, *address),
            Key::Network(name) => drop(self.networks.remove(name)),
            Key::Vni(vni) => drop(self.vnis.remove(vni)),
            Key::Node(name) => drop(self.nodes.remove(name)),
            Key::Vtep(address, port) => drop(self.vteps.remove(&(*address, *port))),
            Key::Block(network, block) => {
                let blocks = self.blocks.entry(network.clone()).or_default();
                blocks.remove(block);
                if blocks.is_empty() {
                    self.blocks.remove(network);
                }
            }
        }
        self.is_changed = true;
    }

    /// Removes what is due; returns the keys. Before `grace` ends, nothing is removed.
    pub(crate) fn handle_timeout(&mut self, now: Duration, grace: Option<Duration>) -> Vec<Key> {
        let due = self.gone.due(now, grace);
        for key in &due {
            self.remove(key);
        }
        due
    }

    fn contains(&self, key: &Key) -> bool {
        match key {
            Key::Network(name) => self.networks.contains_key(name),
            Key::Vni(vni) => self.vnis.contains_key(vni),
            Key::Node(name) => self.nodes.contains_key(name),
            Key::Vtep(address, port) => self.vteps.contains_key(&(*address, *port)),
            Key::Block(network, block) => {
                self.blocks.get(network).is_some_and(|blocks| blocks.contains_key(block))
            }
            Key::Endpoint(network, _, address) => self.endpoints.get(network, *address).is_some(),
        }
    }

    /// Deleted entries that are believed still.
    pub(crate) fn gone(&mut self) -> &mut Gone {
        &mut self.gone
    }

    /// Whether the registry has lost an entry that is believed still.
    pub(crate) fn is_gone(&self, key: &Key) -> bool {
        self.gone.contains(key)
    }

    pub(crate) fn network(&self, name: &str) -> Option<&Arc<Network>> {
        self.networks.get(name)
    }

    pub(crate) fn networks(&self) -> impl Iterator<Item = &Arc<Network>> {
        self.networks.values()
    }

    pub(crate) fn node(&self, name: &str) -> Option<&Arc<Node>> {
        self.nodes.get(name)
    }

    /// Blocks of a network with their nodes.
    pub(crate) fn blocks(&self, network: &str) -> impl DoubleEndedIterator<Item = (IpNet, &str)> {
        let blocks = self.blocks.get(network).into_iter().flatten();
        blocks.map(|(block, node)| (*block, node.as_str()))
    }

    /// Blocks of this node, of all networks.
    pub(crate) fn own_blocks(&self) -> impl Iterator<Item = (&str, IpNet)> {
        self.blocks.iter().flat_map(|(network, blocks)| {
            let own = blocks.iter().filter(|(_, node)| **node == self.own);
            own.map(|(block, _)| (network.as_str(), *block))
        })
    }

    /// Whether this node gives out an address.
    pub(crate) fn is_in_own_block(&self, network: &str, address: IpAddr) -> bool {
        let blocks = self.blocks.get(network);
        let node = blocks.and_then(|blocks| blocks.get(&block_of(address)));
        node.is_some_and(|node| *node == self.own)
    }

    pub(crate) fn endpoint(&self, network: &str, address: IpAddr) -> Option<&Arc<RemoteEndpoint>> {
        self.endpoints.get(network, address)
    }

    /// Endpoints of a network, those of this node as well.
    pub(crate) fn endpoints(&self, network: &str) -> impl Iterator<Item = &Arc<RemoteEndpoint>> {
        self.endpoints.of_network(network)
    }

    /// Entries that are believed although the registry has them no more.
    pub(crate) fn doubted(&self) -> usize {
        self.gone.len()
    }

    /// Networks, nodes, and addresses of endpoints.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        (self.networks.len(), self.nodes.len(), self.endpoints.len())
    }

    /// Names a fault of entries that are not decoded.
    pub(crate) fn add_fault(&mut self, key: &str, problem: String) {
        self.faults.set(key, problem);
    }

    /// One line for each entry that is left out.
    pub(crate) fn faults(&self) -> Vec<String> {
        [self.faults.lines(), self.conflicts.lines()].concat()
    }

    pub(crate) fn has_changes(&self) -> bool {
        self.is_changed || self.endpoints.has_changed()
    }

    /// Differences to what was told, in an order in which they can be applied.
    pub(crate) fn changes(&mut self) -> Vec<OverlayChange> {
        let (mut changes, removed) = match std::mem::take(&mut self.is_changed) {
            true => self.changed_claims(),
            false => Default::default(),
        };
        changes.extend(self.endpoints.changes());
        changes.extend(removed);
        changes
    }
}
