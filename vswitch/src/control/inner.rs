//! State that all operations of control share.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use fastpath::PortIndex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::block_requests::SnatBlocksTask;
use super::containers::Followers;
use super::cut_through::state::CutThroughPrograms;
use super::dhcp::state::DhcpState;
use super::error::ControlError;
use super::event_feed::EventFeed;
use super::failed_writes::FailedWrites;
use super::limits::DETACH_WAIT_MAX;
use super::model::{AttachSpec, EndpointKey, Lease, Model, NetworkName};
use super::overlay::Outstanding;
use super::progress::Reporter;
use super::published_ports::HostPublisher;
use super::random::random;
use super::store::{Store, StoreError};
use super::task::blocking;
use crate::config::Config;
use crate::dataplane::Dataplane;
use crate::dns::{Names, Server};
use crate::host::{Neighbours, Netlink};
use crate::limits::Refusals;
use crate::overlay::Overlay;

#[cfg(test)]
mod tests;

/// The parts of control. Tasks lock the model for moments only, never across an await. A write locks the
/// writer, so that documents reach the disk in order.
pub(super) struct Inner {
    pub(super) config: Config,
    pub(super) dataplane: Dataplane,
    pub(super) netlink: Netlink,
    /// Held while networks, peers, pools or the host's addresses change.
    pub(super) network_changes: tokio::sync::Mutex<()>,
    /// Held while the routes of a container are set, so that the last change of its networks is the last one
    /// there.
    pub(super) routing: tokio::sync::Mutex<()>,
    /// The host's neighbour table, by network.
    neighbours: Mutex<BTreeMap<NetworkName, Arc<Neighbours>>>,
    pub(super) boot_id: String,
    pub(super) started: Instant,
    /// Of the start.
    pub(super) progress: Reporter,
    /// The same in seconds since 1970, for the metrics.
    pub(super) started_s: u64,
    pub(super) shutdown: Notify,
    pub(super) ending: AtomicBool,
    /// What happens, for clients that listen.
    pub(super) feed: EventFeed,
    /// Written by a change of names, read by changes that keep a name over an await while the endpoint is
    /// active.
    pub(super) renaming: tokio::sync::RwLock<()>,
    /// Refusals by limit.
    pub(super) refusals: Refusals,
    /// The host's side of the uplink.
    pub(super) publisher: tokio::sync::Mutex<HostPublisher>,
    /// The task that claims SNAT ports.
    pub(super) snat_blocks: SnatBlocksTask,
    /// Names of containers, which follow the model.
    pub(super) names: Arc<Names>,
    /// The DNS server; none with `--no-dns`.
    pub(super) dns: Mutex<Option<Server>>,
    /// Answers to hosts that configure themselves.
    pub(super) dhcp: DhcpState,
    /// The tasks that follow container engines.
    pub(super) followers: Followers,
    /// The programs of cut-through.
    pub(super) cut_through: CutThroughPrograms,
    /// The TAP of the uplink is gone.
    pub(super) uplink_lost: Notify,
    /// Parts on the host that other programs removed, and that were restored.
    pub(super) restored: AtomicU64,
    /// What failed of networks of the registry.
    pub(super) outstanding: Outstanding,
    /// A task tries pending publications again.
    pub(super) retrying: AtomicBool,
    /// This node's part in the registry; none without `--registry`.
    pub(super) registry: OnceLock<Overlay>,
    model: Mutex<Model>,
    /// Notified when a change of an endpoint ends.
    pub(super) settled: Notify,
    /// Number of requests to write the document.
    save_requests: AtomicU64,
    writer: Arc<tokio::sync::Mutex<Writer>>,
    pub(super) failed_writes: FailedWrites,
}

/// The store, and the number of the last request that it has met.
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
        netlink: Netlink,
        boot_id: String,
        model: Model,
        (store, progress): (Store, Reporter),
    ) -> Self {
        Self {
            config,
            dataplane,
            netlink,
            network_changes: tokio::sync::Mutex::default(),
            routing: tokio::sync::Mutex::default(),
            neighbours: Mutex::default(),
            boot_id,
            started: Instant::now(),
            progress,
            started_s: fastpath::Clock.unix_s(),
            shutdown: Notify::new(),
            ending: AtomicBool::new(false),
            feed: EventFeed::default(),
            renaming: tokio::sync::RwLock::default(),
            refusals: Refusals::default(),
            publisher: tokio::sync::Mutex::default(),
            snat_blocks: SnatBlocksTask::default(),
            names: Arc::default(),
            dns: Mutex::default(),
            dhcp: DhcpState::default(),
            followers: Followers::default(),
            cut_through: CutThroughPrograms::default(),
            uplink_lost: Notify::new(),
            restored: AtomicU64::new(0),
            outstanding: Outstanding::default(),
            retrying: AtomicBool::new(false),
            registry: OnceLock::new(),
            model: Mutex::new(model),
            settled: Notify::new(),
            save_requests: AtomicU64::new(0),
            writer: Arc::new(tokio::sync::Mutex::new(Writer { store, saved_requests: 0 })),
            failed_writes: FailedWrites::default(),
        }
    }

    /// The desired state. Callers do not hold it across an await.
    pub(super) fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses changes once the daemon ends.
    pub(super) fn check_not_ending(&self) -> Result<(), ControlError> {
        if self.ending.load(Ordering::Relaxed) { Err(ControlError::Ending) } else { Ok(()) }
    }

    /// The network of that name for a change; without a name the first one.
    pub(super) fn network_to_change(
        &self,
        name: Option<&str>,
    ) -> Result<NetworkName, ControlError> {
        self.check_not_ending()?;
        Ok(self.model().network(name)?.spec.name.clone())
    }

    /// Reserves what an endpoint needs. Waits while an endpoint ends that has the name, an address or a port of it.
    pub(super) async fn reserve(&self, spec: &AttachSpec) -> Result<Lease, ControlError> {
        let attempt = || {
            self.check_not_ending()?;
            self.model().reserve(spec, self.started.elapsed(), &mut random)
        };
        self.retry_while_ending(attempt).await
    }

    /// Repeats an attempt while an endpoint that is detached, or closes ports, has what it needs.
    pub(super) async fn retry_while_ending<T>(
        &self,
        mut attempt: impl FnMut() -> Result<T, ControlError>,
    ) -> Result<T, ControlError> {
        let deadline = Instant::now() + DETACH_WAIT_MAX;
        loop {
            let settled = self.settled.notified();
            match retry_while_busy(&self.settled, DETACH_WAIT_MAX, &mut attempt).await {
                Err(error) if self.wait_for_owner(&error, settled, deadline).await? => {}
                done => return done,
            }
        }
    }

    /// Waits until no request attaches or detaches an endpoint.
    pub(super) async fn wait_while_changing(&self, key: &EndpointKey) -> Result<(), ControlError> {
        let attempt = || self.model().check_settled(key);
        retry_while_busy(&self.settled, DETACH_WAIT_MAX, attempt).await
    }

    /// Begins the detach of endpoints, of all together. Waits while another change of one of them runs, since
    /// that may end with an endpoint that waits for its container, or works. Leaves out those that go meanwhile.
    pub(super) async fn begin_detach(
        &self,
        keys: &[EndpointKey],
    ) -> Result<Vec<Lease>, ControlError> {
        let mut has_waited = false;
        let attempt = || {
            let begun = self.model().begin_detach_all(keys, has_waited);
            has_waited = true;
            begun
        };
        retry_while_busy(&self.settled, DETACH_WAIT_MAX, attempt).await
    }

    /// Waits until no request attaches or detaches an endpoint with this label.
    pub(super) async fn wait_until_settled(
        &self,
        key: &str,
        value: &str,
    ) -> Result<(), ControlError> {
        let attempt = || match self.model().changing_with_label(key, value) {
            None => Ok(()),
            Some((name, change)) => Err(ControlError::Busy(name.to_string(), change)),
        };
        retry_while_busy(&self.settled, DETACH_WAIT_MAX, attempt).await
    }

    /// Ends an attach, as [`Model::activate`].
    pub(super) fn activate(&self, key: &EndpointKey) -> bool {
        let is_there = self.model().activate(key);
        self.settled.notify_waiters();
        is_there
    }

    /// Endpoints of a network that goes which can be detached now; waits while there are only ones that another
    /// request attaches or detaches. None if it is empty.
    pub(super) async fn detachable_on(
        &self,
        network: &NetworkName,
    ) -> Result<Vec<EndpointKey>, ControlError> {
        let attempt = || {
            let model = self.model();
            let keys = model.detachable_on(network);
            match keys.is_empty() && model.endpoints_on(network) > 0 {
                true => Err(ControlError::Busy(network.to_string(), "joined")),
                false => Ok(keys),
            }
        };
        retry_while_busy(&self.settled, DETACH_WAIT_MAX, attempt).await
    }

    /// Removes an endpoint from the model, and gives its addresses back. With the last one of a network of the registry the
    /// host leaves that.
    pub(super) async fn forget(&self, key: &EndpointKey) {
        let addresses = {
            let model = self.model();
            let endpoint = model.endpoint(key);
            endpoint.map_or_else(Vec::new, |it| it.lease.all_addresses().collect::<Vec<_>>())
        };
        // Before those who wait for them go on.
        self.release_claims(&key.network, addresses).await;
        self.model().remove(key, self.started.elapsed());
        self.settled.notify_waiters();
        self.leave_host(&key.network).await;
    }

    /// Lets an endpoint wait for the next start of its container.
    pub(super) fn wait_for_container(&self, key: &EndpointKey) {
        self.model().wait_for_container(key);
        self.settled.notify_waiters();
    }

    /// Shows an endpoint to the datapath, or hides it.
    pub(super) fn commit_port(&self, key: &EndpointKey, in_snapshot: bool) {
        let mut model = self.model();
        model.set_in_snapshot(key, in_snapshot);
        self.update_names(&model, key);
        self.publish_snapshot(&mut model);
    }

    /// Publishes the state as a snapshot.
    pub(super) fn commit_snapshot(&self) {
        self.publish_snapshot(&mut self.model());
    }

    /// Under the model's lock, so that snapshots are published in the order of the changes.
    pub(super) fn publish_snapshot(&self, model: &mut Model) {
        self.dataplane.publish(model.snapshot().with_names(Arc::clone(&self.names) as _));
    }

    /// Gives a port new queues, since its interface was made again.
    pub(super) async fn replace_port(
        &self,
        port: PortIndex,
        queues: Vec<OwnedFd>,
    ) -> Result<(), ControlError> {
        self.dataplane.remove_port(port).await?;
        Ok(self.dataplane.add_port(port, queues).await?)
    }

    /// Brings the host's neighbour entries of an endpoint in line with the model.
    pub(super) async fn install_host_neighbours(&self, lease: &Lease) {
        let known = self.model().host_neighbours(&lease.key());
        self.set_host_neighbours(lease, &known).await;
    }

    /// Removes an endpoint's entries from the host's neighbour table.
    pub(super) async fn remove_host_neighbours(&self, lease: &Lease) {
        self.set_host_neighbours(lease, &[]).await;
    }

    fn neighbours(&self) -> MutexGuard<'_, BTreeMap<NetworkName, Arc<Neighbours>>> {
        self.neighbours.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index of a network's host port.
    pub(super) fn host_port_index(&self, network: &NetworkName) -> Option<u32> {
        self.neighbours().get(network).map(|it| it.index())
    }

    /// Whether a network's host port has that index.
    pub(super) fn is_host_port(&self, index: u32) -> bool {
        self.neighbours().values().any(|it| it.index() == index)
    }

    /// The indexes of all host ports.
    pub(super) fn host_port_indexes(&self) -> Vec<u32> {
        self.neighbours().values().map(|it| it.index()).collect()
    }

    /// Sets the neighbour table of a network's host port, or forgets it.
    pub(super) fn set_neighbours(&self, network: &NetworkName, neighbours: Option<Neighbours>) {
        match neighbours {
            Some(neighbours) => {
                self.neighbours().insert(network.clone(), Arc::new(neighbours));
            }
            None => {
                self.neighbours().remove(network);
            }
        }
    }

    async fn set_host_neighbours(&self, lease: &Lease, known: &[IpAddr]) {
        let Some(neighbours) = self.neighbours().get(&lease.network).cloned() else { return };
        for address in lease.all_addresses() {
            let mac = known.contains(&address).then_some(lease.mac);
            neighbours.set(address, mac).await;
        }
    }

    /// Copies the document on disk, which the next write has less than; gives the path of the copy.
    pub(super) async fn back_up(&self) -> Result<PathBuf, ControlError> {
        let writer = Arc::clone(&self.writer).lock_owned().await;
        Ok(blocking(move || writer.store.back_up()).await??)
    }

    /// Writes the document with all changes so far. Requests during a write share the next one.
    pub(super) async fn save(&self) -> Result<(), ControlError> {
        let request = self.save_requests.fetch_add(1, Ordering::Relaxed) + 1;
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        if writer.saved_requests >= request {
            return Ok(());
        }
        let covered = self.save_requests.load(Ordering::Relaxed);
        let document = self.model().document();
        let written = blocking(move || {
            writer.store.save(&document)?;
            writer.saved_requests = covered;
            Ok::<_, StoreError>(())
        });
        let written = written.await?;
        Ok(written.inspect_err(|error| self.failed_writes.note(error))?)
    }
}

/// Repeats an attempt that fails with [`ControlError::Busy`], whenever a change of an endpoint ends.
async fn retry_while_busy<T>(
    settled: &Notify,
    within: Duration,
    mut attempt: impl FnMut() -> Result<T, ControlError>,
) -> Result<T, ControlError> {
    let deadline = Instant::now() + within;
    loop {
        // Made before the attempt, so that an end between the two is not missed.
        let ended = settled.notified();
        let busy = match attempt() {
            Err(error @ ControlError::Busy(..)) => error,
            result => return result,
        };
        if timeout_at(deadline, ended).await.is_err() {
            return Err(busy);
        }
    }
}
