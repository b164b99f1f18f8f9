//! Plans that attach and detach one endpoint.
//!
//! The document is written while the kernel moves the TAP, since each takes about as long. The write begins
//! once the namespace is known, and the answer waits for its end. After a crash in between, the endpoint
//! comes back although no client was told of it; a client without an answer has to look in any case.
//!
//! An endpoint of a container that has ended keeps its reservation: [`WAIT`] are the steps that are undone then,
//! and a plan that resumes it reserves nothing.
//!
//! Locate, configure and verify are optional: where the runtime configures the namespace, the TAP stays in
//! the host's namespace, and the runtime takes it from there.

mod netns_binding;
mod steps;

use std::sync::Arc;

use fastpath::tap::Tap;
use tokio::task::JoinHandle;
use vswitch_api::port::{Configure, NetnsRef};

use super::error::ControlError;
use super::inner::Inner;
use super::limits::PORT_ALLOC_TRIES_MAX;
use super::model::{AttachSpec, ConfiguredBy, EndpointKey, Lease};
use super::plan::Steps;
use super::random::random;
use super::store::{Attachment, ContainerRecord, NetnsRecord};
use super::task::blocking;
use super::{published_ports, republish};
use crate::config::IfName;
use crate::host::bridge::{create_named_tap, create_tap};
use crate::host::container::{self, Addresses, ContainerSetup};
use crate::host::netlink::Link;
use crate::host::netns::OpenNetns;
use crate::host::{HostError, NetnsError, netns};
use netns_binding::NetnsBinding;
pub(super) use netns_binding::Source;
use steps::attach_plan;
pub(super) use steps::{LEAVE, LOST, Step, WAIT};

/// Name of a TAP in the host's namespace; the kernel replaces `%d` by the first free number.
const TAP_NAME: &str = "vswtap%d";

/// An attach or detach in progress.
#[derive(Debug)]
pub(super) struct PortChange {
    inner: Arc<Inner>,
    spec: AttachSpec,
    key: EndpointKey,
    source: Option<Source>,
    lease: Option<Lease>,
    netns_binding: Option<NetnsBinding>,
    pending_save: Option<JoinHandle<Result<(), ControlError>>>,
    tap: Option<Tap>,
    /// The document has the endpoint already.
    is_stored: bool,
    /// The model has it already: it waits.
    resumes: bool,
}

impl PortChange {
    /// The attach of a new endpoint.
    pub(super) fn attach(inner: Arc<Inner>, spec: AttachSpec, source: Source) -> Self {
        Self::new(inner, spec, Some(source))
    }

    /// The attach of a waiting endpoint, in the namespace of its container's new run.
    pub(super) fn resume(
        inner: Arc<Inner>,
        lease: &Lease,
        container: ContainerRecord,
        (reference, netns): (NetnsRef, OpenNetns),
    ) -> Result<Self, ControlError> {
        let (configure, ifname) = inner.model().wish_of(&lease.key())?;
        let spec =
            AttachSpec { configure, container: Some(container), ..AttachSpec::new(lease.key()) };
        let change = Self::new(inner, spec, Some(Source::Resumed(reference, netns, ifname)));
        Ok(Self { resumes: true, ..change })
    }

    /// The attach of a container to a further network.
    pub(super) fn join(
        inner: Arc<Inner>,
        spec: AttachSpec,
        ifname: Option<IfName>,
        netns: NetnsRecord,
    ) -> Self {
        Self::new(inner, spec, Some(Source::Joined(netns, ifname)))
    }

    /// The attach of an endpoint whose namespace a runtime configures.
    pub(super) fn hand_out(inner: Arc<Inner>, spec: AttachSpec) -> Self {
        Self::new(inner, spec, None)
    }

    /// The attach of a stored endpoint, which the model may keep. One that a runtime has moved into a namespace is put there by the switch.
    pub(super) async fn replay(
        inner: Arc<Inner>,
        stored: &Attachment,
        is_kept: bool,
    ) -> Result<Self, ControlError> {
        let ifname = stored.ifname.parse().map_err(ControlError::Ifname)?;
        let this_boot = stored.runtime.as_ref().filter(|it| it.boot_id == inner.boot_id);
        let sandbox = this_boot.and_then(|runtime| runtime.sandbox.clone());
        // It is there since the runtime moved the TAP in, or tried to; the last switch was killed at that moment.
        let entered = blocking(move || sandbox.filter(|it| netns::open_path(it).is_ok())).await?;
        let (source, configured_by) = match &stored.netns {
            Some(netns) => (Some(Source::Stored(netns.clone(), ifname)), ConfiguredBy::Switch),
            None if this_boot.is_some() => match entered {
                Some(path) => {
                    let source = Source::Requested(NetnsRef::Path(path), None);
                    (Some(source), ConfiguredBy::Switch)
                }
                None => (None, ConfiguredBy::Runtime),
            },
            None if stored.container.is_some() => {
                return Err(ControlError::Waiting(stored.name.to_string()));
            }
            None => return Err(NetnsError::Gone("of another boot".to_owned()).into()),
        };
        let spec = AttachSpec { configured_by, ..stored.spec()? };
        Ok(Self { is_stored: true, resumes: is_kept, ..Self::new(inner, spec, source) })
    }

    /// The detach of an endpoint.
    pub(super) fn detach(inner: Arc<Inner>, lease: Lease) -> Self {
        let spec = AttachSpec::new(lease.key());
        Self { lease: Some(lease), ..Self::new(inner, spec, None) }
    }

    fn new(inner: Arc<Inner>, spec: AttachSpec, source: Option<Source>) -> Self {
        Self {
            inner,
            key: spec.key(),
            spec,
            source,
            lease: None,
            netns_binding: None,
            pending_save: None,
            tap: None,
            is_stored: false,
            resumes: false,
        }
    }

    /// The lease that was reserved.
    pub(super) fn lease(&self) -> Result<&Lease, ControlError> {
        self.lease.as_ref().ok_or_else(|| step_order_error("lease"))
    }

    /// Whether the default route may lead here.
    fn is_gateway(&self) -> bool {
        self.spec.runtime.as_ref().is_none_or(|runtime| runtime.gives_default_route)
    }

    /// Whether the interface gets addresses and routes.
    pub(super) fn configure(&self) -> Configure {
        self.spec.configure
    }

    /// Whether the endpoint has waited for its container.
    pub(super) fn resumes(&self) -> bool {
        self.resumes
    }

    /// Where the namespace is from, for [`Self::start_again`].
    pub(super) fn source(&self) -> Option<Source> {
        self.source.clone()
    }

    /// Whether another node took an address meanwhile that the switch chose.
    pub(super) fn can_have_another_address(&self, error: &ControlError) -> bool {
        let is_new = !self.is_stored && !self.resumes;
        is_new
            && error.taken_address().is_some_and(|it| self.spec.named_addresses().all(|a| a != it))
    }

    /// Begins once more, after all steps were undone.
    pub(super) fn start_again(&mut self, source: Option<Source>) {
        (self.source, self.lease, self.pending_save) = (source, None, None);
    }

    /// The plan of this attach.
    pub(super) fn plan(&self) -> Vec<Step> {
        attach_plan(self.is_stored, self.spec.configured_by)
    }

    async fn locate(&mut self) -> Result<(), ControlError> {
        let source = self.source.take().ok_or_else(|| step_order_error("namespace"))?;
        self.netns_binding = Some(netns_binding::locate(&self.inner, &self.key, source).await?);
        Ok(())
    }

    fn save(&mut self) {
        self.inner.model().set_persisted(&self.key, true);
        let inner = Arc::clone(&self.inner);
        self.pending_save = Some(tokio::spawn(async move { inner.save().await }));
    }

    async fn await_save(&mut self) -> Result<(), ControlError> {
        let Some(pending_save) = self.pending_save.take() else { return Ok(()) };
        pending_save.await.map_err(|error| ControlError::Task(error.to_string()))?
    }

    async fn create_tap(&mut self) -> Result<(), ControlError> {
        let handed_out = match self.spec.configured_by {
            ConfiguredBy::Runtime => self.spec.runtime.as_ref(),
            ConfiguredBy::Switch => None,
        };
        let queues = self.inner.dataplane.workers();
        let tap = match handed_out {
            Some(runtime) => {
                let waits = || self.inner.progress.waits_for(&runtime.tap);
                create_named_tap(&self.inner.netlink, runtime.tap.clone(), queues, &waits).await?
            }
            None => create_tap(TAP_NAME.to_owned(), queues).await?,
        };
        if handed_out.is_some() {
            // A runtime sets no MTU. The TAP goes with its queues if this fails.
            let (mac, (mtu, gso_max_size)) = (self.lease()?.mac, self.sizes()?);
            let link = Link::new(tap.ifindex, tap.name.clone());
            let netlink = &self.inner.netlink;
            netlink.set_mac_and_mtu(&link, mac, mtu).await.map_err(HostError::from)?;
            if gso_max_size.is_some() {
                netlink.set_mtu(&link, mtu, gso_max_size).await.map_err(HostError::from)?;
            }
            self.inner.model().bind(&self.key, tap.name.clone(), None);
        }
        let mut model = self.inner.model();
        model.set_tap_features(&self.key, tap.offloads.names(), tap.queues.len());
        drop(model);
        self.tap = Some(tap);
        Ok(())
    }

    /// MTU and largest GSO frame of the interface.
    fn sizes(&self) -> Result<(u32, Option<u32>), ControlError> {
        let model = self.inner.model();
        let spec = &model.network(Some(self.key.network.as_str()))?.spec;
        Ok((spec.mtu, spec.gso_max_size()))
    }

    async fn configure_container(&mut self) -> Result<(), ControlError> {
        let lease = self.lease()?.clone();
        let tap = self.tap.as_ref().ok_or_else(|| step_order_error("TAP"))?;
        let netns_binding =
            self.netns_binding.as_ref().ok_or_else(|| step_order_error("namespace"))?;
        let setup = {
            let model = self.inner.model();
            let network = &model.network(Some(lease.network.as_str()))?.spec;
            ContainerSetup {
                tap_index: tap.ifindex,
                queues: tap.queues.len(),
                ifname: netns_binding.ifname.clone(),
                mac: lease.mac,
                mtu: network.mtu,
                gso_max_size: network.gso_max_size(),
                addresses: (self.spec.configure == Configure::Static).then(|| Addresses {
                    nets: {
                        let own = lease.all_addresses().map(|it| network.net_of(it));
                        let runtime = self.spec.runtime.iter();
                        own.chain(runtime.flat_map(|it| it.further.iter().copied())).collect()
                    },
                    gateways: self.is_gateway().then(|| network.gateways()),
                    leaves_ipv6_off: self.spec.runtime.is_some() && lease.ipv6.is_none(),
                }),
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

    /// Opens the published ports. Picks others where another program has picked ones; a stored endpoint keeps
    /// its publications in any case.
    async fn open(&mut self) -> Result<(), ControlError> {
        let (inner, lease) = (Arc::clone(&self.inner), self.lease()?.clone());
        if self.is_stored || self.resumes {
            republish::open_stored(&inner, &lease).await;
            return Ok(());
        }
        let mut publisher = inner.publisher.lock().await;
        let has_auto_ports = self.spec.publish.iter().any(|one| one.ports.host().is_none());
        for _ in 0..PORT_ALLOC_TRIES_MAX {
            let publications = inner.model().publications_of(&self.key);
            let error = match publisher.open(&lease, &publications).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if !has_auto_ports || !published_ports::is_port_taken(&error) {
                return Err(ControlError::publish_failed(error));
            }
            inner.model().reallocate_publications(&self.key, &self.spec.publish, &mut random)?;
            inner.commit_snapshot();
            // The write in progress has the former ports.
            self.save();
        }
        Err(ControlError::PublishFailed("no free ports were found".to_owned()))
    }

    /// Checks that the namespace still has its name: once the switch closes it, the namespace of a process that
    /// exited meanwhile is gone.
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
            Step::Reserve if self.resumes => {
                self.inner.check_not_ending()?;
                let container = self.spec.container.clone();
                self.lease = Some(self.inner.model().resume(&self.key, container)?);
            }
            Step::Reserve => {
                self.lease = Some(match self.is_stored {
                    true => self.inner.reserve(&self.spec).await?,
                    false => self.inner.claim(&self.spec).await?,
                });
                self.inner.model().set_persisted(&self.key, self.is_stored);
            }
            Step::Locate => self.locate().await?,
            Step::Save => self.save(),
            Step::CreateTap => self.create_tap().await?,
            Step::Configure => self.configure_container().await?,
            Step::CommitSnapshot => self.inner.commit_port(&self.key, true),
            Step::InstallHostNeighbours => self.inner.install_host_neighbours(self.lease()?).await,
            Step::AddPort => self.add_port().await?,
            // It lives, whatever the registry says.
            Step::Announce if self.is_stored => self.inner.announce_soon(&self.key),
            Step::Announce => self.inner.announce_endpoint(&self.key).await?,
            Step::OpenHostPorts => self.open().await?,
            Step::Verify => self.verify().await?,
            Step::AwaitSave => self.await_save().await?,
        }
        Ok(())
    }

    async fn undo(&mut self, step: Step) -> Result<(), ControlError> {
        let key = &self.key;
        match step {
            Step::Reserve if self.resumes => self.inner.wait_for_container(key),
            Step::Reserve => self.inner.forget(key).await,
            Step::Locate => self.netns_binding = None,
            // The next write has it as it waits.
            Step::Save if self.resumes => {}
            Step::Save => {
                self.inner.model().set_persisted(key, false);
                self.inner.save().await?;
            }
            // The kernel removes the interface with its queues, in any namespace.
            Step::CreateTap => self.tap = None,
            Step::Configure | Step::Verify | Step::AwaitSave => {}
            Step::CommitSnapshot => {
                self.inner.commit_port(key, false);
                self.inner.leave_cut_through(key).await;
            }
            Step::Announce => {
                let addresses = self.lease()?.all_addresses().collect();
                self.inner.withdraw_endpoint(&key.network, addresses).await;
            }
            Step::InstallHostNeighbours => self.inner.remove_host_neighbours(self.lease()?).await,
            Step::OpenHostPorts => {
                let mut publisher = self.inner.publisher.lock().await;
                let (closed, flows) =
                    (publisher.close(key, |_| true).await, publisher.stale_flows());
                drop(publisher);
                flows.settle().await;
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

/// The error of a plan with steps in a wrong order: a bug.
fn step_order_error(what: &str) -> ControlError {
    ControlError::Host(HostError::Thread(std::io::Error::other(format!("no {what}"))))
}

#[cfg(test)]
mod tests;
