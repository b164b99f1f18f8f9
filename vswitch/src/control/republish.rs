//! Publications of the document: opened at start, and tried again where another program has the port.
//!
//! ```text
//! stored --(start)--> open
//!   |                  ^
//!   | another program  | every REPUBLISH_INTERVAL
//!   v has the port     |
//! pending -------------+    shown with the reason, in the document, not in the NAT policy
//! ```
//!
//! The host comes first here, unlike in a new publication, so that the datapath gets no rule that it loses
//! a moment later. A frame in between returns to the host.
//!
//! A round tries [`REPUBLISH_BATCH`] of them, since the search for a port's owner takes long.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use vswitch_api::publish::Publication;

use super::error::ControlError;
use super::inner::Inner;
use super::limits::{REPUBLISH_BATCH, REPUBLISH_INTERVAL};
use super::model::Lease;
use super::published_ports::HostPublisher;

/// Opens the stored publications of an endpoint, and marks those as pending that the host refuses.
pub(super) async fn open_stored(inner: &Inner, lease: &Lease) {
    let mut publisher = inner.publisher.lock().await;
    let publications = inner.model().publications_of(&lease.key());
    let mut all_open = true;
    // Each load costs the kernel time, so load as many at once as possible.
    let mut parts = vec![&publications[..]];
    while let Some(part) = parts.pop() {
        let Err(error) = open(inner, &mut publisher, lease, part).await else { continue };
        if let [one] = part {
            let (name, ports) = (&lease.name, one.ports);
            tracing::error!(%name, %ports, %error, "not open; it is tried again");
            inner.model().mark_pending(&lease.key(), &ports, error.to_string());
            all_open = false;
        } else {
            let (first, second) = part.split_at(part.len() / 2);
            parts.extend([second, first]);
        }
    }
    if !all_open {
        inner.commit_snapshot();
    }
}

/// Tries pending publications again, until there are none.
pub(super) fn retry_pending(inner: &Arc<Inner>) {
    if inner.model().all_pending().is_empty() || inner.retrying.swap(true, Ordering::Relaxed) {
        return;
    }
    let inner = Arc::clone(inner);
    tokio::spawn(async move {
        retry_rounds(&inner).await;
        inner.retrying.store(false, Ordering::Relaxed);
        // One that came pending at the end of the last round.
        retry_pending(&inner);
    });
}

async fn retry_rounds(inner: &Inner) {
    for round in 0_usize.. {
        tokio::time::sleep(REPUBLISH_INTERVAL).await;
        let mut left = inner.model().all_pending();
        if left.is_empty() || inner.check_not_ending().is_err() {
            return;
        }
        let count = left.len().max(1);
        left.rotate_left(round.wrapping_mul(REPUBLISH_BATCH) % count);
        for (key, was) in left.into_iter().take(REPUBLISH_BATCH) {
            // Lock first, as for a new publication, to see a detach that began before.
            let mut publisher = inner.publisher.lock().await;
            let found = inner.model().pending_publication(&key, &was.ports);
            let Some((lease, publication)) = found else { continue };
            let ports = publication.ports;
            match open(inner, &mut publisher, &lease, &[publication]).await {
                Ok(()) => {
                    inner.model().mark_active(&key, &ports);
                    inner.commit_snapshot();
                    tracing::info!(name = %key, %ports, "open again");
                }
                Err(error) => {
                    // A withdrawal meanwhile removes it, even if it is published anew.
                    let mut model = inner.model();
                    if model.pending_publication(&key, &ports).is_some() {
                        model.mark_pending(&key, &ports, error.to_string());
                    }
                }
            }
            drop(publisher);
            // The search for the owner of a port is long: let other tasks run.
            tokio::task::yield_now().await;
        }
    }
}

/// Opens all of these or none. The uplink may be another one than when they were published.
async fn open(
    inner: &Inner,
    publisher: &mut HostPublisher,
    lease: &Lease,
    publications: &[Publication],
) -> Result<(), ControlError> {
    inner.model().check_publications(&lease.network, publications)?;
    publisher.open(lease, publications).await.map_err(ControlError::publish_failed)
}
