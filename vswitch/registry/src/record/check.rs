//! What is allowed in a record.

use std::net::IpAddr;

use ipnet::IpNet;
use wire::MacAddr;

use super::{Endpoint, Network, Record, block_of};

/// An entry that is no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("registry key {key}: {problem}")]
pub struct FormatError {
    /// Key of the entry.
    pub key: String,
    /// The part that is wrong.
    pub problem: String,
}

/// Highest VNI: it has 24 bits.
const VNI_MAX: u32 = (1 << 24) - 1;

/// Longest name of a network, node or endpoint. Docker's endpoint identifiers have 64 characters.
const NAME_BYTES_MAX: usize = 64;

/// Most subnets of a network, and aliases of an endpoint.
const LIST_MAX: usize = 64;

/// Least MTU of IPv6 (RFC 8200, 5).
const MTU_MIN: u16 = 1280;

pub(crate) fn check(record: &Record) -> Result<(), String> {
    match record {
        Record::Network(network) => check_network(network),
        Record::Vni { vni, network } => {
            check_vni(*vni)?;
            check_name("network", network)
        }
        Record::Node(node) => {
            check_name("node", &node.name)?;
            check_vtep(node.address, node.port)
        }
        Record::Vtep { address, port, node } => {
            check_name("node", node)?;
            check_vtep(*address, *port)
        }
        Record::Block { network, block, node } => {
            check_name("network", network)?;
            check_name("node", node)?;
            check_block(*block)
        }
        Record::Endpoint(endpoint) => check_endpoint(endpoint),
    }
}

fn check_network(network: &Network) -> Result<(), String> {
    check_name("network", &network.name)?;
    check_vni(network.vni)?;
    if network.subnets.is_empty() || network.subnets.len() > LIST_MAX {
        return Err(format!("{} subnets; a network has 1 to {LIST_MAX}", network.subnets.len()));
    }
    for (n, subnet) in network.subnets.iter().enumerate() {
        if subnet.trunc() != *subnet {
            return Err(format!("subnet {subnet} has to be written {}", subnet.trunc()));
        }
        let overlaps = |other: &&IpNet| other.contains(subnet) || subnet.contains(*other);
        if let Some(other) = network.subnets[..n].iter().find(overlaps) {
            return Err(format!("subnets {other} and {subnet} overlap"));
        }
    }
    match network.mtu {
        Some(mtu) if mtu < MTU_MIN => Err(format!("MTU {mtu} is below {MTU_MIN}")),
        _ => Ok(()),
    }
}

fn check_vni(vni: u32) -> Result<(), String> {
    match vni {
        1..=VNI_MAX => Ok(()),
        _ => Err(format!("VNI {vni} is not from 1 to {VNI_MAX}")),
    }
}

fn check_vtep(address: IpAddr, port: u16) -> Result<(), String> {
    let is_mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    if address.is_unspecified() || address.is_multicast() || address.is_loopback() || is_mapped {
        return Err(format!("{address} is no address of a VTEP"));
    }
    if port == 0 {
        return Err("port 0 of a VTEP".to_owned());
    }
    Ok(())
}

fn check_block(block: IpNet) -> Result<(), String> {
    match block_of(block.addr()) {
        expected if expected == block => Ok(()),
        expected => Err(format!("block {block} is no block; {expected} is")),
    }
}

fn check_endpoint(endpoint: &Endpoint) -> Result<(), String> {
    check_name("network", &endpoint.network)?;
    check_name("node", &endpoint.node)?;
    check_block(endpoint.block)?;
    if !endpoint.block.contains(&endpoint.address) {
        return Err(format!("{} is not in block {}", endpoint.address, endpoint.block));
    }
    if endpoint.address.is_unspecified() || endpoint.address.is_multicast() {
        return Err(format!("{} is no address of an endpoint", endpoint.address));
    }
    if endpoint.mac.is_multicast() || endpoint.mac == MacAddr([0; 6]) {
        return Err(format!("{} is no MAC address of an endpoint", endpoint.mac));
    }
    if endpoint.aliases.len() > LIST_MAX {
        return Err(format!("{} aliases, more than {LIST_MAX}", endpoint.aliases.len()));
    }
    let names = endpoint.aliases.iter().chain([&endpoint.name]).filter(|name| !name.is_empty());
    for name in names {
        check_name("endpoint", name)?;
    }
    Ok(())
}

/// A name: letters, digits and `-._`, the first of them a letter or digit.
fn check_name(what: &str, name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts && name.chars().all(is_plain) && name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(format!(
        "{name:?} is no name of a {what} (letters, digits, - . _, at most {NAME_BYTES_MAX})"
    ))
}
