//! One node among a thousand with a hundred endpoints each: what it costs to start from the registry, and to follow it.
//!
//! The registry in memory shows the node's own cost. That of etcd has fewer nodes, unless `make soak` asks for a thousand.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::iter;
use testkit::Etcd;
use tokio::time::Instant;
use vswitch::overlay::{Overlay, OverlayChange, OverlayChanges, OverlayConf, RemoteEndpoint};
use vswitch_registry::memory::MemoryStore;
use vswitch_registry::record::{Endpoint, Network, Node, Record, block_of};
use vswitch_registry::{Operation, Registry, RegistryUrl, open};

const ENDPOINTS_A_NODE: u32 = 100;

/// Of a release build, which `make soak` does not make: a test's is slower.
const START_MAX: Duration = Duration::from_secs(5);

const BYTES_MAX: u64 = 100 << 20;

fn network() -> Network {
    Network {
        name: "blue".to_owned(),
        vni: 5000,
        subnets: vec!["10.0.0.0/8".parse().expect("a subnet")],
        mtu: None,
        options: BTreeMap::new(),
    }
}

fn node(n: u32) -> Node {
    let address = IpAddr::from((0xc612_0000_u32 + n).to_be_bytes());
    Node { name: format!("node-{n}"), address, port: 4789 }
}

/// Endpoint `n` of a node, in blocks of the node's own.
fn endpoint(node: u32, n: u32) -> Endpoint {
    let [_, a, b, c] = (node * 256 + n).to_be_bytes();
    let address = IpAddr::from((0x0a00_0000_u32 + node * 256 + n).to_be_bytes());
    Endpoint {
        network: "blue".to_owned(),
        block: block_of(address),
        address,
        node: format!("node-{node}"),
        mac: [2, 0, 0, a, b, c].into(),
        name: format!("web-{node}-{n}"),
        aliases: vec![format!("task-{n}")],
    }
}

fn records(nodes: u32) -> Vec<Record> {
    let mut records =
        vec![Record::Network(network()), Record::Vni { vni: 5000, network: "blue".to_owned() }];
    for n in 1..=nodes {
        let Node { name, address, port } = node(n);
        records.push(Record::Vtep { address, port, node: name });
        records.push(Record::Node(node(n)));
        records.extend((0..ENDPOINTS_A_NODE).map(|i| Record::Endpoint(endpoint(n, i))));
    }
    records
}

async fn fill(registry: &dyn Registry, nodes: u32) {
    let create = |record: Record| Operation::Create {
        key: record.key(),
        value: record.value(),
        lease: None,
    };
    let operations: Vec<_> = records(nodes).into_iter().map(create).collect();
    let transactions = iter(operations.chunks(registry.operations_max()));
    let transactions = transactions.map(|operations| registry.transact(operations));
    let results: Vec<_> = transactions.buffer_unordered(8).collect().await;
    assert!(results.iter().all(Result::is_ok));
}

/// A consumer that keeps what it is told, as control does.
struct Consumer {
    /// Ends with this value.
    _overlay: Overlay,
    changes: OverlayChanges,
    endpoints: BTreeMap<IpAddr, Arc<RemoteEndpoint>>,
    nodes: usize,
    /// Changes of endpoints.
    told: usize,
}

impl Consumer {
    fn start(registry: Arc<dyn Registry>) -> Self {
        let conf = OverlayConf::new(node(0), registry, "memory://".to_owned());
        let (overlay, changes) = Overlay::start(conf);
        Self { _overlay: overlay, changes, endpoints: BTreeMap::new(), nodes: 0, told: 0 }
    }

    async fn until(&mut self, condition: impl Fn(&Self) -> bool) {
        let limit = Duration::from_secs(120);
        let wait = async {
            while !condition(self) {
                for change in self.changes.next().await.expect("it goes on") {
                    match change {
                        OverlayChange::EndpointSet { endpoint, .. } => {
                            self.endpoints.insert(endpoint.address, endpoint);
                            self.told += 1;
                        }
                        OverlayChange::NodeSet { .. } => self.nodes += 1,
                        _ => {}
                    }
                }
            }
        };
        tokio::time::timeout(limit, wait).await.expect("in time");
    }
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("runtime").block_on(test)
}

/// Starts a node from a registry of so many; returns its consumer, the time, and the most bytes that it took.
fn start(
    runtime: &tokio::runtime::Runtime,
    registry: &Arc<dyn Registry>,
    nodes: u32,
) -> (Consumer, Duration, u64) {
    let mut started = None;
    let began = Instant::now();
    let counted = allocation_counter::measure(|| {
        started = Some(runtime.block_on(async {
            let mut consumer = Consumer::start(Arc::clone(registry));
            let all = (nodes * ENDPOINTS_A_NODE) as usize;
            consumer.until(|c| c.endpoints.len() == all && c.nodes == nodes as usize).await;
            consumer
        }));
    });
    (started.expect("it ran"), began.elapsed(), counted.bytes_max)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime")
}

fn check(what: &str, nodes: u32, elapsed: Duration, bytes: u64) {
    let mib = bytes >> 20;
    eprintln!(
        "{what}: a node starts among {nodes} with {ENDPOINTS_A_NODE} endpoints each in {} ms, {mib} MiB at most",
        elapsed.as_millis()
    );
    assert!(bytes < BYTES_MAX, "{mib} MiB");
    assert!(elapsed < START_MAX || cfg!(debug_assertions), "{elapsed:?}");
}

/// Moves endpoints between nodes, 64 in a transaction; returns how many changes a second were told.
async fn follow(registry: &dyn Registry, consumer: &mut Consumer, nodes: u32) -> u128 {
    let listing = registry.list("v1/endpoints/blue/").await.expect("list");
    let moved: Vec<_> = listing.entries.into_iter().take(6_400).collect();
    let (count, before, began) = (moved.len(), consumer.told, Instant::now());
    let swaps = moved.into_iter().enumerate().map(|(n, entry)| {
        let Ok(Record::Endpoint(endpoint)) = Record::decode(&entry) else { panic!("{entry:?}") };
        let node = format!("node-{}", 1 + (n as u32 + nodes / 2) % nodes);
        let moved = Record::Endpoint(Endpoint { node, mac: [2, 1, 0, 0, 0, 1].into(), ..endpoint });
        let (key, revision) = (entry.key, entry.revision);
        Operation::Swap { key, value: moved.value(), revision, lease: None }
    });
    let swaps: Vec<_> = swaps.collect();
    let write = async {
        for operations in swaps.chunks(registry.operations_max()) {
            registry.transact(operations).await.expect("swap");
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(write, consumer.until(|c| c.told - before >= count));
    count as u128 * 1_000_000 / began.elapsed().as_micros()
}

#[test]
fn a_node_starts_among_a_thousand() {
    let nodes = 1_000;
    let store = MemoryStore::default();
    let registry: Arc<dyn Registry> = Arc::new(store.client("vswitch"));
    let runtime = runtime();
    runtime.block_on(fill(&*registry, nodes));
    let (mut consumer, elapsed, bytes) = start(&runtime, &registry, nodes);
    check("memory", nodes, elapsed, bytes);
    let rate = runtime.block_on(follow(&*registry, &mut consumer, nodes));
    eprintln!("memory: {rate} changes/s followed");
    assert!(rate > 1_000, "{rate} changes/s");
}

#[test]
fn a_node_starts_from_etcd() {
    let nodes = std::env::var("SOAK_NODES").map_or(20, |text| text.parse().expect("a number"));
    let server = Etcd::new(Vec::new());
    let url: RegistryUrl = format!("etcd://{}", server.address()).parse().expect("a URL");
    let registry = open(&url).expect("opens");
    run(fill(&*registry, nodes));
    // Connections belong to the runtime that made them.
    let registry = open(&url).expect("opens");
    let runtime = runtime();
    let (mut consumer, elapsed, bytes) = start(&runtime, &registry, nodes);
    check("etcd", nodes, elapsed, bytes);
    let rate = runtime.block_on(follow(&*registry, &mut consumer, nodes));
    eprintln!("etcd: {rate} changes/s written and followed");
}
