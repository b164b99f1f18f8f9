//! The count of failed writes of the document; [`super::save`] repeats them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

use super::store::StoreError;

/// Failures of writes.
#[derive(Debug, Default)]
pub(super) struct FailedWrites {
    count: AtomicU64,
    /// The disk may hold another state than the model.
    unwritten: AtomicBool,
    failed: Notify,
}

impl FailedWrites {
    /// Notes a failure.
    pub(super) fn note(&self, error: &StoreError) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if !self.unwritten.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "the document cannot be written; it is tried again");
        }
        self.failed.notify_one();
    }

    /// Waits for one.
    pub(super) async fn noted(&self) {
        self.failed.notified().await;
    }

    /// Their number.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether the disk may hold another state than the model.
    pub(super) fn is_unwritten(&self) -> bool {
        self.unwritten.load(Ordering::Relaxed)
    }

    /// Notes that the disk holds the state of the model.
    pub(super) fn clear(&self) {
        self.unwritten.store(false, Ordering::Relaxed);
    }
}
