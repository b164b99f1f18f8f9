//! A lease: entries that end with their node.
//!
//! States: active (the server confirmed it within its time to live), unconfirmed (it did not; the entries may be there or
//! not), ended (the server said so). Ended is final: a new lease is granted and all entries are written again.

use std::time::Duration;

use tokio::sync::watch;

use crate::task::Task;
use crate::types::LeaseId;

/// State of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseState {
    /// Confirmed within its time to live.
    Active,
    /// Not confirmed within its time to live: its entries may be gone.
    Unconfirmed,
    /// Ended, with all of its entries.
    Ended,
}

/// A lease that is kept alive as long as this value lives. Without it the lease ends after its time to live;
/// [`Registry::revoke`](crate::Registry::revoke) ends it at once.
#[derive(Debug)]
pub struct Lease {
    id: LeaseId,
    ttl: Duration,
    state: watch::Receiver<LeaseState>,
    _keep_alive: Task,
}

impl Lease {
    pub(crate) fn new(
        id: LeaseId,
        ttl: Duration,
        keep_alive: impl Future<Output = ()> + Send + 'static,
        state: watch::Receiver<LeaseState>,
    ) -> Self {
        Self { id, ttl, state, _keep_alive: Task::spawn(keep_alive) }
    }

    /// Identifier for operations.
    #[must_use]
    pub fn id(&self) -> &LeaseId {
        &self.id
    }

    /// Time to live as the server granted it.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// State now.
    #[must_use]
    pub fn state(&self) -> LeaseState {
        *self.state.borrow()
    }

    /// The state now and later; it ends with this value.
    #[must_use]
    pub fn states(&self) -> watch::Receiver<LeaseState> {
        self.state.clone()
    }

    /// Waits for another state than `state`; returns it.
    pub async fn changed_from(&mut self, state: LeaseState) -> LeaseState {
        match self.state.wait_for(|now| *now != state).await {
            Ok(now) => *now,
            // The task that keeps the lease alive has ended.
            Err(_) => LeaseState::Ended,
        }
    }
}

/// Answer to one request to keep a lease alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    Confirmed,
    Failed,
    Ended,
}

/// Renews a lease three times in its time to live, until it has ended.
pub(crate) async fn keep_alive<F: Future<Output = Renewal>>(
    ttl: Duration,
    state: watch::Sender<LeaseState>,
    mut renew: impl FnMut() -> F,
) {
    let mut confirmed = tokio::time::Instant::now();
    loop {
        // After a failure sooner, so that a short outage does not end the lease.
        let is_late = confirmed.elapsed() > ttl / 3 + ttl / 6;
        tokio::time::sleep(if is_late { ttl / 10 } else { ttl / 3 }).await;
        let asked = tokio::time::Instant::now();
        // An answer later than that is worth as much as none.
        match tokio::time::timeout(ttl / 2, renew()).await.unwrap_or(Renewal::Failed) {
            Renewal::Confirmed => {
                confirmed = asked;
                set(&state, LeaseState::Active);
            }
            Renewal::Failed if confirmed.elapsed() >= ttl => set(&state, LeaseState::Unconfirmed),
            Renewal::Failed => {}
            Renewal::Ended => {
                set(&state, LeaseState::Ended);
                return;
            }
        }
    }
}

/// Sets a state; tells nobody where it is the same.
pub(crate) fn set(sender: &watch::Sender<LeaseState>, state: LeaseState) {
    sender.send_if_modified(|now| std::mem::replace(now, state) != state);
}
