//! Publications of an endpoint that leaves: they go to another network of its container.
//!
//! The model, the datapath and the host change before the endpoint goes, so that the ports stay open. The
//! document follows with the write of the detach, which leaves the endpoint out: after a crash in between,
//! the endpoint is back with its publications. Those that no other network can have end with the endpoint,
//! with a line in the log. The same holds for an endpoint that waits for its container: its publications go to
//! another one that waits, or works.

use vswitch_api::event::EventKind;
use vswitch_api::publish::PortSpec;

use super::model::{EndpointKey, EndpointState, Lease};
use super::task::blocking;
use super::{Control, republish};
use crate::host::netns;

impl Control {
    /// Hands the publications of an endpoint whose detach has begun to other endpoints of its container.
    pub(super) async fn hand_publications_on(&self, from: &EndpointKey) {
        let stay = {
            let model = self.0.model();
            // A runtime moves publications itself.
            model.publications_of(from).is_empty() || model.is_runtimes(from)
        };
        if stay || !self.lives_on(from).await {
            return;
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
            return;
        }
        drop(publisher);
        self.report_handover(from, &handed, left);
    }

    /// The same, where the endpoint waits for its container, so that its ports are not open.
    pub(super) async fn hand_waiting_publications_on(&self, from: &EndpointKey) {
        let inner = &self.0;
        let stay = {
            let model = inner.model();
            model.publications_of(from).is_empty() || !model.works_or_waits(&from.name)
        };
        if stay {
            return;
        }
        let (handed, left) = {
            let mut model = inner.model();
            let (mut handed, _) = model.hand_publications_on(from, EndpointState::Active);
            for (to, ports) in &handed {
                let reason = format!("it was on {}, which waits for its container", from.network);
                model.mark_pending(&to.key(), ports, reason);
            }
            let (waiting, left) = model.hand_publications_on(from, EndpointState::Waiting);
            handed.extend(waiting);
            (handed, left)
        };
        republish::retry_pending(inner);
        self.report_handover(from, &handed, left);
    }

    fn report_handover(
        &self,
        from: &EndpointKey,
        handed: &[(Lease, PortSpec)],
        left: Vec<PortSpec>,
    ) {
        let inner = &self.0;
        for (to, ports) in handed {
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
