//! Attach, detach, move and names, while all is well.

use futures_util::future::join_all;

use super::*;

/// What one node attaches the other sees, as soon as the attach returned; and it is gone when the detach returned.
#[tokio::test(start_paused = true)]
async fn an_endpoint_is_seen_by_the_other_node() {
    let store = MemoryStore::default();
    let (one, mut two) = pair(&store).await;
    let address = one.allocate(SUBNET).await.expect("allocate");
    let mut announced = endpoint(address, "web");
    announced.aliases.push("www".to_owned());
    let progress = one.overlay.announce(vec![announced.clone()]).await.expect("announce");
    assert_eq!(progress, Progress::Written);
    let key = format!("v1/endpoints/blue/{}-26/{address}", block_of(address).addr());
    assert!(one.link().get(&key).await.expect("get").is_some(), "written before it returned");
    two.until("the endpoint", |model| model.endpoints.contains_key(&address)).await;
    let seen = Arc::clone(&two.model.endpoints[&address]);
    assert_eq!((&*seen.network, &*seen.node, seen.mac), ("blue", "n1", announced.mac));
    assert_eq!((&*seen.name, &*seen.aliases), ("web", &["www".into()][..]));
    assert_eq!(two.model.nodes["n1"].address, ip("192.0.2.1"));
    let detached = one.detach(address).await;
    assert_eq!(detached, Progress::Written);
    assert!(one.link().get(&key).await.expect("get").is_none(), "deleted before it returned");
    two.until("its end", |model| model.endpoints.is_empty()).await;
    assert_eq!(two.model.removed, [address.to_string()]);
}

/// Both families, in blocks of 64; own endpoints are not told to the node itself.
#[tokio::test(start_paused = true)]
async fn blocks_of_both_families() {
    let store = MemoryStore::default();
    let mut one = Member::start(&store, "n1", 1);
    let mut blue = network("blue", SUBNET);
    blue.subnets.push("fd00:50::/64".parse().expect("a subnet"));
    one.overlay.create_network(blue).await.expect("create");
    for subnet in [SUBNET, "fd00:50::/64"] {
        let mut given = BTreeSet::new();
        for n in 0..150 {
            let address = one.allocate(subnet).await.expect("allocate");
            assert!(given.insert(address), "{address} twice");
            if n % 10 == 0 {
                one.announce(address, "web").await.expect("announce");
            }
        }
        let blocks: BTreeSet<_> = given.iter().map(|address| block_of(*address)).collect();
        assert_eq!(blocks.len(), 3, "{blocks:?}");
    }
    one.until("six blocks", |model| model.blocks.len() == 6).await;
    assert!(one.model.endpoints.is_empty());
    let status = one.status().await;
    assert_eq!((status.own_blocks, status.own_endpoints, status.queued), (6, 30, 0));
}

/// Attachments at the same time share transactions of 64 operations, or of 32.
#[tokio::test(start_paused = true)]
async fn attachments_share_transactions() {
    for operations_max in [64, 32] {
        let store = MemoryStore::new(operations_max);
        let (one, mut two) = pair(&store).await;
        store.set_latency(Duration::from_millis(10));
        let addresses = join_all((0..100).map(|_| one.allocate(SUBNET))).await;
        let before = store.transactions();
        let names = (0..100).map(|n| format!("c{n}")).collect::<Vec<_>>();
        let announced = addresses
            .iter()
            .zip(&names)
            .map(|(address, name)| one.announce(*address.as_ref().expect("an address"), name));
        let results = join_all(announced).await;
        assert!(results.iter().all(|result| *result == Ok(Progress::Written)), "{results:?}");
        let used = store.transactions() - before;
        assert!(used <= 100 / operations_max as u64 + 3, "{used} transactions");
        two.until("all", |model| model.endpoints.len() == 100).await;
        let gone = join_all(addresses.into_iter().map(|a| one.detach(a.expect("address")))).await;
        assert!(gone.iter().all(|progress| *progress == Progress::Written));
        two.until("none", |model| model.endpoints.is_empty()).await;
    }
}

/// An address that is fixed in another node's block: the other node sees it and does not give it out.
#[tokio::test(start_paused = true)]
async fn a_fixed_address_in_anothers_block() {
    let store = MemoryStore::default();
    let (one, mut two) = pair(&store).await;
    let first = one.attach(SUBNET, "a").await.expect("attach");
    let next = IpAddr::from((u128_of(first) as u32 + 1).to_be_bytes());
    assert_eq!(two.attach_at(next, "b").await, Ok(Progress::Written));
    let taken = NodeError::AddressTaken {
        address: next,
        network: "blue".to_owned(),
        node: "n2".to_owned(),
    };
    let mut one = one;
    one.until("the address", |model| model.node_of(next) == Some("n2")).await;
    assert_eq!(one.attach_at(next, "c").await, Err(taken));
    let further = one.attach(SUBNET, "c").await.expect("attach");
    assert_eq!(block_of(further), block_of(first));
    assert_ne!(further, next);
    two.until("both", |model| model.endpoints.len() == 2).await;
}

fn u128_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// A container goes to another node with its address: the consumer is told in one change, and the old node loses it.
#[tokio::test(start_paused = true)]
async fn an_endpoint_moves() {
    let store = MemoryStore::default();
    let (one, mut two) = pair(&store).await;
    let mut three = Member::start(&store, "n3", 3);
    let address = one.attach(SUBNET, "web").await.expect("attach");
    three.until("it is on n1", |model| model.node_of(address) == Some("n1")).await;
    two.until("it is on n1", |model| model.node_of(address) == Some("n1")).await;
    one.detach(address).await;
    two.attach_at(address, "web").await.expect("attach");
    let mut one = one;
    one.until("it is on n2", |model| model.node_of(address) == Some("n2")).await;
    three.until("it is on n2", |model| model.node_of(address) == Some("n2")).await;
    assert_eq!(three.model.removed, Vec::<String>::new(), "a move is no removal");
    // To the new node it is no remote endpoint any more.
    two.until("it is local", |model| model.endpoints.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn names_and_mac_addresses_change() {
    let store = MemoryStore::default();
    let (one, mut two) = pair(&store).await;
    let address = one.attach(SUBNET, "web").await.expect("attach");
    two.until("the endpoint", |model| model.endpoints.contains_key(&address)).await;
    one.announce(address, "other").await.expect("announce");
    two.until("its name", |model| *model.endpoints[&address].name == *"other").await;
    assert!(two.model.removed.is_empty());
}

/// A consumer that takes nothing for a while gets the last state only.
#[tokio::test(start_paused = true)]
async fn changes_are_coalesced() {
    let store = MemoryStore::default();
    let (one, mut two) = pair(&store).await;
    let kept = one.attach(SUBNET, "kept").await.expect("attach");
    let batches = two.model.batches;
    for n in 0..50 {
        let address = one.attach(SUBNET, "c").await.expect("attach");
        one.announce(kept, &format!("kept{n}")).await.expect("announce");
        one.detach(address).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    two.until("the last name", |m| m.endpoints.get(&kept).is_some_and(|e| *e.name == *"kept49"))
        .await;
    two.go_on(Duration::from_secs(1)).await;
    assert_eq!(two.model.endpoints.len(), 1);
    let batches = two.model.batches - batches;
    assert!(batches <= 3, "{batches} batches");
}

/// A released address rests, though a request that names it gets it.
#[tokio::test(start_paused = true)]
async fn a_released_address_rests() {
    let store = MemoryStore::default();
    let one = Member::start(&store, "n1", 1);
    one.create("blue", "10.50.0.0/28").await.expect("create");
    let mut given = Vec::new();
    while let Ok(address) = one.allocate("10.50.0.0/28").await {
        given.push(address);
    }
    // Without network, gateway and broadcast address.
    assert_eq!(given.len(), 13);
    one.overlay.release("blue", given[4]).await.expect("release");
    let exhausted = one.allocate("10.50.0.0/28").await;
    assert!(matches!(exhausted, Err(NodeError::Exhausted { .. })), "{exhausted:?}");
    let fixed = one.overlay.allocate("blue", AddressRequest::Fixed(given[4])).await;
    assert_eq!(fixed.expect("allocate").address, given[4]);
    one.overlay.release("blue", given[4]).await.expect("release");
    tokio::time::sleep(limits::ADDRESS_REUSE_DELAY).await;
    assert_eq!(one.allocate("10.50.0.0/28").await, Ok(given[4]));
}

#[tokio::test(start_paused = true)]
async fn addresses_that_no_endpoint_can_have() {
    let store = MemoryStore::default();
    let one = Member::start(&store, "n1", 1);
    one.create("blue", SUBNET).await.expect("create");
    for (address, reason) in [
        ("10.50.0.0", "subnet's own"),
        ("10.50.0.1", "gateway"),
        ("10.50.255.255", "broadcast"),
        ("10.51.0.7", "none of the network's subnets"),
        ("fd00::7", "none of the network's subnets"),
    ] {
        let error = one.attach_at(ip(address), "x").await.expect_err(address).to_string();
        assert!(error.contains(reason) && error.contains(address), "{error}");
    }
    let error = one.overlay.allocate("red", AddressRequest::Fixed(ip("10.50.0.9"))).await;
    assert_eq!(error, Err(NodeError::UnknownNetwork("red".to_owned())));
}

/// The end of a node's part: others forget it at once; without it, after its lease.
#[tokio::test(start_paused = true)]
async fn a_node_leaves_or_dies() {
    let store = MemoryStore::default();
    let (one, mut two) = pair(&store).await;
    let address = one.attach(SUBNET, "web").await.expect("attach");
    two.until("the endpoint", |model| model.endpoints.contains_key(&address)).await;
    let before = tokio::time::Instant::now();
    one.overlay.close().await.expect("close");
    two.until("it is forgotten", |m| m.endpoints.is_empty() && m.nodes.is_empty()).await;
    assert!(before.elapsed() < Duration::from_secs(1));
    assert!(two.model.blocks.is_empty(), "{:?}", two.model.blocks);
    let again = Member::start(&store, "n1", 1);
    two.until("it is back", |model| model.nodes.contains_key("n1")).await;
    let address = again.attach(SUBNET, "web").await.expect("attach");
    two.until("the endpoint", |model| model.endpoints.contains_key(&address)).await;
    let before = tokio::time::Instant::now();
    drop(again);
    two.until("it is forgotten", |m| m.endpoints.is_empty() && m.nodes.is_empty()).await;
    let lived = before.elapsed();
    assert!(lived > limits::NODE_TTL / 2 && lived < limits::NODE_TTL * 2, "{lived:?}");
}

/// All addresses of an endpoint, or none.
#[tokio::test(start_paused = true)]
async fn an_endpoint_with_two_addresses() {
    let store = MemoryStore::default();
    let (one, two) = (Member::start(&store, "n1", 1), Member::start(&store, "n2", 2));
    let mut blue = network("blue", SUBNET);
    blue.subnets.push("fd00:50::/64".parse().expect("a subnet"));
    one.overlay.create_network(blue).await.expect("create");
    let mut two = two;
    two.until("blue", |model| model.networks.contains_key("blue")).await;
    let (v4, v6) = (ip("10.50.7.7"), ip("fd00:50::77"));
    two.attach_at(v6, "taken").await.expect("attach");
    let both = |v4, v6| vec![endpoint(v4, "web"), endpoint(v6, "web")];
    let error = one.overlay.announce(both(v4, v6)).await;
    assert!(matches!(error, Err(NodeError::AddressTaken { address, .. }) if address == v6));
    one.until_status("the other is taken back", |status| status.own_endpoints == 0).await;
    two.go_on(Duration::from_secs(5)).await;
    assert!(two.model.endpoints.is_empty());
    let other = ip("fd00:50::78");
    assert_eq!(one.overlay.announce(both(v4, other)).await, Ok(Progress::Written));
    two.until("both", |model| model.endpoints.len() == 2).await;
    let gone = one.overlay.withdraw("blue", vec![v4, other]).await;
    assert_eq!(gone, Ok(Progress::Written));
    two.until("none", |model| model.endpoints.is_empty()).await;
}

/// Addresses from before a restart are nobody else's: those that are announced again and withdrawn, as of a container that
/// stops, and those that nothing announces.
#[tokio::test(start_paused = true)]
async fn addresses_from_before_a_restart_are_kept() {
    let store = MemoryStore::default();
    let (one, _two) = pair(&store).await;
    let (stopping, stopped) = (ip("10.50.0.66"), ip("10.50.0.67"));
    one.announce(stopping, "stopping").await.expect("announce");
    one.overlay.keep("blue", stopped).await.expect("keep");
    one.overlay.withdraw("blue", vec![stopping]).await.expect("withdraw");
    for address in [stopping, stopped] {
        let taken = one.attach_at(address, "other").await;
        assert!(matches!(taken, Err(NodeError::AddressTaken { .. })), "{taken:?}");
        one.overlay.release("blue", address).await.expect("release");
        assert_eq!(one.attach_at(address, "other").await, Ok(Progress::Written));
    }
}

/// A network that is created again has all of its addresses.
#[tokio::test(start_paused = true)]
async fn reservations_go_with_their_network() {
    let store = MemoryStore::default();
    let one = Member::start(&store, "n1", 1);
    for _ in 0..2 {
        one.create("blue", SUBNET).await.expect("create");
        let request = AddressRequest::Fixed(ip("10.50.0.9"));
        one.overlay.allocate("blue", request).await.expect("allocate");
        one.overlay.delete_network("blue").await.expect("delete");
    }
}
