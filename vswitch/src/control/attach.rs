//! Attach of endpoints, and the end of the switch.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use vswitch_api::event::EventKind;
use vswitch_api::port::{AttachRequest, Configure, NetnsRef, PortDetail};

use super::error::ControlError;
use super::model::{AttachSpec, EndpointKey, Lease};
use super::name::Name;
use super::port::{PortChange, Source};
use super::task::task;
use super::{Control, containers, limits, plan, unicast_mac};
use crate::host::{NetnsError, netns};

impl Control {
    /// Attaches a namespace. The answer comes when frames pass.
    pub(crate) async fn attach(&self, request: AttachRequest) -> Result<PortDetail, ControlError> {
        let control = self.clone();
        let attached = task(async move { control.run_attach(request).await }).await?;
        attached.map_err(|error| self.count_limit_hit(error))
    }

    async fn run_attach(&self, request: AttachRequest) -> Result<PortDetail, ControlError> {
        let inner = &self.0;
        let network = inner.network_to_change(request.network.as_deref())?;
        inner.model().check_publications(&network, &request.publish)?;
        let aliases = request.aliases.iter().map(|alias| Name::alias(alias));
        let (found, reference) = match request.netns {
            NetnsRef::Container(wanted) => {
                let found = containers::find(inner, wanted).await?;
                let reference = found.reference.clone();
                (Some(found), reference)
            }
            reference => (None, reference),
        };
        let name = match &found {
            Some(found) if request.name.is_empty() => found.record.name.parse()?,
            _ => request.name.parse()?,
        };
        let spec = AttachSpec {
            mac: request.mac.map(unicast_mac).transpose()?,
            ipv4: request.ipv4,
            ipv6: request.ipv6,
            family: request.family,
            further_addresses: request.further_addresses,
            settings: inner.model().default_settings(&network).changed(&request.settings),
            publish: request.publish,
            labels: request.labels,
            aliases: aliases.collect::<Result<_, _>>()?,
            configure: request.configure,
            gw_priority: request.gw_priority,
            container: found.as_ref().map(|found| found.record.clone()),
            ..AttachSpec::new(EndpointKey { name, network })
        };
        let ifname = request.ifname.as_deref().map(str::parse).transpose();
        let ifname = ifname.map_err(ControlError::Ifname)?;
        let described = netns::describe(&reference);
        let record = spec.container.clone();
        let source = match found {
            Some(found) => Source::Found(reference, found.netns, ifname),
            None => Source::Requested(reference, ifname),
        };
        let mut change = PortChange::attach(Arc::clone(inner), spec, source);
        let attached = self.execute_attach(&mut change, described.clone()).await;
        let attached = attached.map_err(|error| containers::as_ended(error, record.as_ref()));
        let lease = attached.map_err(|error| self.as_ports_max(error))?;
        tracing::info!(name = %lease.name, addresses = lease.addresses(), "attached");
        inner.feed.send(EventKind::Attach, &lease.key(), lease.addresses());
        if let Some(record) = &record {
            self.follow_container(record).await;
        }
        let shown = self.attached(&lease.key(), described).await;
        shown.map_err(|error| containers::as_ended(error, record.as_ref()))
    }

    /// An attachment that was just made. Its namespace, which `netns` describes, may have ended since: then it goes, or is
    /// about to wait for its container.
    pub(super) async fn attached(
        &self,
        key: &EndpointKey,
        netns: String,
    ) -> Result<PortDetail, ControlError> {
        let mut shown = self.attachment(key).await;
        if let Err(ControlError::UnknownPort(_)) = shown {
            self.0.wait_while_changing(key).await?;
            shown = self.attachment(key).await;
        }
        shown.map_err(|error| match error {
            ControlError::UnknownPort(_) => NetnsError::Gone(netns).into(),
            error => error,
        })
    }

    /// Executes the plan of an attach, and announces its addresses. `netns` describes the namespace.
    pub(super) async fn execute_attach(
        &self,
        change: &mut PortChange,
        netns: String,
    ) -> Result<Lease, ControlError> {
        self.execute_plan(change).await?;
        let lease = change.lease()?.clone();
        if !self.0.activate(&lease.key()) {
            // A new one leaves nothing behind; one that has waited waits again.
            match change.resumes() {
                true => self.detach_lost_port(lease.slot).await,
                false => self.drop_lost_port(lease.slot).await,
            }
            // Its network goes, or its namespace did.
            self.0.model().network(Some(lease.network.as_str()))?;
            return Err(NetnsError::Gone(netns).into());
        }
        if change.resumes() {
            // A port that is added has no static entries; the next snapshot brings them.
            self.0.commit_snapshot();
        }
        if self.0.model().is_on_several(&lease.name) {
            self.route_container(&lease.name).await;
        }
        if change.configure() == Configure::Static {
            self.announce(&lease).await;
            self.announce_to_other_nodes(&lease);
        }
        Ok(lease)
    }

    /// Executes the plan of an attach, again where another node took an address at the same moment that nobody asked for.
    async fn execute_plan(&self, change: &mut PortChange) -> Result<(), ControlError> {
        for _ in 1..limits::ADDRESS_TRIES_MAX {
            let source = change.source();
            match plan::execute(change, &change.plan()).await {
                Err(error) if change.can_have_another_address(&error) => {
                    tracing::info!(%error, "tries another address");
                    change.start_again(source);
                }
                result => return result,
            }
        }
        plan::execute(change, &change.plan()).await
    }

    /// Names the limit of ports if an attach failed for open files, since each port has some.
    pub(super) fn as_ports_max(&self, error: ControlError) -> ControlError {
        if !error.is_for_open_files() {
            return error;
        }
        tracing::warn!(%error, "no further port");
        ControlError::PortsMax(self.0.model().active().count())
    }

    /// Announces the addresses to neighbours (RFC 5227 section 3, RFC 4861 section 7.2.6).
    pub(super) async fn announce(&self, lease: &Lease) {
        for address in lease.all_addresses() {
            let frame = match address {
                IpAddr::V4(own) => wire::frames::gratuitous_arp(lease.mac, own).to_vec(),
                IpAddr::V6(own) => wire::frames::unsolicited_na(lease.mac, own).to_vec(),
            };
            if let Err(error) = self.0.dataplane.inject(lease.slot, frame).await {
                tracing::warn!(name = %lease.name, %error, "not announced");
            }
        }
    }

    /// Asks the daemon to end.
    pub(crate) fn request_shutdown(&self) {
        self.0.shutdown.notify_one();
    }

    /// Waits for such a request.
    pub(crate) async fn shutdown_requested(&self) {
        self.0.shutdown.notified().await;
    }

    /// The longest time for the workers to end.
    pub(crate) fn end_time_max(&self) -> Duration {
        let ports = u32::try_from(self.0.model().active().count()).unwrap_or(u32::MAX);
        limits::SHUTDOWN_MAX + limits::PORT_CLOSE_MAX.saturating_mul(ports)
    }

    /// Undoes everything on the host. The document stays as it is, so that the next start brings the
    /// attachments back.
    pub(crate) async fn end(&self) {
        self.0.ending.store(true, Ordering::Relaxed);
        self.save_unwritten().await;
        self.stop_dns();
        self.update_resolv_confs().await;
        self.stop_cut_through().await;
        self.stop_uplink().await;
        self.stop_registry().await;
        // A worker that failed may not answer any more; the end of the process does the rest.
        let within = self.end_time_max();
        let shutdown = async {
            self.withdraw_routers().await;
            self.0.dataplane.shutdown().await;
        };
        if tokio::time::timeout(within, shutdown).await.is_err() {
            tracing::error!("a worker does not end");
        }
    }
}
