//! Attachments of the document, brought back at start.
//!
//! An attachment comes back with its names and addresses if its namespace lives: the same inode and
//! cookie, in the same boot of the host. Everything else is dropped with a line in the log, and with it
//! its static entries.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::error::ControlError;
use super::limits::REPLAYS_AT_ONCE;
use super::model::Owner;
use super::port::{self, PortChange};
use super::start::Replayed;
use super::store::{Attachment, Document};
use super::{Control, plan};
use crate::host::{HostError, NetnsError};

/// Brings back what can be.
pub(super) async fn run(control: &Control, document: Document) -> Replayed {
    let mut replayed = Replayed::default();
    let mut running = JoinSet::new();
    let mut waiting = document.attachments.into_iter();
    loop {
        while running.len() < REPLAYS_AT_ONCE
            && let Some(attachment) = waiting.next()
        {
            let control = control.clone();
            running.spawn(async move {
                let result = one(&control, &attachment).await;
                report(&attachment, &result);
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
    control.0.publish_all();
    replayed
}

async fn one(control: &Control, kept: &Attachment) -> Result<(), ControlError> {
    let mut change = PortChange::replay(Arc::clone(&control.0), kept)?;
    plan::carry_out(&mut change, &port::REPLAY).await?;
    let lease = change.lease()?.clone();
    let alive = {
        let mut model = control.0.model();
        model.set_saved(&lease.name, true);
        model.activate(&lease.name)
    };
    if !alive {
        control.lost(lease.slot).await;
        return Err(NetnsError::Gone(kept.name.to_string()).into());
    }
    control.announce(&lease).await;
    Ok(())
}

fn report(kept: &Attachment, result: &Result<(), ControlError>) {
    match result {
        Ok(()) => tracing::info!(name = %kept.name, "attached again"),
        Err(ControlError::Host(HostError::Netns(error))) => {
            tracing::info!(name = %kept.name, %error, "dropped");
        }
        Err(error) => {
            tracing::error!(name = %kept.name, %error, "cannot be attached again: dropped")
        }
    }
}
