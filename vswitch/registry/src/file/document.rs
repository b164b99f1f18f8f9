//! The file's text.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use wire::MacAddr;

use crate::record::{Endpoint, Network, Node, Record, block_of};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    network: Vec<NetworkTable>,
    #[serde(default)]
    node: Vec<NodeTable>,
    #[serde(default)]
    endpoint: Vec<EndpointTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkTable {
    name: String,
    vni: u32,
    subnets: Vec<IpNet>,
    mtu: Option<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeTable {
    name: String,
    address: IpAddr,
    #[serde(default = "default_port")]
    port: u16,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndpointTable {
    network: String,
    address: IpAddr,
    node: String,
    mac: String,
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
}

fn default_port() -> u16 {
    wire::vxlan::PORT
}

/// Keys and values of the file's tables, in the format of `docs/overlay.md`.
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let document: Document = toml::from_str(text).map_err(|error| error.to_string())?;
    let networks: BTreeSet<_> = document.network.iter().map(|n| n.name.clone()).collect();
    let nodes: BTreeSet<_> = document.node.iter().map(|n| n.name.clone()).collect();
    let mut records = Vec::new();
    for NetworkTable { name, vni, subnets, mtu } in document.network {
        let options = BTreeMap::new();
        records.push(Record::Network(Network { name: name.clone(), vni, subnets, mtu, options }));
        records.push(Record::Vni { vni, network: name });
    }
    for NodeTable { name, address, port } in document.node {
        records.push(Record::Node(Node { name: name.clone(), address, port }));
        records.push(Record::Vtep { address, port, node: name });
    }
    for table in document.endpoint {
        let at = table.address;
        if !networks.contains(&table.network) {
            return Err(format!("endpoint {at}: there is no network {}", table.network));
        }
        if !nodes.contains(&table.node) {
            return Err(format!("endpoint {at}: there is no node {}", table.node));
        }
        let mac = table.mac.parse::<MacAddr>();
        records.push(Record::Endpoint(Endpoint {
            network: table.network,
            block: block_of(at),
            address: at,
            node: table.node,
            mac: mac.map_err(|_| format!("endpoint {at}: {:?} is no MAC address", table.mac))?,
            name: table.name,
            aliases: table.aliases,
        }));
    }
    let mut entries = BTreeMap::new();
    for record in records {
        record.check().map_err(|error| error.to_string())?;
        let key = record.key();
        if entries.insert(key.clone(), record.value()).is_some() {
            return Err(format!("two tables mean {key}"));
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests;
