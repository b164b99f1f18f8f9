//! Names, VTEPs and addresses that another node has.

use vswitch_registry::RegistrationError;

use super::*;

#[tokio::test(start_paused = true)]
async fn one_name_or_one_vtep_twice() {
    let store = MemoryStore::default();
    let one = Member::start(&store, "n1", 1);
    assert_eq!(one.overlay.registered().await, Ok(()));
    let same_name = Member::start(&store, "n1", 2);
    let same_vtep = Member::start(&store, "n2", 1);
    let error = same_name.overlay.registered().await.expect_err("the name is taken");
    let is_right = matches!(&error, NodeError::Registration(RegistrationError::NameTaken { address, .. }) if *address == ip("192.0.2.1"));
    assert!(is_right, "{error}");
    let error = same_vtep.overlay.registered().await.expect_err("the VTEP is taken");
    let is_right = matches!(&error, NodeError::Registration(RegistrationError::VtepTaken { node, .. }) if node == "n1");
    assert!(is_right, "{error}");
    one.create("blue", SUBNET).await.expect("create");
    let mut same_name = same_name;
    same_name.until("blue", |model| model.networks.contains_key("blue")).await;
    let problem = same_name.status().await.problem.expect("a problem");
    assert!(problem.contains("n1") && problem.contains("--node"), "{problem}");
    // It can attach nothing, also no address of what it takes for its own blocks.
    let refused = same_name.allocate(SUBNET).await;
    assert!(refused.is_err(), "{refused:?}");
    // The other goes: the node is registered.
    one.overlay.close().await.expect("close");
    same_name.until_status("it is registered", |status| status.lease.is_some()).await;
    same_name.attach(SUBNET, "web").await.expect("attach");
    let mut same_vtep = same_vtep;
    same_vtep
        .until("n1", |m| m.nodes.get("n1").is_some_and(|n| n.address == ip("192.0.2.2")))
        .await;
    same_vtep.until_status("it is registered", |status| status.lease.is_some()).await;
}

/// The address of the underlay changes while the node runs: endpoints stay, and the old address is free.
#[tokio::test(start_paused = true)]
async fn a_vtep_changes_its_address() {
    let store = MemoryStore::default();
    let (one, mut two) = pair(&store).await;
    let address = one.attach(SUBNET, "web").await.expect("attach");
    two.until("the endpoint", |model| model.endpoints.contains_key(&address)).await;
    let error = one.overlay.change_vtep(ip("192.0.2.2"), 4789).await.expect_err("n2's");
    assert!(
        matches!(error, NodeError::Registration(RegistrationError::VtepTaken { .. })),
        "{error}"
    );
    one.overlay.change_vtep(ip("192.0.2.9"), 4790).await.expect("change");
    two.until("the address", |m| m.nodes["n1"].address == ip("192.0.2.9")).await;
    assert_eq!(two.model.nodes["n1"].port, 4790);
    let four = Member::start(&store, "n4", 1);
    assert_eq!(four.overlay.registered().await, Ok(()));
    // It is no loss of data, and the lease stays.
    assert_eq!(one.status().await.grace, None);
    assert!(two.model.removed.is_empty());
    // While the registry is away.
    store.stop();
    one.until_status("the outage", |status| !status.is_connected).await;
    let change = one.overlay.change_vtep(ip("2001:db8::9"), 4789);
    let start = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        store.start();
    };
    let (changed, ()) = tokio::join!(change, start);
    assert_eq!(changed, Ok(()));
    two.until("the address", |m| m.nodes["n1"].address == ip("2001:db8::9")).await;
    assert_eq!(two.model.node_of(address), Some("n1"));
}

/// A node that died comes back with another address before its lease has ended: it waits for that.
#[tokio::test(start_paused = true)]
async fn a_node_restarts_with_another_address() {
    let store = MemoryStore::default();
    let (one, mut two) = pair(&store).await;
    drop(one);
    let again = Member::start(&store, "n1", 9);
    assert!(again.overlay.registered().await.is_err());
    two.until("the address", |m| m.nodes.get("n1").is_some_and(|n| n.address == ip("192.0.2.9")))
        .await;
    assert_eq!(again.overlay.registered().await, Ok(()));
}

/// A node restarts within its lease: nobody sees it, and it has its blocks and addresses.
#[tokio::test(start_paused = true)]
async fn a_node_restarts() {
    let store = MemoryStore::default();
    let (one, mut two) = pair(&store).await;
    let address = one.attach(SUBNET, "web").await.expect("attach");
    two.until("the endpoint", |model| model.endpoints.contains_key(&address)).await;
    drop(one);
    let again = Member::start(&store, "n1", 1);
    assert_eq!(again.announce(address, "web").await, Ok(Progress::Written));
    let further = again.attach(SUBNET, "b").await.expect("attach");
    assert_eq!(block_of(further), block_of(address));
    assert_ne!(further, address);
    two.go_on(limits::NODE_TTL * 3).await;
    assert_eq!(two.model.endpoints.len(), 2);
    assert!(two.model.removed.is_empty());
}

/// Cut off, a node gives out an address of its block that another node takes meanwhile: the other has it. The node is
/// told, and gets it when the other goes.
#[tokio::test(start_paused = true)]
async fn an_address_that_was_taken_during_a_partition() {
    let store = MemoryStore::default();
    let (mut one, mut two) = pair(&store).await;
    let first = one.attach(SUBNET, "a").await.expect("attach");
    one.link().cut();
    one.until_status("the outage", |status| !status.is_connected).await;
    let address = one.allocate(SUBNET).await.expect("allocate");
    assert_eq!(one.announce(address, "b").await, Ok(Progress::Queued));
    assert_eq!(two.attach_at(address, "c").await, Ok(Progress::Written));
    one.link().heal();
    one.until("the refusal", |model| !model.refused.is_empty()).await;
    assert_eq!(one.model.refused[0].0, address);
    assert!(one.model.refused[0].1.contains("n2"), "{:?}", one.model.refused);
    one.until("n2's", |model| model.node_of(address) == Some("n2")).await;
    let status = one.status().await;
    assert!(status.faults.iter().any(|fault| fault.contains(&address.to_string())), "{status:?}");
    assert_eq!(status.queued, 0);
    two.until("a", |model| model.node_of(first) == Some("n1")).await;
    two.detach(address).await;
    two.until("n1's", |model| model.node_of(address) == Some("n1")).await;
    one.until("its own", |model| !model.endpoints.contains_key(&address)).await;
    assert_eq!(one.status().await.faults, Vec::<String>::new());
}
