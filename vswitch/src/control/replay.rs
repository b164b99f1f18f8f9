//! Replay at start: attaches the endpoints of the document again.
//!
//! An endpoint comes back with its names and addresses if its namespace lives: the same inode and cookie,
//! in the same boot of the host. That of a container waits for it otherwise. All others are dropped with a line
//! in the log, and their static entries with them. So are those whose first addresses a changed subnet no longer
//! has; of further ones, only these addresses are, and of publications only those of a family without addresses.
//!
//! Endpoints with the default route of a runtime's container come first: the others of that container then find
//! the route, and leave it.

use std::sync::Arc;

use tokio::task::JoinSet;
use vswitch_api::address::Family;

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
    let gives_route =
        |it: &Attachment| it.runtime.as_ref().is_some_and(|it| it.gives_default_route);
    let (first, others) = document.attachments.into_iter().partition(gives_route);
    attach_all(control, first, &mut replayed).await;
    attach_all(control, others, &mut replayed).await;
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

/// Attaches endpoints, several at a time, and waits for the last one.
async fn attach_all(control: &Control, stored: Vec<Attachment>, replayed: &mut ReplayReport) {
    let mut running = JoinSet::new();
    let mut waiting = stored.into_iter();
    loop {
        while running.len() < REPLAY_CONCURRENCY
            && let Some(mut attachment) = waiting.next()
        {
            drop_impossible(control, &mut attachment);
            let control = control.clone();
            running.spawn(async move {
                let result = match PortChange::replay(Arc::clone(&control.0), &attachment).await {
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
}

/// Drops publications that could never have come, and further addresses that a changed subnet or gateway
/// excludes; the attachment keeps the others.
fn drop_impossible(control: &Control, stored: &mut Attachment) {
    drop_unreachable_publications(stored);
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

/// Drops publications at host addresses of the family that the endpoint has no address of.
fn drop_unreachable_publications(stored: &mut Attachment) {
    let (name, Some(only)) = (&stored.name, stored.family()) else { return };
    stored.publish.retain(|one| {
        let is_possible = one.ports.address().is_none_or(|it| Family::of(it) == only);
        if !is_possible {
            tracing::error!(%name, ports = %one.ports, "publication dropped: no address of its family");
        }
        is_possible
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_of_a_family_without_addresses_goes_and_the_endpoint_stays() {
        let stored = serde_json::json!({ "name": "web", "network": "br0", "ifname": "eth0",
            "mac": "02:00:00:00:00:01", "ipv4": "10.0.0.2",
            "publish": [{ "ports": "[::1]:8080:80" }, { "ports": "8081:80" }, { "ports": "127.0.0.1:8082:80" }] });
        let mut stored: Attachment = serde_json::from_value(stored).unwrap();
        drop_unreachable_publications(&mut stored);
        let left: Vec<_> = stored.publish.iter().map(|one| one.ports.to_string()).collect();
        assert_eq!(left, ["8081:80/tcp", "127.0.0.1:8082:80/tcp"]);
    }
}
