//! Endpoints of this node: which are to be in the registry, and which are.
//!
//! | State | The registry | Leaves it |
//! |---|---|---|
//! | pending | may lack it | a write begins |
//! | writing | may lack it | written or refused; pending when the write failed, or the endpoint changed meanwhile |
//! | written | has it | pending, when the lease was lost or the watch tells otherwise |
//! | refused | has another's | pending, when the other's entry goes |
//! | withdrawing | may have it | forgotten, when it is deleted; pending, when it is announced again |
//!
//! A write takes all pending endpoints of one transaction, so that attachments at the same time share one. Whoever waits
//! is a `Waiter`: it ends when all of its keys are done, when the registry is away, or after
//! [`WRITE_WAIT`](super::limits::WRITE_WAIT).

mod waiters;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use vswitch_registry::record::Endpoint;

pub(crate) use waiters::Waiters;

/// Network and address.
pub(crate) type LocalKey = (String, IpAddr);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Pending,
    Writing,
    Written,
    Refused(String),
    Withdrawing,
}

#[derive(Debug)]
struct Row {
    endpoint: Endpoint,
    state: State,
}

/// Endpoints by network and address.
#[derive(Debug, Default)]
pub(crate) struct Local {
    rows: BTreeMap<LocalKey, Row>,
    pending: BTreeSet<LocalKey>,
    withdrawing: BTreeSet<LocalKey>,
}

pub(crate) fn key_of(endpoint: &Endpoint) -> LocalKey {
    (endpoint.network.clone(), endpoint.address)
}

impl Local {
    /// Adds or changes an endpoint, which then is pending.
    pub(crate) fn announce(&mut self, endpoint: Endpoint) {
        let key = key_of(&endpoint);
        self.rows.insert(key.clone(), Row { endpoint, state: State::Pending });
        self.set(&key, State::Pending);
    }

    /// Begins to remove an endpoint; whether there is one.
    pub(crate) fn withdraw(&mut self, key: &LocalKey) -> bool {
        let exists = self.rows.contains_key(key);
        self.set(key, State::Withdrawing);
        exists
    }

    /// Removes an endpoint that is not in the registry.
    pub(crate) fn forget(&mut self, key: &LocalKey) {
        self.rows.remove(key);
        self.pending.remove(key);
        self.withdrawing.remove(key);
    }

    pub(crate) fn state(&self, key: &LocalKey) -> Option<&State> {
        self.rows.get(key).map(|row| &row.state)
    }

    /// Whether an endpoint is to be in the registry.
    pub(crate) fn has(&self, key: &LocalKey) -> bool {
        self.state(key).is_some_and(|state| *state != State::Withdrawing)
    }

    pub(crate) fn endpoint(&self, key: &LocalKey) -> Option<&Endpoint> {
        self.rows.get(key).map(|row| &row.endpoint)
    }

    pub(crate) fn set(&mut self, key: &LocalKey, state: State) {
        let Some(row) = self.rows.get_mut(key) else { return };
        self.pending.remove(key);
        self.withdrawing.remove(key);
        match state {
            State::Pending => drop(self.pending.insert(key.clone())),
            State::Withdrawing => drop(self.withdrawing.insert(key.clone())),
            State::Writing | State::Written | State::Refused(_) => {}
        }
        row.state = state;
    }

    /// Endpoints to write next, which then are being written.
    pub(crate) fn next_writes(&mut self, max: usize) -> Vec<Endpoint> {
        let keys: Vec<_> = self.pending.iter().take(max).cloned().collect();
        for key in &keys {
            self.set(key, State::Writing);
        }
        keys.iter().filter_map(|key| self.endpoint(key)).cloned().collect()
    }

    /// Endpoints to delete next.
    pub(crate) fn next_deletions(&self, max: usize) -> Vec<Endpoint> {
        let keys = self.withdrawing.iter().take(max);
        keys.filter_map(|key| self.endpoint(key)).cloned().collect()
    }

    /// The lease was lost: all that was written may lack.
    pub(crate) fn lose(&mut self) {
        let is_there = |row: &Row| matches!(row.state, State::Written);
        let keys = self.rows.iter().filter(|(_, row)| is_there(row)).map(|(key, _)| key.clone());
        for key in keys.collect::<Vec<_>>() {
            self.set(&key, State::Pending);
        }
    }

    /// Whether an endpoint of a network is to be in the registry.
    pub(crate) fn uses(&self, network: &str) -> bool {
        self.of_network(network).any(|(_, row)| row.state != State::Withdrawing)
    }

    /// Endpoints of a network that are to be in the registry.
    pub(crate) fn count(&self, network: &str) -> usize {
        self.of_network(network).filter(|(_, row)| row.state != State::Withdrawing).count()
    }

    fn of_network(&self, network: &str) -> impl Iterator<Item = (&LocalKey, &Row)> {
        let first = (network.to_owned(), IpAddr::from([0, 0, 0, 0]));
        self.rows.range(first..).take_while(move |((name, _), _)| name == network)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &LocalKey> {
        self.rows.keys()
    }

    /// Endpoints that are refused, with the reason.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (&LocalKey, &str)> {
        self.rows.iter().filter_map(|(key, row)| match &row.state {
            State::Refused(problem) => Some((key, problem.as_str())),
            _ => None,
        })
    }

    /// Writes that the registry has not got yet.
    pub(crate) fn queued(&self) -> usize {
        let writing = self.rows.values().filter(|row| row.state == State::Writing).count();
        self.pending.len() + self.withdrawing.len() + writing
    }

    /// Endpoints that are in the registry or are to be.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}
