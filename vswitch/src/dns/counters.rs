//! Counters that the parts of the service share.

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
