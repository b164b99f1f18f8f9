//! One port's way in and out, as steps of a plan.

use std::sync::Arc;
use std::time::Duration;

use fastpath::tap::Tap;
use ipnet::{Ipv4Net, Ipv6Net};
use vswitch_api::port::NetnsRef;

use super::error::ControlError;
use super::inner::Inner;
use super::model::{Lease, Settled, Wanted};
use super::plan::Steps;
use super::store::{Attachment, NetnsRecord};
use crate::config::IfName;
use crate::host::bridge::create_tap;
use crate::host::container::{self, ContainerSetup};
use crate::host::netns::{self, OpenNetns};
use crate::host::{HostError, NetnsError, visit};

/// A TAP's name until it is moved; the kernel puts the first free number in.
const TAP_NAME: &str = "vswtap%d";

/// After a crash the interface of before may still be inside for a moment.
const REPLAY_IFNAME_WAIT: Duration = Duration::from_secs(3);

/// What is done for a port, in the order of an attach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Name, addresses and slot are set aside.
    Reserve,
    /// The namespace is opened and recognised.
    OpenNetns,
    /// A TAP is made in the host's namespace.
    CreateTap,
    /// It is moved in, named, addressed and brought up.
    Configure,
    /// The datapath is told what the port is.
    Publish,
    /// The workers get the TAP's queues.
    AddPort,
    /// The namespace is still the one that was asked for.
    Verify,
    /// The document has it.
    Save,
}

/// An attach that somebody waits for.
pub(super) const ATTACH: [Step; 8] = [
    Step::Reserve,
    Step::OpenNetns,
    Step::CreateTap,
    Step::Configure,
    Step::Publish,
    Step::AddPort,
    Step::Verify,
    Step::Save,
];

/// The same for an attachment that the document has already.
pub(super) const REPLAY: [Step; 7] = [
    Step::Reserve,
    Step::OpenNetns,
    Step::CreateTap,
    Step::Configure,
    Step::Publish,
    Step::AddPort,
    Step::Verify,
];

/// What is undone, in reverse, when a port goes.
pub(super) const DETACH: [Step; 4] = [Step::Reserve, Step::Publish, Step::AddPort, Step::Save];

/// Where the namespace comes from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// Somebody named it.
    Asked(NetnsRef),
    /// The document names it; it must be the very same one.
    Kept(NetnsRecord),
}

/// A port on its way in or out.
#[derive(Debug)]
pub(super) struct PortChange {
    inner: Arc<Inner>,
    wanted: Wanted,
    ifname: Option<IfName>,
    source: Option<Source>,
    lease: Option<Lease>,
    netns: Option<(OpenNetns, NetnsRecord)>,
    tap: Option<Tap>,
}

impl PortChange {
    /// A new port.
    pub(super) fn attach(
        inner: Arc<Inner>,
        wanted: Wanted,
        ifname: Option<IfName>,
        netns: NetnsRef,
    ) -> Self {
        let source = Some(Source::Asked(netns));
        Self { inner, wanted, ifname, source, lease: None, netns: None, tap: None }
    }

    /// A port of the document.
    pub(super) fn replay(inner: Arc<Inner>, kept: &Attachment) -> Result<Self, ControlError> {
        let ifname = kept.ifname.parse().map_err(ControlError::Ifname)?;
        let wanted = Wanted {
            name: kept.name.clone(),
            mac: Some(kept.mac),
            ipv4: Some(kept.ipv4),
            ipv6: Some(kept.ipv6),
        };
        let source = Some(Source::Kept(kept.netns.clone()));
        let (lease, netns, tap) = (None, None, None);
        Ok(Self { inner, wanted, ifname: Some(ifname), source, lease, netns, tap })
    }

    /// A port that goes.
    pub(super) fn detach(inner: Arc<Inner>, lease: Lease) -> Self {
        let wanted =
            Wanted { name: lease.name.clone(), mac: None, ipv4: None, ipv6: None };
        let (ifname, source, netns, tap) = (None, None, None, None);
        Self { inner, wanted, ifname, source, lease: Some(lease), netns, tap }
    }

    /// What was reserved.
    pub(super) fn lease(&self) -> Result<&Lease, ControlError> {
        self.lease.as_ref().ok_or_else(|| out_of_order("a lease"))
    }

    async fn open_netns(&mut self) -> Result<(), ControlError> {
        let source = self.source.clone().ok_or_else(|| out_of_order("a namespace"))?;
        let boot_id = self.inner.boot_id.clone();
        let (netns, record) = match source {
            Source::Asked(reference) => {
                let opening = reference.clone();
                let netns = blocking(move || netns::open(&opening)).await??;
                let cookie = visit::cookie_of(netns.clone()).await?;
                let (path, id) = (netns.path.clone(), netns.id);
                (netns, NetnsRecord { reference, path, id, cookie, boot_id })
            }
            Source::Kept(kept) => {
                let gone = NetnsError::Gone(netns::describe(&kept.reference));
                if kept.boot_id != boot_id {
                    return Err(gone.into());
                }
                let (id, known) = (kept.id, kept.path.clone());
                let found = blocking(move || {
                    netns::find(id, &known).map(|path| netns::open_path(&path)).transpose()
                });
                let Some(netns) = found.await?? else { return Err(gone.into()) };
                let cookie = visit::cookie_of(netns.clone()).await?;
                if netns.id != kept.id || cookie != kept.cookie {
                    return Err(gone.into());
                }
                let path = netns.path.clone();
                (netns, NetnsRecord { path, ..kept })
            }
        };
        self.netns = Some((netns, record));
        Ok(())
    }

    async fn configure(&mut self) -> Result<(), ControlError> {
        let lease = self.lease()?.clone();
        let tap = self.tap.as_ref().ok_or_else(|| out_of_order("a TAP"))?;
        let (netns, record) = self.netns.as_ref().ok_or_else(|| out_of_order("a namespace"))?;
        let setup = {
            let model = self.inner.model();
            let network = &model.network;
            let (net4, net6) = (network.subnet.net(), network.subnet6.net());
            ContainerSetup {
                tap_index: tap.ifindex,
                queues: tap.queues.len(),
                ifname: self.ifname.as_ref().map(ToString::to_string),
                ifname_wait: match self.source {
                    Some(Source::Kept(_)) => REPLAY_IFNAME_WAIT,
                    _ => Duration::ZERO,
                },
                mac: lease.mac,
                mtu: network.mtu,
                address: Ipv4Net::new_assert(lease.ipv4, net4.prefix_len()),
                address6: Ipv6Net::new_assert(lease.ipv6, net6.prefix_len()),
                gateway: network.subnet.gateway(),
                gateway6: network.subnet6.gateway(),
            }
        };
        let settled = Settled {
            netns: record.clone(),
            offloads: tap.offloads.names(),
            queues: tap.queues.len(),
            ifname: container::configure(self.inner.netlink.clone(), netns.clone(), setup).await?,
        };
        self.inner.model().settle(&lease.name, settled);
        Ok(())
    }

    async fn add_port(&mut self) -> Result<(), ControlError> {
        let slot = self.lease()?.slot;
        let tap = self.tap.take().ok_or_else(|| out_of_order("a TAP"))?;
        Ok(self.inner.dataplane.add_port(slot, tap.queues).await?)
    }

    /// A process may have exited meanwhile: what it left would be found dead the moment that we let
    /// its namespace go.
    async fn verify(&mut self) -> Result<(), ControlError> {
        let (netns, record) = self.netns.take().ok_or_else(|| out_of_order("a namespace"))?;
        if blocking(move || netns.still_named()).await? {
            return Ok(());
        }
        Err(NetnsError::Gone(netns::describe(&record.reference)).into())
    }
}

impl Steps for PortChange {
    type Step = Step;
    type Error = ControlError;

    async fn apply(&mut self, step: Step) -> Result<(), ControlError> {
        match step {
            Step::Reserve => self.lease = Some(self.inner.reserve(&self.wanted)?),
            Step::OpenNetns => self.open_netns().await?,
            Step::CreateTap => {
                let queues = self.inner.dataplane.workers();
                self.tap = Some(create_tap(TAP_NAME.to_owned(), queues).await?);
            }
            Step::Configure => self.configure().await?,
            Step::Publish => self.inner.publish(&self.wanted.name, true),
            Step::AddPort => self.add_port().await?,
            Step::Verify => self.verify().await?,
            Step::Save => {
                self.inner.model().set_saved(&self.wanted.name, true);
                if let Err(error) = self.inner.save().await {
                    self.inner.model().set_saved(&self.wanted.name, false);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn undo(&mut self, step: Step) -> Result<(), ControlError> {
        let name = &self.wanted.name;
        match step {
            Step::Reserve => self.inner.forget(name),
            Step::OpenNetns => self.netns = None,
            // Closing its queues takes the interface away, wherever it is.
            Step::CreateTap => self.tap = None,
            Step::Configure | Step::Verify => {}
            Step::Publish => self.inner.publish(name, false),
            Step::AddPort => {
                let slot = self.lease()?.slot;
                self.inner.dataplane.remove_port(slot).await?;
            }
            Step::Save => {
                self.inner.model().set_saved(name, false);
                self.inner.save().await?;
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
    ControlError::Host(HostError::Thread(std::io::Error::other(format!("no {what} yet"))))
}
