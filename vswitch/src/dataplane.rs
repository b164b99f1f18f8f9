//! Handle on the workers: ports, snapshots, counters, connections.

mod error;
mod idle_watch;
mod start;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam::queue::ArrayQueue;
use fastpath::{BackendReport, Clock, PortIndex, PortQueue, SchedulingReport, Waker};
use tokio::sync::oneshot;
use vswitch_counters::{VtepTraffic, WorkerStats};

use crate::datapath::{FdbRow, LoopTable, PortCounters, Snapshot};
use crate::worker::{ClaimedBlocks, Command};

pub use crate::worker::DataplaneEvent;
pub use error::DataplaneError;
pub use idle_watch::IdleReport;
use idle_watch::IdleWatch;
pub use start::DataplaneConfig;

/// Counters of all workers.
#[derive(Debug, Clone, Default)]
pub struct StatsReport {
    /// Counters of each open port, summed over the workers.
    pub ports: Vec<(PortIndex, PortCounters)>,
    /// Sum over closed ports.
    pub retired: PortCounters,
    /// Counters of each worker.
    pub workers: Vec<WorkerStats>,
    /// FDB entries of each network by its index: the maximum over the workers.
    pub fdb_entries: Vec<usize>,
    /// Traffic of each VTEP by its slot; those beyond have none.
    pub vteps: Vec<VtepTraffic>,
}

impl StatsReport {
    /// Sum over open and closed ports, which never decreases.
    #[must_use]
    pub fn ports_total(&self) -> PortCounters {
        let mut total = self.retired;
        self.ports.iter().for_each(|(_, counters)| total += *counters);
        total
    }

    /// Sum over all workers.
    #[must_use]
    pub fn workers_total(&self) -> WorkerStats {
        let mut total = WorkerStats::default();
        self.workers.iter().for_each(|worker| total += *worker);
        total
    }
}

struct WorkerHandle {
    commands: Arc<ArrayQueue<Command>>,
    ended: Arc<AtomicBool>,
    waker: Waker,
}

struct Inner {
    workers: Vec<WorkerHandle>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// Former snapshots that workers may still read.
    retired: Mutex<Vec<Arc<Snapshot>>>,
    epoch: AtomicU64,
    backend: BackendReport,
    scheduling: SchedulingReport,
    idle: IdleWatch,
    loop_table: Arc<LoopTable>,
    slots: usize,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Handle on the workers; clones share them.
#[derive(Clone)]
pub struct Dataplane(Arc<Inner>);

impl Dataplane {
    /// Packet I/O backend and the reason of its choice.
    #[must_use]
    pub fn backend(&self) -> &BackendReport {
        &self.0.backend
    }

    /// Scheduling class of the workers and the reason of its choice.
    #[must_use]
    pub fn scheduling(&self) -> &SchedulingReport {
        &self.0.scheduling
    }

    /// Whether idle workers spin, and why.
    #[must_use]
    pub fn idle(&self) -> IdleReport {
        self.0.idle.report()
    }

    /// Port slots within the limit of open files: ports `0..slots()`.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.0.slots
    }

    /// Number of workers.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.0.workers.len()
    }

    /// Remaining time of a loop block on a port.
    #[must_use]
    pub fn blocked_for(&self, port: PortIndex) -> Option<Duration> {
        self.0.loop_table.remaining(port, Clock.now())
    }

    /// Publishes a snapshot and wakes all workers, since queued frames may wait for it.
    pub fn publish(&self, snapshot: Snapshot) {
        let epoch = self.0.epoch.fetch_add(1, Ordering::Relaxed) + 1;
        let last = self.0.snapshot.swap(Arc::new(snapshot.with_epoch(epoch)));
        // Freed on this thread, since that may take longer than a round.
        let mut retired = self.0.retired.lock().unwrap_or_else(|e| e.into_inner());
        retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
        retired.push(last);
        self.0.workers.iter().for_each(|handle| handle.waker.wake());
    }

    /// Opens the port of a TAP, which has one queue per worker. Frames pass once a snapshot has the port.
    ///
    /// # Errors
    /// As [`Dataplane::add_queues`].
    pub async fn add_port(
        &self,
        port: PortIndex,
        queues: Vec<OwnedFd>,
    ) -> Result<(), DataplaneError> {
        self.add_queues(port, queues.into_iter().map(PortQueue::Tap).collect()).await
    }

    /// Opens a port of any kind with one queue per worker.
    ///
    /// # Errors
    /// The slot is in use, or a worker refuses; then no worker has the port.
    pub async fn add_queues(
        &self,
        port: PortIndex,
        queues: Vec<PortQueue>,
    ) -> Result<(), DataplaneError> {
        if queues.len() != self.workers() {
            let (queues, workers) = (queues.len(), self.workers());
            return Err(DataplaneError::Queues { port, queues, workers });
        }
        self.0.loop_table.reset(port);
        for (worker, queue) in queues.into_iter().enumerate() {
            let added = self.ask(worker, |reply| Command::AddPort { port, queue, reply }).await;
            let error = match added {
                Ok(Ok(())) => continue,
                Ok(Err(source)) => DataplaneError::Port { port, source },
                Err(error) => error,
            };
            for earlier in 0..worker {
                let _ = self.ask(earlier, |reply| Command::RemovePort { port, reply }).await;
            }
            return Err(error);
        }
        Ok(())
    }

    /// Closes a port after its I/O in flight and removes its FDB entries.
    ///
    /// # Errors
    /// A worker has ended.
    pub async fn remove_port(&self, port: PortIndex) -> Result<PortCounters, DataplaneError> {
        let (mut sum, mut queues) = (PortCounters::default(), Vec::new());
        for worker in 0..self.workers() {
            let removed = self.ask(worker, |reply| Command::RemovePort { port, reply }).await?;
            sum += removed.counters;
            queues.extend(removed.queue);
        }
        // `close(2)` of the last queue removes the device, which may block.
        let _ = tokio::task::spawn_blocking(move || drop(queues)).await;
        Ok(sum)
    }

    /// Injects an Ethernet frame at ingress of a port.
    ///
    /// # Errors
    /// No buffer is free, or the worker has ended.
    pub async fn inject(&self, port: PortIndex, frame: Vec<u8>) -> Result<(), DataplaneError> {
        let taken = self.ask(0, |reply| Command::Inject { port, frame, reply }).await?;
        if taken { Ok(()) } else { Err(DataplaneError::NoBuffer(port)) }
    }

    /// Sends an untagged Ethernet frame out of a port. A port that is closed gets nothing.
    ///
    /// # Errors
    /// The worker's command queue is full, or the worker has ended.
    pub async fn send(&self, port: PortIndex, frame: Vec<u8>) -> Result<(), DataplaneError> {
        self.ask(0, |reply| Command::Send { port, frame, reply }).await
    }

    /// The same, without waiting until the worker has the frame.
    ///
    /// # Errors
    /// The worker's command queue is full.
    pub fn send_later(&self, port: PortIndex, frame: Vec<u8>) -> Result<(), DataplaneError> {
        let handle = &self.0.workers[0];
        let (reply, _) = oneshot::channel();
        let sent = handle.commands.push(Command::Send { port, frame, reply });
        sent.map_err(|_| DataplaneError::Busy(0))?;
        handle.waker.wake();
        Ok(())
    }

    /// Refuses flows of protocols without ports to containers for a while: the host itself uses them. A worker whose
    /// command queue is full misses it: repeat it.
    pub fn refuse_portless(&self, flows: Arc<[(IpAddr, u8)]>) {
        self.tell_all(|| Command::RefusePortless(Arc::clone(&flows)));
    }

    /// Says that NICs hand over what comes for such flows, so that their packets may leave. As above: repeat it.
    pub fn admit_portless(&self, flows: Arc<[(IpAddr, u8)]>) {
        self.tell_all(|| Command::AdmitPortless(Arc::clone(&flows)));
    }

    fn tell_all(&self, command: impl Fn() -> Command) {
        for handle in &self.0.workers {
            if handle.commands.push(command()).is_ok() {
                handle.waker.wake();
            }
        }
    }

    /// Counters of all ports and workers.
    ///
    /// # Errors
    /// A worker has ended.
    pub async fn stats(&self) -> Result<StatsReport, DataplaneError> {
        let mut sums = BTreeMap::<PortIndex, PortCounters>::new();
        let (mut workers, mut retired) = (Vec::new(), PortCounters::default());
        let (mut fdb_entries, mut vteps) = (Vec::new(), Vec::new());
        for worker in 0..self.workers() {
            let report = self.ask(worker, |reply| Command::Report { reply }).await?;
            for (port, counters) in report.ports {
                *sums.entry(port).or_default() += counters;
            }
            retired += report.closed;
            workers.push(report.worker);
            fdb_entries.resize(fdb_entries.len().max(report.fdb_entries.len()), 0);
            for (most, entries) in fdb_entries.iter_mut().zip(report.fdb_entries) {
                *most = entries.max(*most);
            }
            vteps.resize(vteps.len().max(report.vteps.len()), VtepTraffic::default());
            for (sum, traffic) in vteps.iter_mut().zip(report.vteps) {
                *sum += traffic;
            }
        }
        let ports = sums.into_iter().collect();
        Ok(StatsReport { ports, retired, workers, fdb_entries, vteps })
    }

    /// FDB rows of all workers, each with its youngest age.
    ///
    /// # Errors
    /// A worker has ended.
    pub async fn fdb(&self) -> Result<Vec<FdbRow>, DataplaneError> {
        let mut rows = Vec::new();
        for worker in 0..self.workers() {
            rows.extend(self.ask(worker, |reply| Command::Fdb { reply }).await?);
        }
        rows.sort_by_key(|row| (row.network, row.vlan, row.mac, row.age));
        rows.dedup_by_key(|row| (row.network, row.vlan, row.mac));
        Ok(rows)
    }

    /// Tracked connections, at most `CONNTRACK_ROWS_MAX` per worker.
    ///
    /// # Errors
    /// A worker has ended.
    pub async fn conntrack(&self) -> Result<Vec<nat::Row>, DataplaneError> {
        let mut rows = Vec::new();
        for worker in 0..self.workers() {
            rows.extend(self.ask(worker, |reply| Command::Conntrack { reply }).await?);
        }
        Ok(rows)
    }

    /// Flushes the connections that match `filter`; returns their number. Each command visits a bounded
    /// number of connections, so that frames do not wait.
    ///
    /// # Errors
    /// A worker has ended.
    pub async fn conntrack_flush(
        &self,
        filter: impl Fn(&nat::Row) -> bool + Send + Clone + 'static,
    ) -> Result<usize, DataplaneError> {
        let mut ended = 0;
        for worker in 0..self.workers() {
            let mut flushing = None;
            loop {
                let filter = Box::new(filter.clone());
                let command = |reply| Command::ConntrackFlush { flushing, filter, reply };
                let Some((so_far, is_done)) = self.ask(worker, command).await? else { break };
                flushing = Some(so_far);
                if is_done {
                    ended += so_far.ended();
                    break;
                }
            }
        }
        Ok(ended)
    }

    /// Gives blocks of SNAT ports to a worker. They are its own once this returns.
    ///
    /// # Errors
    /// The worker does not translate, its command queue is full, or it has ended.
    pub(crate) async fn claim_blocks(
        &self,
        worker: usize,
        blocks: ClaimedBlocks,
    ) -> Result<(), DataplaneError> {
        match self.ask(worker, |reply| Command::ClaimBlocks { blocks, reply }).await? {
            true => Ok(()),
            false => Err(DataplaneError::Ended(worker)),
        }
    }

    /// Takes blocks from a worker that have been empty for two calls: their first ports.
    ///
    /// # Errors
    /// The worker's command queue is full, or it has ended.
    pub(crate) async fn collect_blocks(
        &self,
        worker: usize,
        transport: nat::Transport,
    ) -> Result<Vec<u16>, DataplaneError> {
        self.ask(worker, |reply| Command::CollectBlocks { transport, reply }).await
    }

    /// Flushes writes, closes every port and ends the workers.
    pub async fn shutdown(&self) {
        for worker in 0..self.workers() {
            let _ = self.ask(worker, |reply| Command::Stop { reply }).await;
        }
        let threads =
            std::mem::take(&mut *self.0.threads.lock().unwrap_or_else(|e| e.into_inner()));
        // `close(2)` of a TAP may block.
        let join = move || threads.into_iter().for_each(|thread| drop(thread.join()));
        let _ = tokio::task::spawn_blocking(join).await;
    }

    async fn ask<T>(
        &self,
        worker: usize,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, DataplaneError> {
        let handle = &self.0.workers[worker];
        let (reply, answer) = oneshot::channel();
        handle.commands.push(command(reply)).map_err(|_| DataplaneError::Busy(worker))?;
        handle.waker.wake();
        // A worker sets `ended`, then empties its queue: either it drops this command, or the flag is
        // visible here.
        if handle.ended.load(Ordering::SeqCst) {
            while handle.commands.pop().is_some() {}
        }
        answer.await.map_err(|_| DataplaneError::Ended(worker))
    }
}

impl Drop for Inner {
    /// Stops the workers and joins their threads.
    fn drop(&mut self) {
        for handle in &self.workers {
            let (reply, _) = oneshot::channel();
            let _ = handle.commands.push(Command::Stop { reply });
            handle.waker.wake();
        }
        let threads = self.threads.get_mut().unwrap_or_else(|e| e.into_inner());
        threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}
