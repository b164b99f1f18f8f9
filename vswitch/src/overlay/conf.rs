//! What a node is told before it takes part.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use vswitch_registry::Registry;
use vswitch_registry::record::{Network, Node};

use super::limits::{GRACE, NODE_TTL};

/// A node and its registry.
#[derive(Debug, Clone)]
pub struct OverlayConf {
    /// Name and VTEP of this node.
    pub node: Node,
    /// The registry.
    pub registry: Arc<dyn Registry>,
    /// Its URL without secrets, for errors and the status.
    pub url: String,
    /// Whether it is a `file://` registry.
    pub is_read_only: bool,
    /// Time to live of the node's lease.
    pub ttl: Duration,
    /// How long nobody is believed gone after the registry's return.
    pub grace: Duration,
    /// What the node knew before its restart.
    pub remembered: Remembered,
}

impl OverlayConf {
    /// A node with the usual times, which knows nothing.
    #[must_use]
    pub fn new(node: Node, registry: Arc<dyn Registry>, url: String) -> Self {
        let is_read_only = url.starts_with("file://");
        let remembered = Remembered::default();
        Self { node, registry, url, is_read_only, ttl: NODE_TTL, grace: GRACE, remembered }
    }
}

/// Networks and blocks that outlive a restart: with them a node attaches although the registry is away when it starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Networks.
    pub networks: Vec<Network>,
    /// This node's blocks, with their network.
    pub blocks: Vec<(String, IpNet)>,
}

/// A network to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNetwork {
    /// Its name.
    pub name: String,
    /// Its VNI; none: a free one is chosen.
    pub vni: Option<u32>,
    /// Its subnets, at least one.
    pub subnets: Vec<IpNet>,
    /// MTU inside; none: each node computes it.
    pub mtu: Option<u16>,
    /// Options as `vswitch network create` takes them.
    pub options: BTreeMap<String, String>,
}

impl NewNetwork {
    /// The network with a VNI.
    pub(crate) fn with_vni(&self, vni: u32) -> Network {
        let Self { name, subnets, mtu, options, .. } = self.clone();
        Network { name, vni, subnets, mtu, options }
    }
}
