//! Start of worker threads and their rings.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, mpsc as std_mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam::queue::ArrayQueue;
use fastpath::backend;
use fastpath::limits::{PORTS_MAX, WORKERS_MAX};
use fastpath::{BackendChoice, IdlePolicy, SchedulingChoice, Waker, scheduling};
use tokio::sync::mpsc;

use super::idle_watch::{IdleWatch, Workers};
use super::{Dataplane, DataplaneError, Inner, WorkerHandle};
use crate::config::Cpus;
use crate::datapath::{LoopTable, Snapshot};
use crate::limits::{COMMANDS_MAX, EVENTS_MAX};
use crate::worker::{DataplaneEvent, FdbSync, HandoffQueues, Setup, Spin, Worker};

/// Configuration of the workers.
#[derive(Debug, Clone)]
pub struct DataplaneConfig {
    /// Number of workers, 1 to [`WORKERS_MAX`].
    pub workers: usize,
    /// Packet I/O backend.
    pub backend: BackendChoice,
    /// Processors of their threads.
    pub cpus: Cpus,
    /// Scheduling class.
    pub scheduling: SchedulingChoice,
    /// Idle policy.
    pub idle: IdlePolicy,
}

impl Dataplane {
    /// Starts the workers and returns the receiver of their events; within a tokio runtime.
    ///
    /// # Errors
    /// The backend cannot run, or a thread, ring or pool cannot be made. No worker runs then.
    pub fn start(
        config: &DataplaneConfig,
    ) -> Result<(Self, mpsc::Receiver<DataplaneEvent>), DataplaneError> {
        if !(1..=WORKERS_MAX).contains(&config.workers) {
            return Err(DataplaneError::Workers(config.workers));
        }
        raise_open_files();
        let backend = backend::choose(config.backend)?;
        let scheduling =
            scheduling::choose(config.scheduling).map_err(DataplaneError::Scheduling)?;
        let workers = Workers {
            number: config.workers,
            are_real_time: config.scheduling == SchedulingChoice::RealTime,
            bound_to: (0..config.workers).filter_map(|id| config.cpus.of_worker(id)).collect(),
        };
        let idle = IdleWatch::start(config.idle, workers);
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let snapshot = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
        let loop_table = Arc::new(LoopTable::new([random()?, random()?]));
        let mut inner = Inner {
            workers: Vec::new(),
            snapshot,
            retired: Mutex::default(),
            epoch: AtomicU64::new(0),
            backend,
            scheduling,
            idle,
            loop_table,
            slots: PORTS_MAX,
            threads: Mutex::new(Vec::new()),
        };
        let failed = |worker| move |source| DataplaneError::Start { worker, source };
        let wakers = (0..config.workers).map(|id| Waker::new().map_err(failed(id)));
        let wakers = wakers.collect::<Result<Vec<_>, _>>()?;
        let ends = FdbSync::mesh(config.workers).into_iter().zip(HandoffQueues::mesh(&wakers));
        for (id, ((fdb_sync, handoff), waker)) in ends.zip(wakers).enumerate() {
            let commands = Arc::new(ArrayQueue::new(COMMANDS_MAX));
            let ended = Arc::new(AtomicBool::new(false));
            let setup = Setup {
                id,
                backend: inner.backend.clone(),
                cpu: config.cpus.of_worker(id),
                scheduling: inner.scheduling.clone(),
                idle: config.idle,
                spin: Spin::new(Arc::clone(&inner.idle.shared), Arc::clone(&inner.idle.traffic)),
                waker: waker.clone(),
                commands: Arc::clone(&commands),
                ended: Arc::clone(&ended),
                events: events.clone(),
                snapshot: Arc::clone(&inner.snapshot),
                fdb_sync,
                handoff,
                shard_spec: nat::ShardSpec::new(id, config.workers),
                seed: random()?,
                loop_table: Arc::clone(&inner.loop_table),
            };
            // On error `Inner` stops the workers started so far.
            let (thread, slots) = spawn(setup).map_err(failed(id))?;
            inner.slots = inner.slots.min(slots);
            inner.workers.push(WorkerHandle { commands, ended, waker });
            inner.threads.get_mut().unwrap_or_else(|e| e.into_inner()).push(thread);
        }
        Ok((Self(Arc::new(inner)), receiver))
    }
}

/// Starts a worker's thread and waits for its engine.
fn spawn(setup: Setup) -> io::Result<(JoinHandle<()>, usize)> {
    let (ready_tx, ready_rx) = std_mpsc::channel();
    let thread =
        thread::Builder::new().name(format!("vswitch-w{}", setup.id)).spawn(move || {
            match Worker::new(setup) {
                Ok(worker) => {
                    // A closed channel means that `spawn` timed out.
                    if ready_tx.send(Ok(worker.slots())).is_ok() {
                        worker.run();
                    }
                }
                Err(error) => {
                    let _ = ready_tx.send(Err(error));
                }
            }
        })?;
    match ready_rx.recv_timeout(Duration::from_secs(10)) {
        Ok(Ok(slots)) => Ok((thread, slots)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

fn random() -> Result<u64, DataplaneError> {
    getrandom::u64().map_err(|error| DataplaneError::Random(error.to_string()))
}

/// Raises the limit of open files, which bounds descriptors and slots of the ring.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // On failure the slots are fewer, and a surplus port gets an error that names the limit.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
