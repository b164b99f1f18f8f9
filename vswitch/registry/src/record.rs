//! The format of what is in a registry: `docs/overlay.md`.
//!
//! Keys begin with the format's version. A value is a JSON object; fields that a reader does not know are left to later
//! versions, everything else must be as it is written here, and the value must agree with its key.

mod check;
mod key;
mod value;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use wire::MacAddr;

use crate::types::Entry;

pub use check::FormatError;
pub use key::Key;

/// Version of the format, which all keys begin with.
pub const VERSION: &str = "v1";

/// Prefixes of the kinds of record, to list and to watch.
pub mod prefix {
    /// Everything.
    pub const ALL: &str = "v1/";
    /// Networks.
    pub const NETWORKS: &str = "v1/networks/";
    /// VNIs that are taken.
    pub const VNIS: &str = "v1/vnis/";
    /// Nodes.
    pub const NODES: &str = "v1/nodes/";
    /// VTEP addresses that are taken.
    pub const VTEPS: &str = "v1/vteps/";
    /// Blocks of addresses.
    pub const BLOCKS: &str = "v1/blocks/";
    /// Endpoints.
    pub const ENDPOINTS: &str = "v1/endpoints/";
}

/// Addresses of a block, of either family.
pub const BLOCK_ADDRESSES: u32 = 64;

/// A network. It and its VNI are created and deleted in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Name, unique in the registry.
    pub name: String,
    /// VXLAN network identifier, 1 to 16,777,215.
    pub vni: u32,
    /// Subnets, at least one.
    pub subnets: Vec<IpNet>,
    /// MTU inside; none: each node computes it from its underlay.
    pub mtu: Option<u16>,
    /// Options as `vswitch network create` takes them.
    pub options: BTreeMap<String, String>,
}

/// A node, under its lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Name, unique in the registry.
    pub name: String,
    /// Address of its VTEP.
    pub address: IpAddr,
    /// UDP port of its VTEP.
    pub port: u16,
}

/// A container's interface, or the host's own on a node, under the node's lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its network.
    pub network: String,
    /// Block that the address lies in.
    pub block: IpNet,
    /// Its address.
    pub address: IpAddr,
    /// Node that it is on.
    pub node: String,
    /// Its MAC address.
    pub mac: MacAddr,
    /// Its name; empty for an endpoint without one.
    pub name: String,
    /// Further names.
    pub aliases: Vec<String>,
}

/// An entry of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// `v1/networks/NAME`
    Network(Network),
    /// `v1/vnis/VNI`: the VNI is taken.
    Vni {
        /// The VNI.
        vni: u32,
        /// Network that has it.
        network: String,
    },
    /// `v1/nodes/NAME`
    Node(Node),
    /// `v1/vteps/ADDRESS_PORT`: the VTEP address is taken; under the node's lease.
    Vtep {
        /// Address of the VTEP.
        address: IpAddr,
        /// UDP port of the VTEP.
        port: u16,
        /// Node that has it.
        node: String,
    },
    /// `v1/blocks/NETWORK/CIDR`: a node gives out these addresses. Without a lease: it outlives restarts.
    Block {
        /// Network of the block.
        network: String,
        /// The addresses, a /26 or /122.
        block: IpNet,
        /// Node that claimed it.
        node: String,
    },
    /// `v1/endpoints/NETWORK/BLOCK/ADDRESS`
    Endpoint(Endpoint),
}

impl Record {
    /// The record that an entry is.
    ///
    /// # Errors
    /// [`FormatError`] with the key and the field that is wrong.
    pub fn decode(entry: &Entry) -> Result<Self, FormatError> {
        let fail = |problem| FormatError { key: entry.key.clone(), problem };
        let key = key::parse(&entry.key).map_err(fail)?;
        let record = value::decode(key, &entry.value).map_err(fail)?;
        record.check()?;
        Ok(record)
    }

    /// Key in the registry.
    #[must_use]
    pub fn key(&self) -> String {
        Key::from(self).to_string()
    }

    /// Value in the registry.
    #[must_use]
    pub fn value(&self) -> Vec<u8> {
        value::encode(self)
    }

    /// Checks names, numbers and addresses, as [`decode`](Self::decode) does.
    ///
    /// # Errors
    /// [`FormatError`] with the key and the field that is wrong.
    pub fn check(&self) -> Result<(), FormatError> {
        check::check(self).map_err(|problem| FormatError { key: self.key(), problem })
    }
}

/// The block that an address lies in.
#[must_use]
pub fn block_of(address: IpAddr) -> IpNet {
    let length = if address.is_ipv4() { 26 } else { 122 };
    IpNet::new(address, length).unwrap_or_else(|_| address.into()).trunc()
}

#[cfg(test)]
mod tests;
