//! Counters of all proxies of the process, shown as hits of their limits.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter that all proxies share.
#[derive(Debug)]
pub(crate) struct SharedCounter(AtomicU64);

impl SharedCounter {
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Its value.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Clients of UDP that were forgotten for others.
pub(crate) static CLIENTS_EVICTED: SharedCounter = SharedCounter(AtomicU64::new(0));

/// The same, by devices that are no uplinks.
pub(crate) static RELAYED_CLIENTS_EVICTED: SharedCounter = SharedCounter(AtomicU64::new(0));

/// Datagrams that could not be relayed: the sending socket was full, or there was none.
pub(crate) static DATAGRAMS_DROPPED: SharedCounter = SharedCounter(AtomicU64::new(0));

/// Connections by devices that are no uplinks that were reset, since their publication had as many as may be.
pub(crate) static CONNECTIONS_REFUSED: SharedCounter = SharedCounter(AtomicU64::new(0));

/// SYNs that the kernel accepted before the container was asked, since there were too many.
pub(crate) static SYNS_PASSED: SharedCounter = SharedCounter(AtomicU64::new(0));
