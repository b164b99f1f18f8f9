//! Networks and nodes whose VNI or VTEP is their own.
//!
//! A network and its VNI, a node and its VTEP are written in one transaction. So two networks with one VNI, or two nodes
//! with one VTEP, are the work of another program: the one that the VNI's or VTEP's entry names counts, the other is
//! left out.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use vswitch_registry::record::{Network, Node, Record};

use super::super::change::OverlayChange;
use super::View;

/// What was told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    networks: BTreeMap<String, Arc<Network>>,
    nodes: BTreeMap<String, Arc<Node>>,
    blocks: BTreeSet<(String, IpNet)>,
}

impl View {
    /// Differences of networks, nodes and own blocks: what is set, and what is removed.
    pub(crate) fn changed_claims(&mut self) -> (Vec<OverlayChange>, Vec<OverlayChange>) {
        let (mut set, mut removed) = (Vec::new(), Vec::new());
        let (networks, mut conflicts) = self.claimed_networks();
        let (nodes, of_nodes) = self.claimed_nodes();
        conflicts.extend(of_nodes);
        self.conflicts.retain(|key| conflicts.contains_key(key));
        for (key, problem) in conflicts {
            self.conflicts.set(&key, problem);
        }
        let blocks = self.own_blocks();
        let blocks: BTreeSet<_> =
            blocks.map(|(network, block)| (network.to_owned(), block)).collect();
        let told = &mut self.told;
        differences(&mut told.networks, networks, |now, previous| match (now, previous) {
            (Some(network), previous) => set.push(OverlayChange::NetworkSet { network, previous }),
            (None, Some(network)) => removed.push(OverlayChange::NetworkRemoved(network)),
            (None, None) => {}
        });
        differences(&mut told.nodes, nodes, |now, previous| match (now, previous) {
            (Some(node), previous) => set.push(OverlayChange::NodeSet { node, previous }),
            (None, Some(node)) => removed.push(OverlayChange::NodeRemoved(node)),
            (None, None) => {}
        });
        for (network, block) in told.blocks.difference(&blocks).cloned() {
            removed.push(OverlayChange::BlockRemoved { network, block });
        }
        for (network, block) in blocks.difference(&told.blocks).cloned() {
            set.push(OverlayChange::BlockSet { network, block });
        }
        told.blocks = blocks;
        (set, removed)
    }

    fn claimed_networks(&self) -> (BTreeMap<String, Arc<Network>>, BTreeMap<String, String>) {
        let networks = self.networks.values().map(|n| (n.name.as_str(), n.vni, n));
        let claims = claimed(networks, |vni| self.vnis.get(&vni).map(String::as_str));
        let of_network = |(network, owner): (&Arc<Network>, &str)| {
            let problem = format!("VNI {} is taken by network {owner}", network.vni);
            (Record::Network((**network).clone()).key(), problem)
        };
        let right = claims.right.into_iter().map(|n| (n.name.clone(), Arc::clone(n)));
        (right.collect(), claims.wrong.into_iter().map(of_network).collect())
    }

    /// Other nodes.
    fn claimed_nodes(&self) -> (BTreeMap<String, Arc<Node>>, BTreeMap<String, String>) {
        let nodes = self.nodes.values().map(|n| (n.name.as_str(), (n.address, n.port), n));
        let claims = claimed(nodes, |vtep| self.vteps.get(&vtep).map(String::as_str));
        let of_node = |(node, owner): (&Arc<Node>, &str)| {
            let problem =
                format!("VTEP {} port {} is taken by node {owner}", node.address, node.port);
            (Record::Node((**node).clone()).key(), problem)
        };
        let right = claims.right.into_iter().filter(|node| node.name != self.own);
        let right = right.map(|node| (node.name.clone(), Arc::clone(node)));
        (right.collect(), claims.wrong.into_iter().map(of_node).collect())
    }
}

/// Claimants that have what they claim, and those that have not, with the owner.
struct Claims<'a, T> {
    right: Vec<&'a T>,
    wrong: Vec<(&'a T, &'a str)>,
}

/// Divides claimants by name and claim. Where no entry names an owner, the first claimant is it.
fn claimed<'a, T, C: Copy + Ord>(
    claimants: impl Iterator<Item = (&'a str, C, &'a T)>,
    owner: impl Fn(C) -> Option<&'a str>,
) -> Claims<'a, T> {
    let mut first = BTreeMap::new();
    let mut claims = Claims { right: Vec::new(), wrong: Vec::new() };
    for (name, claim, claimant) in claimants {
        let owner = owner(claim).unwrap_or_else(|| match first.entry(claim) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => entry.insert(name),
        });
        match owner == name {
            true => claims.right.push(claimant),
            false => claims.wrong.push((claimant, owner)),
        }
    }
    claims
}

/// Tells what differs, and replaces `told`.
fn differences<T: Clone + PartialEq>(
    told: &mut BTreeMap<String, T>,
    now: BTreeMap<String, T>,
    mut tell: impl FnMut(Option<T>, Option<T>),
) {
    let told = std::mem::replace(told, now.clone());
    for (name, previous) in &told {
        if !now.contains_key(name) {
            tell(None, Some(previous.clone()));
        }
    }
    for (name, value) in now {
        let previous = told.get(&name);
        if previous != Some(&value) {
            tell(Some(value), previous.cloned());
        }
    }
}
