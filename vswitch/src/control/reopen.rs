//! Publications of the document, opened at start; and those that cannot be, tried again.
//!
//! ```text
//! kept --(start)--> open
//!   |                ^
//!   | somebody else  | every REOPEN_EVERY
//!   v has the port   |
//! not open ----------+    shown with the reason, part of the document, not of the datapath's policy
//! ```
//!
//! Here the host comes first, other than when something is published: the datapath is not told of a
//! publication only to be told otherwise a moment later. A frame that comes in between goes back to the host.
//!
//! Of a long list [`REOPENS_AT_ONCE`] are tried at a time, since looking for whoever has a port takes a while.

use std::sync::Arc;

use vswitch_api::publish::Publication;

use super::error::ControlError;
use super::inner::Inner;
use super::limits::{REOPEN_EVERY, REOPENS_AT_ONCE};
use super::model::Lease;
use super::uplink::Gate;

/// Opens what the document has of an attachment that comes back. What cannot be is noted; the others are open.
pub(super) async fn all_that_can_be(inner: &Inner, lease: &Lease) {
    let mut gate = inner.gate.lock().await;
    let publications = inner.model().publications_of(&lease.name);
    let mut is_whole = true;
    // Each load takes the kernel a while: as many at once as can be.
    let mut parts = vec![&publications[..]];
    while let Some(part) = parts.pop() {
        let Err(error) = open(inner, &mut gate, lease, part).await else { continue };
        if let [one] = part {
            let (name, ports) = (&lease.name, one.ports);
            tracing::error!(%name, %ports, %error, "not open; it is tried again");
            inner.model().note_shut(name, &ports, error.to_string());
            is_whole = false;
        } else {
            let (first, second) = part.split_at(part.len() / 2);
            parts.extend([second, first]);
        }
    }
    if !is_whole {
        inner.publish_all();
    }
}

/// Tries again what is not open, until the daemon ends.
pub(super) async fn retry(inner: Arc<Inner>) {
    for round in 0_usize.. {
        tokio::time::sleep(REOPEN_EVERY).await;
        if inner.check_not_ending().is_err() {
            return;
        }
        let mut left = inner.model().all_not_open();
        let count = left.len().max(1);
        left.rotate_left(round.wrapping_mul(REOPENS_AT_ONCE) % count);
        for (name, was) in left.into_iter().take(REOPENS_AT_ONCE) {
            // In this order, as when something is published: a detach that began before is seen.
            let mut gate = inner.gate.lock().await;
            let found = inner.model().shut_publication(&name, &was.ports);
            let Some((lease, publication)) = found else { continue };
            let ports = publication.ports;
            match open(&inner, &mut gate, &lease, &[publication]).await {
                Ok(()) => {
                    inner.model().note_open(&name, &ports);
                    inner.publish_all();
                    tracing::info!(%name, %ports, "open again");
                }
                Err(error) => {
                    // Unless it was withdrawn meanwhile, and perhaps published anew.
                    let mut model = inner.model();
                    if model.shut_publication(&name, &ports).is_some() {
                        model.note_shut(&name, &ports, error.to_string());
                    }
                }
            }
            drop(gate);
            // Looking for whoever has a port is work: others have their turn in between.
            tokio::task::yield_now().await;
        }
    }
}

/// Opens these, or none of them. The way out may be another one than when they were published.
async fn open(
    inner: &Inner,
    gate: &mut Gate,
    lease: &Lease,
    publications: &[Publication],
) -> Result<(), ControlError> {
    inner.model().check_publications(publications)?;
    gate.open(lease, publications).await.map_err(ControlError::not_opened)
}
