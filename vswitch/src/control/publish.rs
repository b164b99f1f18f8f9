//! Ports that are published and withdrawn while their attachment works: each a plan of its own.
//!
//! A publication is claimed in the model, shown to the datapath, opened on the host, and written to the
//! document; when a step fails, those before it are undone. Withdrawn it leaves the document first, so that
//! a crash in between never brings it back; where the host then refuses to close it, the document gets it back.

use std::sync::Arc;

use vswitch_api::publish::{PortSpec, Publication, PublicationKey};

use super::error::ControlError;
use super::inner::Inner;
use super::limits::PICKS_MAX;
use super::name::Name;
use super::plan::{self, Steps};
use super::{Control, task, uplink};

/// What is done for a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The model has it, with the host's ports picked.
    Claim,
    /// The model has it no longer.
    Release,
    /// The datapath follows the model.
    Show,
    /// The host hands the ports over.
    Open,
    /// It does so no longer.
    Close,
    /// The document is on the disk.
    Save,
}

/// A publication that comes.
const PUBLISH: [Step; 4] = [Step::Claim, Step::Show, Step::Open, Step::Save];

/// Publications that go.
const UNPUBLISH: [Step; 4] = [Step::Release, Step::Save, Step::Close, Step::Show];

/// What is asked for.
#[derive(Debug)]
enum Wish {
    Publish(Publication),
    Unpublish(PortSpec),
}

impl Wish {
    fn ports(&self) -> PortSpec {
        match self {
            Self::Publish(wanted) => wanted.ports,
            Self::Unpublish(ports) => *ports,
        }
    }
}

/// A change of what is published.
#[derive(Debug)]
struct Change {
    inner: Arc<Inner>,
    name: Name,
    wish: Wish,
    /// What came, or went.
    moved: Vec<Publication>,
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
        wanted: Publication,
    ) -> Result<Publication, ControlError> {
        self.0.check_not_ending()?;
        self.0.model().check_publications(std::slice::from_ref(&wanted))?;
        let ports = wanted.ports;
        let moved = self.change_publications(name, Wish::Publish(wanted), &PUBLISH).await;
        let moved = moved.map_err(|error| self.counted(error))?;
        moved.into_iter().next().ok_or(ControlError::NoFreePort(ports))
    }

    /// Ends publications.
    pub(crate) async fn unpublish(
        &self,
        name: &str,
        key: PublicationKey,
    ) -> Result<(), ControlError> {
        self.0.check_not_ending()?;
        self.change_publications(name, Wish::Unpublish(key.ports), &UNPUBLISH).await.map(drop)
    }

    async fn change_publications(
        &self,
        name: &str,
        wish: Wish,
        plan: &'static [Step],
    ) -> Result<Vec<Publication>, ControlError> {
        let (inner, name) = (Arc::clone(&self.0), name.parse()?);
        let mut change = Change { inner, name, wish, moved: Vec::new() };
        task(async move {
            plan::carry_out(&mut change, plan).await?;
            let ports = change.moved.iter().map(|one| one.ports.to_string()).collect::<Vec<_>>();
            let (name, ports) = (&change.name, ports.join(" "));
            match change.wish {
                Wish::Publish(_) => tracing::info!(%name, ports, "published"),
                Wish::Unpublish(_) => tracing::info!(%name, ports, "no longer published"),
            }
            Ok(change.moved)
        })
        .await?
    }
}

impl Change {
    fn claim(&mut self) -> Result<(), ControlError> {
        let Wish::Publish(wanted) = &self.wish else { return Ok(()) };
        let mut random = || getrandom::u64().map_err(|e| ControlError::Random(e.to_string()));
        let claimed = self.inner.model().add_publication(&self.name, wanted, &mut random)?;
        self.moved = vec![claimed];
        Ok(())
    }

    /// Opens what was claimed; picks other ports where somebody else on the host has those.
    async fn open(&mut self) -> Result<(), ControlError> {
        let inner = Arc::clone(&self.inner);
        // In this order: a detach that began before has closed its ports and is seen, a later one waits.
        let mut gate = inner.gate.lock().await;
        let lease = inner.model().lease_of(&self.name)?;
        for _ in 0..PICKS_MAX {
            let error = match gate.open(&lease, &self.moved).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let is_picked = matches!(&self.wish, Wish::Publish(one) if one.ports.host().is_none());
            if !is_picked || !uplink::is_taken(&error) {
                return Err(ControlError::not_opened(error));
            }
            for one in &self.moved {
                inner.model().drop_publication(&self.name, one);
            }
            self.claim()?;
            inner.publish_all();
        }
        Err(ControlError::NoFreePort(self.wish.ports()))
    }

    async fn close(&mut self) -> Result<(), ControlError> {
        let goes = |ports: &PortSpec| self.moved.iter().any(|one| one.ports == *ports);
        let closed = self.inner.gate.lock().await.close(&self.name, goes).await;
        closed.map_err(ControlError::not_opened)
    }

    fn release(&mut self) -> Result<(), ControlError> {
        let Wish::Unpublish(ports) = &self.wish else { return Ok(()) };
        self.moved = self.inner.model().take_publications(&self.name, ports)?;
        Ok(())
    }
}

impl Steps for Change {
    type Step = Step;
    type Error = ControlError;

    async fn apply(&mut self, step: Step) -> Result<(), ControlError> {
        match step {
            Step::Claim => self.claim(),
            Step::Release => self.release(),
            Step::Save => self.inner.save().await,
            Step::Show => {
                self.inner.publish_all();
                Ok(())
            }
            Step::Open => self.open().await,
            Step::Close => self.close().await,
        }
    }

    async fn undo(&mut self, step: Step) -> Result<(), ControlError> {
        match step {
            Step::Claim => {
                for one in &self.moved {
                    self.inner.model().drop_publication(&self.name, one);
                }
                // The datapath was shown it before the host refused, and another change may have been
                // written meanwhile.
                self.inner.publish_all();
                self.inner.save().await?;
            }
            Step::Release => {
                self.inner.model().restore_publications(&self.name, self.moved.clone());
                self.inner.publish_all();
                self.inner.save().await?;
            }
            Step::Show => self.inner.publish_all(),
            Step::Open => self.close().await?,
            Step::Close => self.open().await?,
            // It is written when the model is as before.
            Step::Save => {}
        }
        Ok(())
    }
}
