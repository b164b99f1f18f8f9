use tokio::sync::mpsc;

use super::{Change, Follower, WatchEvent};
use crate::error::RegistryError;
use crate::types::{Entry, Listing, Revision};

fn entry(key: &str, revision: u64) -> Entry {
    Entry { key: key.to_owned(), value: b"1".to_vec(), revision: Revision(revision) }
}

fn listing(entries: &[(&str, u64)], revision: u64) -> Listing {
    let entries = entries.iter().map(|(key, revision)| entry(key, *revision)).collect();
    Listing { prefix: String::new(), entries, revision: Revision(revision) }
}

fn delete(key: &str) -> Change {
    Change::Delete { key: key.to_owned() }
}

/// Events of a follower that starts with `a` and `b`.
fn told(steps: impl AsyncFnOnce(&mut Follower)) -> Vec<WatchEvent> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    runtime.block_on(async {
        let (sender, mut events) = mpsc::channel(64);
        let mut follower = Follower::new(&listing(&[("a", 1), ("b", 2)], 5), sender);
        steps(&mut follower).await;
        drop(follower);
        let mut told = Vec::new();
        while let Some(event) = events.recv().await {
            told.push(event);
        }
        told
    })
}

#[test]
fn only_news_is_told() {
    let events = told(async |follower| {
        follower.changes(vec![Change::Put(entry("a", 1)), delete("c")]).await;
        follower.changes(vec![Change::Put(entry("a", 6)), delete("b"), delete("b")]).await;
        follower.compare(listing(&[("a", 6)], 7)).await;
        assert_eq!(follower.revision(), Revision(7));
        assert_eq!(follower.newest(), Some(("a", Revision(6))));
    });
    assert_eq!(events, [WatchEvent::Changes(vec![Change::Put(entry("a", 6)), delete("b")])]);
}

#[test]
fn a_resync_is_told_even_where_nothing_differs() {
    let events = told(async |follower| {
        follower.resync(listing(&[("a", 1), ("b", 2)], 9)).await;
        // A store that lost its data begins with low revisions again.
        follower.resync(listing(&[("b", 1), ("c", 2)], 2)).await;
        assert_eq!(follower.revision(), Revision(2));
    });
    let changes = vec![delete("a"), Change::Put(entry("b", 1)), Change::Put(entry("c", 2))];
    assert_eq!(events, [WatchEvent::Resync(vec![]), WatchEvent::Resync(changes)]);
}

#[test]
fn an_outage_is_told_once() {
    let error = |problem: &str| RegistryError::Protocol {
        registry: "etcd://a:1/x".to_owned(),
        problem: problem.to_owned(),
    };
    let events = told(async |follower| {
        follower.restored().await;
        follower.interrupted(error("1")).await;
        follower.interrupted(error("2")).await;
        follower.restored().await;
        follower.restored().await;
    });
    assert_eq!(events, [WatchEvent::Interrupted(error("1")), WatchEvent::Restored]);
}
