//! What other nodes do, as the consumer sees it.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use vswitch_registry::record::{Network, Node};
use wire::MacAddr;

/// An address of an endpoint on another node. An endpoint with several addresses has one of these for each, with the
/// same MAC address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteEndpoint {
    /// Its network.
    pub network: Arc<str>,
    /// The address.
    pub address: IpAddr,
    /// Node that it is on.
    pub node: Arc<str>,
    /// Its MAC address.
    pub mac: MacAddr,
    /// Its name; empty for an endpoint without one.
    pub name: Box<str>,
    /// Further names.
    pub aliases: Box<[Box<str>]>,
}

/// A difference to what was told before. States in between are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OverlayChange {
    /// A network was added or changed.
    NetworkSet {
        /// The network now.
        network: Arc<Network>,
        /// The network as it was told before; none: it is added.
        previous: Option<Arc<Network>>,
    },
    /// A network was removed.
    NetworkRemoved(Arc<Network>),
    /// Another node was added, or its VTEP changed.
    NodeSet {
        /// The node now.
        node: Arc<Node>,
        /// The node as it was told before; none: it is added.
        previous: Option<Arc<Node>>,
    },
    /// Another node has left.
    NodeRemoved(Arc<Node>),
    /// An endpoint of another node was added, moved to another node or got another MAC address or name.
    EndpointSet {
        /// The endpoint now.
        endpoint: Arc<RemoteEndpoint>,
        /// The endpoint as it was told before; none: it is added.
        previous: Option<Arc<RemoteEndpoint>>,
    },
    /// An endpoint of another node was removed, or moved to this one.
    EndpointRemoved(Arc<RemoteEndpoint>),
    /// This node has a block of addresses, to be remembered across restarts.
    BlockSet {
        /// Network of the block.
        network: String,
        /// The block.
        block: IpNet,
    },
    /// This node no longer has a block.
    BlockRemoved {
        /// Network of the block.
        network: String,
        /// The block.
        block: IpNet,
    },
    /// An endpoint of this node that was to be told later is refused: other nodes send to the address's owner, until that
    /// one goes.
    AddressRefused {
        /// Network of the endpoint.
        network: String,
        /// Its address.
        address: IpAddr,
        /// The reason.
        problem: String,
    },
}
