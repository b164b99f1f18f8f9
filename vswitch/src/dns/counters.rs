//! Counters that the parts of the service share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use vswitch_counters::DnsCounters;

/// Counters of the service.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<DnsCounters>);

impl Counters {
    pub(super) fn count(&self, counter: impl FnOnce(&mut DnsCounters) -> &mut u64) {
        *counter(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)) += 1;
    }

    pub(super) fn get(&self) -> DnsCounters {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers of workers.
#[derive(Debug, Default)]
pub(crate) struct DirectCounters {
    addresses: AtomicU64,
    no_data: AtomicU64,
}

impl DirectCounters {
    pub(super) fn count(&self, has_addresses: bool) {
        let counter = if has_addresses { &self.addresses } else { &self.no_data };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds them to the server's.
    pub(super) fn add_to(&self, counters: &mut DnsCounters) {
        let addresses = self.addresses.load(Ordering::Relaxed);
        let no_data = self.no_data.load(Ordering::Relaxed);
        counters.queries += addresses + no_data;
        counters.answered += addresses;
        counters.no_data += no_data;
        counters.direct += addresses + no_data;
    }
}
