//! Watches: what is told, and that nothing is missed.

use std::collections::BTreeMap;

use tokio::time::timeout;
use vswitch_registry::{Change, Listing, Registry, RegistryError, Watch, WatchEvent};

use crate::server::{PATIENCE, Server};

/// A watcher that keeps what it is told.
pub(crate) struct Mirror {
    watch: Watch,
    pub(crate) entries: BTreeMap<String, Vec<u8>>,
    interruption: Option<RegistryError>,
    pub(crate) is_interrupted: bool,
    pub(crate) resyncs: usize,
}

impl Mirror {
    pub(crate) async fn start(registry: &dyn Registry, prefix: &str) -> Self {
        Self::of(registry, &registry.list(prefix).await.expect("list"))
    }

    pub(crate) fn of(registry: &dyn Registry, listing: &Listing) -> Self {
        let entries = listing.entries.iter().map(|e| (e.key.clone(), e.value.clone()));
        Self {
            watch: registry.watch(listing),
            entries: entries.collect(),
            interruption: None,
            is_interrupted: false,
            resyncs: 0,
        }
    }

    async fn step(&mut self) {
        match self.watch.next().await.expect("the watch goes on") {
            WatchEvent::Changes(changes) => self.apply(changes),
            WatchEvent::Resync(changes) => {
                self.resyncs += 1;
                self.apply(changes);
            }
            WatchEvent::Interrupted(error) => {
                assert!(!self.is_interrupted, "told twice: {error}");
                self.is_interrupted = true;
                self.interruption = Some(error);
            }
            WatchEvent::Restored => {
                assert!(self.is_interrupted, "restored without an interruption");
                self.is_interrupted = false;
            }
        }
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Put(entry) => drop(self.entries.insert(entry.key, entry.value)),
                Change::Delete { key } => {
                    assert!(self.entries.remove(&key).is_some(), "{key} was not known");
                }
            }
        }
    }

    /// Waits until a condition holds.
    pub(crate) async fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let wait = async {
            while !condition(self) {
                self.step().await;
            }
        };
        if timeout(PATIENCE, wait).await.is_err() {
            let keys: Vec<_> = self.entries.iter().take(5).collect();
            let (count, error) = (self.entries.len(), &self.interruption);
            panic!(
                "waited in vain for {what}; {count} entries: {keys:?}; last interruption {error:?}"
            );
        }
    }

    /// Waits until the mirror has what the registry has.
    pub(crate) async fn until_same(&mut self, what: &str, registry: &dyn Registry, prefix: &str) {
        let listing = registry.list(prefix).await.expect("list");
        let expected: BTreeMap<_, _> =
            listing.entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
        self.until(what, |mirror| mirror.entries == expected).await;
    }
}

pub(crate) async fn tells_every_change(server: &dyn Server) {
    let registry = server.client("watch");
    let writer = server.client("watch");
    let first = writer.create("w/1", "1", None).await.expect("create");
    writer.create("other/1", "1", None).await.expect("create");
    let listing = registry.list("w/").await.expect("list");
    // Between listing and watch.
    let second = writer.swap("w/1", "2", first, None).await.expect("swap");
    writer.create("w/2", "1", None).await.expect("create");
    let mut mirror = Mirror::of(&*registry, &listing);
    assert_eq!(mirror.entries["w/1"], b"1");
    mirror.until_same("changes before the watch", &*writer, "w/").await;
    writer.delete("w/1", second).await.expect("delete");
    mirror.until_same("a deletion", &*writer, "w/").await;
    assert!(!mirror.entries.contains_key("w/1"));
    for n in 0..200 {
        let key = format!("w/folder{}/{n}", n % 7);
        let revision = writer.create(&key, format!("{n}"), None).await.expect("create");
        if n % 3 == 0 {
            writer.delete(&key, revision).await.expect("delete");
        } else if n % 3 == 1 {
            writer.swap(&key, "again", revision, None).await.expect("swap");
        }
    }
    writer.create("w/raw", &b"\xff not JSON"[..], None).await.expect("create");
    mirror.until_same("all changes", &*writer, "w/").await;
    assert_eq!(mirror.entries["w/raw"], b"\xff not JSON");
    assert_eq!(mirror.entries.len(), 135);
}

/// Writes while a watcher's link is cut; returns the watcher.
async fn cut_and_write(server: &dyn Server, prefix: &str, is_compacted: bool) -> Mirror {
    let (registry, link) = server.link(prefix);
    let writer = server.client(prefix);
    let mut kept = Vec::new();
    for n in 0..10 {
        kept.push(writer.create(&format!("w/{n}"), "1", None).await.expect("create"));
    }
    let mut mirror = Mirror::start(&*registry, "").await;
    writer.create("w/now", "1", None).await.expect("create");
    mirror.until("the link works", |mirror| mirror.entries.contains_key("w/now")).await;
    link.cut();
    mirror.until("the interruption", |mirror| mirror.is_interrupted).await;
    let result = registry.get("w/1").await;
    assert!(result.as_ref().is_err_and(RegistryError::is_transient), "{result:?}");
    writer.delete("w/0", kept[0]).await.expect("delete");
    writer.swap("w/1", "2", kept[1], None).await.expect("swap");
    writer.create("w/new", "1", None).await.expect("create");
    // Deleted and created again: the same key and value, another entry.
    writer.delete("w/2", kept[2]).await.expect("delete");
    writer.create("w/2", "again", None).await.expect("create");
    if is_compacted {
        server.compact();
    }
    link.heal();
    mirror.until("the link's return", |mirror| !mirror.is_interrupted).await;
    mirror.until_same("what was missed", &*writer, "").await;
    assert_eq!(mirror.entries.len(), 11);
    writer.create("w/after", "1", None).await.expect("create");
    mirror.until_same("what comes after", &*writer, "").await;
    mirror
}

pub(crate) async fn has_no_gap_across_a_reconnect(server: &dyn Server) {
    let mirror = cut_and_write(server, "reconnect", false).await;
    // The case beside this one may have compacted the history.
    assert!(mirror.resyncs > 0 || server.has_history());
}

pub(crate) async fn has_no_gap_across_compaction(server: &dyn Server) {
    let mirror = cut_and_write(server, "compaction", true).await;
    assert!(mirror.resyncs > 0);
}
