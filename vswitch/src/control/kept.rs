//! Records of the document that could not be attached again at the start, though their namespaces live.
//!
//! They are kept, with the reason (`model/fault.rs`), and tried again: after [`KEPT_RETRY_MIN`], then after twice the
//! time, up to [`KEPT_RETRY_MAX`]. A record goes only with its namespace, or by a detach.

use std::sync::Arc;

use vswitch_api::event::EventKind;

use super::Control;
use super::error::ControlError;
use super::limits::{KEPT_RETRY_MAX, KEPT_RETRY_MIN};
use super::model::EndpointKey;
use super::port::PortChange;
use super::random::random;
use super::republish;
use super::store::Attachment;
use crate::host::{HostError, NetnsError, netns};

impl Control {
    /// Attaches a stored endpoint: one that the model does not know yet, or one that it keeps.
    pub(super) async fn attach_stored(
        &self,
        stored: &Attachment,
        is_kept: bool,
    ) -> Result<(), ControlError> {
        let mut change = PortChange::replay(Arc::clone(&self.0), stored, is_kept).await?;
        let record = stored.netns.as_ref();
        let netns = record.map(|it| netns::describe(&it.reference)).unwrap_or_default();
        self.execute_attach(&mut change, netns).await.map(drop)
    }

    /// Keeps a record that cannot be attached now.
    pub(super) fn keep(
        &self,
        stored: &Attachment,
        error: &ControlError,
    ) -> Result<(), ControlError> {
        let (inner, spec) = (&self.0, stored.spec()?);
        let now = inner.started.elapsed();
        inner.model().keep(stored, &spec, error.to_string(), now, &mut random)?;
        tracing::warn!(name = %stored.name, network = stored.network, %error,
            "not attached again yet; it is kept and tried again");
        Ok(())
    }

    /// Tries kept records again, until there are none.
    pub(super) fn retry_kept(&self) {
        if self.0.model().kept().is_empty() {
            return;
        }
        let control = self.clone();
        tokio::spawn(async move {
            let mut pause = KEPT_RETRY_MIN;
            loop {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(KEPT_RETRY_MAX);
                let kept = control.0.model().kept();
                if kept.is_empty() || control.0.check_not_ending().is_err() {
                    return;
                }
                for stored in kept {
                    control.retry(&stored).await;
                }
            }
        });
    }

    async fn retry(&self, stored: &Attachment) {
        let Ok(network) = stored.network.parse() else { return };
        let key = EndpointKey { name: stored.name.clone(), network };
        match self.attach_stored(stored, true).await {
            Ok(()) => {
                tracing::info!(name = %key, network = %key.network, "attached again");
                self.0.feed.send(EventKind::Attach, &key, "after a fault");
                republish::retry_pending(&self.0);
            }
            // A request was faster.
            Err(ControlError::Busy(..) | ControlError::UnknownPort(_) | ControlError::Ending) => {}
            Err(error) if error.is_gone() && stored.container.is_some() => {
                // It waits for the next run.
                self.0.model().set_fault(&key, None);
                self.0.model().wait_for_container(&key);
            }
            Err(error) if error.is_gone() => {
                tracing::info!(name = %key, %error, "dropped");
                if let Err(error) = self.detach_endpoint(key.clone()).await {
                    tracing::warn!(name = %key, %error, "not dropped");
                }
            }
            Err(error) => {
                if self.0.model().set_fault(&key, Some(error.to_string())) {
                    tracing::warn!(name = %key, %error, "still not attached again");
                }
            }
        }
    }
}

impl ControlError {
    /// Whether the namespace that a change needs is no more.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Host(HostError::Netns(NetnsError::Gone(_))) | Self::Waiting(_))
    }

    /// Whether the kernel has yet to remove the former interface.
    pub(super) fn is_left_over(&self) -> bool {
        matches!(self, Self::Host(HostError::LeftOver(_)))
    }
}
