//! The registry is away, comes back, or has lost its data.

use vswitch_registry::{LeaseState, Operation};

use super::*;

async fn endpoint_count(store: &MemoryStore) -> usize {
    let client = store.client("vswitch");
    client.list("v1/endpoints/").await.expect("list").entries.len()
}

/// Cut off from each other and from the registry, both attach from their own blocks; afterwards each has both.
#[tokio::test(start_paused = true)]
async fn a_partition_heals_after_each_side_attached() {
    let store = MemoryStore::default();
    let (mut one, mut two) = pair(&store).await;
    let first = one.attach(SUBNET, "a").await.expect("attach");
    let second = two.attach(SUBNET, "b").await.expect("attach");
    one.until("b", |model| model.endpoints.len() == 1).await;
    two.until("a", |model| model.endpoints.len() == 1).await;
    one.link().cut();
    two.link().cut();
    // Longer than the leases live.
    tokio::time::sleep(limits::NODE_TTL * 3).await;
    assert_eq!(endpoint_count(&store).await, 0, "the leases have ended");
    let (mut ones, mut twos) = (Vec::new(), Vec::new());
    for n in 0..5 {
        for (member, addresses) in [(&one, &mut ones), (&two, &mut twos)] {
            let address = member.allocate(SUBNET).await.expect("from the own block");
            let progress = member.announce(address, &format!("{}{n}", member.name)).await;
            assert_eq!(progress, Ok(Progress::Queued));
            addresses.push(address);
        }
    }
    let status = one.status().await;
    assert!(!status.is_connected && status.problem.is_some() && status.queued >= 5, "{status:?}");
    // One detach while it is away.
    assert_eq!(one.detach(first).await, Progress::Queued);
    two.link().heal();
    two.go_on(Duration::from_secs(2)).await;
    assert_eq!(two.model.node_of(first), Some("n1"), "n1 is not believed gone");
    one.link().heal();
    for address in &ones {
        two.until("n1's", |model| model.node_of(*address) == Some("n1")).await;
    }
    for address in twos.iter().chain([&second]) {
        one.until("n2's", |model| model.node_of(*address) == Some("n2")).await;
    }
    two.until("the detached one's end", |model| !model.endpoints.contains_key(&first)).await;
    assert_eq!(endpoint_count(&store).await, 11);
    // Nobody was believed gone but the one that was detached.
    for member in [&mut one, &mut two] {
        member.go_on(limits::GRACE * 2).await;
        assert!(member.model.refused.is_empty());
    }
    assert_eq!(one.model.removed, Vec::<String>::new());
    assert_eq!(two.model.removed, [first.to_string()]);
    assert_eq!((one.model.endpoints.len(), two.model.endpoints.len()), (6, 5));
}

/// A full node refuses with the reason; an address in another's block cannot be decided.
#[tokio::test(start_paused = true)]
async fn without_the_registry_only_own_blocks() {
    let store = MemoryStore::default();
    let (one, mut two) = pair(&store).await;
    let others = two.attach(SUBNET, "b").await.expect("attach");
    one.attach(SUBNET, "a").await.expect("attach");
    let free_elsewhere = ip("10.50.77.7");
    store.stop();
    one.until_status("the outage", |status| !status.is_connected).await;
    let mut given = 0;
    let refused = loop {
        match one.attach(SUBNET, "c").await {
            Ok(_) => given += 1,
            Err(error) => break error,
        }
    };
    assert!((60..=63).contains(&given), "{given} attached");
    assert!(matches!(refused, NodeError::BlocksFull { .. }), "{refused:?}");
    let text = refused.to_string();
    assert!(text.contains(SUBNET) && text.contains("stopped"), "{text}");
    let fixed = one.attach_at(free_elsewhere, "d").await;
    assert!(matches!(fixed, Err(NodeError::AddressUndecided { .. })), "{fixed:?}");
    let taken = one.attach_at(others, "d").await;
    assert!(matches!(taken, Err(NodeError::AddressTaken { .. })), "{taken:?}");
    for result in
        [one.create("red", "10.9.0.0/16").await.map(drop), one.overlay.delete_network("blue").await]
    {
        assert!(result.is_err(), "{result:?}");
    }
    store.start();
    two.until("all", |model| model.endpoints.len() == given + 1).await;
    one.until_status("all told", |status| status.queued == 0 && status.is_connected).await;
    assert_eq!(one.attach_at(free_elsewhere, "d").await, Ok(Progress::Written));
}

/// The registry hangs in the middle of an attach: the attach goes on without it, and the registry is told later.
#[tokio::test(start_paused = true)]
async fn a_registry_that_hangs_delays_an_attach_a_bounded_time() {
    let store = MemoryStore::default();
    let (one, mut two) = pair(&store).await;
    one.attach(SUBNET, "a").await.expect("attach");
    store.freeze();
    let before = tokio::time::Instant::now();
    let address = one.allocate(SUBNET).await.expect("allocate");
    assert_eq!(one.announce(address, "b").await, Ok(Progress::Queued));
    assert!(before.elapsed() <= limits::WRITE_WAIT, "{:?}", before.elapsed());
    store.thaw();
    two.until("both", |model| model.endpoints.len() == 2).await;
}

/// The lease ends while the registry is there (a long stop of the process, say): all is written under a new one.
#[tokio::test(start_paused = true)]
async fn a_lost_lease_is_replaced() {
    let store = MemoryStore::new(32);
    let (one, mut two) = pair(&store).await;
    for n in 0..100 {
        one.attach(SUBNET, &format!("c{n}")).await.expect("attach");
    }
    two.until("all", |model| model.endpoints.len() == 100).await;
    let old = one.status().await.lease.expect("a lease");
    let before = store.transactions();
    let client = store.client("vswitch");
    let lease = client.list("v1/nodes/").await.expect("list");
    assert_eq!(lease.entries.len(), 2);
    store.end_lease(&old.id);
    one.until_status("another lease", |status| {
        status.queued == 0 && status.lease.as_ref().is_some_and(|lease| lease.id != old.id)
    })
    .await;
    assert_eq!(one.status().await.lease.expect("a lease").state, LeaseState::Active);
    assert_eq!(endpoint_count(&store).await, 100);
    // The node, its VTEP; 100 endpoints, 32 at once.
    let used = store.transactions() - before;
    assert!((5..=8).contains(&used), "{used} transactions");
    two.until("all again", |model| model.endpoints.len() == 100).await;
}

/// The data is deleted while the server is down: the nodes write it again, and nobody is believed gone meanwhile.
#[tokio::test(start_paused = true)]
async fn a_registry_that_lost_its_data_takes_nobodys_traffic() {
    let store = MemoryStore::default();
    let (mut one, mut two) = pair(&store).await;
    one.create("unused", "10.9.0.0/16").await.expect("create");
    let blue = Arc::clone(&one.overlay_network("blue").await);
    let first = one.attach(SUBNET, "a").await.expect("attach");
    let second = two.attach(SUBNET, "b").await.expect("attach");
    one.until("b", |model| model.endpoints.len() == 1).await;
    two.until("a, unused", |m| m.endpoints.len() == 1 && m.networks.len() == 2).await;
    let blocks = (one.model.blocks.clone(), two.model.blocks.clone());
    store.stop();
    one.until_status("the outage", |status| !status.is_connected).await;
    store.wipe();
    tokio::time::sleep(Duration::from_secs(60)).await;
    store.start();
    for member in [&mut one, &mut two] {
        member.go_on(limits::GRACE * 2).await;
        assert_eq!(member.model.removed, Vec::<String>::new(), "{}", member.name);
        let status = member.status().await;
        assert_eq!((status.doubted, status.queued, status.grace), (0, 0, None), "{status:?}");
        assert_eq!(member.model.networks["blue"], blue, "with its VNI");
    }
    assert_eq!(one.model.node_of(second), Some("n2"));
    assert_eq!(two.model.node_of(first), Some("n1"));
    assert_eq!((one.model.blocks.clone(), two.model.blocks.clone()), blocks);
    let mut three = Member::start(&store, "n3", 3);
    three.until("all", |m| m.endpoints.len() == 2 && m.networks.len() == 2).await;
    let claimed = store.client("vswitch").list("v1/blocks/").await.expect("list");
    assert_eq!(claimed.entries.len(), 2);
}

/// Somebody deletes everything while the link is up.
#[tokio::test(start_paused = true)]
async fn everything_deleted_under_the_nodes() {
    let store = MemoryStore::default();
    let (mut one, mut two) = pair(&store).await;
    one.create("unused", "10.9.0.0/16").await.expect("create");
    let first = one.attach(SUBNET, "a").await.expect("attach");
    two.attach(SUBNET, "b").await.expect("attach");
    one.until("b", |model| model.endpoints.len() == 1).await;
    two.until("a, unused", |m| m.endpoints.len() == 1 && m.networks.len() == 2).await;
    let client = store.client("vswitch");
    let all = client.list("").await.expect("list").entries;
    // One by one, as other tools do; this node's own record comes late.
    for entry in all {
        let operation = Operation::Delete { key: entry.key, revision: entry.revision };
        client.transact(&[operation]).await.expect("delete");
    }
    for member in [&mut one, &mut two] {
        member.go_on(limits::GRACE * 2).await;
        assert_eq!(member.model.removed, Vec::<String>::new(), "{}", member.name);
        assert_eq!(member.model.networks.len(), 2);
    }
    assert_eq!(two.model.node_of(first), Some("n1"));
    // Two networks and VNIs, nodes and VTEPs, blocks, endpoints.
    assert_eq!(client.list("v1/").await.expect("list").entries.len(), 12);
}

/// A node that died during the outage is believed for the grace period, and no longer.
#[tokio::test(start_paused = true)]
async fn who_does_not_come_back_is_forgotten_after_the_grace_period() {
    let store = MemoryStore::default();
    let (one, mut two) = pair(&store).await;
    let address = one.attach(SUBNET, "a").await.expect("attach");
    two.until("a", |model| model.endpoints.len() == 1).await;
    two.link().cut();
    two.until_status("the outage", |status| !status.is_connected).await;
    drop(one);
    two.go_on(Duration::from_secs(300)).await;
    assert_eq!(two.model.node_of(address), Some("n1"), "believed while the link is down");
    two.link().heal();
    let before = tokio::time::Instant::now();
    two.until_status("the grace period", |status| status.grace.is_some()).await;
    two.until("its end", |model| model.endpoints.is_empty() && model.nodes.is_empty()).await;
    let believed = before.elapsed();
    assert!(believed >= limits::GRACE - Duration::from_secs(1), "{believed:?}");
    assert!(believed <= limits::GRACE + Duration::from_secs(5), "{believed:?}");
}

/// A second outage within the grace period: nobody is believed gone until the second one's is over.
#[tokio::test(start_paused = true)]
async fn two_outages_in_a_row() {
    let store = MemoryStore::default();
    let (one, mut two) = pair(&store).await;
    let address = one.attach(SUBNET, "a").await.expect("attach");
    two.until("a", |model| model.endpoints.len() == 1).await;
    two.link().cut();
    two.until_status("the outage", |status| !status.is_connected).await;
    drop(one);
    two.go_on(limits::NODE_TTL * 2).await;
    two.link().heal();
    two.until_status("the loss is seen", |status| status.doubted > 0).await;
    two.link().cut();
    two.until_status("the outage", |status| !status.is_connected).await;
    two.go_on(limits::GRACE * 5).await;
    assert_eq!(two.model.node_of(address), Some("n1"), "believed while the link is down");
    two.link().heal();
    two.go_on(limits::GRACE / 2).await;
    assert_eq!(two.model.node_of(address), Some("n1"), "believed in the second grace period");
    two.until("its end", |model| model.endpoints.is_empty() && model.nodes.is_empty()).await;
}

/// The watch has a gap, and the registry has forgotten the history of it.
#[tokio::test(start_paused = true)]
async fn a_gap_that_was_compacted() {
    let store = MemoryStore::default();
    let (one, mut two) = pair(&store).await;
    let gone = one.attach(SUBNET, "gone").await.expect("attach");
    let moved = one.attach(SUBNET, "moved").await.expect("attach");
    two.until("both", |model| model.endpoints.len() == 2).await;
    two.link().cut();
    two.until_status("the outage", |status| !status.is_connected).await;
    let mut three = Member::start(&store, "n3", 3);
    three.until("blue", |model| model.networks.contains_key("blue")).await;
    one.detach(gone).await;
    one.detach(moved).await;
    three.attach_at(moved, "moved").await.expect("attach");
    let new = one.attach(SUBNET, "new").await.expect("attach");
    store.compact();
    two.link().heal();
    two.until("the new one", |model| model.node_of(new) == Some("n1")).await;
    two.until("the move", |model| model.node_of(moved) == Some("n3")).await;
    two.until("n3", |model| model.nodes.contains_key("n3")).await;
    two.until("the end of one", |model| !model.endpoints.contains_key(&gone)).await;
    assert_eq!(two.model.removed, [gone.to_string()]);
}

/// The registry is away when the node starts: what it remembers is believed, and used.
#[tokio::test(start_paused = true)]
async fn a_start_without_the_registry() {
    let store = MemoryStore::default();
    let (mut one, mut two) = pair(&store).await;
    let address = one.attach(SUBNET, "a").await.expect("attach");
    one.until("the block", |model| !model.blocks.is_empty()).await;
    let networks = one.model.networks.values().map(|network| (**network).clone()).collect();
    let blocks = one.model.blocks.iter().cloned().collect();
    drop(one);
    store.stop();
    let stranger = Member::start(&store, "n4", 4);
    let refused = stranger.overlay.registered().await;
    assert!(matches!(refused, Err(NodeError::Registry(_))), "{refused:?}");
    assert!(matches!(stranger.allocate(SUBNET).await, Err(NodeError::UnknownNetwork(_))));
    let mut again = Member::start_with(&store, "n1", 1, Remembered { networks, blocks });
    again.until("blue", |model| model.networks.contains_key("blue")).await;
    assert_eq!(again.announce(address, "a").await, Ok(Progress::Queued));
    let further = again.allocate(SUBNET).await.expect("from the own block");
    assert_eq!(block_of(further), block_of(address));
    assert_eq!(again.announce(further, "b").await, Ok(Progress::Queued));
    store.start();
    two.until("both", |m| m.node_of(address) == Some("n1") && m.node_of(further) == Some("n1"))
        .await;
    assert_eq!(again.overlay.registered().await, Ok(()));
}

/// The registry hangs when the node starts: commands wait a bounded time.
#[tokio::test(start_paused = true)]
async fn a_start_with_a_registry_that_hangs() {
    let store = MemoryStore::default();
    store.freeze();
    let networks = vec![network("blue", SUBNET).with_vni(5000)];
    let blocks = vec![("blue".to_owned(), block_of(ip("10.50.3.7")))];
    let one = Member::start_with(&store, "n1", 1, Remembered { networks, blocks });
    let before = tokio::time::Instant::now();
    let address = one.allocate(SUBNET).await.expect("from the own block");
    assert_eq!(one.announce(address, "a").await, Ok(Progress::Queued));
    assert!(before.elapsed() <= limits::WRITE_WAIT * 2, "{:?}", before.elapsed());
    assert!(one.overlay.registered().await.is_err());
    store.thaw();
    one.until_status("it is told", |status| status.queued == 0 && status.is_connected).await;
    assert_eq!(endpoint_count(&store).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_listing_of_an_empty_registry_is_no_outage() {
    let store = MemoryStore::default();
    let one = Member::start(&store, "n1", 1);
    one.until_status("it is there", |status| status.is_connected && status.lease.is_some()).await;
    let status = one.status().await;
    assert_eq!((status.grace, status.problem, status.doubted), (None, None, 0));
}

/// A fresh registry, a node that remembers: what it uses is written again, the rest is forgotten after the grace period.
#[tokio::test(start_paused = true)]
async fn what_is_remembered_and_gone() {
    let store = MemoryStore::default();
    let known = |name: &str, vni, subnet: &str| network(name, subnet).with_vni(vni);
    let networks = vec![known("blue", 5000, SUBNET), known("red", 5001, "10.9.0.0/16")];
    let block = block_of(ip("10.50.3.7"));
    let blocks = vec![("blue".to_owned(), block)];
    let mut one = Member::start_with(&store, "n1", 1, Remembered { networks, blocks });
    let address = one.attach(SUBNET, "a").await.expect("attach");
    assert_eq!(block_of(address), block);
    one.until("both", |model| model.networks.len() == 2).await;
    one.until("red's end", |model| !model.networks.contains_key("red")).await;
    assert_eq!(one.model.networks["blue"].vni, 5000);
    let client = store.client("vswitch");
    let keys = client.list("v1/").await.expect("list").entries.into_iter().map(|entry| entry.key);
    let expected = [
        format!("v1/blocks/blue/{}-26", block.addr()),
        format!("v1/endpoints/blue/{}-26/{address}", block.addr()),
        "v1/networks/blue".to_owned(),
        "v1/nodes/n1".to_owned(),
        "v1/vnis/5000".to_owned(),
        "v1/vteps/192.0.2.1_4789".to_owned(),
    ];
    assert_eq!(keys.collect::<Vec<_>>(), expected);
}

impl Member {
    async fn overlay_network(&mut self, name: &str) -> Arc<Network> {
        self.until("the network", |model| model.networks.contains_key(name)).await;
        Arc::clone(&self.model.networks[name])
    }
}

/// An address that was withdrawn while the registry is away is free on its node: a container is replaced as always.
#[tokio::test(start_paused = true)]
async fn without_the_registry_a_withdrawn_address_is_given_again() {
    let store = MemoryStore::default();
    let (one, mut two) = pair(&store).await;
    let address = one.attach(SUBNET, "web").await.expect("attach");
    one.link().cut();
    one.until_status("away", |status| status.problem.is_some()).await;
    assert_eq!(one.detach(address).await, Progress::Queued);
    assert_eq!(one.attach_at(address, "web2").await, Ok(Progress::Queued));
    one.link().heal();
    let named = |model: &Model, name: &str| {
        model.endpoints.get(&address).is_some_and(|endpoint| &*endpoint.name == name)
    };
    two.until("the successor", |model| named(model, "web2")).await;
    // More of them than the block has, one after the other.
    one.link().cut();
    one.until_status("away", |status| status.problem.is_some()).await;
    for n in 0..100 {
        let address = one.attach(SUBNET, "job").await;
        let address = address.unwrap_or_else(|error| panic!("job {n}: {error}"));
        assert_eq!(one.detach(address).await, Progress::Queued);
        // An address rests for 45 s.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
