//! The server's state: entries, history, leases.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::RegistryError;
use crate::types::{Entry, LeaseId, Listing, Operation, Revision};
use crate::watch::Change;

/// Changes that a watch can go back.
const HISTORY_MAX: usize = 20_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Power {
    Running,
    Frozen,
    Stopped,
}

/// The state, and who waits for it.
#[derive(Debug)]
pub(crate) struct Store {
    state: Mutex<State>,
    power: watch::Sender<Power>,
    /// Told after each change.
    pub(crate) changed: watch::Sender<()>,
    pub(crate) operations_max: usize,
}

impl Store {
    pub(crate) fn new(operations_max: usize) -> Self {
        Self {
            state: Mutex::default(),
            power: watch::Sender::new(Power::Running),
            changed: watch::Sender::new(()),
            operations_max,
        }
    }

    pub(crate) fn power(&self) -> Power {
        *self.power.borrow()
    }

    pub(crate) fn powers(&self) -> watch::Receiver<Power> {
        self.power.subscribe()
    }

    /// Sets the state of the server. When it runs again, each lease has its whole time.
    pub(crate) fn set_power(&self, power: Power) {
        if power == Power::Running && self.power() == Power::Stopped {
            self.change(State::renew_all);
        }
        self.power.send_replace(power);
    }

    pub(crate) async fn wait_while_frozen(&self) {
        // The sender lives as long as the store.
        let _ = self.powers().wait_for(|power| *power != Power::Frozen).await;
    }

    /// Reads or changes the state; watchers are told where its revision or history differs then.
    pub(crate) fn change<T>(&self, run: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = (state.generation, state.revision);
        let result = run(&mut state);
        if (state.generation, state.revision) != before {
            self.changed.send_replace(());
        }
        result
    }
}

#[derive(Debug)]
struct Row {
    value: Vec<u8>,
    revision: u64,
    lease: Option<LeaseId>,
}

#[derive(Debug)]
struct LeaseRow {
    ttl: Duration,
    ends: Instant,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    rows: BTreeMap<String, Row>,
    pub(crate) revision: u64,
    /// How often the data was deleted.
    pub(crate) generation: u64,
    /// Changes with full keys, the oldest first.
    history: VecDeque<(u64, Change)>,
    /// Changes up to this revision are forgotten.
    compacted: u64,
    leases: HashMap<LeaseId, LeaseRow>,
    granted: u64,
    pub(crate) latency: Duration,
    pub(crate) transactions: u64,
}

impl State {
    pub(crate) fn wipe(&mut self) {
        let (generation, granted) = (self.generation + 1, self.granted);
        let (latency, transactions) = (self.latency, self.transactions);
        *self = Self { generation, granted, latency, transactions, ..Self::default() };
    }

    pub(crate) fn compact(&mut self) {
        self.compacted = self.revision;
        self.history.clear();
    }

    pub(crate) fn transact(
        &mut self,
        root: &str,
        operations: &[Operation],
    ) -> Result<Revision, RegistryError> {
        if let Some(lease) = operations.iter().find_map(Operation::lease)
            && !self.leases.contains_key(lease)
        {
            return Err(RegistryError::LeaseEnded { lease: lease.to_string() });
        }
        for operation in operations {
            let row = self.rows.get(&format!("{root}{}", operation.key()));
            if row.map(|row| Revision(row.revision)) != operation.condition() {
                return Err(RegistryError::Conflict { key: operation.key().to_owned() });
            }
        }
        self.transactions += 1;
        self.revision += 1;
        for operation in operations {
            let key = format!("{root}{}", operation.key());
            match operation {
                Operation::Create { value, lease, .. } | Operation::Swap { value, lease, .. } => {
                    let row =
                        Row { value: value.clone(), revision: self.revision, lease: lease.clone() };
                    let revision = Revision(self.revision);
                    let entry = Entry { key: key.clone(), value: value.clone(), revision };
                    self.rows.insert(key, row);
                    self.note(Change::Put(entry));
                }
                Operation::Delete { .. } => {
                    self.rows.remove(&key);
                    self.note(Change::Delete { key });
                }
                Operation::Check { .. } => {}
            }
        }
        Ok(Revision(self.revision))
    }

    fn note(&mut self, change: Change) {
        self.history.push_back((self.revision, change));
        while self.history.len() > HISTORY_MAX {
            self.compacted = self.history.pop_front().map_or(0, |(revision, _)| revision);
        }
    }

    pub(crate) fn get(&self, root: &str, key: &str) -> Option<Entry> {
        let row = self.rows.get(&format!("{root}{key}"))?;
        let revision = Revision(row.revision);
        Some(Entry { key: key.to_owned(), value: row.value.clone(), revision })
    }

    pub(crate) fn list(&self, root: &str, prefix: &str) -> Listing {
        let full = format!("{root}{prefix}");
        let rows = self.rows.range(full.clone()..).take_while(|(key, _)| key.starts_with(&full));
        let entries = rows.map(|(key, row)| Entry {
            key: key[root.len()..].to_owned(),
            value: row.value.clone(),
            revision: Revision(row.revision),
        });
        let (entries, prefix) = (entries.collect(), prefix.to_owned());
        Listing { prefix, entries, revision: Revision(self.revision) }
    }

    /// Changes of a prefix after a revision; none where they are forgotten.
    pub(crate) fn since(&self, revision: u64, root: &str, prefix: &str) -> Option<Vec<Change>> {
        if revision < self.compacted || revision > self.revision {
            return None;
        }
        let full = format!("{root}{prefix}");
        let from = self.history.partition_point(|(changed, _)| *changed <= revision);
        let changes = self.history.range(from..).filter(|(_, c)| c.key().starts_with(&full));
        let short = |key: &str| key[root.len()..].to_owned();
        let changes = changes.map(|(_, change)| match change {
            Change::Put(entry) => Change::Put(Entry { key: short(&entry.key), ..entry.clone() }),
            Change::Delete { key } => Change::Delete { key: short(key) },
        });
        Some(changes.collect())
    }

    pub(crate) fn grant(&mut self, ttl: Duration) -> LeaseId {
        self.granted += 1;
        let id = LeaseId(format!("{:x}", self.granted));
        self.leases.insert(id.clone(), LeaseRow { ttl, ends: Instant::now() + ttl });
        id
    }

    /// Renews a lease; whether it lives.
    pub(crate) fn renew(&mut self, id: &LeaseId) -> bool {
        let row = self.leases.get_mut(id);
        let renew = |row: &mut LeaseRow| row.ends = Instant::now() + row.ttl;
        row.map(renew).is_some()
    }

    fn renew_all(&mut self) {
        for row in self.leases.values_mut() {
            row.ends = Instant::now() + row.ttl;
        }
    }

    /// When a lease ends unless it is renewed; none: it has ended.
    pub(crate) fn lease_ends(&self, id: &LeaseId) -> Option<Instant> {
        self.leases.get(id).map(|row| row.ends)
    }

    /// Ends a lease, with its entries.
    pub(crate) fn end_lease(&mut self, id: &LeaseId) {
        if self.leases.remove(id).is_none() {
            return;
        }
        let of_lease = self.rows.iter().filter(|(_, row)| row.lease.as_ref() == Some(id));
        let keys: Vec<_> = of_lease.map(|(key, _)| key.clone()).collect();
        self.revision += u64::from(!keys.is_empty());
        for key in keys {
            self.rows.remove(&key);
            self.note(Change::Delete { key });
        }
    }
}
