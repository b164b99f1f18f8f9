//! One port's way in and out, as steps of a plan.
//!
//! The document is written while the kernel moves the TAP, since each takes about as long: the write
//! begins once it is known where the port goes, and the answer waits for its end. After a crash in
//! between the attachment comes back although nobody was told that it exists; a client that got no
//! answer has to look in any case.

mod place;

use std::sync::Arc;

use fastpath::tap::Tap;
use ipnet::{Ipv4Net, Ipv6Net};
use tokio::task::JoinHandle;
use vswitch_api::port::NetnsRef;

use super::error::ControlError;
use super::inner::Inner;
use super::limits::PICKS_MAX;
use super::model::{Lease, Wanted};
use super::plan::Steps;
use super::store::Attachment;
use super::{reopen, uplink};
use crate::config::IfName;
use crate::host::bridge::create_tap;
use crate::host::container::{self, ContainerSetup};
use crate::host::{HostError, NetnsError, netns};
use place::{Place, Source};

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
    Publish,
    /// The workers get the TAP's queues.
    AddPort,
    /// The host knows its addresses.
    Introduce,
    /// The host hands over what is published.
    Open,
    /// The namespace is still the one that was asked for.
    Verify,
    /// The document is on the disk.
    Saved,
}

/// An attach that somebody waits for.
pub(super) const ATTACH: [Step; 11] = [
    Step::Reserve,
    Step::Locate,
    Step::Save,
    Step::CreateTap,
    Step::Configure,
    Step::Publish,
    Step::AddPort,
    Step::Introduce,
    Step::Open,
    Step::Verify,
    Step::Saved,
];

/// The same for an attachment that the document has already.
pub(super) const REPLAY: [Step; 9] = [
    Step::Reserve,
    Step::Locate,
    Step::CreateTap,
    Step::Configure,
    Step::Publish,
    Step::AddPort,
    Step::Introduce,
    Step::Open,
    Step::Verify,
];

/// What is undone, in reverse, when a port goes.
pub(super) const DETACH: [Step; 6] =
    [Step::Reserve, Step::Save, Step::Publish, Step::AddPort, Step::Introduce, Step::Open];

/// A port on its way in or out.
#[derive(Debug)]
pub(super) struct PortChange {
    inner: Arc<Inner>,
    wanted: Wanted,
    source: Option<Source>,
    lease: Option<Lease>,
    place: Option<Place>,
    saving: Option<JoinHandle<Result<(), ControlError>>>,
    tap: Option<Tap>,
    /// It is of the document.
    is_kept: bool,
}

impl PortChange {
    /// A new port.
    pub(super) fn attach(
        inner: Arc<Inner>,
        wanted: Wanted,
        ifname: Option<IfName>,
        netns: NetnsRef,
    ) -> Self {
        Self::new(inner, wanted, Some(Source::Asked(netns, ifname)))
    }

    /// A port of the document.
    pub(super) fn replay(inner: Arc<Inner>, kept: &Attachment) -> Result<Self, ControlError> {
        let ifname = kept.ifname.parse().map_err(ControlError::Ifname)?;
        let wanted = Wanted {
            name: kept.name.clone(),
            mac: Some(kept.mac),
            ipv4: Some(kept.ipv4),
            ipv6: Some(kept.ipv6),
            policy: kept.policy.clone(),
            publish: kept.publish.clone(),
        };
        Ok(Self::new(inner, wanted, Some(Source::Kept(kept.netns.clone(), ifname))))
    }

    /// A port that goes.
    pub(super) fn detach(inner: Arc<Inner>, lease: Lease) -> Self {
        let wanted = Wanted::named(lease.name.clone());
        Self { lease: Some(lease), ..Self::new(inner, wanted, None) }
    }

    fn new(inner: Arc<Inner>, wanted: Wanted, source: Option<Source>) -> Self {
        let is_kept = matches!(source, Some(Source::Kept(..)));
        Self { inner, wanted, source, lease: None, place: None, saving: None, tap: None, is_kept }
    }

    /// What was reserved.
    pub(super) fn lease(&self) -> Result<&Lease, ControlError> {
        self.lease.as_ref().ok_or_else(|| out_of_order("lease"))
    }

    async fn locate(&mut self) -> Result<(), ControlError> {
        let source = self.source.take().ok_or_else(|| out_of_order("namespace"))?;
        self.place = Some(place::locate(&self.inner, &self.wanted.name, source).await?);
        Ok(())
    }

    fn save(&mut self) {
        self.inner.model().set_saved(&self.wanted.name, true);
        let inner = Arc::clone(&self.inner);
        self.saving = Some(tokio::spawn(async move { inner.save().await }));
    }

    async fn saved(&mut self) -> Result<(), ControlError> {
        let Some(saving) = self.saving.take() else { return Ok(()) };
        saving.await.map_err(|error| ControlError::Task(error.to_string()))?
    }

    async fn configure(&mut self) -> Result<(), ControlError> {
        let lease = self.lease()?.clone();
        let tap = self.tap.as_ref().ok_or_else(|| out_of_order("TAP"))?;
        let place = self.place.as_ref().ok_or_else(|| out_of_order("namespace"))?;
        let setup = {
            let mut model = self.inner.model();
            model.note_tap(&lease.name, tap.offloads.names(), tap.queues.len());
            let network = &model.network;
            ContainerSetup {
                tap_index: tap.ifindex,
                queues: tap.queues.len(),
                ifname: place.ifname.clone(),
                mac: lease.mac,
                mtu: network.mtu,
                address: Ipv4Net::new_assert(lease.ipv4, network.subnet.net().prefix_len()),
                address6: Ipv6Net::new_assert(lease.ipv6, network.subnet6.net().prefix_len()),
                gateway: network.subnet.gateway(),
                gateway6: network.subnet6.gateway(),
            }
        };
        container::configure(place.netns.clone(), setup).await?;
        Ok(())
    }

    async fn add_port(&mut self) -> Result<(), ControlError> {
        let slot = self.lease()?.slot;
        let tap = self.tap.take().ok_or_else(|| out_of_order("TAP"))?;
        Ok(self.inner.dataplane.add_port(slot, tap.queues).await?)
    }

    /// Opens what is published. Where the host has ports that were picked, others are; what is published of an
    /// attachment that comes back is kept in any case.
    async fn open(&mut self) -> Result<(), ControlError> {
        let (inner, lease) = (Arc::clone(&self.inner), self.lease()?.clone());
        if self.is_kept {
            reopen::all_that_can_be(&inner, &lease).await;
            return Ok(());
        }
        let mut gate = inner.gate.lock().await;
        let has_picks = self.wanted.publish.iter().any(|one| one.ports.host().is_none());
        for _ in 0..PICKS_MAX {
            let publications = inner.model().publications_of(&lease.name);
            let error = match gate.open(&lease, &publications).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if !has_picks || !uplink::is_taken(&error) {
                return Err(ControlError::not_opened(error));
            }
            let mut random = || getrandom::u64().map_err(|e| ControlError::Random(e.to_string()));
            inner.model().pick_again(&lease.name, &self.wanted.publish, &mut random)?;
            inner.publish_all();
            // What is being written names the ports of before.
            self.save();
        }
        Err(ControlError::NotOpened("no free ports were found".to_owned()))
    }

    /// A process may have exited meanwhile: what it left would be found dead the moment that we let
    /// its namespace go.
    async fn verify(&mut self) -> Result<(), ControlError> {
        let place = self.place.take().ok_or_else(|| out_of_order("namespace"))?;
        let described = netns::describe(&place.record.reference);
        if blocking(move || place.netns.still_named()).await? {
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
            Step::Reserve => self.lease = Some(self.inner.reserve(&self.wanted).await?),
            Step::Locate => self.locate().await?,
            Step::Save => self.save(),
            Step::CreateTap => {
                let queues = self.inner.dataplane.workers();
                self.tap = Some(create_tap(TAP_NAME.to_owned(), queues).await?);
            }
            Step::Configure => self.configure().await?,
            Step::Publish => self.inner.publish(&self.wanted.name, true),
            Step::Introduce => self.inner.introduce(self.lease()?).await,
            Step::AddPort => self.add_port().await?,
            Step::Open => self.open().await?,
            Step::Verify => self.verify().await?,
            Step::Saved => self.saved().await?,
        }
        Ok(())
    }

    async fn undo(&mut self, step: Step) -> Result<(), ControlError> {
        let name = &self.wanted.name;
        match step {
            Step::Reserve => self.inner.forget(name),
            Step::Locate => self.place = None,
            Step::Save => {
                self.inner.model().set_saved(name, false);
                self.inner.save().await?;
            }
            // Closing its queues takes the interface away, wherever it is.
            Step::CreateTap => self.tap = None,
            Step::Configure | Step::Verify | Step::Saved => {}
            Step::Publish => self.inner.publish(name, false),
            Step::Introduce => self.inner.withdraw(self.lease()?).await,
            Step::Open => {
                let closed = self.inner.gate.lock().await.close(name, |_| true).await;
                closed.map_err(ControlError::not_opened)?;
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
fn out_of_order(what: &str) -> ControlError {
    ControlError::Host(HostError::Thread(std::io::Error::other(format!("no {what}"))))
}
