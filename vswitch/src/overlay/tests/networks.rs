//! Networks: created, deleted, in use.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_network_is_created_and_deleted() {
    let store = MemoryStore::default();
    let (one, mut two) = pair(&store).await;
    let mut red = network("red", "10.9.0.0/16");
    red.options.insert("internal".to_owned(), "true".to_owned());
    red.mtu = Some(1400);
    let created = one.overlay.create_network(red.clone()).await.expect("create");
    assert_eq!(*created, red.with_vni(limits::VNI_FIRST + 1));
    two.until("red", |model| model.networks.get("red") == Some(&created)).await;
    let again = two.create("red", "10.8.0.0/16").await;
    assert_eq!(again, Err(NodeError::NetworkExists("red".to_owned())));
    let overlapping = two.create("other", "10.9.7.0/24").await;
    let expected = NodeError::SubnetOverlaps {
        subnet: "10.9.7.0/24".parse().expect("a subnet"),
        network: "red".to_owned(),
        other: "10.9.0.0/16".parse().expect("a subnet"),
    };
    assert_eq!(overlapping, Err(expected));
    let mut taken = network("other", "10.8.0.0/16");
    taken.vni = Some(created.vni);
    let expected = NodeError::VniTaken { vni: created.vni, network: "red".to_owned() };
    assert_eq!(two.overlay.create_network(taken).await, Err(expected));
    for (name, subnet) in [("-", "10.8.0.0/16"), ("a/b", "10.8.0.0/16"), ("x", "10.8.0.1/16")] {
        let result = two.create(name, subnet).await;
        assert!(matches!(result, Err(NodeError::Format(_))), "{result:?}");
    }
    two.overlay.delete_network("red").await.expect("delete");
    // Its name, VNI and subnet are free at once.
    let mut taken = network("other", "10.9.7.0/24");
    taken.vni = Some(created.vni);
    two.overlay.create_network(taken).await.expect("create");
    let unknown = two.overlay.delete_network("red").await;
    assert_eq!(unknown, Err(NodeError::UnknownNetwork("red".to_owned())));
    let mut one = one;
    one.until("its end", |m| m.removed == ["red"] && m.networks.contains_key("other")).await;
}

/// In use by this node, or by another one; afterwards its blocks go with it.
#[tokio::test(start_paused = true)]
async fn a_network_in_use_is_not_deleted() {
    let store = MemoryStore::default();
    let (one, mut two) = pair(&store).await;
    let address = one.attach(SUBNET, "web").await.expect("attach");
    two.allocate(SUBNET).await.expect("a block for n2");
    for member in [&one, &two] {
        let in_use = member.overlay.delete_network("blue").await;
        let Err(NodeError::NetworkInUse { endpoints: 1, node, .. }) = in_use else {
            panic!("{in_use:?}");
        };
        assert_eq!(node, "n1");
    }
    one.detach(address).await;
    two.overlay.delete_network("blue").await.expect("delete");
    let left = store.client("vswitch").list("v1/").await.expect("list").entries;
    let keys: Vec<_> =
        left.iter().map(|entry| entry.key.split('/').nth(1).expect("kind")).collect();
    assert_eq!(keys, ["nodes", "nodes", "vteps", "vteps"]);
    two.until("its end", |model| model.networks.is_empty() && model.blocks.is_empty()).await;
    let mut one = one;
    one.until("its end", |model| model.networks.is_empty() && model.blocks.is_empty()).await;
    assert!(matches!(one.allocate(SUBNET).await, Err(NodeError::UnknownNetwork(_))));
}

/// What the registry says, while the watch has not told the last detach; while nobody is believed gone, what is known.
#[tokio::test(start_paused = true)]
async fn the_registry_is_asked_whether_a_network_is_in_use() {
    let store = MemoryStore::default();
    let (one, mut two) = pair(&store).await;
    let address = one.attach(SUBNET, "web").await.expect("attach");
    two.until("the endpoint", |model| model.endpoints.contains_key(&address)).await;
    let in_use = two.overlay.check_unused("blue").await;
    let is_on_n1 = |result: &Result<_, _>| match result {
        Err(NodeError::NetworkInUse { node, .. }) => node == "n1",
        _ => false,
    };
    assert!(is_on_n1(&in_use), "{in_use:?}");
    one.detach(address).await;
    assert_eq!(two.overlay.check_unused("blue").await, Ok(()));
    assert!(two.status().await.doubted > 0, "the watch was faster: the test shows nothing");
    // The registry is back without the endpoint, which its node may write again.
    let address = one.attach(SUBNET, "web").await.expect("attach");
    two.until("the endpoint", |model| model.endpoints.contains_key(&address)).await;
    two.link().cut();
    two.until_status("it is away", |status| !status.is_connected).await;
    assert!(matches!(two.overlay.check_unused("blue").await, Err(NodeError::Registry(_))));
    one.detach(address).await;
    two.link().heal();
    two.until_status("it is back", |status| status.is_connected && status.grace.is_some()).await;
    let in_use = two.overlay.check_unused("blue").await;
    assert!(is_on_n1(&in_use), "{in_use:?}");
}

/// More blocks than a transaction has operations; a block that is claimed while the network is deleted goes, too.
#[tokio::test(start_paused = true)]
async fn blocks_of_a_deleted_network_go() {
    let store = MemoryStore::new(32);
    let (mut one, mut two) = pair(&store).await;
    while one.status().await.own_blocks < 40 {
        one.allocate(SUBNET).await.expect("allocate");
    }
    store.set_latency(Duration::from_millis(20));
    let (deleted, allocated) =
        tokio::join!(two.overlay.delete_network("blue"), two.allocate(SUBNET));
    assert_eq!(deleted, Ok(()));
    drop(allocated);
    for member in [&mut one, &mut two] {
        member.until("its end", |m| m.networks.is_empty() && m.blocks.is_empty()).await;
        member.go_on(Duration::from_secs(5)).await;
    }
    let left = store.client("vswitch").list("v1/blocks/").await.expect("list").entries;
    assert_eq!(left, []);
}

/// Another program deletes a network without its blocks: their node deletes them.
#[tokio::test(start_paused = true)]
async fn blocks_of_a_network_that_is_no_more() {
    let store = MemoryStore::default();
    let (one, mut two) = pair(&store).await;
    one.allocate(SUBNET).await.expect("a block");
    let client = store.client("vswitch");
    for entry in client.list("v1/").await.expect("list").entries {
        if entry.key.starts_with("v1/networks/") || entry.key.starts_with("v1/vnis/") {
            let registry: &dyn Registry = &client;
            registry.delete(&entry.key, entry.revision).await.expect("delete");
        }
    }
    two.until("its end", |model| model.networks.is_empty()).await;
    two.go_on(Duration::from_secs(2)).await;
    assert_eq!(client.list("v1/blocks/").await.expect("list").entries, []);
}

/// An endpoint that is attached while the network is deleted keeps it: one of the two is refused, or the network is
/// written again.
#[tokio::test(start_paused = true)]
async fn an_attach_while_the_network_is_deleted() {
    for latency in [1, 5, 10, 20, 40, 80] {
        for delay in [0, 5, 10, 20, 40, 80, 120] {
            let store = MemoryStore::default();
            let (one, mut two) = pair(&store).await;
            let address = one.allocate(SUBNET).await.expect("allocate");
            store.set_latency(Duration::from_millis(latency));
            let attach = async {
                tokio::time::sleep(Duration::from_millis(delay)).await;
                one.announce(address, "web").await
            };
            let (deleted, attached) = tokio::join!(two.overlay.delete_network("blue"), attach);
            let mut one = one;
            one.go_on(Duration::from_secs(5)).await;
            two.go_on(Duration::from_secs(5)).await;
            let context = format!("{latency} {delay}: {deleted:?} {attached:?}");
            let exists = attached.is_ok();
            assert!(exists || deleted.is_ok(), "{context}");
            assert_eq!(one.model.networks.contains_key("blue"), exists, "{context}");
            assert_eq!(two.model.networks.contains_key("blue"), exists, "{context}");
            assert_eq!(two.model.node_of(address), exists.then_some("n1"), "{context}");
        }
    }
}

/// A node with endpoints finds its network deleted after a partition: to it the network is in use.
#[tokio::test(start_paused = true)]
async fn a_network_that_was_deleted_while_a_node_was_cut_off() {
    let store = MemoryStore::default();
    let (mut one, mut two) = pair(&store).await;
    let address = one.attach(SUBNET, "web").await.expect("attach");
    let vni = one.network_of("blue").await.vni;
    one.link().cut();
    two.until("n1's end", |model| model.nodes.is_empty() && model.endpoints.is_empty()).await;
    two.overlay.delete_network("blue").await.expect("delete");
    // Another network gets its VNI.
    let mut red = network("red", "10.9.0.0/16");
    red.vni = Some(vni);
    two.overlay.create_network(red).await.expect("create");
    one.link().heal();
    two.until("blue again", |m| m.node_of(address) == Some("n1") && m.networks.len() == 2).await;
    one.until("another VNI", |model| model.networks["blue"].vni != vni).await;
    assert!(one.model.removed.is_empty(), "{:?}", one.model.removed);
    assert_eq!(one.model.networks["blue"], two.model.networks["blue"]);
}

impl Member {
    async fn network_of(&mut self, name: &str) -> Arc<Network> {
        self.until("the network", |model| model.networks.contains_key(name)).await;
        Arc::clone(&self.model.networks[name])
    }
}
