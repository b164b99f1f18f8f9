//! Records of the document that could not be attached again at the start, though their namespaces live.
//!
//! They are kept, with the reason (`model/fault.rs`), and tried again: after [`KEPT_RETRY_MIN`], then after twice the
//! time, up to [`KEPT_RETRY_MAX`]. A record goes only with its namespace, or by a detach. So are records that found all
//! ports in use (`model/deferred.rs`).

use std::sync::Arc;

use vswitch_api::event::EventKind;

use super::Control;
use super::error::ControlError;
use super::limits::{KEPT_RETRY_MAX, KEPT_RETRY_MIN};
use super::model::{Deferred, EndpointKey, Owner};
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
        let has_some = {
            let model = self.0.model();
            !model.kept().is_empty() || !model.deferred().is_empty()
        };
        if !has_some {
            return;
        }
        let control = self.clone();
        tokio::spawn(async move {
            let mut pause = KEPT_RETRY_MIN;
            loop {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(KEPT_RETRY_MAX);
                let (kept, deferred) = {
                    let model = control.0.model();
                    (model.kept(), model.deferred().to_vec())
                };
                let is_done = kept.is_empty() && deferred.is_empty();
                if is_done || control.0.check_not_ending().is_err() {
                    return;
                }
                for stored in kept {
                    control.retry(&stored).await;
                }
                for one in deferred {
                    control.retry_deferred(&one).await;
                }
            }
        });
    }

    /// Attaches a record that had no room, or keeps it if it has room and fails otherwise.
    async fn retry_deferred(&self, Deferred { record, statics }: &Deferred) {
        let Ok(network) = record.network.parse() else { return };
        let key = EndpointKey { name: record.name.clone(), network };
        let outcome = match self.attach_stored(record, false).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_gone() && record.container.is_some() => {
                self.restore_waiting(record)
            }
            Err(error) if error.is_gone() => {
                tracing::info!(name = %key, %error, "dropped");
                self.0.model().take_deferred(|it| *it == key);
                return self.save_deferred(&key).await;
            }
            Err(error) => self.keep(record, &error),
        };
        if outcome.is_err() {
            return;
        }
        {
            let mut model = self.0.model();
            model.take_deferred(|it| *it == key);
            for entry in statics {
                let owner = Owner::Endpoint(record.name.clone());
                if let Err(error) =
                    model.restore_static(&key.network, (entry.mac, entry.vlan), owner)
                {
                    tracing::warn!(mac = %entry.mac, %error, "static entry dropped");
                }
            }
        }
        tracing::info!(name = %key, network = %key.network, "there is a port for it now");
        self.0.commit_snapshot();
        if self.0.model().has_port(&key) {
            self.0.feed.send(EventKind::Attach, &key, "after a fault");
            republish::retry_pending(&self.0);
        }
        self.save_deferred(&key).await;
    }

    async fn save_deferred(&self, key: &EndpointKey) {
        if let Err(error) = self.0.save().await {
            tracing::warn!(name = %key, %error, "the document still has it as it was");
        }
    }

    /// Forgets deferred records of a name, as `NAME` or `NAME@NETWORK`. Says whether there were some.
    pub(super) async fn forget_deferred(&self, text: &str) -> Result<bool, ControlError> {
        let (name, network) = match text.split_once('@') {
            Some((name, network)) => (name, Some(network)),
            None => (text, None),
        };
        let is_named = |key: &EndpointKey| {
            key.name.as_str() == name && network.is_none_or(|it| key.network.as_str() == it)
        };
        let taken = self.0.model().take_deferred(is_named);
        if taken.is_empty() {
            return Ok(false);
        }
        if let Err(error) = self.0.save().await {
            for one in taken {
                self.0.model().defer(one, &error.to_string());
            }
            return Err(error);
        }
        Ok(true)
    }

    /// Lets an endpoint wait whose container does not run, or runs anew.
    pub(super) fn restore_waiting(&self, stored: &Attachment) -> Result<(), ControlError> {
        let (inner, spec) = (&self.0, stored.spec()?);
        let now = inner.started.elapsed();
        inner.model().restore_waiting(&spec, &stored.ifname, now, &mut random)?;
        tracing::info!(name = %stored.name, network = stored.network, "waits for its container");
        Ok(())
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
