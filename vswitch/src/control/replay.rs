//! Replay at start: attaches the endpoints of the document again.
//!
//! An endpoint comes back with its names and addresses if its namespace lives: the same inode and cookie,
//! in the same boot of the host. That of a container waits for it otherwise. All others are dropped with a line
//! in the log, and their static entries with them. One that lives and fails is kept and tried again (`kept.rs`);
//! one whose former interface the kernel has yet to remove waits for that (`left_overs.rs`). One that finds all ports in
//! use stays in the document until there is one (`model/deferred.rs`).
//!
//! What makes no sense goes: endpoints whose first addresses a changed subnet no longer has; of further ones, only
//! these addresses, and of publications only those of a family without addresses. The document is copied before.
//!
//! Endpoints with the default route of a runtime's container come first: the others of that container then find
//! the route, and leave it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use vswitch_api::address::Family;

use super::Control;
use super::error::ControlError;
use super::left_overs::LeftOvers;
use super::limits::{LEFT_OVER_ROUND, REPLAY_CONCURRENCY};
use super::model::{Deferred, Owner};
use super::name::Name;
use super::store::{Attachment, Document};

/// The result of a replay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReplayReport {
    /// Attachments that work again.
    pub(crate) attached: usize,
    /// Attachments that wait for their containers.
    pub(crate) waiting: usize,
    /// Attachments that live, and could not be attached yet.
    pub(crate) kept: usize,
    /// The copy of a document that has more than makes sense.
    pub(crate) backup: Option<PathBuf>,
    /// Attachments that were dropped.
    pub(crate) dropped: usize,
    /// Names and networks of those that were dropped since their namespaces have ended.
    pub(super) gone: BTreeSet<(Name, String)>,
}

/// What has become of a stored endpoint.
enum Replayed {
    Works,
    Waits,
    /// It lives, but fails.
    Kept,
    /// The kernel has yet to remove its former interface.
    LeftOver(ControlError),
    Gone,
    Lost,
}

/// Attaches stored endpoints, then sets stored static entries.
pub(super) async fn run(control: &Control, document: Document) -> ReplayReport {
    let mut replayed = ReplayReport::default();
    control.0.progress.expects(document.attachments.len());
    let gives_route =
        |it: &Attachment| it.runtime.as_ref().is_some_and(|it| it.gives_default_route);
    let (all, contested) = without_contested(document.attachments);
    let (first, others): (VecDeque<_>, _) = all.into_iter().partition(gives_route);
    attach_all(control, first, &mut replayed).await;
    attach_all(control, others, &mut replayed).await;
    attach_all(control, contested, &mut replayed).await;
    let mut model = control.0.model();
    for record in document.statics {
        if model.defer_static(&record) {
            continue;
        }
        let owner = record.port.map_or(Owner::Host, Owner::Endpoint);
        let network = record.network.parse().map_err(ControlError::Name);
        let key = (record.mac, record.vlan);
        if let Err(error) = network.and_then(|it| model.restore_static(&it, key, owner)) {
            tracing::info!(mac = %record.mac, %error, "static entry dropped");
        }
    }
    drop(model);
    control.0.commit_snapshot();
    control.retry_kept();
    replayed
}

/// Sets records aside that want a MAC address or an IP address of an earlier one, which is to have it.
fn without_contested(stored: Vec<Attachment>) -> (VecDeque<Attachment>, VecDeque<Attachment>) {
    let mut taken = BTreeSet::new();
    stored.into_iter().partition(|it| {
        let mut own = vec![it.mac.to_string()];
        own.extend(it.ipv4.map(|address| address.to_string()));
        own.extend(it.ipv6.map(|address| address.to_string()));
        let own: Vec<_> = own.into_iter().map(|what| (it.network.clone(), what)).collect();
        let is_free = own.iter().all(|what| !taken.contains(what));
        if is_free {
            taken.extend(own);
        }
        is_free
    })
}

/// Attaches endpoints, several at a time, and waits for the last one. Those with a left-over interface come last.
async fn attach_all(
    control: &Control,
    mut queue: VecDeque<Attachment>,
    replayed: &mut ReplayReport,
) {
    let mut running = JoinSet::new();
    let (mut left_over, mut records) = (Vec::new(), HashMap::new());
    let (mut waits, mut round) = (LeftOvers::default(), Instant::now());
    loop {
        while running.len() < REPLAY_CONCURRENCY
            && let Some(mut attachment) = queue.pop_front()
        {
            drop_impossible(control, &mut attachment);
            let (control, record) = (control.clone(), attachment.clone());
            let task = running.spawn(async move { replay(&control, &record).await });
            records.insert(task.id(), attachment);
        }
        let ended = running.join_next_with_id().await.map(|ended| {
            let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
            (records.remove(&id), ended.map(|(_, replayed)| replayed))
        });
        match ended {
            None if left_over.is_empty() => break,
            None => {
                let goes_on = waits.handle_round(left_over.len(), round.elapsed());
                round = Instant::now();
                for (attachment, error) in left_over.drain(..) {
                    control.0.progress.waits_for("in containers");
                    match goes_on {
                        true => queue.push_back(attachment),
                        false => count(
                            control,
                            &attachment,
                            keep(control, &attachment, &error),
                            replayed,
                        ),
                    }
                }
                if goes_on {
                    tokio::time::sleep(LEFT_OVER_ROUND).await;
                }
            }
            Some((Some(attachment), Ok(Replayed::LeftOver(error)))) => {
                left_over.push((attachment, error))
            }
            Some((Some(attachment), Ok(outcome))) => count(control, &attachment, outcome, replayed),
            Some((Some(attachment), Err(error))) => {
                let error = ControlError::Task(error.to_string());
                count(control, &attachment, keep(control, &attachment, &error), replayed)
            }
            Some((None, _)) => {}
        }
    }
}

/// Counts an outcome.
fn count(
    control: &Control,
    attachment: &Attachment,
    outcome: Replayed,
    replayed: &mut ReplayReport,
) {
    match outcome {
        Replayed::Works => replayed.attached += 1,
        Replayed::Waits => replayed.waiting += 1,
        Replayed::Kept | Replayed::LeftOver(_) => replayed.kept += 1,
        Replayed::Gone => {
            replayed.dropped += 1;
            replayed.gone.insert((attachment.name.clone(), attachment.network.clone()));
        }
        Replayed::Lost => replayed.dropped += 1,
    }
    control.0.progress.one_done();
}

/// Attaches a stored endpoint, or finds out what is to become of it.
async fn replay(control: &Control, stored: &Attachment) -> Replayed {
    let error = match control.attach_stored(stored, false).await {
        Ok(()) => {
            tracing::info!(name = %stored.name, network = stored.network, "attached again");
            return Replayed::Works;
        }
        Err(error) => error,
    };
    if error.is_left_over() {
        return Replayed::LeftOver(error);
    }
    let outcome = match error.is_gone() {
        false => keep(control, stored, &error),
        true if stored.container.is_some() => match control.restore_waiting(stored) {
            Ok(()) => return Replayed::Waits,
            Err(error) => give_up(control, stored, &error),
        },
        true => {
            tracing::info!(name = %stored.name, %error, "dropped");
            Replayed::Gone
        }
    };
    if let (Replayed::Gone | Replayed::Lost, Some(container)) = (&outcome, &stored.container) {
        control.leave_container(container).await;
    }
    outcome
}

/// Keeps an endpoint that fails, if the model can have it.
fn keep(control: &Control, stored: &Attachment, error: &ControlError) -> Replayed {
    match control.keep(stored, error) {
        Ok(()) => Replayed::Kept,
        Err(error) => give_up(control, stored, &error),
    }
}

/// Defers an endpoint that the model has no room for, and drops one that it cannot have.
fn give_up(control: &Control, stored: &Attachment, error: &ControlError) -> Replayed {
    let (name, network) = (&stored.name, &stored.network);
    if error.is_for_room() {
        tracing::error!(%name, network, %error, "not attached again yet; it is tried again");
        let deferred = Deferred { record: stored.clone(), statics: Vec::new() };
        control.0.model().defer(deferred, &error.to_string());
        return Replayed::Kept;
    }
    tracing::error!(%name, network, %error, "cannot be attached again: dropped");
    Replayed::Lost
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_records_with_one_address_the_first_comes_first() {
        let record = |name: &str, mac: u8, ipv4: &str| -> Attachment {
            let mac = format!("02:00:00:00:00:{mac:02x}");
            let stored = serde_json::json!({ "name": name, "network": "br0", "ifname": "eth0", "mac": mac,
                "ipv4": ipv4 });
            serde_json::from_value(stored).unwrap()
        };
        let all = vec![
            record("a", 1, "10.0.0.2"),
            record("same-mac", 1, "10.0.0.3"),
            record("b", 2, "10.0.0.3"),
            record("same-address", 3, "10.0.0.2"),
        ];
        let (free, contested) = without_contested(all);
        let names = |all: VecDeque<Attachment>| -> Vec<String> {
            all.into_iter().map(|it| it.name.to_string()).collect()
        };
        assert_eq!(
            (names(free), names(contested)),
            (
                vec!["a".to_owned(), "b".to_owned()],
                vec!["same-mac".to_owned(), "same-address".to_owned()]
            )
        );
    }

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
