//! Worker thread with its engine, pool, FDB and counters.
//!
//! # Theory of operation
//!
//! A round: engine I/O (writes of the last round, then reads), clock, snapshot, handoffs, commands, FDB
//! sync, datapath. A worker sleeps only in the engine, while no port is active; a frame or the
//! [`Waker`] wakes it.
//!
//! Workers take no lock. Control sends [`Command`]s through a bounded queue; each has a channel for its
//! reply. Workers exchange FDB entries and frames of other NAT shards through SPSC rings
//! ([`fastpath::ring::spsc`]).

mod close;
mod command;
mod event;
mod fdb_sync;
mod handoff;
mod report;
mod rx_throttle;
mod spin;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};
use crossbeam::queue::ArrayQueue;
use fastpath::datagram::Unsent;
use fastpath::limits::{POOL_FRAMES, ROUND_FRAMES_MAX};
use fastpath::{
    BackendReport, Clock, Engine, EngineEvent, IdlePolicy, Nanos, Pool, PortIndex, PortQueue,
    SchedulingReport, Wait, Waker, backend,
};
use nat::ShardSpec;
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::sync::{mpsc, oneshot};
use vswitch_counters::RoundCounters;

pub(crate) use command::{ClaimedBlocks, Command, Removed};
pub use event::DataplaneEvent;
pub(crate) use fdb_sync::FdbSync;
pub(crate) use handoff::HandoffQueues;
pub(crate) use report::WorkerReport;
use rx_throttle::RxThrottle;
pub(crate) use spin::Spin;

use crate::datapath::limits::{QUERY_INTERVAL_S, RESOLVES_MAX};
use crate::datapath::{self, Batch, LoopTable, PortCounters, Snapshot, State, Stats, TickConf};
use crate::limits::{
    DHCP_REQUESTS_MAX, EVENTS_MAX, SWEEP_EVERY, THROTTLE_PERIOD, WORKER_DRAIN_MAX,
};

/// [`FrameIo`](crate::datapath::FrameIo) of a worker without an observer. A method would borrow all of it.
macro_rules! io {
    ($worker:expr) => {
        $crate::datapath::FrameIo {
            pool: &mut $worker.pool,
            stats: &mut $worker.stats,
            observer: &mut $crate::datapath::NoObserver,
        }
    };
}
use io;

/// Interval of IGMP and MLD queries.
const QUERY_EVERY: Duration = Duration::from_secs(QUERY_INTERVAL_S as u64);

/// Parameters of a new worker.
pub(crate) struct Setup {
    pub(crate) id: usize,
    pub(crate) backend: BackendReport,
    /// Processor of its thread.
    pub(crate) cpu: Option<usize>,
    pub(crate) scheduling: SchedulingReport,
    pub(crate) idle: IdlePolicy,
    pub(crate) spin: Spin,
    pub(crate) waker: Waker,
    pub(crate) commands: Arc<ArrayQueue<Command>>,
    /// Set once the worker ignores commands.
    pub(crate) ended: Arc<AtomicBool>,
    pub(crate) events: mpsc::Sender<DataplaneEvent>,
    pub(crate) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(crate) fdb_sync: FdbSync,
    pub(crate) handoff: HandoffQueues,
    /// NAT shard.
    pub(crate) shard_spec: ShardSpec,
    pub(crate) seed: u64,
    pub(crate) loop_table: Arc<LoopTable>,
}

pub(crate) struct Worker {
    id: usize,
    idle: IdlePolicy,
    spin: Spin,
    engine: Box<dyn Engine>,
    pool: Pool,
    clock: Clock,
    batch: Batch,
    commands: Arc<ArrayQueue<Command>>,
    ended: Arc<AtomicBool>,
    events: mpsc::Sender<DataplaneEvent>,
    snapshot: Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>,
    fdb_sync: FdbSync,
    handoff: HandoffQueues,
    state: State,
    rx_throttle: RxThrottle,
    stats: Stats,
    /// Datagrams of the last round that could not be sent.
    unsent: Vec<Unsent>,
    /// Replies due when a port is closed.
    closing: Vec<(PortIndex, oneshot::Sender<Removed>)>,
    /// Open ports.
    open: Vec<PortIndex>,
    /// Counters of former ports whose slots are in use again.
    retired: PortCounters,
    /// Queues of ports closed without a command; closed with the worker.
    unclaimed_queues: Vec<PortQueue>,
    counters: RoundCounters,
    next_sweep: Nanos,
    stop: Option<oneshot::Sender<()>>,
}

impl Worker {
    /// Builds the worker on its own thread, which owns the ring.
    pub(crate) fn new(setup: Setup) -> std::io::Result<Self> {
        // Binds before the pool exists, so that its memory lies near that processor.
        setup.cpu.map_or(Ok(()), bind_to)?;
        setup.scheduling.apply()?;
        let pool = Pool::new(POOL_FRAMES)?;
        let engine = backend::engine(&setup.backend, &pool, setup.waker)?;
        Ok(Self {
            id: setup.id,
            idle: setup.idle,
            spin: setup.spin,
            engine,
            pool,
            clock: Clock,
            batch: Batch::with_capacity(ROUND_FRAMES_MAX),
            commands: setup.commands,
            ended: setup.ended,
            events: setup.events,
            snapshot: Cache::new(setup.snapshot),
            state: State::with_loop_table(setup.seed, setup.fdb_sync.has_peers(), setup.loop_table)
                .with_shard_spec(setup.shard_spec)
                .with_claimed_blocks(),
            handoff: setup.handoff,
            fdb_sync: setup.fdb_sync,
            rx_throttle: RxThrottle::default(),
            stats: Stats::default(),
            unsent: Vec::new(),
            closing: Vec::new(),
            open: Vec::new(),
            retired: PortCounters::default(),
            unclaimed_queues: Vec::new(),
            counters: RoundCounters::default(),
            next_sweep: Nanos::default(),
            stop: None,
        })
    }

    /// Number of port slots.
    pub(crate) fn slots(&self) -> usize {
        self.engine.capacity()
    }

    /// Runs rounds until [`Command::Stop`] or a fatal error of the engine.
    pub(crate) fn run(mut self) {
        while self.stop.is_none() {
            if let Err(error) = self.round() {
                let error = format!("packet I/O failed: {error}");
                // A closed channel means that the daemon ends.
                let _ =
                    self.events.try_send(DataplaneEvent::WorkerFailed { worker: self.id, error });
                return;
            }
        }
        self.drain();
    }

    fn round(&mut self) -> std::io::Result<()> {
        if let Some(rounds) = self.spin.changed() {
            self.engine.set_spin_rounds(rounds);
            self.counters.spin_rounds = rounds.into();
            self.counters.spin_changes += 1;
        }
        let wait = self.idle.wait(self.max_sleep());
        self.engine.round(&mut self.pool, wait, self.batch.incoming())?;
        let now = self.clock.now();
        let snapshot = Arc::clone(self.snapshot.load());
        self.engine.take_unsent(&mut self.unsent);
        self.unsent.drain(..).for_each(|unsent| self.stats.count_unsent(&snapshot, unsent));
        let is_empty = self.batch.is_empty();
        self.counters.rounds += 1;
        self.counters.empty_rounds += u64::from(is_empty);
        if !is_empty {
            self.spin.note_frames(now);
        }
        // Commands come later, so that replies reflect the last published snapshot.
        self.state.apply_snapshot(&snapshot);
        let has_handoffs = self.handoff.recv(&mut self.state, &mut io!(self));
        self.handle_events(now, &snapshot);
        self.fdb_sync.drain(&snapshot, &mut self.state);
        let is_idle = is_empty && !has_handoffs;
        let (state, engine) = (&mut self.state, &mut *self.engine);
        let io = &mut io!(self);
        datapath::run(now, &mut self.batch, &snapshot, state, io, engine);
        self.handoff.send(state, io);
        let conf = TickConf { is_querier: self.id == 0, is_idle };
        datapath::tick(now, conf, &snapshot, state, io, engine);
        let is_exempt = |port| snapshot.is_shared(port);
        self.rx_throttle.round(now, &mut *self.engine, &self.stats, is_exempt);
        self.fdb_sync.broadcast(&mut self.state);
        self.report_events();
        if now >= self.next_sweep {
            self.state.fdb.sweep(now.seconds(), &snapshot);
            self.next_sweep = now.after(SWEEP_EVERY);
        }
        Ok(())
    }

    /// Sends loop events, DHCP requests and unresolved next hops to control.
    fn report_events(&mut self) {
        for event in self.state.loops.events() {
            // The channel has a slot for each port.
            let _ = self.events.try_send(DataplaneEvent::LoopBlocked(event));
        }
        self.state.dhcp.drain(|port, frame, counters| {
            let event = || DataplaneEvent::DhcpRequest { port, frame: frame.to_vec() };
            let has_room = self.events.capacity() > EVENTS_MAX - DHCP_REQUESTS_MAX;
            match has_room && self.events.try_send(event()).is_ok() {
                true => counters.dhcp_requests += 1,
                false => counters.dhcp_requests_lost += 1,
            }
        });
        let Some(router) = &mut self.state.router else { return };
        while router.has_block_request() && self.events.capacity() > EVENTS_MAX / 2 {
            let Some(request) = router.poll_block_request() else { break };
            let event = DataplaneEvent::BlocksWanted { worker: self.id, request };
            if self.events.try_send(event).is_err() {
                router.put_back_block_request(request);
                break;
            }
        }
        for ((next_hop, uplink), port) in router.unresolved() {
            // Resolve events repeat, so they leave those slots free.
            if self.events.capacity() > EVENTS_MAX - RESOLVES_MAX - DHCP_REQUESTS_MAX {
                let _ = self.events.try_send(DataplaneEvent::Resolve { next_hop, uplink, port });
            }
        }
        for (remote, protocol) in router.portless() {
            if self.events.capacity() > EVENTS_MAX - RESOLVES_MAX - DHCP_REQUESTS_MAX {
                let _ = self.events.try_send(DataplaneEvent::Portless { remote, protocol });
            }
        }
    }

    /// How long an idle worker may block: next IGMP/MLD query, FDB sweep, router timer or throttle period.
    fn max_sleep(&self) -> Wait {
        if self.rx_throttle.is_active() {
            return Wait::For(THROTTLE_PERIOD);
        }
        let at_rest = self.state.fdb.is_empty() && !self.fdb_sync.has_peers();
        let longest = if at_rest { QUERY_EVERY } else { SWEEP_EVERY };
        let routing = self.state.router.as_ref().and_then(|router| router.max_sleep());
        Wait::For(routing.map_or(longest, |wait| wait.min(longest)))
    }

    fn handle_events(&mut self, now: Nanos, snapshot: &Snapshot) {
        while let Some(event) = self.engine.next_event() {
            match event {
                EngineEvent::Woken => self.handle_commands(now, snapshot),
                // The channel has a slot for each port on each worker.
                EngineEvent::Gone(port) => {
                    let _ = self.events.try_send(DataplaneEvent::PortGone(port));
                }
                EngineEvent::Detached(port) => self.detached(port),
            }
        }
    }

    fn detached(&mut self, port: PortIndex) {
        let mut queue = self.engine.take_closed(port);
        self.open.retain(|&open| open != port);
        self.state.forget_port(port, &mut io!(self));
        let counters = self.port_counters(port);
        let waiting = self.closing.extract_if(.., |(closing, _)| *closing == port);
        for (_, reply) in waiting {
            let _ = reply.send(Removed { counters, queue: queue.take() });
        }
        self.unclaimed_queues.extend(queue);
    }

    /// Closes every port and waits up to [`WORKER_DRAIN_MAX`] for writes in flight.
    fn drain(&mut self) {
        for &port in &self.open {
            self.engine.detach(port);
        }
        let deadline = self.clock.now().after(WORKER_DRAIN_MAX);
        while !self.open.is_empty() && self.clock.now() < deadline {
            let wait = Wait::For(Duration::from_millis(50));
            if self.engine.round(&mut self.pool, wait, self.batch.incoming()).is_err() {
                break;
            }
            self.batch.discard(&mut self.pool);
            let snapshot = Arc::clone(self.snapshot.load());
            self.handle_events(self.clock.now(), &snapshot);
        }
        if let Some(reply) = self.stop.take() {
            let _ = reply.send(());
        }
        close::close_all(std::mem::take(&mut self.unclaimed_queues));
    }
}

/// Binds the calling thread to a processor.
fn bind_to(cpu: usize) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).map_err(|errno| {
        let said = std::io::Error::from(errno);
        let why = format!("cannot bind to processor {cpu}: {said}; see lscpu and --cpus");
        std::io::Error::new(said.kind(), why)
    })
}

impl Drop for Worker {
    /// Drops pending commands, so that `Dataplane::ask` returns; reports a panic.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = "worker panicked; see the log".to_owned();
            let _ = self.events.try_send(DataplaneEvent::WorkerFailed { worker: self.id, error });
        }
        self.ended.store(true, Ordering::SeqCst);
        while self.commands.pop().is_some() {}
    }
}
