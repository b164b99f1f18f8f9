//! Plans that create and remove a network, and the choice of what a request leaves open.
//!
//! A network comes into the model, to the host as a device, into the datapath, into the host's rules, and
//! into the document; then endpoints may join. A removal undoes the same steps in reverse. If the document cannot
//! be written, the network stays.

pub(in crate::control) mod choice;
mod error;
pub(in crate::control) mod request;

use std::sync::Arc;

use fastpath::tap::Tap;
use vswitch_api::event::EventKind;
use vswitch_api::network::{NetworkDetail, NetworkRequest};

pub(crate) use error::NetworkError;

use super::Control;
use super::error::ControlError;
use super::inner::Inner;
use super::model::{NetworkName, NetworkSpec};
use super::plan::{self, Steps};
use super::task::task;
use crate::host::Neighbours;
use crate::host::bridge::{self, BridgeSetup};
use crate::host::uplink::UplinkError;

/// A step, in the order of a creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The model gets it, with a slot for its host port.
    Reserve,
    /// The host gets the device of the host port, with the gateway addresses.
    CreateDevice,
    /// The datapath gets its configuration.
    CommitSnapshot,
    /// The workers get the queues of the host port.
    AddPort,
    /// The host's rules cover it.
    SetHostRules,
    /// The document is written.
    Save,
}

/// The plan of a new network.
pub(super) const CREATE: [Step; 6] = [
    Step::Reserve,
    Step::CreateDevice,
    Step::CommitSnapshot,
    Step::AddPort,
    Step::SetHostRules,
    Step::Save,
];

/// The steps that a removal undoes, in reverse, once the document has lost the network.
const REMOVE: [Step; 5] =
    [Step::Reserve, Step::CreateDevice, Step::CommitSnapshot, Step::AddPort, Step::SetHostRules];

/// The plan of a stored network, and of the configured one: the document has it already, or gets it at the
/// end of the start.
const RESTORE: [Step; 4] = [Step::Reserve, Step::CreateDevice, Step::CommitSnapshot, Step::AddPort];

/// A creation or removal in progress.
#[derive(Debug)]
pub(super) struct NetworkChange {
    inner: Arc<Inner>,
    spec: NetworkSpec,
    tap: Option<Tap>,
    /// Routes of the host may share addresses with it.
    may_overlap: bool,
}

impl Control {
    /// Creates a network. The answer comes when endpoints may join.
    pub(crate) async fn create_network(
        &self,
        request: NetworkRequest,
    ) -> Result<NetworkDetail, ControlError> {
        let control = self.clone();
        let created = task(async move {
            control.0.check_not_ending()?;
            let is_registered = request.overlay.is_some() && control.0.registry.get().is_some();
            let name = match is_registered {
                true => control.create_registered(request).await?,
                false => {
                    // One at a time: each chooses subnets that no other has.
                    let _creating = control.0.network_changes.lock().await;
                    let spec = request::spec(&control.0, request).await?;
                    let name = spec.name.clone();
                    control.make_network(spec).await?;
                    name
                }
            };
            control.network(name.as_str()).await
        });
        created.await?.map_err(|error| match error.is_for_open_files() {
            true => self.count_limit_hit(NetworkError::OpenFiles.into()),
            false => self.count_limit_hit(error),
        })
    }

    /// Makes a network of a description, and opens it to endpoints. The caller lets no other network come meanwhile.
    pub(super) async fn make_network(&self, spec: NetworkSpec) -> Result<(), ControlError> {
        let inner = &self.0;
        let name = spec.name.clone();
        let mut change = NetworkChange::new(Arc::clone(inner), spec);
        plan::execute(&mut change, &CREATE).await?;
        inner.model().activate_network(&name);
        tracing::info!(%name, "network created");
        let subnets = inner.model().network(Some(name.as_str()))?.spec.subnets();
        let detail = subnets.map(|subnet| subnet.to_string()).join(" ");
        inner.feed.report(EventKind::NetworkCreate, name.to_string(), None, detail);
        Ok(())
    }

    /// Removes a network that has no endpoints, or detaches them first.
    pub(crate) async fn remove_network(
        &self,
        name: &str,
        is_forced: bool,
    ) -> Result<(), ControlError> {
        let name = self.0.network_to_change(Some(name))?;
        let control = self.clone();
        task(async move {
            let inner = &control.0;
            control.check_unregister(&name).await?;
            inner.model().begin_remove_network(&name, is_forced)?;
            if let Err(error) = control.detach_all(&name).await {
                inner.model().activate_network(&name);
                return Err(error);
            }
            if inner.model().registered(&name).is_some() && inner.registry.get().is_some() {
                inner.withdraw_host(&name).await;
                inner.withdraw_reserved(&name).await;
                if let Err(error) = control.unregister_network(name.as_str()).await {
                    inner.model().activate_network(&name);
                    return Err(error);
                }
            }
            let _removing = inner.network_changes.lock().await;
            control.remove_empty(&name).await
        })
        .await?
    }

    /// Removes a network without endpoints whose removal has begun. It stays if the document cannot be written. The
    /// caller lets no other network come meanwhile.
    pub(super) async fn remove_empty(&self, name: &NetworkName) -> Result<(), ControlError> {
        let inner = &self.0;
        let spec = inner.model()[name].spec.clone();
        let mut change = NetworkChange::new(Arc::clone(inner), spec);
        if let Err(error) = change.save(false).await {
            inner.model().set_network_persisted(name, true);
            inner.model().activate_network(name);
            return Err(error);
        }
        let failures = plan::undo_all(&mut change, &REMOVE).await;
        inner.free_vteps(Vec::new()).await;
        if change.spec.is_registered() {
            inner.note_unmade(name.as_str(), None);
        }
        tracing::info!(%name, "network removed");
        inner.feed.report(EventKind::NetworkRemove, name.to_string(), None, String::new());
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    /// Detaches all endpoints of a network that goes. Waits for those that another request attaches or
    /// detaches now; an attach fails at its end.
    async fn detach_all(&self, network: &NetworkName) -> Result<(), ControlError> {
        // Again, since an attach or a detach that ran may end with an endpoint that waits for its container.
        loop {
            let keys = self.0.detachable_on(network).await?;
            if keys.is_empty() {
                return Ok(());
            }
            for key in keys {
                match self.detach_endpoint(key).await {
                    // Another request, or the end of its namespace, was faster.
                    Err(ControlError::UnknownPort(_) | ControlError::Busy(..)) => {}
                    result => result?,
                }
            }
        }
    }

    /// Creates a network of the configuration or the document.
    pub(super) async fn restore_network(
        &self,
        spec: NetworkSpec,
        may_overlap: bool,
    ) -> Result<(), ControlError> {
        let name = spec.name.clone();
        let mut change =
            NetworkChange { may_overlap, ..NetworkChange::new(Arc::clone(&self.0), spec) };
        plan::execute(&mut change, &RESTORE).await?;
        let mut model = self.0.model();
        model.set_network_persisted(&name, true);
        model.activate_network(&name);
        Ok(())
    }
}

impl Inner {
    /// Loads the host's rules for the networks that the datapath knows.
    pub(super) async fn set_host_rules(&self) -> Result<(), ControlError> {
        let publisher = self.publisher.lock().await;
        let Some(uplink) = &publisher.uplink else { return Ok(()) };
        let networks = self.model().host_networks();
        let set = uplink.set_networks(networks).await;
        set.map_err(|error: UplinkError| ControlError::UplinkUnavailable(error.to_string()))
    }
}

/// The host port of a network, where it has one.
pub(super) fn bridge_setup(
    spec: &NetworkSpec,
    queues: usize,
    may_overlap: bool,
) -> Option<BridgeSetup> {
    Some(BridgeSetup {
        name: spec.device.as_ref()?.to_string(),
        mac: spec.host_mac(),
        mtu: spec.mtu,
        gateway: spec.gateway_net(),
        gateway6: spec.gateway6_net(),
        host_addresses: spec.host_addresses().iter().map(|it| spec.net_of(*it)).collect(),
        gso_max_size: spec.gso_max_size(),
        queues,
        may_overlap,
    })
}

impl NetworkChange {
    pub(super) fn new(inner: Arc<Inner>, spec: NetworkSpec) -> Self {
        Self { inner, spec, tap: None, may_overlap: false }
    }

    async fn create_device(&mut self) -> Result<(), ControlError> {
        let queues = self.inner.dataplane.workers();
        let setup = bridge_setup(&self.spec, queues, self.may_overlap);
        let Some(setup) = setup else { return Ok(()) };
        let netlink = &self.inner.netlink;
        let waits = || self.inner.progress.waits_for(&setup.name);
        let tap = bridge::create(netlink, &setup, &waits).await?;
        let neighbours = Neighbours::new(netlink.clone(), tap.ifindex, tap.name.clone());
        self.inner.set_neighbours(&self.spec.name, Some(neighbours));
        self.tap = Some(tap);
        Ok(())
    }

    async fn add_port(&mut self) -> Result<(), ControlError> {
        let (Some(tap), Some(slot)) = (self.tap.take(), self.host_port()) else { return Ok(()) };
        Ok(self.inner.dataplane.add_port(slot, tap.queues).await?)
    }

    fn host_port(&self) -> Option<fastpath::PortIndex> {
        self.inner.model().network_named(&self.spec.name)?.host_port
    }

    /// Shows the network to the datapath and to DNS, or hides it.
    fn commit(&self, in_snapshot: bool) {
        self.inner.model().set_network_in_snapshot(&self.spec.name, in_snapshot);
        self.inner.commit_snapshot();
        if in_snapshot {
            self.inner.add_network_names(&self.spec.name);
            self.inner.add_remote_names(&self.spec.name);
        } else {
            self.inner.remove_network_names(&self.spec.name);
        }
    }

    async fn save(&self, persisted: bool) -> Result<(), ControlError> {
        self.inner.model().set_network_persisted(&self.spec.name, persisted);
        self.inner.save().await
    }
}

impl Steps for NetworkChange {
    type Step = Step;
    type Error = ControlError;

    async fn apply(&mut self, step: Step) -> Result<(), ControlError> {
        match step {
            Step::Reserve => self.inner.model().add_network(self.spec.clone())?,
            Step::CreateDevice => self.create_device().await?,
            Step::CommitSnapshot => {
                self.inner.start_cut_through(&self.spec).await;
                self.commit(true);
            }
            Step::AddPort => self.add_port().await?,
            Step::SetHostRules => self.inner.set_host_rules().await?,
            Step::Save => self.save(true).await?,
        }
        Ok(())
    }

    async fn undo(&mut self, step: Step) -> Result<(), ControlError> {
        match step {
            Step::Reserve => self.inner.model().remove_network(&self.spec.name),
            // The kernel removes the device with its queues.
            Step::CreateDevice => {
                self.tap = None;
                self.inner.set_neighbours(&self.spec.name, None);
            }
            Step::CommitSnapshot => self.commit(false),
            Step::AddPort => {
                if let Some(slot) = self.host_port() {
                    self.inner.dataplane.remove_port(slot).await?;
                }
            }
            // The rules name the device, which goes: load them without it first.
            Step::SetHostRules => {
                self.inner.model().set_network_in_snapshot(&self.spec.name, false);
                self.inner.set_host_rules().await?;
            }
            Step::Save => self.save(false).await?,
        }
        Ok(())
    }
}
