//! What all operations of control share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::error::ControlError;
use super::limits::DETACH_WAIT_MAX;
use super::model::{AttachSpec, Lease, Model, Owner};
use super::name::Name;
use super::port::blocking;
use super::store::{Document, NetworkRecord, StaticRecord, Store, StoreError, VERSION};
use super::uplink::HostPublisher;
use crate::config::Config;
use crate::dataplane::Dataplane;
use crate::host::Neighbours;
use crate::limits::Refusals;

#[cfg(test)]
mod tests;

/// The parts of control. The model's lock is held for moments only, never across an await; the
/// writer's lock is held while a document is written, so that documents reach the disk in order.
pub(super) struct Inner {
    pub(super) config: Config,
    pub(super) dataplane: Dataplane,
    pub(super) neighbours: Neighbours,
    pub(super) boot_id: String,
    pub(super) started: Instant,
    /// The same in seconds since 1970, for the metrics.
    pub(super) started_s: u64,
    pub(super) shutdown: Notify,
    pub(super) ending: AtomicBool,
    /// What was refused since a limit was hit.
    pub(super) refusals: Refusals,
    /// What the host does for the way out.
    pub(super) publisher: tokio::sync::Mutex<HostPublisher>,
    model: Mutex<Model>,
    /// Rung when a port is forgotten.
    detached: Notify,
    /// How often somebody has asked for the document to be written.
    save_requests: AtomicU64,
    writer: Arc<tokio::sync::Mutex<Writer>>,
}

/// The store, and which of the requests to write have been met.
struct Writer {
    store: Store,
    saved_requests: u64,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("model", &self.model).finish_non_exhaustive()
    }
}

impl Inner {
    pub(super) fn new(
        config: Config,
        dataplane: Dataplane,
        neighbours: Neighbours,
        boot_id: String,
        model: Model,
        store: Store,
    ) -> Self {
        Self {
            config,
            dataplane,
            neighbours,
            boot_id,
            started: Instant::now(),
            started_s: fastpath::Clock.unix_s(),
            shutdown: Notify::new(),
            ending: AtomicBool::new(false),
            refusals: Refusals::default(),
            publisher: tokio::sync::Mutex::default(),
            model: Mutex::new(model),
            detached: Notify::new(),
            save_requests: AtomicU64::new(0),
            writer: Arc::new(tokio::sync::Mutex::new(Writer { store, saved_requests: 0 })),
        }
    }

    /// The desired state. Not to be held across an await.
    pub(super) fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses changes once the daemon ends.
    pub(super) fn check_not_ending(&self) -> Result<(), ControlError> {
        if self.ending.load(Ordering::Relaxed) { Err(ControlError::Ending) } else { Ok(()) }
    }

    /// Sets aside what a port needs. If a port of that name is on its way out, waits for its end:
    /// users no longer see it, and it holds the addresses that its successor may ask for.
    pub(super) async fn reserve(&self, spec: &AttachSpec) -> Result<Lease, ControlError> {
        let attempt = || {
            self.check_not_ending()?;
            let mut random = || getrandom::u64().map_err(|e| ControlError::Random(e.to_string()));
            self.model().reserve(spec, self.started.elapsed(), &mut random)
        };
        retry_while_busy(&self.detached, DETACH_WAIT_MAX, attempt).await
    }

    /// Forgets a port.
    pub(super) fn forget(&self, name: &Name) {
        self.model().remove(name, self.started.elapsed());
        self.detached.notify_waiters();
    }

    /// Shows a port to the datapath, or hides it.
    pub(super) fn commit_port(&self, name: &Name, in_snapshot: bool) {
        let mut model = self.model();
        model.set_in_snapshot(name, in_snapshot);
        // Under the lock, so that snapshots are published in the order of the changes.
        self.dataplane.publish(model.snapshot());
    }

    /// Publishes the state as it is.
    pub(super) fn commit_snapshot(&self) {
        let model = self.model();
        self.dataplane.publish(model.snapshot());
    }

    /// Brings the host's neighbour table in line with what the model says of a port.
    pub(super) async fn install_host_neighbours(&self, lease: &Lease) {
        let known = self.model().host_neighbours(&lease.name);
        for address in [lease.ipv4.into(), lease.ipv6.into()] {
            let mac = known.contains(&Some(address)).then_some(lease.mac);
            self.neighbours.set(address, mac).await;
        }
    }

    /// Takes a port's addresses out of the host's neighbour table.
    pub(super) async fn remove_host_neighbours(&self, lease: &Lease) {
        for address in [lease.ipv4.into(), lease.ipv6.into()] {
            self.neighbours.set(address, None).await;
        }
    }

    /// Writes the document with the changes made so far. Those who ask while another document is
    /// being written share the next one.
    pub(super) async fn save(&self) -> Result<(), ControlError> {
        let request = self.save_requests.fetch_add(1, Ordering::Relaxed) + 1;
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        if writer.saved_requests >= request {
            return Ok(());
        }
        let covered = self.save_requests.load(Ordering::Relaxed);
        let document = document(&self.model());
        let written = blocking(move || {
            writer.store.save(&document)?;
            writer.saved_requests = covered;
            Ok::<_, StoreError>(())
        });
        Ok(written.await??)
    }
}

/// Attempts again, whenever a port is forgotten, what fails since one is on its way out.
async fn retry_while_busy<T>(
    detached: &Notify,
    within: Duration,
    mut attempt: impl FnMut() -> Result<T, ControlError>,
) -> Result<T, ControlError> {
    let deadline = Instant::now() + within;
    loop {
        // Made before the attempt, so that an end between the two is not missed.
        let ended = detached.notified();
        let busy = match attempt() {
            Err(error @ ControlError::Busy(..)) => error,
            result => return result,
        };
        if timeout_at(deadline, ended).await.is_err() {
            return Err(busy);
        }
    }
}

/// What is to survive a restart.
fn document(model: &Model) -> Document {
    let network = &model.network;
    let (next_ipv4, next_ipv6) = model.next_addresses();
    let record = NetworkRecord {
        name: network.name.to_string(),
        subnet: network.subnet,
        subnet6: network.subnet6,
        gateway_mac: network.gateway_mac,
        next_ipv4,
        next_ipv6,
        host_settings: network.host_settings.clone(),
    };
    let statics = model.statics().map(|(&(mac, vlan), owner)| StaticRecord {
        network: record.name.clone(),
        mac,
        vlan,
        port: match owner {
            Owner::Host => None,
            Owner::Port(name) => Some(name.clone()),
        },
    });
    Document {
        version: VERSION,
        statics: statics.collect(),
        attachments: model.attachments(),
        networks: vec![record],
    }
}
