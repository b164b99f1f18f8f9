//! Replay at start: attaches the endpoints of the document again.
//!
//! An endpoint comes back with its names and addresses if its namespace lives: the same inode and cookie,
//! in the same boot of the host. That of a container waits for it otherwise. All others are dropped with a line
//! in the log, and their static entries with them. So are those whose first addresses a changed subnet no longer
//! has; of further ones, only these addresses are.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::Control;
use super::error::ControlError;
use super::limits::REPLAY_CONCURRENCY;
use super::model::Owner;
use super::port::PortChange;
use super::random::random;
use super::store::{Attachment, Document};
use crate::host::{HostError, netns};

/// The result of a replay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ReplayReport {
    /// Attachments that work again.
    pub(crate) attached: usize,
    /// Attachments that wait for their containers.
    pub(crate) waiting: usize,
    /// Attachments that were dropped.
    pub(crate) dropped: usize,
}

/// What has become of a stored endpoint that is kept.
enum Replayed {
    Works,
    Waits,
}

/// Attaches stored endpoints, then sets stored static entries.
pub(super) async fn run(control: &Control, document: Document) -> ReplayReport {
    let mut replayed = ReplayReport::default();
    let mut running = JoinSet::new();
    let mut waiting = document.attachments.into_iter();
    loop {
        while running.len() < REPLAY_CONCURRENCY
            && let Some(mut attachment) = waiting.next()
        {
            drop_impossible(control, &mut attachment);
            let control = control.clone();
            running.spawn(async move {
                let result = match PortChange::replay(Arc::clone(&control.0), &attachment) {
                    Ok(mut change) => {
                        let record = attachment.netns.as_ref();
                        let netns = record.map(|it| netns::describe(&it.reference));
                        let netns = netns.unwrap_or_default();
                        control.execute_attach(&mut change, netns).await.map(drop)
                    }
                    Err(error) => Err(error),
                };
                let result = match result {
                    Err(error) if attachment.container.is_some() => {
                        let waits = restore_waiting(&control, &attachment);
                        waits.map(|()| Replayed::Waits).map_err(|_| error)
                    }
                    result => {
                        result.map(|()| Replayed::Works).inspect(|_| log_attached(&attachment))
                    }
                };
                if let Err(error) = &result {
                    log_dropped(&attachment, error);
                    if let Some(container) = &attachment.container {
                        control.leave_container(container).await;
                    }
                }
                result.ok()
            });
        }
        match running.join_next().await {
            None => break,
            Some(Ok(Some(Replayed::Works))) => replayed.attached += 1,
            Some(Ok(Some(Replayed::Waits))) => replayed.waiting += 1,
            Some(_) => replayed.dropped += 1,
        }
    }
    let mut model = control.0.model();
    for record in document.statics {
        let owner = record.port.map_or(Owner::Host, Owner::Endpoint);
        let network = record.network.parse().map_err(ControlError::Name);
        let key = (record.mac, record.vlan);
        if let Err(error) = network.and_then(|it| model.set_static(&it, key, owner)) {
            tracing::info!(mac = %record.mac, %error, "static entry dropped");
        }
    }
    drop(model);
    control.0.commit_snapshot();
    replayed
}

/// Drops further addresses that a changed subnet or gateway excludes; the attachment keeps the others.
fn drop_impossible(control: &Control, stored: &mut Attachment) {
    let model = control.0.model();
    let Ok(network) = model.network(Some(&stored.network)) else { return };
    let name = &stored.name;
    stored.further_addresses.retain(|&address| match network.check_address(address) {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(%name, %error, "further address dropped");
            false
        }
    });
}

/// Lets an endpoint wait whose container does not run, or runs anew.
fn restore_waiting(control: &Control, stored: &Attachment) -> Result<(), ControlError> {
    let (inner, spec) = (&control.0, stored.spec()?);
    let now = inner.started.elapsed();
    inner.model().restore_waiting(&spec, &stored.ifname, now, &mut random)?;
    tracing::info!(name = %stored.name, network = stored.network, "waits for its container");
    Ok(())
}

fn log_attached(stored: &Attachment) {
    tracing::info!(name = %stored.name, network = stored.network, "attached again");
}

fn log_dropped(stored: &Attachment, error: &ControlError) {
    match error {
        ControlError::Host(HostError::Netns(error)) => {
            tracing::info!(name = %stored.name, %error, "dropped");
        }
        error => {
            tracing::error!(name = %stored.name, %error, "cannot be attached again: dropped")
        }
    }
}
