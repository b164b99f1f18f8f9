//! Conditional changes and listings.

use std::sync::Arc;

use futures_util::future::join_all;
use vswitch_registry::limits::VALUE_BYTES_MAX;
use vswitch_registry::{Entry, Operation, Registry, RegistryError, Revision};

use crate::server::Server;

pub(crate) async fn all(server: &dyn Server) {
    let registry = |prefix| server.client(prefix);
    one_of_many_creates(server).await;
    changes_compare(&registry("operations")).await;
    an_entry_in_its_place_is_another(&registry("again")).await;
    a_delete_never_hits_the_next_entry(server).await;
    transactions_are_all_or_nothing(&registry("transactions")).await;
    listings_keep_to_their_prefix(&registry("listings")).await;
    values_may_be_anything_but_empty(&registry("values")).await;
}

#[track_caller]
pub(crate) fn assert_conflict<T: std::fmt::Debug>(result: Result<T, RegistryError>, key: &str) {
    let conflict = RegistryError::Conflict { key: key.to_owned() };
    assert_eq!(result.expect_err("a conflict"), conflict);
}

async fn value(registry: &Arc<dyn Registry>, key: &str) -> Option<Vec<u8>> {
    registry.get(key).await.expect("get").map(|entry| entry.value)
}

/// Sixteen clients race for each of ten keys.
async fn one_of_many_creates(server: &dyn Server) {
    let clients: Vec<_> = (0..16).map(|_| server.client("race")).collect();
    for round in 0..10 {
        let key = format!("blocks/blue/{round}");
        let tries = clients.iter().enumerate().map(|(n, client)| {
            let key = &key;
            async move { client.create(key, format!("{n}"), None).await }
        });
        let results = join_all(tries).await;
        let mut winners = Vec::new();
        for (n, result) in results.into_iter().enumerate() {
            match result {
                Ok(revision) => winners.push((n, revision)),
                Err(RegistryError::Conflict { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let [(winner, revision)] = winners[..] else { panic!("winners of {key}: {winners:?}") };
        // Every client sees the winner.
        for client in &clients[..2] {
            let entry = client.get(&key).await.expect("get").expect("the winner's");
            let value = winner.to_string().into_bytes();
            assert_eq!(entry, Entry { key: key.clone(), value, revision });
        }
    }
}

async fn changes_compare(registry: &Arc<dyn Registry>) {
    let first = registry.create("a/x", "1", None).await.expect("create");
    assert_conflict(registry.create("a/x", "2", None).await, "a/x");
    let second = registry.swap("a/x", "2", first, None).await.expect("swap");
    assert_ne!(first, second);
    assert_conflict(registry.swap("a/x", "3", first, None).await, "a/x");
    assert_conflict(registry.delete("a/x", first).await, "a/x");
    assert_eq!(value(registry, "a/x").await, Some(b"2".to_vec()));
    registry.delete("a/x", second).await.expect("delete");
    assert_eq!(value(registry, "a/x").await, None);
    assert_conflict(registry.delete("a/x", second).await, "a/x");
    assert_conflict(registry.swap("a/x", "4", second, None).await, "a/x");
    // Many swap the same state: one wins.
    let state = registry.create("a/y", "0", None).await.expect("create");
    let swaps = (0..8).map(|n| registry.swap("a/y", format!("{n}"), state, None));
    let won = join_all(swaps).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(won, 1);
}

/// Deleted and created again with the same value: whoever saw the old one cannot delete the new one.
async fn an_entry_in_its_place_is_another(registry: &Arc<dyn Registry>) {
    let old = registry.create("e/x", "1", None).await.expect("create");
    registry.delete("e/x", old).await.expect("delete");
    let new = registry.create("e/x", "1", None).await.expect("create again");
    assert_conflict(registry.delete("e/x", old).await, "e/x");
    assert_conflict(registry.swap("e/x", "2", old, None).await, "e/x");
    registry.delete("e/x", new).await.expect("delete");
}

/// Two clients delete the same entry while a third creates the next one in its place.
async fn a_delete_never_hits_the_next_entry(server: &dyn Server) {
    let client = || server.client("next");
    let (one, two, three) = (client(), client(), client());
    for round in 0..100 {
        let old = one.create("e/x", "1", None).await.expect("create");
        let create = async {
            loop {
                match three.create("e/x", "1", None).await {
                    Err(RegistryError::Conflict { .. }) => {}
                    result => break result.expect("create"),
                }
            }
        };
        let deletes = join_all([&one, &two].map(|client| client.delete("e/x", old)));
        let (deletes, new) = tokio::join!(deletes, create);
        let done = deletes.iter().filter(|result| result.is_ok()).count();
        assert_eq!(done, 1, "round {round}: {deletes:?}");
        let entry = one.get("e/x").await.expect("get").expect("the next one is there");
        assert_eq!(entry.revision, new);
        one.delete("e/x", new).await.expect("delete");
    }
}

async fn transactions_are_all_or_nothing(registry: &Arc<dyn Registry>) {
    let max = registry.operations_max();
    let create = |key: String| Operation::Create { key, value: b"1".to_vec(), lease: None };
    let many: Vec<_> = (0..max).map(|n| create(format!("m/{}/{n}", n % 3))).collect();
    let revision = registry.transact(&many).await.expect("a full transaction");
    let listing = registry.list("m/").await.expect("list");
    assert_eq!(listing.entries.len(), max);
    assert!(listing.entries.iter().all(|entry| entry.revision == revision));
    // The last operation fails: none is carried out.
    let mut one_fails: Vec<_> = (0..max - 1).map(|n| create(format!("n/{n}"))).collect();
    one_fails.push(create("m/0/0".to_owned()));
    assert_conflict(registry.transact(&one_fails).await, "m/0/0");
    assert_eq!(registry.list("n/").await.expect("list").entries, []);
    mixed(registry, revision).await;
    let too_many: Vec<_> = (0..=max).map(|n| create(format!("o/{n}"))).collect();
    let twice = [create("o/1".to_owned()), create("o/1".to_owned())];
    for bad in
        [&too_many[..], &twice, &[], &[create("/o".to_owned())], &[create("o//x".to_owned())]]
    {
        let result = registry.transact(bad).await;
        assert!(matches!(result, Err(RegistryError::BadRequest(_))), "{bad:?}: {result:?}");
    }
    assert_eq!(registry.list("o/").await.expect("list").entries, []);
}

/// One operation of each kind.
async fn mixed(registry: &Arc<dyn Registry>, revision: Revision) {
    let key = |key: &str| key.to_owned();
    let check = |name: &str, revision| Operation::Check { key: key(name), revision };
    let swap = |value: &str, revision| Operation::Swap {
        key: key("m/0/0"),
        value: value.into(),
        revision,
        lease: None,
    };
    let create = || Operation::Create { key: key("m/new"), value: b"new".to_vec(), lease: None };
    let delete = || Operation::Delete { key: key("m/1/1"), revision };
    let other = Revision(revision.0 + 1_000_000);
    let fails = [
        (vec![create(), delete(), swap("2", revision), check("m/2/2", None)], "m/2/2"),
        (vec![create(), delete(), swap("2", revision), check("m/2/2", Some(other))], "m/2/2"),
        (vec![create(), delete(), swap("2", other), check("m/2/2", Some(revision))], "m/0/0"),
        (vec![delete(), check("m/absent", Some(revision))], "m/absent"),
    ];
    for (operations, failed) in fails {
        assert_conflict(registry.transact(&operations).await, failed);
    }
    assert_eq!(value(registry, "m/new").await, None);
    let checks = [check("m/2/2", Some(revision)), check("m/absent", None)];
    registry.transact(&checks).await.expect("checks only");
    let all = [&[create(), delete(), swap("2", revision)][..], &checks].concat();
    registry.transact(&all).await.expect("all hold");
    assert_eq!(value(registry, "m/new").await, Some(b"new".to_vec()));
    assert_eq!(value(registry, "m/1/1").await, None);
    assert_eq!(value(registry, "m/0/0").await, Some(b"2".to_vec()));
}

async fn listings_keep_to_their_prefix(registry: &Arc<dyn Registry>) {
    assert_eq!(registry.list("").await.expect("list").entries, []);
    for key in ["a/1", "a/2", "ab/1", "a.b/1", "b", "fd00::1/x"] {
        registry.create(key, key, None).await.expect("create");
    }
    let keys = |entries: Vec<Entry>| entries.into_iter().map(|e| e.key).collect::<Vec<_>>();
    let listed = registry.list("a/").await.expect("list");
    assert_eq!(keys(listed.entries), ["a/1", "a/2"]);
    let all = registry.list("").await.expect("list").entries;
    assert_eq!(keys(all), ["a.b/1", "a/1", "a/2", "ab/1", "b", "fd00::1/x"]);
    let result = registry.list("a").await;
    assert!(matches!(result, Err(RegistryError::BadRequest(_))), "{result:?}");
    let status = registry.status().await.expect("status");
    assert!(status.revision >= listed.revision && !status.endpoint.is_empty(), "{status:?}");
}

async fn values_may_be_anything_but_empty(registry: &Arc<dyn Registry>) {
    let long = vec![b'x'; VALUE_BYTES_MAX];
    for (key, value) in [("v/1", &b"\xff\x00\n not JSON"[..]), ("v/2", b"{}"), ("v/3", &long)] {
        registry.create(key, value, None).await.expect("create");
        let entry = registry.get(key).await.expect("get").expect("it is there");
        assert_eq!(entry.value, value);
    }
    assert_eq!(registry.list("v/").await.expect("list").entries.len(), 3);
    for value in [vec![], vec![b'x'; VALUE_BYTES_MAX + 1]] {
        let result = registry.create("v/4", value, None).await;
        assert!(matches!(result, Err(RegistryError::BadRequest(_))), "{result:?}");
    }
}
