//! Entries that the registry has no more, while they are still believed.
//!
//! An entry is deleted (it has no more than a note here), then decided about ([`REMOVAL_DELAY`] later: whether this node
//! writes it again), then removed: at once, at the end of the grace period, or when writing it again did not help. An
//! entry that is put again is as it was.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use vswitch_registry::record::Key;

use super::super::limits::REMOVAL_DELAY;

#[derive(Debug, Clone, Copy)]
struct Row {
    since: Duration,
    /// When it is removed; none: not decided yet.
    until: Option<Duration>,
}

/// Deleted entries by key.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    rows: HashMap<Key, Row>,
    undecided: VecDeque<(Duration, Key)>,
    /// The earliest `until`.
    next: Option<Duration>,
}

impl Gone {
    pub(crate) fn add(&mut self, key: Key, now: Duration) {
        if !self.rows.contains_key(&key) {
            self.rows.insert(key.clone(), Row { since: now, until: None });
            self.undecided.push_back((now, key));
        }
    }

    pub(crate) fn take(&mut self, key: &Key) -> bool {
        self.rows.remove(key).is_some()
    }

    pub(crate) fn contains(&self, key: &Key) -> bool {
        self.rows.contains_key(key)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.rows.keys()
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Entries to decide about now.
    pub(crate) fn undecided(&mut self, now: Duration) -> Vec<Key> {
        let mut keys = Vec::new();
        while self.undecided.front().is_some_and(|(since, _)| *since + REMOVAL_DELAY <= now) {
            let Some((since, key)) = self.undecided.pop_front() else { break };
            let is_same = |row: &Row| row.since == since && row.until.is_none();
            if self.rows.get(&key).is_some_and(is_same) {
                keys.push(key);
            }
        }
        keys
    }

    /// Decides when an entry is removed.
    pub(crate) fn decide(&mut self, key: &Key, until: Duration) {
        if let Some(row) = self.rows.get_mut(key) {
            row.until = Some(until);
            self.next = Some(self.next.map_or(until, |next| next.min(until)));
        }
    }

    /// Entries to remove now. Before `grace` ends, nothing is removed.
    pub(crate) fn due(&mut self, now: Duration, grace: Option<Duration>) -> Vec<Key> {
        if self.next.is_none_or(|next| next > now) {
            return Vec::new();
        }
        if let Some(end) = grace.filter(|end| *end > now) {
            self.next = Some(end);
            return Vec::new();
        }
        let is_due = |row: &Row| row.until.is_some_and(|until| until <= now);
        let due = self.rows.extract_if(|_, row| is_due(row)).map(|(key, _)| key).collect();
        self.next = self.rows.values().filter_map(|row| row.until).min();
        due
    }

    /// When there is something to do next.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        let undecided = self.undecided.front().map(|(since, _)| *since + REMOVAL_DELAY);
        self.next.into_iter().chain(undecided).min()
    }
}
