//! Publications of an endpoint that leaves: they go to another network of its container.
//!
//! The model, the datapath and the host change before the endpoint goes, so that the ports stay open. The
//! document follows with the write of the detach, which leaves the endpoint out: after a crash in between,
//! the endpoint is back with its publications, and a detach that is taken back gives them back. Those that no other
//! network can have end with the endpoint, with a line in the log. The same holds for an endpoint that waits for its
//! container: its publications go to another one that waits, or works.

use vswitch_api::event::EventKind;
use vswitch_api::publish::PortSpec;

use super::model::{EndpointKey, EndpointState, Lease};
use super::task::blocking;
use super::{Control, republish};
use crate::host::netns;

/// Publications of an endpoint that leaves.
#[derive(Debug, Default)]
pub(super) struct Handover {
    /// Those with a new owner.
    handed: Vec<(Lease, PortSpec)>,
    /// Those that end with the endpoint.
    left: Vec<PortSpec>,
}

impl Control {
    /// Hands the publications of an endpoint whose detach has begun to other endpoints of its container.
    pub(super) async fn hand_publications_on(&self, from: &EndpointKey) -> Handover {
        if !self.0.model().has_port(from) {
            return self.hand_waiting_publications_on(from);
        }
        let stay = {
            let model = self.0.model();
            // A runtime moves publications itself.
            model.publications_of(from).is_empty() || model.is_runtimes(from)
        };
        if stay || !self.lives_on(from).await {
            return Handover::default();
        }
        let inner = &self.0;
        let mut publisher = inner.publisher.lock().await;
        let (handed, left) = inner.model().hand_publications_on(from, EndpointState::Active);
        if !handed.is_empty() {
            inner.commit_snapshot();
        }
        if let Err(error) = publisher.hand_on(from, &handed).await {
            tracing::warn!(name = %from, %error, "no longer published: the host refuses");
            inner.model().take_publications_back(from, &handed);
            inner.commit_snapshot();
            return Handover::default();
        }
        Handover { handed, left }
    }

    /// The same, where the endpoint waits for its container, so that its ports are not open.
    fn hand_waiting_publications_on(&self, from: &EndpointKey) -> Handover {
        let mut model = self.0.model();
        if model.publications_of(from).is_empty() || !model.works_or_waits(&from.name) {
            return Handover::default();
        }
        let (mut handed, _) = model.hand_publications_on(from, EndpointState::Active);
        for (to, ports) in &handed {
            let reason = format!("it was on {}, which waits for its container", from.network);
            model.mark_pending(&to.key(), ports, reason);
        }
        let (waiting, left) = model.hand_publications_on(from, EndpointState::Waiting);
        handed.extend(waiting);
        Handover { handed, left }
    }

    /// Undoes [`Control::hand_publications_on`], as the endpoint stays.
    pub(super) async fn take_publications_back(&self, from: &Lease, handover: Handover) {
        let inner = &self.0;
        if handover.handed.is_empty() {
            return;
        }
        let mut publisher = inner.publisher.lock().await;
        // One that came open in the meantime stays open.
        inner.model().take_publications_back(&from.key(), &handover.handed);
        inner.commit_snapshot();
        for (to, ports) in &handover.handed {
            let back = publisher.hand_on(&to.key(), &[(from.clone(), *ports)]).await;
            if let Err(error) = back {
                tracing::error!(name = %from.name, %ports, %error, "published on the wrong network");
            }
        }
    }

    /// Says where publications have gone, and tries those that are not open.
    pub(super) fn report_handover(&self, from: &EndpointKey, Handover { handed, left }: Handover) {
        let inner = &self.0;
        if !handed.is_empty() {
            republish::retry_pending(inner);
        }
        for (to, ports) in &handed {
            let was = &from.network;
            tracing::info!(name = %to.name, network = %to.network, %ports, %was, "published");
            inner.feed.send(EventKind::Publish, &to.key(), ports.to_string());
        }
        for ports in left {
            tracing::warn!(name = %from, %ports,
                "no longer published: no other network of the container can have it");
            inner.feed.send(EventKind::Unpublish, from, ports.to_string());
        }
    }

    /// Whether the container has another endpoint, in a namespace that is there.
    async fn lives_on(&self, from: &EndpointKey) -> bool {
        let Ok(record) = self.0.model().namespace_of(&from.name) else { return false };
        let found = blocking(move || netns::find(record.id, &record.path)).await;
        found.is_ok_and(|found| !matches!(found, Ok(None)))
    }
}
