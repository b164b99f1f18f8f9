//! Writes of the document that failed, as on a full disk.
//!
//! The request that asked for such a write fails, and its change is taken back. But another request may have written
//! the change before that, and a change that nobody asked for, such as the end of a container, stands. So after a
//! failure the document is written again every [`SAVE_RETRY`], until a write succeeds that began at least that
//! long after the last failure: by then the failed change is taken back. The end of the daemon tries once more.

use std::sync::Arc;

use super::Control;
use super::inner::Inner;
use super::limits::SAVE_RETRY;

/// Repeats failed writes, until the daemon ends.
pub(super) async fn retry_failed_writes(inner: Arc<Inner>) {
    let failures = &inner.failed_writes;
    loop {
        failures.noted().await;
        loop {
            let before = failures.count();
            tokio::time::sleep(SAVE_RETRY).await;
            if inner.check_not_ending().is_err() {
                return;
            }
            if failures.count() == before && inner.save().await.is_ok() {
                break;
            }
        }
        // Under a failure since then the next round says so again.
        failures.clear();
        tracing::info!("the document is written again");
    }
}

impl Control {
    /// The last attempt to write what could not be written.
    pub(super) async fn save_unwritten(&self) {
        if !self.0.failed_writes.is_unwritten() {
            return;
        }
        if let Err(error) = self.0.save().await {
            tracing::error!(%error, "the last changes are lost: the document is an older one");
        }
    }
}
