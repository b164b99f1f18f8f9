//! Attachments of the document, brought back at start.
//!
//! An attachment comes back with its names and addresses if its namespace lives: the same inode and
//! cookie, in the same boot of the host. Everything else is dropped with a line in the log, and with it
//! its static entries.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::error::ControlError;
use super::limits::REPLAY_CONCURRENCY;
use super::model::Owner;
use super::port::{self, PortChange};
use super::start::ReplayReport;
use super::store::{Attachment, Document};
use super::{Control, plan};
use crate::host::{HostError, NetnsError};

/// Brings back what can be.
pub(super) async fn run(control: &Control, document: Document) -> ReplayReport {
    let mut replayed = ReplayReport::default();
    let mut running = JoinSet::new();
    let mut waiting = document.attachments.into_iter();
    loop {
        while running.len() < REPLAY_CONCURRENCY
            && let Some(attachment) = waiting.next()
        {
            let control = control.clone();
            running.spawn(async move {
                let result = replay_one(&control, &attachment).await;
                log_result(&attachment, &result);
                result.is_ok()
            });
        }
        match running.join_next().await {
            None => break,
            Some(Ok(true)) => replayed.attached += 1,
            Some(_) => replayed.dropped += 1,
        }
    }
    let mut model = control.0.model();
    for record in document.statics {
        let owner = record.port.map_or(Owner::Host, Owner::Port);
        if let Err(error) = model.set_static((record.mac, record.vlan), owner) {
            tracing::info!(mac = %record.mac, %error, "static entry dropped");
        }
    }
    drop(model);
    control.0.commit_snapshot();
    replayed
}

async fn replay_one(control: &Control, stored: &Attachment) -> Result<(), ControlError> {
    let mut change = PortChange::replay(Arc::clone(&control.0), stored)?;
    plan::execute(&mut change, &port::REPLAY).await?;
    let lease = change.lease()?.clone();
    let alive = {
        let mut model = control.0.model();
        model.set_persisted(&lease.name, true);
        model.activate(&lease.name)
    };
    if !alive {
        control.detach_lost_port(lease.slot).await;
        return Err(NetnsError::Gone(stored.name.to_string()).into());
    }
    control.announce(&lease).await;
    Ok(())
}

fn log_result(stored: &Attachment, result: &Result<(), ControlError>) {
    match result {
        Ok(()) => tracing::info!(name = %stored.name, "attached again"),
        Err(ControlError::Host(HostError::Netns(error))) => {
            tracing::info!(name = %stored.name, %error, "dropped");
        }
        Err(error) => {
            tracing::error!(name = %stored.name, %error, "cannot be attached again: dropped")
        }
    }
}
