//! Nodes of one overlay, by a registry in memory with a paused clock, and by a real etcd.

mod attach;
mod conflicts;
mod etcd;
mod faults;
mod file;
mod networks;
mod outages;
mod races;
mod scale;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use vswitch_registry::Registry;
use vswitch_registry::memory::{MemoryRegistry, MemoryStore};
use vswitch_registry::record::{Endpoint, Network, Node, block_of};

use super::*;

/// Longest wait for anything; a paused clock jumps over it.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a consumer knows.
#[derive(Debug, Default)]
struct Model {
    networks: BTreeMap<String, Arc<Network>>,
    nodes: BTreeMap<String, Arc<Node>>,
    endpoints: BTreeMap<IpAddr, Arc<RemoteEndpoint>>,
    blocks: BTreeSet<(String, ipnet::IpNet)>,
    refused: Vec<(IpAddr, String)>,
    /// Names and addresses that were removed at any time.
    removed: Vec<String>,
    batches: usize,
}

impl Model {
    /// Applies changes, each of which must follow from what was told before.
    fn apply(&mut self, changes: Vec<OverlayChange>) {
        self.batches += 1;
        for change in changes {
            match change {
                OverlayChange::NetworkSet { network, previous } => {
                    let known = self.networks.insert(network.name.clone(), network);
                    assert_eq!(known, previous);
                }
                OverlayChange::NetworkRemoved(network) => {
                    assert_eq!(self.networks.remove(&network.name), Some(network.clone()));
                    self.removed.push(network.name.clone());
                }
                OverlayChange::NodeSet { node, previous } => {
                    let known = self.nodes.insert(node.name.clone(), node);
                    assert_eq!(known, previous);
                }
                OverlayChange::NodeRemoved(node) => {
                    assert_eq!(self.nodes.remove(&node.name), Some(node.clone()));
                    self.removed.push(node.name.clone());
                }
                OverlayChange::EndpointSet { endpoint, previous } => {
                    let known = self.endpoints.insert(endpoint.address, endpoint);
                    assert_eq!(known, previous);
                }
                OverlayChange::EndpointRemoved(endpoint) => {
                    let known = self.endpoints.remove(&endpoint.address);
                    assert_eq!(known, Some(endpoint.clone()));
                    self.removed.push(endpoint.address.to_string());
                }
                OverlayChange::BlockSet { network, block } => {
                    assert!(self.blocks.insert((network, block)));
                }
                OverlayChange::BlockRemoved { network, block } => {
                    assert!(self.blocks.remove(&(network, block)));
                }
                OverlayChange::AddressRefused { address, problem, .. } => {
                    self.refused.push((address, problem));
                }
            }
        }
    }

    /// The node that has an address.
    fn node_of(&self, address: IpAddr) -> Option<&str> {
        self.endpoints.get(&address).map(|endpoint| &*endpoint.node)
    }
}

/// A node with its consumer.
struct Member {
    name: String,
    overlay: Overlay,
    changes: OverlayChanges,
    model: Model,
    /// The link of a registry in memory.
    link: Option<MemoryRegistry>,
}

fn node(name: &str, last: u8) -> Node {
    Node { name: name.to_owned(), address: [192, 0, 2, last].into(), port: 4789 }
}

/// The URL of a registry in memory, for errors only.
const URL: &str = "memory://";

impl Member {
    fn start(store: &MemoryStore, name: &str, last: u8) -> Self {
        Self::start_with(store, name, last, Remembered::default())
    }

    fn start_with(store: &MemoryStore, name: &str, last: u8, remembered: Remembered) -> Self {
        let link = store.client("vswitch");
        let registry: Arc<dyn Registry> = Arc::new(link.clone());
        let conf = OverlayConf::new(node(name, last), registry, URL.to_owned());
        Self { link: Some(link), ..Self::with(OverlayConf { remembered, ..conf }) }
    }

    fn with(conf: OverlayConf) -> Self {
        let name = conf.node.name.clone();
        let (overlay, changes) = Overlay::start(conf);
        Self { name, overlay, changes, model: Model::default(), link: None }
    }

    fn link(&self) -> &MemoryRegistry {
        self.link.as_ref().expect("a registry in memory")
    }

    /// Takes changes until a condition holds.
    async fn until(&mut self, what: &str, condition: impl Fn(&Model) -> bool) {
        let wait = async {
            while !condition(&self.model) {
                let changes = self.changes.next().await.expect("it goes on");
                self.model.apply(changes);
            }
        };
        if timeout(PATIENCE, wait).await.is_err() {
            let status = self.status().await;
            panic!("{} waited in vain for {what}: {:#?}\n{status:#?}", self.name, self.model);
        }
    }

    /// Takes changes for a time.
    async fn go_on(&mut self, time: Duration) {
        let take = async {
            loop {
                let changes = self.changes.next().await.expect("it goes on");
                self.model.apply(changes);
            }
        };
        let _: Result<(), _> = timeout(time, take).await;
    }

    async fn status(&self) -> OverlayStatus {
        self.overlay.status().await.expect("status")
    }

    async fn until_status(&self, what: &str, condition: impl Fn(&OverlayStatus) -> bool) {
        let wait = async {
            while !condition(&self.status().await) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(PATIENCE, wait).await.is_err() {
            panic!("{} waited in vain for {what}: {:#?}", self.name, self.status().await);
        }
    }

    async fn create(&self, name: &str, subnet: &str) -> Result<Arc<Network>, NodeError> {
        self.overlay.create_network(network(name, subnet)).await
    }

    /// Any address.
    async fn allocate(&self, subnet: &str) -> Result<IpAddr, NodeError> {
        let subnet = subnet.parse().expect("a subnet");
        let request = AddressRequest::Any { subnet, name: String::new() };
        Ok(self.overlay.allocate("blue", request).await?.address)
    }

    async fn announce(&self, address: IpAddr, name: &str) -> Result<Progress, NodeError> {
        self.overlay.announce(vec![endpoint(address, name)]).await
    }

    /// Attaches a container at any address.
    async fn attach(&self, subnet: &str, name: &str) -> Result<IpAddr, NodeError> {
        let address = self.allocate(subnet).await?;
        self.announce(address, name).await?;
        Ok(address)
    }

    /// Attaches a container at this address.
    async fn attach_at(&self, address: IpAddr, name: &str) -> Result<Progress, NodeError> {
        self.overlay.allocate("blue", AddressRequest::Fixed(address)).await?;
        self.announce(address, name).await
    }

    async fn detach(&self, address: IpAddr) -> Progress {
        let progress = self.overlay.withdraw("blue", vec![address]).await.expect("withdraw");
        self.overlay.release("blue", address).await.expect("release");
        progress
    }
}

fn network(name: &str, subnet: &str) -> NewNetwork {
    NewNetwork {
        name: name.to_owned(),
        vni: None,
        subnets: vec![subnet.parse().expect("a subnet")],
        mtu: None,
        options: BTreeMap::new(),
    }
}

/// An endpoint of network blue. Its MAC address follows from its address and name.
fn endpoint(address: IpAddr, name: &str) -> Endpoint {
    let last = match address {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[15],
    };
    Endpoint {
        network: "blue".to_owned(),
        block: block_of(address),
        address,
        node: String::new(),
        mac: [2, 0, 0, name.len() as u8, 0, last].into(),
        name: name.to_owned(),
        aliases: Vec::new(),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

const SUBNET: &str = "10.50.0.0/16";

/// Two nodes of a network blue that know each other.
async fn pair(store: &MemoryStore) -> (Member, Member) {
    let (one, mut two) = (Member::start(store, "n1", 1), Member::start(store, "n2", 2));
    one.create("blue", SUBNET).await.expect("create");
    two.until("blue", |model| model.networks.contains_key("blue")).await;
    two.until("n1", |model| model.nodes.contains_key("n1")).await;
    let mut one = one;
    one.until("n2", |model| model.nodes.contains_key("n2")).await;
    (one, two)
}
