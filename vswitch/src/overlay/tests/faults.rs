//! Entries of the registry that are wrong: left out and named, and right again when they are mended.

use vswitch_registry::{Registry, Revision};

use super::*;

async fn put(registry: &dyn Registry, key: &str, value: &str) -> Revision {
    match registry.get(key).await.expect("get") {
        None => registry.create(key, value, None).await.expect("create"),
        Some(entry) => registry.swap(key, value, entry.revision, None).await.expect("swap"),
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_entries_are_left_out_and_named() {
    let store = MemoryStore::default();
    let client = store.client("vswitch");
    let key = "v1/endpoints/blue/10.50.0.64-26/10.50.0.70";
    let wrong = [
        (key, "not JSON"),
        ("v1/networks/red", r#"{"vni":0,"subnets":["10.9.0.0/16"]}"#),
        ("v1/nodes/n7", r#"{"address":"127.0.0.1","port":4789}"#),
        ("v1/what/is/this", "{}"),
    ];
    for (key, value) in wrong {
        put(&client, key, value).await;
    }
    let (one, mut two) = pair(&store).await;
    for member in [&one, &two] {
        let faults = member.status().await.faults;
        assert_eq!(faults.len(), wrong.len(), "{faults:?}");
        for (key, _) in wrong {
            assert!(faults.iter().any(|fault| fault.contains(key)), "{faults:?}");
        }
    }
    assert!(two.model.endpoints.is_empty() && two.model.networks.len() == 1);
    let right = r#"{"node":"n1","mac":"02:00:00:00:00:01","name":"web"}"#;
    put(&client, key, right).await;
    put(&client, "v1/networks/red", r#"{"vni":7,"subnets":["10.9.0.0/16"]}"#).await;
    let address = ip("10.50.0.70");
    two.until("both", |m| m.endpoints.contains_key(&address) && m.networks.len() == 2).await;
    assert_eq!(two.status().await.faults.len(), 2);
    // Wrong again: it is gone, and named.
    put(&client, key, r#"{"node":"n1"}"#).await;
    two.until("its end", |model| model.endpoints.is_empty()).await;
    assert_eq!(two.status().await.faults.len(), 3);
    let revision = put(&client, key, "{}").await;
    let registry: &dyn Registry = &client;
    registry.delete(key, revision).await.expect("delete");
    two.until_status("no fault of it", |status| status.faults.len() == 2).await;
}

/// Two networks with one VNI, two nodes with one VTEP, by another program's hand.
#[tokio::test(start_paused = true)]
async fn records_that_contradict_each_other() {
    let store = MemoryStore::default();
    let (one, mut two) = pair(&store).await;
    let vni = one.create("red", "10.9.0.0/16").await.expect("create").vni;
    two.until("red", |model| model.networks.contains_key("red")).await;
    let client = store.client("vswitch");
    put(&client, "v1/networks/a", &format!(r#"{{"vni":{vni},"subnets":["10.8.0.0/16"]}}"#)).await;
    put(&client, "v1/nodes/a", r#"{"address":"192.0.2.1","port":4789}"#).await;
    two.until_status("both are named", |status| status.faults.len() == 2).await;
    let faults = two.status().await.faults;
    assert!(faults[0].contains("v1/networks/a") && faults[0].contains("red"), "{faults:?}");
    assert!(faults[1].contains("v1/nodes/a") && faults[1].contains("n1"), "{faults:?}");
    two.go_on(Duration::from_secs(1)).await;
    assert!(!two.model.networks.contains_key("a") && !two.model.nodes.contains_key("a"));
    // The owners go: the others count.
    one.overlay.delete_network("red").await.expect("delete");
    one.overlay.close().await.expect("close");
    two.until("both", |m| m.networks.contains_key("a") && m.nodes.contains_key("a")).await;
    assert_eq!(two.status().await.faults, Vec::<String>::new());
}

/// An entry that is no record in the place of an endpoint: the attach is refused, and others are not.
#[tokio::test(start_paused = true)]
async fn an_entry_in_the_way() {
    let store = MemoryStore::default();
    let (one, mut two) = pair(&store).await;
    put(&store.client("vswitch"), "v1/endpoints/blue/10.50.0.64-26/10.50.0.70", "{}").await;
    let (wrong, right) =
        tokio::join!(one.attach_at(ip("10.50.0.70"), "a"), one.attach_at(ip("10.50.0.71"), "b"),);
    let error = wrong.expect_err("in the way").to_string();
    assert!(error.contains("10.50.0.70"), "{error}");
    assert_eq!(right, Ok(Progress::Written));
    two.until("the other", |model| model.endpoints.len() == 1).await;
}

/// A later format's entries are no business of this switch.
#[tokio::test(start_paused = true)]
async fn another_version_of_the_format_is_named() {
    let store = MemoryStore::default();
    put(&store.client("vswitch"), "v2/networks/red", "{}").await;
    let one = Member::start(&store, "n1", 1);
    one.until_status("it is named", |status| !status.faults.is_empty()).await;
    let faults = one.status().await.faults;
    assert!(faults[0].contains("v2/") && faults[0].contains("v1"), "{faults:?}");
    one.create("blue", SUBNET).await.expect("create");
}
