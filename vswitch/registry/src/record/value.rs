//! Values as JSON.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wire::MacAddr;

use super::key::Key;
use super::{Endpoint, Network, Node, Record};

#[derive(Serialize, Deserialize)]
struct NetworkValue {
    vni: u32,
    subnets: Vec<IpNet>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mtu: Option<u16>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    options: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct NetworkName {
    network: String,
}

#[derive(Serialize, Deserialize)]
struct NodeValue {
    address: IpAddr,
    port: u16,
}

#[derive(Serialize, Deserialize)]
struct NodeName {
    node: String,
}

#[derive(Serialize, Deserialize)]
struct EndpointValue {
    node: String,
    mac: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<String>,
}

pub(crate) fn encode(record: &Record) -> Vec<u8> {
    match record {
        Record::Network(n) => json(&NetworkValue {
            vni: n.vni,
            subnets: n.subnets.clone(),
            mtu: n.mtu,
            options: n.options.clone(),
        }),
        Record::Vni { network, .. } => json(&NetworkName { network: network.clone() }),
        Record::Node(node) => json(&NodeValue { address: node.address, port: node.port }),
        Record::Vtep { node, .. } | Record::Block { node, .. } => {
            json(&NodeName { node: node.clone() })
        }
        Record::Endpoint(e) => json(&EndpointValue {
            node: e.node.clone(),
            mac: e.mac.to_string(),
            name: e.name.clone(),
            aliases: e.aliases.clone(),
        }),
    }
}

/// Structures of strings and numbers always have a JSON form.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

pub(crate) fn decode(key: Key, value: &[u8]) -> Result<Record, String> {
    Ok(match key {
        Key::Network(name) => {
            let NetworkValue { vni, subnets, mtu, options } = parse(value)?;
            Record::Network(Network { name, vni, subnets, mtu, options })
        }
        Key::Vni(vni) => {
            let NetworkName { network } = parse(value)?;
            Record::Vni { vni, network }
        }
        Key::Node(name) => {
            let NodeValue { address, port } = parse(value)?;
            Record::Node(Node { name, address, port })
        }
        Key::Vtep(address, port) => {
            let NodeName { node } = parse(value)?;
            Record::Vtep { address, port, node }
        }
        Key::Block(network, block) => {
            let NodeName { node } = parse(value)?;
            Record::Block { network, block, node }
        }
        Key::Endpoint(network, block, address) => {
            let EndpointValue { node, mac, name, aliases } = parse(value)?;
            let mac: MacAddr = mac.parse().map_err(|_| format!("{mac:?} is no MAC address"))?;
            Record::Endpoint(Endpoint { network, block, address, node, mac, name, aliases })
        }
    })
}

fn parse<T: DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    serde_json::from_slice(value).map_err(|error| format!("bad value: {error}"))
}
