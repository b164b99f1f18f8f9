//! A watch: changes of a prefix without a gap.
//!
//! A task of each registry drives a [`Follower`], which knows the revision of each entry that was told. So whatever
//! cannot be had as events (history that the server compacted, a store that lost its data) comes by listing again and
//! comparing, and the watcher is told that it did: as a resync.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use crate::RegistryError;
use crate::limits::WATCH_EVENTS_MAX;
use crate::task::Task;
use crate::types::{Entry, Listing, Revision};

/// Change of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Created or changed.
    Put(Entry),
    /// Deleted, or ended with its lease.
    Delete {
        /// Key of the entry.
        key: String,
    },
}

impl Change {
    /// Key of the entry.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Put(entry) => &entry.key,
            Self::Delete { key } => key,
        }
    }
}

/// News of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent {
    /// Changes as they were made.
    Changes(Vec<Change>),
    /// Differences found by listing again after a gap; possibly none. Entries may lack because the store lost its data.
    Resync(Vec<Change>),
    /// The registry is away: what is known may be stale. Told once for each outage.
    Interrupted(RegistryError),
    /// The registry is back; changes or a resync follow where there are any.
    Restored,
}

/// Changes of a prefix, in order.
#[derive(Debug)]
pub struct Watch {
    events: mpsc::Receiver<WatchEvent>,
    _task: Task,
}

impl Watch {
    pub(crate) fn new<F: Future<Output = ()> + Send + 'static>(
        listing: &Listing,
        follow: impl FnOnce(Follower) -> F,
    ) -> Self {
        let (sender, events) = mpsc::channel(WATCH_EVENTS_MAX);
        let task = Task::spawn(follow(Follower::new(listing, sender)));
        Self { events, _task: task }
    }

    /// The next event; waits for one. None: the watch has ended with its runtime.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        self.events.recv().await
    }
}

/// The sender's side of a watch.
#[derive(Debug)]
pub(crate) struct Follower {
    prefix: String,
    known: BTreeMap<String, Revision>,
    revision: Revision,
    is_interrupted: bool,
    events: mpsc::Sender<WatchEvent>,
}

impl Follower {
    fn new(listing: &Listing, events: mpsc::Sender<WatchEvent>) -> Self {
        let known = listing.entries.iter().map(|entry| (entry.key.clone(), entry.revision));
        Self {
            prefix: listing.prefix.clone(),
            known: known.collect(),
            revision: listing.revision,
            is_interrupted: false,
            events,
        }
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// State of the store up to which all changes are told.
    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    pub(crate) fn set_revision(&mut self, revision: Revision) {
        self.revision = revision;
    }

    /// Entries that were told and not deleted.
    pub(crate) fn count(&self) -> usize {
        self.known.len()
    }

    /// The entry that changed last, as far as is known.
    pub(crate) fn newest(&self) -> Option<(&str, Revision)> {
        let newest = self.known.iter().max_by_key(|(_, revision)| **revision);
        newest.map(|(key, revision)| (key.as_str(), *revision))
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.is_interrupted
    }

    /// Tells changes that are news.
    pub(crate) async fn changes(&mut self, changes: Vec<Change>) {
        let changes: Vec<_> = changes.into_iter().filter(|change| self.note(change)).collect();
        if !changes.is_empty() {
            self.send(WatchEvent::Changes(changes)).await;
        }
    }

    /// Tells what a listing has that is news, as plain changes.
    pub(crate) async fn compare(&mut self, listing: Listing) {
        let changes = self.differences(listing);
        if !changes.is_empty() {
            self.send(WatchEvent::Changes(changes)).await;
        }
    }

    /// Tells what a listing has that is news, after a gap.
    pub(crate) async fn resync(&mut self, listing: Listing) {
        let changes = self.differences(listing);
        self.send(WatchEvent::Resync(changes)).await;
    }

    pub(crate) async fn interrupted(&mut self, error: RegistryError) {
        if !std::mem::replace(&mut self.is_interrupted, true) {
            tracing::warn!(%error, prefix = self.prefix, "registry watch interrupted");
            self.send(WatchEvent::Interrupted(error)).await;
        }
    }

    pub(crate) async fn restored(&mut self) {
        if std::mem::replace(&mut self.is_interrupted, false) {
            tracing::info!(prefix = self.prefix, "registry watch restored");
            self.send(WatchEvent::Restored).await;
        }
    }

    /// Remembers a change; whether it is news.
    fn note(&mut self, change: &Change) -> bool {
        match change {
            Change::Put(entry) => {
                let known = self.known.insert(entry.key.clone(), entry.revision);
                known != Some(entry.revision)
            }
            Change::Delete { key } => self.known.remove(key).is_some(),
        }
    }

    fn differences(&mut self, listing: Listing) -> Vec<Change> {
        self.revision = listing.revision;
        let is_listed = |key: &str| {
            listing.entries.binary_search_by(|entry| entry.key.as_str().cmp(key)).is_ok()
        };
        let gone: Vec<_> = self.known.keys().filter(|key| !is_listed(key)).cloned().collect();
        let gone = gone.into_iter().map(|key| Change::Delete { key });
        let puts = listing.entries.iter().filter(|e| self.known.get(&e.key) != Some(&e.revision));
        let changes: Vec<_> = gone.chain(puts.cloned().map(Change::Put)).collect();
        for change in &changes {
            self.note(change);
        }
        changes
    }

    /// A watcher that went away aborts this task, so that nobody misses the event.
    async fn send(&self, event: WatchEvent) {
        let _ = self.events.send(event).await;
    }
}

#[cfg(test)]
mod tests;
