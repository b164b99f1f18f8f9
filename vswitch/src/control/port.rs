//! One port's way in and out, as steps of a plan.
//!
//! The document is written while the kernel moves the TAP, since each takes about as long: the write
//! begins once it is known where the port goes, and the answer waits for its end. After a crash in
//! between the attachment comes back although nobody was told that it exists; a client that got no
//! answer has to look in any case.

mod netns_binding;

use std::sync::Arc;

use fastpath::tap::Tap;
use ipnet::{Ipv4Net, Ipv6Net};
use tokio::task::JoinHandle;
use vswitch_api::port::NetnsRef;

use super::error::ControlError;
use super::inner::Inner;
use super::limits::PORT_ALLOC_TRIES_MAX;
use super::model::{AttachSpec, Lease};
use super::plan::Steps;
use super::store::Attachment;
use super::{republish, uplink};
use crate::config::IfName;
use crate::host::bridge::create_tap;
use crate::host::container::{self, ContainerSetup};
use crate::host::{HostError, NetnsError, netns};
use netns_binding::{NetnsBinding, Source};

/// A TAP's name until it is moved; the kernel puts the first free number in.
const TAP_NAME: &str = "vswtap%d";

/// What is done for a port, in the order of an attach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Name, addresses and slot are set aside.
    Reserve,
    /// The namespace is opened and recognised, and the interface's name in it chosen.
    Locate,
    /// The document gets it; the write goes on beside what follows.
    Save,
    /// A TAP is made in the host's namespace.
    CreateTap,
    /// It is moved in, named, addressed and brought up.
    Configure,
    /// The datapath is told what the port is.
    CommitSnapshot,
    /// The workers get the TAP's queues.
    AddPort,
    /// The host knows its addresses.
    InstallHostNeighbours,
    /// The host hands over what is published.
    OpenHostPorts,
    /// The namespace is still the one that was asked for.
    Verify,
    /// The document is on the disk.
    AwaitSave,
}

/// An attach that somebody waits for.
pub(super) const ATTACH: [Step; 11] = [
    Step::Reserve,
    Step::Locate,
    Step::Save,
    Step::CreateTap,
    Step::Configure,
    Step::CommitSnapshot,
    Step::AddPort,
    Step::InstallHostNeighbours,
    Step::OpenHostPorts,
    Step::Verify,
    Step::AwaitSave,
];

/// The same for an attachment that the document has already.
pub(super) const REPLAY: [Step; 9] = [
    Step::Reserve,
    Step::Locate,
    Step::CreateTap,
    Step::Configure,
    Step::CommitSnapshot,
    Step::AddPort,
    Step::InstallHostNeighbours,
    Step::OpenHostPorts,
    Step::Verify,
];

/// What is undone, in reverse, when a port goes.
pub(super) const DETACH: [Step; 6] = [
    Step::Reserve,
    Step::Save,
    Step::CommitSnapshot,
    Step::AddPort,
    Step::InstallHostNeighbours,
    Step::OpenHostPorts,
];

/// A port on its way in or out.
#[derive(Debug)]
pub(super) struct PortChange {
    inner: Arc<Inner>,
    spec: AttachSpec,
    source: Option<Source>,
    lease: Option<Lease>,
    netns_binding: Option<NetnsBinding>,
    pending_save: Option<JoinHandle<Result<(), ControlError>>>,
    tap: Option<Tap>,
    /// It is of the document.
    is_stored: bool,
}

impl PortChange {
    /// A new port.
    pub(super) fn attach(
        inner: Arc<Inner>,
        spec: AttachSpec,
        ifname: Option<IfName>,
        netns: NetnsRef,
    ) -> Self {
        Self::new(inner, spec, Some(Source::Requested(netns, ifname)))
    }

    /// A port of the document.
    pub(super) fn replay(inner: Arc<Inner>, stored: &Attachment) -> Result<Self, ControlError> {
        let ifname = stored.ifname.parse().map_err(ControlError::Ifname)?;
        let spec = AttachSpec {
            name: stored.name.clone(),
            mac: Some(stored.mac),
            ipv4: Some(stored.ipv4),
            ipv6: Some(stored.ipv6),
            settings: stored.settings.clone(),
            publish: stored.publish.clone(),
        };
        Ok(Self::new(inner, spec, Some(Source::Stored(stored.netns.clone(), ifname))))
    }

    /// A port that goes.
    pub(super) fn detach(inner: Arc<Inner>, lease: Lease) -> Self {
        let spec = AttachSpec::named(lease.name.clone());
        Self { lease: Some(lease), ..Self::new(inner, spec, None) }
    }

    fn new(inner: Arc<Inner>, spec: AttachSpec, source: Option<Source>) -> Self {
        let is_stored = matches!(source, Some(Source::Stored(..)));
        Self {
            inner,
            spec,
            source,
            lease: None,
            netns_binding: None,
            pending_save: None,
            tap: None,
            is_stored,
        }
    }

    /// What was reserved.
    pub(super) fn lease(&self) -> Result<&Lease, ControlError> {
        self.lease.as_ref().ok_or_else(|| step_order_error("lease"))
    }

    async fn locate(&mut self) -> Result<(), ControlError> {
        let source = self.source.take().ok_or_else(|| step_order_error("namespace"))?;
        self.netns_binding =
            Some(netns_binding::locate(&self.inner, &self.spec.name, source).await?);
        Ok(())
    }

    fn save(&mut self) {
        self.inner.model().set_persisted(&self.spec.name, true);
        let inner = Arc::clone(&self.inner);
        self.pending_save = Some(tokio::spawn(async move { inner.save().await }));
    }

    async fn await_save(&mut self) -> Result<(), ControlError> {
        let Some(pending_save) = self.pending_save.take() else { return Ok(()) };
        pending_save.await.map_err(|error| ControlError::Task(error.to_string()))?
    }

    async fn configure(&mut self) -> Result<(), ControlError> {
        let lease = self.lease()?.clone();
        let tap = self.tap.as_ref().ok_or_else(|| step_order_error("TAP"))?;
        let netns_binding =
            self.netns_binding.as_ref().ok_or_else(|| step_order_error("namespace"))?;
        let setup = {
            let mut model = self.inner.model();
            model.set_tap_features(&lease.name, tap.offloads.names(), tap.queues.len());
            let network = &model.network;
            ContainerSetup {
                tap_index: tap.ifindex,
                queues: tap.queues.len(),
                ifname: netns_binding.ifname.clone(),
                mac: lease.mac,
                mtu: network.mtu,
                address: Ipv4Net::new_assert(lease.ipv4, network.subnet.net().prefix_len()),
                address6: Ipv6Net::new_assert(lease.ipv6, network.subnet6.net().prefix_len()),
                gateway: network.subnet.gateway(),
                gateway6: network.subnet6.gateway(),
            }
        };
        container::configure(netns_binding.netns.clone(), setup).await?;
        Ok(())
    }

    async fn add_port(&mut self) -> Result<(), ControlError> {
        let slot = self.lease()?.slot;
        let tap = self.tap.take().ok_or_else(|| step_order_error("TAP"))?;
        Ok(self.inner.dataplane.add_port(slot, tap.queues).await?)
    }

    /// Opens what is published. Where the host has ports that were picked, others are; what is published of an
    /// attachment that comes back is kept in any case.
    async fn open(&mut self) -> Result<(), ControlError> {
        let (inner, lease) = (Arc::clone(&self.inner), self.lease()?.clone());
        if self.is_stored {
            republish::open_stored(&inner, &lease).await;
            return Ok(());
        }
        let mut publisher = inner.publisher.lock().await;
        let has_auto_ports = self.spec.publish.iter().any(|one| one.ports.host().is_none());
        for _ in 0..PORT_ALLOC_TRIES_MAX {
            let publications = inner.model().publications_of(&lease.name);
            let error = match publisher.open(&lease, &publications).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if !has_auto_ports || !uplink::is_port_taken(&error) {
                return Err(ControlError::publish_failed(error));
            }
            let mut random = || getrandom::u64().map_err(|e| ControlError::Random(e.to_string()));
            inner.model().reallocate_publications(&lease.name, &self.spec.publish, &mut random)?;
            inner.commit_snapshot();
            // What is being written names the ports of before.
            self.save();
        }
        Err(ControlError::PublishFailed("no free ports were found".to_owned()))
    }

    /// A process may have exited meanwhile: what it left would be found dead the moment that we let
    /// its namespace go.
    async fn verify(&mut self) -> Result<(), ControlError> {
        let netns_binding =
            self.netns_binding.take().ok_or_else(|| step_order_error("namespace"))?;
        let described = netns::describe(&netns_binding.record.reference);
        if blocking(move || netns_binding.netns.still_named()).await? {
            return Ok(());
        }
        Err(NetnsError::Gone(described).into())
    }
}

impl Steps for PortChange {
    type Step = Step;
    type Error = ControlError;

    async fn apply(&mut self, step: Step) -> Result<(), ControlError> {
        match step {
            Step::Reserve => self.lease = Some(self.inner.reserve(&self.spec).await?),
            Step::Locate => self.locate().await?,
            Step::Save => self.save(),
            Step::CreateTap => {
                let queues = self.inner.dataplane.workers();
                self.tap = Some(create_tap(TAP_NAME.to_owned(), queues).await?);
            }
            Step::Configure => self.configure().await?,
            Step::CommitSnapshot => self.inner.commit_port(&self.spec.name, true),
            Step::InstallHostNeighbours => self.inner.install_host_neighbours(self.lease()?).await,
            Step::AddPort => self.add_port().await?,
            Step::OpenHostPorts => self.open().await?,
            Step::Verify => self.verify().await?,
            Step::AwaitSave => self.await_save().await?,
        }
        Ok(())
    }

    async fn undo(&mut self, step: Step) -> Result<(), ControlError> {
        let name = &self.spec.name;
        match step {
            Step::Reserve => self.inner.forget(name),
            Step::Locate => self.netns_binding = None,
            Step::Save => {
                self.inner.model().set_persisted(name, false);
                self.inner.save().await?;
            }
            // Closing its queues takes the interface away, wherever it is.
            Step::CreateTap => self.tap = None,
            Step::Configure | Step::Verify | Step::AwaitSave => {}
            Step::CommitSnapshot => self.inner.commit_port(name, false),
            Step::InstallHostNeighbours => self.inner.remove_host_neighbours(self.lease()?).await,
            Step::OpenHostPorts => {
                let closed = self.inner.publisher.lock().await.close(name, |_| true).await;
                closed.map_err(ControlError::publish_failed)?;
            }
            Step::AddPort => {
                let slot = self.lease()?.slot;
                self.inner.dataplane.remove_port(slot).await?;
            }
        }
        Ok(())
    }
}

/// Runs a short piece of work that may block off the runtime's thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ControlError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ControlError::Task(error.to_string()))
}

/// A plan whose steps are in a wrong order: a mistake of ours, that tests find.
fn step_order_error(what: &str) -> ControlError {
    ControlError::Host(HostError::Thread(std::io::Error::other(format!("no {what}"))))
}
