//! Errors of a node's part in an overlay.

use std::net::IpAddr;

use ipnet::IpNet;
use vswitch_registry::record::FormatError;
use vswitch_registry::{RegistrationError, RegistryError};
use wire::MacAddr;

/// Why something was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// The registry has no such network.
    #[error("the registry has no network {0}; `network create {0} --overlay` creates it")]
    UnknownNetwork(String),
    /// The name of a network is taken.
    #[error("the registry has a network {0} already")]
    NetworkExists(String),
    /// The VNI is taken.
    #[error("VNI {vni} is taken by network {network}")]
    VniTaken {
        /// The VNI.
        vni: u32,
        /// Network that has it.
        network: String,
    },
    /// All VNIs are taken.
    #[error("all VNIs are taken")]
    NoVni,
    /// A subnet of another network overlaps.
    #[error("subnet {subnet} overlaps {other} of network {network}")]
    SubnetOverlaps {
        /// The subnet.
        subnet: IpNet,
        /// Network whose subnet overlaps.
        network: String,
        /// That subnet.
        other: IpNet,
    },
    /// The network has endpoints.
    #[error("network {network} is in use, as on node {node}; number of its endpoints: {endpoints}")]
    NetworkInUse {
        /// The network.
        network: String,
        /// Number of its endpoints.
        endpoints: usize,
        /// A node that has one of them.
        node: String,
    },
    /// Another endpoint has the address.
    #[error("address {address} of network {network} is taken by an endpoint of node {node}")]
    AddressTaken {
        /// The address.
        address: IpAddr,
        /// The network.
        network: String,
        /// Node that has it.
        node: String,
    },
    /// The address has another use.
    #[error("address {address} of network {network} cannot be used: {problem}")]
    AddressUnusable {
        /// The address.
        address: IpAddr,
        /// The network.
        network: String,
        /// The reason.
        problem: &'static str,
    },
    /// Every address of a subnet is taken.
    #[error("subnet {subnet} of network {network} has no free address")]
    Exhausted {
        /// The network.
        network: String,
        /// The subnet.
        subnet: IpNet,
    },
    /// The node's blocks are full, and no further one can be claimed.
    #[error(
        "this node has no free address of subnet {subnet} of network {network}, and the registry that has more is away: {problem}"
    )]
    BlocksFull {
        /// The network.
        network: String,
        /// The subnet.
        subnet: IpNet,
        /// Why the registry is away.
        problem: String,
    },
    /// The address is in no block of this node, and the registry is away.
    #[error(
        "address {address} of network {network} is in no block of this node, and the registry that decides is away: {problem}"
    )]
    AddressUndecided {
        /// The address.
        address: IpAddr,
        /// The network.
        network: String,
        /// Why the registry is away.
        problem: String,
    },
    /// A `file://` registry does not give the address to this node.
    #[error(
        "{registry} gives {wanted} of network {network} not to node {node}; add an [[endpoint]] to it"
    )]
    NotInFile {
        /// URL of the file.
        registry: String,
        /// The address or name that was asked for.
        wanted: String,
        /// The network.
        network: String,
        /// This node.
        node: String,
    },
    /// A `file://` registry gives the endpoint another MAC address.
    #[error("{registry} says that {address} has MAC address {expected}, not {mac}")]
    MacDiffers {
        /// URL of the file.
        registry: String,
        /// The address.
        address: IpAddr,
        /// The file's MAC address.
        expected: MacAddr,
        /// The endpoint's.
        mac: MacAddr,
    },
    /// A `file://` registry does not describe this node.
    #[error("{registry} has no [[node]] with name {node} and address {address}, port {port}")]
    NodeNotInFile {
        /// URL of the file.
        registry: String,
        /// Name of this node.
        node: String,
        /// Address of its VTEP.
        address: IpAddr,
        /// Port of its VTEP.
        port: u16,
    },
    /// The node could not be registered, or an endpoint not written.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A name or number that the format does not allow.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The endpoint was withdrawn before it was written.
    #[error("address {address} of network {network} was withdrawn meanwhile")]
    Withdrawn {
        /// The address.
        address: IpAddr,
        /// The network.
        network: String,
    },
    /// The task has ended.
    #[error("the overlay has ended")]
    Ended,
}
