//! What nodes do: register, claim blocks, announce endpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use vswitch_registry::record::{Endpoint, Network, Node, Record, block_of, prefix};
use vswitch_registry::{
    BlockError, Entry, Registration, RegistrationError, Registry, RegistryError, claim_block,
    claimed_blocks,
};

use crate::server::Server;

const TTL: Duration = Duration::from_secs(30);

fn node(name: &str, last: u8) -> Node {
    Node { name: name.to_owned(), address: [192, 0, 2, last].into(), port: 4789 }
}

fn endpoint(node: &str, last: u8) -> Endpoint {
    let address = IpAddr::from([10, 50, 0, last]);
    Endpoint {
        network: "blue".to_owned(),
        block: block_of(address),
        address,
        node: node.to_owned(),
        mac: [2, 0, 0, 0, 0, last].into(),
        name: format!("c{last}"),
        aliases: Vec::new(),
    }
}

fn is_send<T: Send>(value: T) -> T {
    value
}

async fn endpoints(registry: &Arc<dyn Registry>) -> BTreeMap<IpAddr, String> {
    let listing = registry.list(prefix::ENDPOINTS).await.expect("list");
    let records = listing.entries.iter().map(|entry| Record::decode(entry).expect("a record"));
    let pairs = records.map(|record| match record {
        Record::Endpoint(Endpoint { address, node, .. }) => (address, node),
        other => panic!("{other:?}"),
    });
    pairs.collect()
}

pub(crate) async fn register_and_announce(server: &dyn Server) {
    let registry = server.client("nodes");
    // A daemon may spawn it.
    let register = |node| is_send(Registration::register(Arc::clone(&registry), node, TTL));
    let first = register(node("n1", 1)).await.expect("register");
    let error = register(node("n1", 2)).await.expect_err("the name is taken");
    assert!(matches!(error, RegistrationError::NameTaken { .. }), "{error}");
    let error = register(node("n2", 1)).await.expect_err("the VTEP is taken");
    assert!(matches!(&error, RegistrationError::VtepTaken { node, .. } if node == "n1"), "{error}");
    let other = register(node("n2", 2)).await.expect("register");
    let many: Vec<_> = (1..=100).map(|last| endpoint("n1", last)).collect();
    first.announce(&many).await.expect("announce");
    assert_eq!(endpoints(&registry).await.len(), 100);
    let error = other.announce(&[endpoint("n2", 101), endpoint("n2", 7)]).await;
    let expected = RegistrationError::AddressTaken {
        address: [10, 50, 0, 7].into(),
        network: "blue".to_owned(),
        node: "n1".to_owned(),
    };
    assert_eq!(error, Err(expected));
    // One transaction: the other address is free still.
    assert_eq!(endpoints(&registry).await.len(), 100);
    other.withdraw(&[endpoint("n2", 7)]).await.expect("nothing of its own");
    assert_eq!(endpoints(&registry).await.len(), 100);
    // The node restarts: it takes over its records, which outlive the old lease.
    let again = register(node("n1", 1)).await.expect("register again");
    again.announce(&many[..50]).await.expect("announce again");
    let old = first.lease_id();
    registry.revoke(&old).await.expect("revoke");
    assert_eq!(endpoints(&registry).await.len(), 50);
    again.withdraw(&many).await.expect("withdraw");
    assert_eq!(endpoints(&registry).await.len(), 0);
    let id = again.lease().id().clone();
    registry.revoke(&id).await.expect("revoke");
    assert_eq!(registry.get("v1/nodes/n1").await.expect("get"), None);
    let ended = again.announce(&many[..1]).await;
    let is_right =
        matches!(ended, Err(RegistrationError::Registry(RegistryError::LeaseEnded { .. })));
    assert!(is_right, "{ended:?}");
}

/// A node gets another VTEP under its lease: the old one is free, and all ends with the lease.
pub(crate) async fn change_vtep(server: &dyn Server) {
    let registry = server.client("vtep");
    let register = |node| Registration::register(Arc::clone(&registry), node, TTL);
    let old = node("n1", 1);
    let first = register(old.clone()).await.expect("register");
    register(node("n2", 2)).await.expect("register");
    let error = first.change_vtep(&old, &node("n1", 2)).await.expect_err("n2's");
    assert!(matches!(&error, RegistrationError::VtepTaken { node, .. } if node == "n2"), "{error}");
    let new = node("n1", 3);
    // The second time as after a lost answer.
    for _ in 0..2 {
        first.change_vtep(&old, &new).await.expect("change");
    }
    let error = first.change_vtep(&old, &node("n1", 4)).await.expect_err("it is another one's");
    assert!(matches!(error, RegistrationError::NameTaken { .. }), "{error}");
    let keys = |entries: Vec<Entry>| entries.into_iter().map(|entry| entry.key);
    let listed = registry.list(prefix::VTEPS).await.expect("list").entries;
    let expected = ["v1/vteps/192.0.2.2_4789", "v1/vteps/192.0.2.3_4789"];
    assert_eq!(keys(listed).collect::<Vec<_>>(), expected);
    register(node("n3", 1)).await.expect("the old one is free");
    registry.revoke(&first.lease_id()).await.expect("revoke");
    assert_eq!(registry.get("v1/nodes/n1").await.expect("get"), None);
    assert_eq!(registry.get("v1/vteps/192.0.2.3_4789").await.expect("get"), None);
}

/// Sixteen nodes claim the sixteen blocks of a subnet at once; there is none for the next.
pub(crate) async fn claim_blocks(server: &dyn Server) {
    let subnet = "10.50.0.0/22".parse().expect("net");
    let network = Network {
        name: "blue".to_owned(),
        vni: 42,
        subnets: vec![subnet],
        mtu: None,
        options: BTreeMap::new(),
    };
    let registry = server.client("blocks");
    let claims = (0..16).map(|n| {
        let (registry, network) = (&registry, &network);
        async move { claim_block(&**registry, network, subnet, &format!("n{n}")).await }
    });
    let claimed: Result<BTreeSet<_>, _> = join_all(claims).await.into_iter().collect();
    assert_eq!(claimed.expect("each gets one").len(), 16);
    let all = claimed_blocks(&*registry, "blue").await.expect("list");
    let nodes: BTreeSet<_> = all.into_iter().map(|(_, node)| node).collect();
    assert_eq!(nodes.len(), 16);
    let result = claim_block(&*registry, &network, subnet, "n16").await;
    assert_eq!(result, Err(BlockError::Exhausted { network: "blue".to_owned(), subnet }));
}
