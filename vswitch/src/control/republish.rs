//! Publications of the document, opened at start; and those that cannot be, tried again.
//!
//! ```text
//! stored --(start)--> open
//!   |                  ^
//!   | somebody else    | every REPUBLISH_INTERVAL
//!   v has the port     |
//! pending -------------+    shown with the reason, part of the document, not of the datapath's policy
//! ```
//!
//! Here the host comes first, other than when something is published: the datapath is not told of a
//! publication only to be told otherwise a moment later. A frame that comes in between goes back to the host.
//!
//! Of a long list [`REPUBLISH_BATCH`] are tried at a time, since looking for whoever has a port takes a while.

use std::sync::Arc;

use vswitch_api::publish::Publication;

use super::error::ControlError;
use super::inner::Inner;
use super::limits::{REPUBLISH_BATCH, REPUBLISH_INTERVAL};
use super::model::Lease;
use super::uplink::HostPublisher;

/// Opens what the document has of an attachment that comes back. What cannot be is noted; the others are open.
pub(super) async fn open_stored(inner: &Inner, lease: &Lease) {
    let mut publisher = inner.publisher.lock().await;
    let publications = inner.model().publications_of(&lease.name);
    let mut all_open = true;
    // Each load takes the kernel a while: as many at once as can be.
    let mut parts = vec![&publications[..]];
    while let Some(part) = parts.pop() {
        let Err(error) = open(inner, &mut publisher, lease, part).await else { continue };
        if let [one] = part {
            let (name, ports) = (&lease.name, one.ports);
            tracing::error!(%name, %ports, %error, "not open; it is tried again");
            inner.model().mark_pending(name, &ports, error.to_string());
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

/// Tries again what is not open, until the daemon ends.
pub(super) async fn retry_pending(inner: Arc<Inner>) {
    for round in 0_usize.. {
        tokio::time::sleep(REPUBLISH_INTERVAL).await;
        if inner.check_not_ending().is_err() {
            return;
        }
        let mut left = inner.model().all_pending();
        let count = left.len().max(1);
        left.rotate_left(round.wrapping_mul(REPUBLISH_BATCH) % count);
        for (name, was) in left.into_iter().take(REPUBLISH_BATCH) {
            // In this order, as when something is published: a detach that began before is seen.
            let mut publisher = inner.publisher.lock().await;
            let found = inner.model().pending_publication(&name, &was.ports);
            let Some((lease, publication)) = found else { continue };
            let ports = publication.ports;
            match open(&inner, &mut publisher, &lease, &[publication]).await {
                Ok(()) => {
                    inner.model().mark_active(&name, &ports);
                    inner.commit_snapshot();
                    tracing::info!(%name, %ports, "open again");
                }
                Err(error) => {
                    // Unless it was withdrawn meanwhile, and perhaps published anew.
                    let mut model = inner.model();
                    if model.pending_publication(&name, &ports).is_some() {
                        model.mark_pending(&name, &ports, error.to_string());
                    }
                }
            }
            drop(publisher);
            // Looking for whoever has a port is work: others have their turn in between.
            tokio::task::yield_now().await;
        }
    }
}

/// Opens these, or none of them. The way out may be another one than when they were published.
async fn open(
    inner: &Inner,
    publisher: &mut HostPublisher,
    lease: &Lease,
    publications: &[Publication],
) -> Result<(), ControlError> {
    inner.model().check_publications(publications)?;
    publisher.open(lease, publications).await.map_err(ControlError::publish_failed)
}
