//! All names, for people.

use std::net::IpAddr;

use super::table::{Owners, Table};

/// A name on a network, with the containers that have it.
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
        for (name, Owners { ports, .. }) in &network.by_name {
            let endpoints = || ports.iter().filter_map(|port| table.endpoints.get(port));
            rows.push(ListedName {
                network: network.names.name.clone(),
                name: name.clone(),
                containers: endpoints().map(|endpoint| endpoint.container.clone()).collect(),
                addresses: endpoints().flat_map(|one| one.addresses.iter().copied()).collect(),
            });
        }
    }
    rows.sort();
    rows
}
