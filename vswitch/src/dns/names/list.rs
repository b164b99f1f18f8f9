//! All names, for people.

use std::collections::HashSet;
use std::net::IpAddr;

use super::table::{Owners, Table};

/// A name on a network, with the containers that have it: those of this node first, then those of others in the
/// order of their addresses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedName {
    /// The network.
    pub network: String,
    /// The name or alias, in lower case.
    pub name: String,
    /// The containers.
    pub containers: Vec<String>,
    /// Their addresses on that network.
    pub addresses: Vec<IpAddr>,
}

pub(super) fn list(table: &Table) -> Vec<ListedName> {
    let mut rows = Vec::new();
    for network in table.networks.values() {
        for (name, owners) in &network.by_name {
            let (containers, addresses) = members(table, owners);
            let network = network.names.name.clone();
            rows.push(ListedName { network, name: name.clone(), containers, addresses });
        }
    }
    rows.sort();
    rows
}

/// Containers and addresses of those that share a name. One on another node has a record for each address.
fn members(table: &Table, owners: &Owners) -> (Vec<String>, Vec<IpAddr>) {
    let endpoints = || owners.ports.iter().filter_map(|port| table.endpoints.get(port));
    let mut remotes: Vec<_> =
        owners.remotes.iter().filter_map(|index| table.remotes.get(index)).collect();
    remotes.sort_unstable_by_key(|remote| remote.address);
    let mut containers: Vec<_> = endpoints().map(|endpoint| endpoint.container.clone()).collect();
    let mut seen = HashSet::new();
    let others = remotes.iter().filter_map(|remote| remote.names.first());
    containers.extend(others.filter(|name| seen.insert(*name)).map(ToString::to_string));
    let local = endpoints().flat_map(|endpoint| endpoint.addresses.iter().copied());
    (containers, local.chain(remotes.iter().map(|remote| remote.address)).collect())
}
