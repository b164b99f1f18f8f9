//! Who waits for writes or deletions.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::super::command::{Progress, Reply};
use super::LocalKey;

/// An attach or a detach.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// Keys that are not done.
    remaining: BTreeSet<LocalKey>,
    /// All keys.
    pub(crate) keys: Vec<LocalKey>,
    pub(crate) is_attach: bool,
    deadline: Duration,
    pub(crate) reply: Reply<Progress>,
}

/// All waiters.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    rows: HashMap<u64, Waiter>,
    next: u64,
}

impl Waiters {
    pub(crate) fn add(
        &mut self,
        keys: Vec<LocalKey>,
        is_attach: bool,
        deadline: Duration,
        reply: Reply<Progress>,
    ) {
        let remaining = keys.iter().cloned().collect();
        self.next += 1;
        self.rows.insert(self.next, Waiter { remaining, keys, is_attach, deadline, reply });
    }

    /// A key is done, in the sense of attach or detach; those who waited for nothing else are answered.
    pub(crate) fn done(&mut self, key: &LocalKey, is_attach: bool) {
        for waiter in self.rows.values_mut().filter(|waiter| waiter.is_attach == is_attach) {
            waiter.remaining.remove(key);
        }
        for (_, waiter) in self.rows.extract_if(|_, waiter| waiter.remaining.is_empty()) {
            waiter.reply.send(Ok(Progress::Written));
        }
    }

    /// The attach that waits for a key.
    pub(crate) fn take_attach(&mut self, key: &LocalKey) -> Option<Waiter> {
        let is_it = |waiter: &Waiter| waiter.is_attach && waiter.remaining.contains(key);
        let id = self.rows.iter().find(|(_, waiter)| is_it(waiter)).map(|(id, _)| *id)?;
        self.rows.remove(&id)
    }

    /// All waiters, or those whose time is over.
    pub(crate) fn take_late(&mut self, now: Option<Duration>) -> Vec<Waiter> {
        let is_late = |waiter: &Waiter| now.is_none_or(|now| waiter.deadline <= now);
        let late = self.rows.extract_if(|_, waiter| is_late(waiter));
        late.map(|(_, waiter)| waiter).collect()
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.rows.values().map(|waiter| waiter.deadline).min()
    }
}
