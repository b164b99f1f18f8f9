//! The desired state, and what brings the host and the datapath in line with it.
//!
//! [`model`] holds what is wanted and is pure; [`port`] is one port's way in and out, as the steps of a
//! [`plan`]; [`store`] keeps the document; [`replay`] brings attachments back at start; [`views`] shows
//! it all as the API's types. Each change runs in a task of its own, so that a client that hangs up
//! does not leave half a change, and changes of different ports overlap: they share only the model,
//! which is locked for moments.
//!
//! A change is acknowledged when it works *and* is on the disk. Ports whose namespace died are taken
//! away when the workers say so ([`Control::handle_events`]).

mod cleanup;
mod conntrack;
mod error;
mod inner;
pub(crate) mod ipam;
pub(crate) mod limits;
pub(crate) mod model;
pub(crate) mod name;
mod plan;
mod port;
mod publish;
mod replay;
mod republish;
mod start;
pub(crate) mod store;
mod text;
mod uplink;
mod views;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fastpath::PortIndex;
use tokio::sync::mpsc;
use vswitch_api::fdb::{EntryKey, StaticEntry};
use vswitch_api::port::{AttachRequest, PortDetail};
use vswitch_api::port_settings::limits::{LimitsChange, MacCount};
use vswitch_api::port_settings::{PortSettings, SettingsChange};
use wire::MacAddr;

use crate::datapath::limits::MACS_PER_PORT;
use crate::datapath::{LoopEvent, LoopSign};
use crate::dataplane::{DataplaneError, DataplaneEvent};
pub use cleanup::{CleanupError, clean_up_after_crash};
pub use error::ControlError;
use inner::Inner;
pub(crate) use ipam::PoolError;
use model::{AttachSpec, HOST_PORT, Lease, Owner};
use name::Name;
use port::PortChange;
pub(crate) use start::{ReplayReport, StoredState};

/// Highest VLAN id; 4095 is reserved (IEEE 802.1Q).
const VLAN_MAX: u16 = 4094;

/// Control. Clones are handles on the same one.
#[derive(Debug, Clone)]
pub(crate) struct Control(Arc<Inner>);

impl Control {
    /// Attaches a namespace. The answer comes when frames pass.
    pub(crate) async fn attach(&self, request: AttachRequest) -> Result<PortDetail, ControlError> {
        let control = self.clone();
        let attached = task(async move { control.run_attach(request).await }).await?;
        attached.map_err(|error| self.count_limit_hit(error))
    }

    async fn run_attach(&self, request: AttachRequest) -> Result<PortDetail, ControlError> {
        let inner = &self.0;
        inner.check_not_ending()?;
        inner.model().network(request.network.as_deref())?;
        inner.model().check_publications(&request.publish)?;
        let spec = AttachSpec {
            name: request.name.parse()?,
            mac: request.mac.map(unicast_mac).transpose()?,
            ipv4: request.ipv4,
            ipv6: request.ipv6,
            settings: PortSettings::default().changed(&request.settings),
            publish: request.publish,
        };
        let ifname = request.ifname.as_deref().map(str::parse).transpose();
        let ifname = ifname.map_err(ControlError::Ifname)?;
        let mut change = PortChange::attach(Arc::clone(inner), spec, ifname, request.netns);
        plan::execute(&mut change, &port::ATTACH)
            .await
            .map_err(|error| self.as_ports_max(error))?;
        let lease = change.lease()?.clone();
        if !inner.model().activate(&lease.name) {
            self.detach_lost_port(lease.slot).await;
            return Err(ControlError::UnknownPort(lease.name.to_string()));
        }
        self.announce(&lease).await;
        tracing::info!(name = %lease.name, mac = %lease.mac, ipv4 = %lease.ipv4, ipv6 = %lease.ipv6,
            "attached");
        self.port(lease.name.as_str()).await
    }

    /// Counts an error that says that a limit is reached.
    fn count_limit_hit(&self, error: ControlError) -> ControlError {
        let limit = match &error {
            ControlError::PortsMax(_) => Some("PORTS_MAX"),
            ControlError::StaticsMax(_) => Some("STATICS_MAX"),
            ControlError::PublicationsMax(_) => Some("PUBLICATIONS_MAX"),
            ControlError::AllowFromMax(_) => Some("ALLOW_FROM_MAX"),
            ControlError::NoFreePort(_) => Some("PORT_ALLOC_TRIES_MAX"),
            ControlError::Busy(..) => Some("DETACH_WAIT_MAX"),
            ControlError::Dataplane(DataplaneError::Busy(_)) => Some("COMMANDS_MAX"),
            _ => None,
        };
        limit.inspect(|limit| self.count_refusal(limit));
        error
    }

    /// Each port has files open: names the limit, when that is why an attach failed.
    fn as_ports_max(&self, error: ControlError) -> ControlError {
        if !error.is_for_open_files() {
            return error;
        }
        tracing::warn!(%error, "no further port");
        ControlError::PortsMax(self.0.model().active().count())
    }

    /// Takes an attachment away.
    pub(crate) async fn detach(&self, name: &str) -> Result<(), ControlError> {
        let name: Name = name.parse()?;
        let control = self.clone();
        task(async move {
            control.0.check_not_ending()?;
            let lease = control.0.model().begin_detach(&name)?;
            control.tear_down_port(lease).await?;
            tracing::info!(%name, "detached");
            Ok(())
        })
        .await?
    }

    /// Undoes a port; the first error is returned after all has been tried.
    async fn tear_down_port(&self, lease: Lease) -> Result<(), ControlError> {
        let mut change = PortChange::detach(Arc::clone(&self.0), lease);
        let failures = plan::undo_all(&mut change, &port::DETACH).await;
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    /// Tells the neighbours where the addresses live now (RFC 5227 section 3, RFC 4861 section 7.2.6).
    async fn announce(&self, lease: &Lease) {
        let arp = wire::frames::gratuitous_arp(lease.mac, lease.ipv4).to_vec();
        let advert = wire::frames::unsolicited_na(lease.mac, lease.ipv6).to_vec();
        for frame in [arp, advert] {
            if let Err(error) = self.0.dataplane.inject(lease.slot, frame).await {
                tracing::warn!(name = %lease.name, %error, "not announced");
            }
        }
    }

    /// Does what the workers' events call for, until they end or fail; gives the failure.
    pub(crate) async fn handle_events(
        &self,
        events: &mut mpsc::Receiver<DataplaneEvent>,
    ) -> Option<(usize, String)> {
        let mut bridge_deleted = false;
        while let Some(event) = events.recv().await {
            match event {
                // Every worker says so.
                DataplaneEvent::PortGone(HOST_PORT) => {
                    if !std::mem::replace(&mut bridge_deleted, true) {
                        let bridge = self.0.config.bridge.to_string();
                        tracing::error!(%bridge, "the bridge was deleted: containers no longer reach \
                            the host; run `vswitch down` and then `vswitch up`");
                    }
                }
                DataplaneEvent::PortGone(slot) => {
                    let control = self.clone();
                    tokio::spawn(async move { control.detach_lost_port(slot).await });
                }
                DataplaneEvent::LoopBlocked(event) => self.log_loop_blocked(event),
                DataplaneEvent::Resolve { next_hop, port } => self.resolve(next_hop, port),
                DataplaneEvent::WorkerFailed { worker, error } => return Some((worker, error)),
            }
        }
        None
    }

    /// Logs that a port is blocked, and when it is open again.
    fn log_loop_blocked(&self, LoopEvent { port, sign, pause }: LoopEvent) {
        let label = |slot| match self.0.model().label(slot) {
            Some(label) => label.into_owned(),
            None => "a port that is gone".to_owned(),
        };
        let (name, pause_s) = (label(port), pause.as_secs());
        match sign {
            LoopSign::Probe { sent, heard } => {
                let (sent, heard) = (label(sent), label(heard));
                tracing::warn!(%name, pause_s, %sent, %heard,
                    "blocked: there is a loop, a probe came back; look for a bridge between the two");
            }
            LoopSign::Flap { mac, other } => {
                let other = label(other);
                tracing::warn!(%name, pause_s, %mac, %other,
                    "blocked: a MAC address flaps between two ports; look for a bridge between the \
                     two, or a forged address");
            }
        }
        let control = self.clone();
        // One a port at a time: a port that is blocked is not blocked again.
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            if control.0.model().label(port).as_deref() == Some(&name) {
                tracing::info!(%name, "open again after a loop");
            }
        });
    }

    /// Takes away a port whose interface is gone.
    async fn detach_lost_port(&self, slot: PortIndex) {
        if self.0.check_not_ending().is_err() {
            return;
        }
        let Some(lease) = self.0.model().begin_detach_lost(slot) else { return };
        let name = lease.name.clone();
        match self.tear_down_port(lease).await {
            Ok(()) => tracing::info!(%name, "its namespace or interface is gone: detached"),
            Err(error) => tracing::error!(%name, %error, "gone, but not cleanly detached"),
        }
    }

    /// Sets an entry of the forwarding database by hand.
    pub(crate) async fn set_static(&self, entry: StaticEntry) -> Result<(), ControlError> {
        let key = self.static_key(&entry.key)?;
        let owner = {
            let model = self.0.model();
            if entry.port == model.network.name.as_str() {
                Owner::Host
            } else {
                Owner::Port(entry.port.parse()?)
            }
        };
        self.change_static(key, Some(owner)).await.map_err(|error| self.count_limit_hit(error))
    }

    /// Takes such an entry away.
    pub(crate) async fn remove_static(&self, entry: EntryKey) -> Result<(), ControlError> {
        let key = self.static_key(&entry)?;
        self.change_static(key, None).await
    }

    fn static_key(&self, key: &EntryKey) -> Result<(MacAddr, u16), ControlError> {
        self.0.check_not_ending()?;
        self.0.model().network(key.network.as_deref())?;
        if key.vlan > VLAN_MAX {
            return Err(ControlError::Vlan(key.vlan));
        }
        Ok((unicast_mac(key.mac)?, key.vlan))
    }

    async fn change_static(
        &self,
        key: (MacAddr, u16),
        owner: Option<Owner>,
    ) -> Result<(), ControlError> {
        let inner = Arc::clone(&self.0);
        task(async move {
            let former = {
                let mut model = inner.model();
                let former = model.remove_static(key);
                match (owner, &former) {
                    (Some(owner), _) => {
                        if let Err(error) = model.set_static(key, owner) {
                            restore_static(&mut model, key, former);
                            return Err(error);
                        }
                    }
                    (None, Some(_)) => {}
                    (None, None) => {
                        let network = model.network.name.to_string();
                        return Err(ControlError::NoStatic { network, mac: key.0, vlan: key.1 });
                    }
                }
                former
            };
            if let Err(error) = inner.save().await {
                restore_static(&mut inner.model(), key, former);
                return Err(error);
            }
            inner.commit_snapshot();
            Ok(())
        })
        .await?
    }

    /// Changes what a port may do, while it works.
    pub(crate) async fn set_port_settings(
        &self,
        name: &str,
        change: SettingsChange,
    ) -> Result<PortSettings, ControlError> {
        self.0.check_not_ending()?;
        let (inner, name) = (Arc::clone(&self.0), name.to_owned());
        task(async move {
            check_macs(&inner, &name, &change.limits).await?;
            let (former, settings) = inner.model().change_settings(&name, &change)?;
            if former == settings {
                return Ok(settings);
            }
            if let Err(error) = inner.save().await {
                // Gone meanwhile, it needs nothing put back.
                let _ = inner.model().set_port_settings(&name, former);
                return Err(error);
            }
            inner.commit_snapshot();
            let changed = inner.model().leases_of(&name);
            for lease in changed {
                inner.install_host_neighbours(&lease).await;
            }
            tracing::info!(%name, "settings changed");
            Ok(settings)
        })
        .await?
    }

    /// Asks the daemon to end.
    pub(crate) fn request_shutdown(&self) {
        self.0.shutdown.notify_one();
    }

    /// Waits until somebody asks for the end.
    pub(crate) async fn shutdown_requested(&self) {
        self.0.shutdown.notified().await;
    }

    /// Undoes everything on the host. The document stays as it is, so that the next start brings the
    /// attachments back.
    pub(crate) async fn end(&self) {
        self.0.ending.store(true, Ordering::Relaxed);
        self.stop_uplink().await;
        // A worker that failed may not answer any more; the end of the process does the rest.
        let ports = u32::try_from(self.0.model().active().count()).unwrap_or(u32::MAX);
        let within = limits::SHUTDOWN_MAX + limits::PORT_CLOSE_MAX.saturating_mul(ports);
        if tokio::time::timeout(within, self.0.dataplane.shutdown()).await.is_err() {
            tracing::error!("a worker does not end");
        }
    }
}

/// Refuses a limit of MAC addresses that is below what is in use.
async fn check_macs(inner: &Inner, name: &str, change: &LimitsChange) -> Result<(), ControlError> {
    let Some(ceiling) = change.macs_max else { return Ok(()) };
    let slot = inner.model().slot_of(name)?;
    let default = (slot != HOST_PORT).then_some(MacCount::of(MACS_PER_PORT as u64));
    let Some(limit) = ceiling.or(default) else { return Ok(()) };
    let rows = inner.dataplane.fdb().await?;
    let in_use = rows.iter().filter(|row| row.destination == slot.into() && !row.is_static).count();
    if in_use as u64 > limit.get() {
        return Err(ControlError::MacsInUse { port: name.to_owned(), limit, in_use });
    }
    Ok(())
}

/// Puts a static entry back as it was.
fn restore_static(model: &mut model::Model, key: (MacAddr, u16), former: Option<Owner>) {
    model.remove_static(key);
    if let Some(owner) = former {
        // It was there, so it fits; its port may have gone meanwhile.
        let _ = model.set_static(key, owner);
    }
}

/// Refuses an address that no interface may have.
fn unicast_mac(mac: MacAddr) -> Result<MacAddr, ControlError> {
    if mac.is_broadcast() {
        return Err(ControlError::MacNotUnicast(mac, "broadcast"));
    }
    if mac.is_multicast() {
        return Err(ControlError::MacNotUnicast(mac, "multicast"));
    }
    if !mac.is_unicast() {
        return Err(ControlError::MacNotUnicast(mac, "zero"));
    }
    Ok(mac)
}

/// Runs a change to its end, whatever becomes of whoever asked for it.
async fn task<T: Send + 'static>(
    change: impl Future<Output = T> + Send + 'static,
) -> Result<T, ControlError> {
    tokio::spawn(change).await.map_err(|error| ControlError::Task(error.to_string()))
}
