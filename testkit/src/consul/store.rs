//! Keys, sessions and indexes.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::SPEED;

/// An entry.
#[derive(Debug, Clone, Default)]
struct Pair {
    /// In base64, as it came.
    value: String,
    create: u64,
    modify: u64,
    lock: u64,
    session: Option<String>,
}

#[derive(Debug)]
struct Session {
    ttl: Duration,
    renewed: Instant,
}

#[derive(Debug)]
pub(crate) struct Store {
    index: u64,
    pairs: BTreeMap<String, Pair>,
    /// Indexes of deletions.
    tombstones: BTreeMap<String, u64>,
    sessions: HashMap<String, Session>,
    session_count: u64,
}

impl Default for Store {
    /// A new cluster has made some changes of its own.
    fn default() -> Self {
        Self {
            index: 10,
            pairs: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            sessions: HashMap::new(),
            session_count: 0,
        }
    }
}

impl Store {
    /// Index of the keys that begin with `prefix`: their last change, or the store's where there is nothing.
    pub(crate) fn prefix_index(&self, prefix: &str) -> u64 {
        let pairs =
            self.pairs.range(prefix.to_owned()..).take_while(|(k, _)| k.starts_with(prefix));
        let gone = self.tombstones.iter().filter(|(key, _)| key.starts_with(prefix));
        let newest = pairs.map(|(_, pair)| pair.modify).chain(gone.map(|(_, at)| *at)).max();
        newest.unwrap_or(self.index).max(1)
    }

    /// Entries whose key begins with `prefix`, or is it.
    pub(crate) fn list(&self, prefix: &str, is_recursive: bool) -> Vec<Value> {
        let is_listed =
            |key: &str| if is_recursive { key.starts_with(prefix) } else { key == prefix };
        let pairs = self.pairs.iter().filter(|(key, _)| is_listed(key));
        pairs.map(|(key, pair)| shown(key, pair)).collect()
    }

    pub(crate) fn create_session(&mut self, ttl: Duration, now: Instant) -> String {
        self.session_count += 1;
        self.index += 1;
        let id = format!("00000000-0000-4000-8000-{:012x}", self.session_count);
        self.sessions.insert(id.clone(), Session { ttl, renewed: now });
        id
    }

    pub(crate) fn renew_session(&mut self, id: &str, now: Instant) -> bool {
        let session = self.sessions.get_mut(id);
        session.map(|session| session.renewed = now).is_some()
    }

    /// Ends a session and deletes what it locks.
    pub(crate) fn destroy_session(&mut self, id: &str) {
        if self.sessions.remove(id).is_none() {
            return;
        }
        self.index += 1;
        let locked = self.pairs.iter().filter(|(_, pair)| pair.session.as_deref() == Some(id));
        for key in locked.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.remove(&key);
        }
    }

    /// Ends sessions that nobody renewed; whether there were any.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let is_over = |s: &Session| now.saturating_duration_since(s.renewed) > s.ttl / SPEED;
        let over = self.sessions.iter().filter(|(_, session)| is_over(session));
        let over: Vec<_> = over.map(|(id, _)| id.clone()).collect();
        over.iter().for_each(|id| self.destroy_session(id));
        !over.is_empty()
    }

    pub(crate) fn renew_all(&mut self, now: Instant) {
        self.sessions.values_mut().for_each(|session| session.renewed = now);
    }

    pub(crate) fn shift_clock(&mut self, by: Duration) {
        self.sessions.values_mut().for_each(|session| session.renewed += by);
    }

    pub(crate) fn reap_tombstones(&mut self) {
        self.tombstones.clear();
    }

    /// Carries out all operations or none; the results, or the index of the first that failed with the reason.
    pub(crate) fn transact(&mut self, operations: &[Value]) -> Result<Vec<Value>, (usize, String)> {
        let (pairs, tombstones) = (self.pairs.clone(), self.tombstones.clone());
        self.index += 1;
        let mut results = Vec::new();
        for (n, operation) in operations.iter().enumerate() {
            match self.operate(&operation["KV"]) {
                Ok(result) => results.extend(result),
                Err(reason) => {
                    (self.pairs, self.tombstones) = (pairs, tombstones);
                    self.index -= 1;
                    return Err((n, reason));
                }
            }
        }
        Ok(results)
    }

    fn operate(&mut self, kv: &Value) -> Result<Option<Value>, String> {
        let key = kv["Key"].as_str().expect("a key").to_owned();
        let (index, session) = (kv["Index"].as_u64().unwrap_or(0), kv["Session"].as_str());
        let found = self.pairs.get(&key).map(|pair| pair.modify);
        let fail = |reason: &str| Err(format!("{reason} {key:?}"));
        match kv["Verb"].as_str().expect("a verb") {
            "set" => {}
            "cas" if found.unwrap_or(0) == index => {}
            "cas" => return fail("failed to set key: index is stale for"),
            "lock" => {
                let session = session.unwrap_or_default();
                if !self.sessions.contains_key(session) {
                    return Err(format!("invalid session {session:?}"));
                }
                let owner = self.pairs.get(&key).and_then(|pair| pair.session.as_deref());
                if owner.is_some_and(|owner| owner != session) {
                    return fail("failed to lock key: lock is already held for");
                }
            }
            "delete-cas" if found == Some(index) => {
                self.remove(&key);
                return Ok(None);
            }
            "delete-cas" => return fail("failed to delete key: index is stale for"),
            "check-index" if found == Some(index) => return Ok(Some(self.result(&key))),
            "check-index" => return fail("current modify index is another for"),
            "check-not-exists" if found.is_none() => return Ok(None),
            "check-not-exists" => return fail("key exists:"),
            verb => return Err(format!("unknown verb {verb:?}")),
        }
        let at = self.index;
        let pair =
            self.pairs.entry(key.clone()).or_insert_with(|| Pair { create: at, ..Pair::default() });
        pair.value = kv["Value"].as_str().unwrap_or_default().to_owned();
        pair.modify = at;
        if let Some(session) = session {
            pair.lock += 1;
            pair.session = Some(session.to_owned());
        }
        Ok(Some(self.result(&key)))
    }

    fn result(&self, key: &str) -> Value {
        let mut pair = shown(key, &self.pairs[key]);
        // Results have no values but for reads.
        pair["Value"] = Value::Null;
        json!({ "KV": pair })
    }

    fn remove(&mut self, key: &str) {
        self.pairs.remove(key);
        self.tombstones.insert(key.to_owned(), self.index);
    }
}

fn shown(key: &str, pair: &Pair) -> Value {
    let mut shown = json!({
        "Key": key,
        "Value": pair.value,
        "Flags": 0,
        "CreateIndex": pair.create,
        "ModifyIndex": pair.modify,
        "LockIndex": pair.lock,
    });
    if let Some(session) = &pair.session {
        shown["Session"] = json!(session);
    }
    shown
}
