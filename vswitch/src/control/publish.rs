//! Plans that publish and withdraw ports of an active endpoint.
//!
//! A new publication goes into the model, into the snapshot, to the host, and into the document; a step that
//! fails undoes those before it. A withdrawal leaves the document first, so that a crash never brings the
//! publication back; if the host refuses to close the port, the document gets it back. Its ports belong to it
//! until the host has closed them: a publication of them by another endpoint waits for that.

use std::sync::Arc;

use vswitch_api::event::EventKind;
use vswitch_api::publish::{PortSpec, Publication, PublicationKey};

use super::error::ControlError;
use super::inner::Inner;
use super::limits::PORT_ALLOC_TRIES_MAX;
use super::model::EndpointKey;
use super::plan::{self, Steps};
use super::random::random;
use super::task::task;
use super::{Control, published_ports};

/// A step of these plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The model gets it, with the host's ports picked.
    AllocatePorts,
    /// The model loses it.
    Remove,
    /// The datapath follows the model.
    CommitSnapshot,
    /// Others may publish the closed ports.
    FreePorts,
    /// The host hands frames for its ports over.
    OpenHostPorts,
    /// The host stops that.
    CloseHostPorts,
    /// The document is written.
    Save,
}

/// The plan of a new publication.
const PUBLISH: [Step; 4] =
    [Step::AllocatePorts, Step::CommitSnapshot, Step::OpenHostPorts, Step::Save];

/// The plan of a withdrawal.
const UNPUBLISH: [Step; 5] =
    [Step::Remove, Step::Save, Step::CloseHostPorts, Step::CommitSnapshot, Step::FreePorts];

/// A request.
#[derive(Debug)]
enum PublishRequest {
    Publish(Publication),
    Unpublish(PortSpec),
}

impl PublishRequest {
    fn ports(&self) -> PortSpec {
        match self {
            Self::Publish(requested) => requested.ports,
            Self::Unpublish(ports) => *ports,
        }
    }
}

/// A change in progress.
#[derive(Debug)]
struct Change {
    inner: Arc<Inner>,
    key: EndpointKey,
    request: PublishRequest,
    /// A runtime publishes it.
    is_runtimes: bool,
    /// The publications that were added or removed.
    affected: Vec<Publication>,
}

impl Control {
    /// The publications of an endpoint.
    pub(crate) fn published(&self, name: &str) -> Result<Vec<Publication>, ControlError> {
        let model = self.0.model();
        let keys = model.find_all(name)?;
        let publications = keys.iter().filter_map(|key| model.publications(key).ok());
        Ok(publications.flatten().cloned().collect())
    }

    /// Publishes a port. Gives it with the picked host ports.
    pub(crate) async fn publish(
        &self,
        name: &str,
        requested: Publication,
    ) -> Result<Publication, ControlError> {
        let key = self.0.model().find_publisher(name)?;
        self.publish_at(key, requested, false).await
    }

    /// Publishes a port of an endpoint, and marks it as the runtime's if it is.
    pub(super) async fn publish_at(
        &self,
        key: EndpointKey,
        requested: Publication,
        is_runtimes: bool,
    ) -> Result<Publication, ControlError> {
        self.0.check_not_ending()?;
        self.0.model().check_publications(&key.network, std::slice::from_ref(&requested))?;
        let ports = requested.ports;
        let request = PublishRequest::Publish(requested);
        let change = Change { is_runtimes, ..Change::new(Arc::clone(&self.0), key, request) };
        let affected = self.change_publications(change, &PUBLISH).await;
        let affected = affected.map_err(|error| self.count_limit_hit(error))?;
        affected.into_iter().next().ok_or(ControlError::NoFreePort(ports))
    }

    /// Withdraws publications. Gives them.
    pub(crate) async fn unpublish(
        &self,
        name: &str,
        withdrawn: PublicationKey,
    ) -> Result<Vec<Publication>, ControlError> {
        self.0.check_not_ending()?;
        let keys = self.0.model().find_all(name)?;
        let has = |key: &&EndpointKey| self.0.model().has_publication(key, &withdrawn.ports);
        // On several networks, each that publishes it stops.
        let publishers: Vec<_> = keys.iter().filter(has).cloned().collect();
        let keys = if publishers.is_empty() { keys[..1].to_vec() } else { publishers };
        let mut ended = Vec::new();
        for key in keys {
            ended.extend(self.unpublish_at(key, withdrawn.ports).await?);
        }
        Ok(ended)
    }

    /// Withdraws publications of an endpoint. Gives them.
    pub(super) async fn unpublish_at(
        &self,
        key: EndpointKey,
        ports: PortSpec,
    ) -> Result<Vec<Publication>, ControlError> {
        let request = PublishRequest::Unpublish(ports);
        self.change_publications(Change::new(Arc::clone(&self.0), key, request), &UNPUBLISH).await
    }

    async fn change_publications(
        &self,
        mut change: Change,
        plan: &'static [Step],
    ) -> Result<Vec<Publication>, ControlError> {
        task(async move {
            let inner = Arc::clone(&change.inner);
            let _named = inner.renaming.read().await;
            plan::execute(&mut change, plan).await?;
            let ports = change.affected.iter().map(|one| one.ports.to_string()).collect::<Vec<_>>();
            let (name, ports) = (&change.key, ports.join(" "));
            let event = match change.request {
                PublishRequest::Publish(_) => EventKind::Publish,
                PublishRequest::Unpublish(_) => EventKind::Unpublish,
            };
            match event {
                EventKind::Publish => tracing::info!(%name, ports, "published"),
                _ => tracing::info!(%name, ports, "no longer published"),
            }
            inner.feed.send(event, name, ports);
            Ok(change.affected)
        })
        .await?
    }
}

impl Change {
    fn new(inner: Arc<Inner>, key: EndpointKey, request: PublishRequest) -> Self {
        Self { inner, key, request, is_runtimes: false, affected: Vec::new() }
    }

    /// Allocates the ports, once nobody closes them any more.
    async fn allocate(&mut self) -> Result<(), ControlError> {
        let inner = Arc::clone(&self.inner);
        inner.retry_while_ending(|| self.allocate_now()).await
    }

    fn allocate_now(&mut self) -> Result<(), ControlError> {
        let PublishRequest::Publish(requested) = &self.request else { return Ok(()) };
        let mut model = self.inner.model();
        let allocated = model.add_publication(&self.key, requested, &mut random)?;
        if self.is_runtimes {
            model.mark_runtimes(&self.key, allocated.ports);
        }
        drop(model);
        self.affected = vec![allocated];
        Ok(())
    }

    /// Opens the allocated ports; picks others where another program has those.
    async fn open(&mut self) -> Result<(), ControlError> {
        let inner = Arc::clone(&self.inner);
        // Lock first: a detach that began before is seen, a later one waits.
        let mut publisher = inner.publisher.lock().await;
        let lease = inner.model().active_endpoint(&self.key)?.lease.clone();
        for _ in 0..PORT_ALLOC_TRIES_MAX {
            let error = match publisher.open(&lease, &self.affected).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let is_auto =
                matches!(&self.request, PublishRequest::Publish(one) if one.ports.host().is_none());
            if !is_auto || !published_ports::is_port_taken(&error) {
                return Err(ControlError::publish_failed(error));
            }
            for one in &self.affected {
                inner.model().drop_publication(&self.key, one);
            }
            self.allocate_now()?;
            inner.commit_snapshot();
        }
        Err(ControlError::NoFreePort(self.request.ports()))
    }

    async fn close(&mut self) -> Result<(), ControlError> {
        let goes = |ports: &PortSpec| self.affected.iter().any(|one| one.ports == *ports);
        let mut publisher = self.inner.publisher.lock().await;
        let (closed, flows) = (publisher.close(&self.key, goes).await, publisher.stale_flows());
        drop(publisher);
        flows.settle().await;
        closed.map_err(ControlError::publish_failed)
    }

    fn release(&mut self) -> Result<(), ControlError> {
        let PublishRequest::Unpublish(ports) = &self.request else { return Ok(()) };
        self.affected = self.inner.model().take_publications(&self.key, ports)?;
        Ok(())
    }
}

impl Steps for Change {
    type Step = Step;
    type Error = ControlError;

    async fn apply(&mut self, step: Step) -> Result<(), ControlError> {
        match step {
            Step::AllocatePorts => self.allocate().await,
            Step::Remove => self.release(),
            Step::Save => self.inner.save().await,
            Step::CommitSnapshot => {
                self.inner.commit_snapshot();
                Ok(())
            }
            Step::OpenHostPorts => self.open().await,
            Step::CloseHostPorts => self.close().await,
            Step::FreePorts => {
                // Connections end with their publication: NAT drops what the switch sees of them.
                self.inner.leave_cut_through(&self.key).await;
                self.inner.model().end_closing(&self.key, &self.affected);
                self.inner.settled.notify_waiters();
                Ok(())
            }
        }
    }

    async fn undo(&mut self, step: Step) -> Result<(), ControlError> {
        match step {
            Step::AllocatePorts => {
                for one in &self.affected {
                    self.inner.model().drop_publication(&self.key, one);
                }
                // The snapshot has it already, and another change may have written the document.
                self.inner.commit_snapshot();
                self.inner.save().await?;
            }
            Step::Remove => {
                self.inner.model().restore_publications(&self.key, self.affected.clone());
                self.inner.settled.notify_waiters();
                self.inner.commit_snapshot();
                self.inner.save().await?;
            }
            Step::CommitSnapshot => self.inner.commit_snapshot(),
            Step::OpenHostPorts => self.close().await?,
            Step::CloseHostPorts => self.open().await?,
            // The undo of the model's step writes the document.
            Step::Save | Step::FreePorts => {}
        }
        Ok(())
    }
}
