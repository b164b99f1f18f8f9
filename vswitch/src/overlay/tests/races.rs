//! Nodes that want the same at the same time: one wins, the others are told.

use futures_util::future::join_all;

use super::*;

async fn nodes(store: &MemoryStore, count: u8) -> Vec<Member> {
    let mut members: Vec<_> =
        (1..=count).map(|n| Member::start(store, &format!("n{n}"), n)).collect();
    members[0].create("blue", SUBNET).await.expect("create");
    for member in &mut members {
        member.until("blue", |model| model.networks.contains_key("blue")).await;
    }
    store.set_latency(Duration::from_millis(10));
    members
}

#[tokio::test(start_paused = true)]
async fn for_one_address() {
    let store = MemoryStore::default();
    let mut members = nodes(&store, 8).await;
    let address = ip("10.50.7.7");
    let results = join_all(members.iter().map(|member| member.attach_at(address, "x"))).await;
    let winners: Vec<_> = (0..8).filter(|n| results[*n].is_ok()).collect();
    let [winner] = winners[..] else { panic!("{results:?}") };
    let name = members[winner].name.clone();
    for (n, result) in results.into_iter().enumerate().filter(|(n, _)| *n != winner) {
        let Err(NodeError::AddressTaken { node, .. }) = result else { panic!("{result:?}") };
        assert_eq!(node, name);
        members[n].until("the winner's", |m| m.node_of(address) == Some(&name)).await;
        assert_eq!(members[n].status().await.own_endpoints, 0);
    }
}

/// Addresses that are allocated never meet, also where the subnet has fewer blocks than there are nodes.
#[tokio::test(start_paused = true)]
async fn for_blocks_that_are_too_few() {
    let store = MemoryStore::default();
    let members = nodes(&store, 8).await;
    // Two blocks.
    members[0].create("small", "10.60.0.0/25").await.expect("create");
    let mut given = BTreeSet::new();
    for round in 0..10 {
        let tries = members.iter().map(|member| async {
            for _ in 0..20 {
                let subnet = "10.60.0.0/25".parse().expect("a subnet");
                let request = AddressRequest::Any { subnet, name: String::new() };
                let allocated = match member.overlay.allocate("small", request).await {
                    Err(NodeError::UnknownNetwork(_)) => continue,
                    result => result.expect("an address"),
                };
                let mut announced = endpoint(allocated.address, "x");
                announced.network = "small".to_owned();
                match member.overlay.announce(vec![announced]).await {
                    Ok(_) => return allocated.address,
                    Err(NodeError::AddressTaken { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            panic!("no address in round {round}");
        });
        for address in join_all(tries).await {
            assert!(given.insert(address), "{address} twice");
        }
    }
    let blocks = store.client("vswitch").list("v1/blocks/small/").await.expect("list");
    assert_eq!(blocks.entries.len(), 2);
}

/// All get a VNI of their own; of those who name one, one gets it. The networks are seen by all.
#[tokio::test(start_paused = true)]
async fn for_vnis() {
    let store = MemoryStore::default();
    let mut members = nodes(&store, 8).await;
    let created = members.iter().enumerate().map(|(n, member)| async move {
        member.create(&format!("net{n}"), &format!("10.{n}.0.0/16")).await.expect("create").vni
    });
    let vnis: BTreeSet<_> = join_all(created).await.into_iter().collect();
    assert_eq!(vnis.len(), 8, "{vnis:?}");
    let with_vni = members.iter().enumerate().map(|(n, member)| {
        let mut network = network(&format!("other{n}"), &format!("10.1{n}.0.0/16"));
        network.vni = Some(77);
        member.overlay.create_network(network)
    });
    let results = join_all(with_vni).await;
    let winners = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(winners, 1, "{results:?}");
    let all =
        |result: &Result<_, _>| matches!(result, Ok(_) | Err(NodeError::VniTaken { vni: 77, .. }));
    assert!(results.iter().all(all), "{results:?}");
    for member in &mut members {
        member.until("all networks", |model| model.networks.len() == 10).await;
    }
}

/// One name, or overlapping subnets.
#[tokio::test(start_paused = true)]
async fn for_names_and_subnets_of_networks() {
    let store = MemoryStore::default();
    let mut members = nodes(&store, 8).await;
    let results = join_all(members.iter().map(|member| member.create("red", "10.9.0.0/16"))).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    let created = members.iter().enumerate().map(|(n, member)| {
        // Each of them overlaps each other; no key is the same.
        let network = network(&format!("net{n}"), &format!("10.64.0.0/{}", 10 + n));
        member.overlay.create_network(NewNetwork { vni: Some(100 + n as u32), ..network })
    });
    let results = join_all(created).await;
    let winners = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(winners, 1, "{results:?}");
    let all =
        |result: &Result<_, _>| matches!(result, Ok(_) | Err(NodeError::SubnetOverlaps { .. }));
    assert!(results.iter().all(all), "{results:?}");
    for member in &mut members {
        member.until("three networks", |model| model.networks.len() == 3).await;
        member.go_on(Duration::from_secs(1)).await;
        assert_eq!(member.model.networks.len(), 3);
    }
    let vnis = store.client("vswitch").list("v1/vnis/").await.expect("list");
    assert_eq!(vnis.entries.len(), 3);
}
