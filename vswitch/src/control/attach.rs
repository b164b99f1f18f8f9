//! Attach and detach of endpoints, and the end of the switch.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fastpath::PortIndex;
use vswitch_api::event::EventKind;
use vswitch_api::port::{AttachRequest, Configure, NetnsRef, PortDetail};

use super::error::ControlError;
use super::model::{AttachSpec, EndpointKey, Lease, SlotOwner};
use super::name::Name;
use super::port::{PortChange, Source};
use super::task::task;
use super::{Control, containers, limits, plan, port, unicast_mac};
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
        let attached = self.execute_attach(&mut change, described).await;
        let attached = attached.map_err(|error| containers::as_ended(error, record.as_ref()));
        let lease = attached.map_err(|error| self.as_ports_max(error))?;
        tracing::info!(name = %lease.name, addresses = lease.addresses(), "attached");
        inner.feed.send(EventKind::Attach, &lease.key(), lease.addresses());
        if let Some(record) = record {
            self.follow_container(&record).await;
        }
        self.attachment(&lease.key()).await
    }

    /// Executes the plan of an attach, and announces its addresses. `netns` describes the namespace.
    pub(super) async fn execute_attach(
        &self,
        change: &mut PortChange,
        netns: String,
    ) -> Result<Lease, ControlError> {
        let plan = change.plan();
        plan::execute(change, &plan).await?;
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
        if self.0.model().is_on_several(&lease.name) {
            self.route_container(&lease.name).await;
        }
        if change.configure() == Configure::Static {
            self.announce(&lease).await;
        }
        Ok(lease)
    }

    /// Names the limit of ports if an attach failed for open files, since each port has some.
    pub(super) fn as_ports_max(&self, error: ControlError) -> ControlError {
        if !error.is_for_open_files() {
            return error;
        }
        tracing::warn!(%error, "no further port");
        ControlError::PortsMax(self.0.model().active().count())
    }

    /// Detaches a container from all of its networks.
    pub(crate) async fn detach(&self, name: &str) -> Result<(), ControlError> {
        let keys = self.0.model().find_all(name)?;
        let control = self.clone();
        task(async move {
            control.0.check_not_ending()?;
            // All begin before the first one ends: none of them takes over from another.
            let mut detached = Ok(());
            for lease in control.0.begin_detach(&keys).await? {
                detached = detached.and(control.leave(lease).await);
            }
            detached
        })
        .await?
    }

    /// Detaches an endpoint; another of its container takes over its publications and the default route.
    pub(super) async fn detach_endpoint(&self, key: EndpointKey) -> Result<(), ControlError> {
        match self.0.begin_detach(std::slice::from_ref(&key)).await?.into_iter().next() {
            Some(lease) => self.leave(lease).await,
            // It went meanwhile.
            None => Ok(()),
        }
    }

    /// Ends a detach that has begun.
    pub(super) async fn leave(&self, lease: Lease) -> Result<(), ControlError> {
        let key = lease.key();
        let container = self.0.model().container_of(&key).cloned();
        if self.0.model().has_port(&key) {
            self.withdraw_router(lease.slot).await;
            self.hand_publications_on(&key).await;
            self.tear_down_port(lease).await?;
        } else {
            self.hand_waiting_publications_on(&key).await;
            self.forget_waiting(lease).await?;
        }
        if let Some(container) = container {
            self.leave_container(&container).await;
        }
        tracing::info!(name = %key, network = %key.network, "detached");
        self.0.feed.send(EventKind::Detach, &key, "");
        self.route_container(&key.name).await;
        Ok(())
    }

    /// Undoes all steps of an attach, then returns the first error.
    async fn tear_down_port(&self, lease: Lease) -> Result<(), ControlError> {
        let mut change = PortChange::detach(Arc::clone(&self.0), lease);
        let failures = plan::undo_all(&mut change, &port::DETACH).await;
        failures.into_iter().next().map_or(Ok(()), Err)
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

    /// Detaches an endpoint whose interface is gone. That of a container waits for the next start.
    pub(super) async fn detach_lost_port(&self, slot: PortIndex) {
        if self.0.check_not_ending().is_err() {
            return;
        }
        let waits = {
            let mut model = self.0.model();
            let Some(SlotOwner::Endpoint(key)) = model.slot_owner(slot).cloned() else { return };
            let waits = model.may_wait(&key).map(|waits| {
                let container = model.container_of(&key).filter(|_| waits).cloned()?;
                Some((model.begin_detach_lost(slot), container))
            });
            waits.map_err(|error| self.count_limit_hit(error))
        };
        match waits {
            Ok(Some((Some(lease), container))) => self.let_wait(lease, &container).await,
            Ok(Some((None, _))) => {}
            Ok(None) => self.drop_lost_port(slot).await,
            Err(error) => {
                tracing::warn!(%error);
                self.drop_lost_port(slot).await;
            }
        }
    }

    /// Detaches an endpoint whose interface is gone.
    async fn drop_lost_port(&self, slot: PortIndex) {
        let Some(lease) = self.0.model().begin_detach_lost(slot) else { return };
        let (name, key) = (lease.name.clone(), lease.key());
        self.hand_publications_on(&key).await;
        let torn_down = self.tear_down_port(lease).await;
        self.route_container(&name).await;
        match torn_down {
            Ok(()) => {
                tracing::info!(%name, "detached, since its namespace or interface is gone");
                self.0.feed.send(EventKind::Detach, &key, "its namespace or interface is gone");
            }
            Err(error) => {
                tracing::error!(%name, %error, "interface gone, and detach failed in part")
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
        self.stop_dns();
        self.update_resolv_confs().await;
        self.stop_uplink().await;
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
