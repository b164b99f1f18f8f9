//! Ports that are published and withdrawn while their attachment works: each a plan of its own.
//!
//! The ports of a publication are allocated in the model, shown to the datapath, opened on the host, and written to the
//! document; when a step fails, those before it are undone. Withdrawn it leaves the document first, so that
//! a crash in between never brings it back; where the host then refuses to close it, the document gets it back.

use std::sync::Arc;

use vswitch_api::publish::{PortSpec, Publication, PublicationKey};

use super::error::ControlError;
use super::inner::Inner;
use super::limits::PORT_ALLOC_TRIES_MAX;
use super::name::Name;
use super::plan::{self, Steps};
use super::{Control, task, uplink};

/// What is done for a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The model has it, with the host's ports picked.
    AllocatePorts,
    /// The model has it no longer.
    Remove,
    /// The datapath follows the model.
    CommitSnapshot,
    /// The host hands the ports over.
    OpenHostPorts,
    /// It does so no longer.
    CloseHostPorts,
    /// The document is on the disk.
    Save,
}

/// A publication that comes.
const PUBLISH: [Step; 4] =
    [Step::AllocatePorts, Step::CommitSnapshot, Step::OpenHostPorts, Step::Save];

/// Publications that go.
const UNPUBLISH: [Step; 4] = [Step::Remove, Step::Save, Step::CloseHostPorts, Step::CommitSnapshot];

/// What is asked for.
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

/// A change of what is published.
#[derive(Debug)]
struct Change {
    inner: Arc<Inner>,
    name: Name,
    request: PublishRequest,
    /// What came, or went.
    affected: Vec<Publication>,
}

impl Control {
    /// What is published of an attachment.
    pub(crate) fn published(&self, name: &str) -> Result<Vec<Publication>, ControlError> {
        let name = name.parse()?;
        Ok(self.0.model().publications(&name)?.to_vec())
    }

    /// Publishes a port. Gives it with the host's ports picked.
    pub(crate) async fn publish(
        &self,
        name: &str,
        requested: Publication,
    ) -> Result<Publication, ControlError> {
        self.0.check_not_ending()?;
        self.0.model().check_publications(std::slice::from_ref(&requested))?;
        let ports = requested.ports;
        let affected =
            self.change_publications(name, PublishRequest::Publish(requested), &PUBLISH).await;
        let affected = affected.map_err(|error| self.count_limit_hit(error))?;
        affected.into_iter().next().ok_or(ControlError::NoFreePort(ports))
    }

    /// Ends publications.
    pub(crate) async fn unpublish(
        &self,
        name: &str,
        key: PublicationKey,
    ) -> Result<(), ControlError> {
        self.0.check_not_ending()?;
        self.change_publications(name, PublishRequest::Unpublish(key.ports), &UNPUBLISH)
            .await
            .map(drop)
    }

    async fn change_publications(
        &self,
        name: &str,
        request: PublishRequest,
        plan: &'static [Step],
    ) -> Result<Vec<Publication>, ControlError> {
        let (inner, name) = (Arc::clone(&self.0), name.parse()?);
        let mut change = Change { inner, name, request, affected: Vec::new() };
        task(async move {
            plan::execute(&mut change, plan).await?;
            let ports = change.affected.iter().map(|one| one.ports.to_string()).collect::<Vec<_>>();
            let (name, ports) = (&change.name, ports.join(" "));
            match change.request {
                PublishRequest::Publish(_) => tracing::info!(%name, ports, "published"),
                PublishRequest::Unpublish(_) => tracing::info!(%name, ports, "no longer published"),
            }
            Ok(change.affected)
        })
        .await?
    }
}

impl Change {
    fn allocate(&mut self) -> Result<(), ControlError> {
        let PublishRequest::Publish(requested) = &self.request else { return Ok(()) };
        let mut random = || getrandom::u64().map_err(|e| ControlError::Random(e.to_string()));
        let allocated = self.inner.model().add_publication(&self.name, requested, &mut random)?;
        self.affected = vec![allocated];
        Ok(())
    }

    /// Opens what was allocated; allocates other ports where somebody else on the host has those.
    async fn open(&mut self) -> Result<(), ControlError> {
        let inner = Arc::clone(&self.inner);
        // In this order: a detach that began before has closed its ports and is seen, a later one waits.
        let mut publisher = inner.publisher.lock().await;
        let lease = inner.model().lease_of(&self.name)?;
        for _ in 0..PORT_ALLOC_TRIES_MAX {
            let error = match publisher.open(&lease, &self.affected).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let is_auto =
                matches!(&self.request, PublishRequest::Publish(one) if one.ports.host().is_none());
            if !is_auto || !uplink::is_port_taken(&error) {
                return Err(ControlError::publish_failed(error));
            }
            for one in &self.affected {
                inner.model().drop_publication(&self.name, one);
            }
            self.allocate()?;
            inner.commit_snapshot();
        }
        Err(ControlError::NoFreePort(self.request.ports()))
    }

    async fn close(&mut self) -> Result<(), ControlError> {
        let goes = |ports: &PortSpec| self.affected.iter().any(|one| one.ports == *ports);
        let closed = self.inner.publisher.lock().await.close(&self.name, goes).await;
        closed.map_err(ControlError::publish_failed)
    }

    fn release(&mut self) -> Result<(), ControlError> {
        let PublishRequest::Unpublish(ports) = &self.request else { return Ok(()) };
        self.affected = self.inner.model().take_publications(&self.name, ports)?;
        Ok(())
    }
}

impl Steps for Change {
    type Step = Step;
    type Error = ControlError;

    async fn apply(&mut self, step: Step) -> Result<(), ControlError> {
        match step {
            Step::AllocatePorts => self.allocate(),
            Step::Remove => self.release(),
            Step::Save => self.inner.save().await,
            Step::CommitSnapshot => {
                self.inner.commit_snapshot();
                Ok(())
            }
            Step::OpenHostPorts => self.open().await,
            Step::CloseHostPorts => self.close().await,
        }
    }

    async fn undo(&mut self, step: Step) -> Result<(), ControlError> {
        match step {
            Step::AllocatePorts => {
                for one in &self.affected {
                    self.inner.model().drop_publication(&self.name, one);
                }
                // The datapath was shown it before the host refused, and another change may have been
                // written meanwhile.
                self.inner.commit_snapshot();
                self.inner.save().await?;
            }
            Step::Remove => {
                self.inner.model().restore_publications(&self.name, self.affected.clone());
                self.inner.commit_snapshot();
                self.inner.save().await?;
            }
            Step::CommitSnapshot => self.inner.commit_snapshot(),
            Step::OpenHostPorts => self.close().await?,
            Step::CloseHostPorts => self.open().await?,
            // It is written when the model is as before.
            Step::Save => {}
        }
        Ok(())
    }
}
