//! The order of checks of containers.
//!
//! ```text
//! mark() -> dirty -- begin() -> running -- end_one(), done -> gone
//!             ^                    |
//!             |                    | not done, or it panicked
//!             +------ retry() -----+    (after CONTAINER_RETRY)
//! ```
//!
//! A check runs once for a container at a time; a mark meanwhile makes it run once more, so that a storm of events
//! costs no more than their reading.

use std::collections::{BTreeMap, BTreeSet};

use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use super::super::super::limits::{CONTAINER_CONCURRENCY, CONTAINER_RETRY};

/// Checks of containers, by their ids.
#[derive(Debug, Default)]
pub(super) struct Checks {
    dirty: BTreeSet<String>,
    running: BTreeMap<Id, String>,
    tasks: JoinSet<bool>,
    /// Containers to check again later.
    retry: BTreeSet<String>,
    retry_at: Option<Instant>,
}

impl Checks {
    /// Has a container checked.
    pub(super) fn mark(&mut self, id: String) {
        self.dirty.insert(id);
    }

    /// Begins as many checks as may run. One that gives false is tried again later.
    pub(super) fn begin<F>(&mut self, check: impl Fn(String) -> F)
    where
        F: Future<Output = bool> + Send + 'static,
    {
        while self.running.len() < CONTAINER_CONCURRENCY {
            let running: BTreeSet<_> = self.running.values().collect();
            let next = self.dirty.iter().find(|id| !running.contains(id)).cloned();
            let Some(id) = next else { return };
            self.dirty.remove(&id);
            let task = self.tasks.spawn(check(id.clone()));
            self.running.insert(task.id(), id);
        }
    }

    /// Waits for the end of a check; for ever if none runs. Safe to cancel.
    pub(super) async fn end_one(&mut self) {
        let (task, is_done) = match self.tasks.join_next_with_id().await {
            Some(Ok(ended)) => ended,
            // It panicked, which is in the log.
            Some(Err(error)) => (error.id(), false),
            None => return std::future::pending().await,
        };
        let Some(id) = self.running.remove(&task) else { return };
        if !is_done {
            self.retry.insert(id);
            self.retry_at = Some(Instant::now() + CONTAINER_RETRY);
        }
    }

    /// The time of the next [`Checks::retry`].
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Has those checked again that were not done.
    pub(super) fn retry(&mut self) {
        self.retry_at = None;
        self.dirty.append(&mut self.retry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_that_fails_or_panics_is_tried_again() {
        for panics in [false, true] {
            let mut checks = Checks::default();
            checks.mark("a".to_owned());
            checks.begin(|_| async move { panics && panic!("as a fault would") });
            checks.mark("a".to_owned());
            assert_eq!(checks.running.len(), 1);
            checks.begin(|_| async { true });
            assert_eq!(checks.running.len(), 1, "one check of it at a time");
            checks.end_one().await;
            assert!(checks.running.is_empty() && checks.retry_at().is_some());
            checks.retry();
            assert_eq!(checks.dirty.len(), 1);
            checks.begin(|_| async { true });
            checks.end_one().await;
            assert!(checks.dirty.is_empty() && checks.retry.is_empty());
        }
    }
}
