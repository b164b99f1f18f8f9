//! A switch in memory with a clock that the test moves: of one worker, or of several, of which a frame comes
//! to any (see [`with_workers`]).

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastpath::engine::memory::MemoryEngine;
use fastpath::engine::{Engine, Wait};
use fastpath::limits::VNET_LEN;
use fastpath::{Frame, Nanos, Pool, PortIndex, Waker};
use vswitch_cutthrough::Allowed;
use wire::MacAddr;

use crate::datapath::*;
use crate::worker::{FdbSync, HandoffQueues};

mod handshakes;
mod recorder;
mod replay;
mod storm;

pub(super) use recorder::Recorder;
pub(super) use replay::replay_capture;
pub(super) use storm::storm;

/// Buffers of the simulated pool: small, so that exhaustion would show.
const BUFFERS: usize = 512;

pub(super) struct Sim {
    workers: Vec<Worker>,
    /// Which worker reads the next frame.
    queues: Random,
    snapshot: Snapshot,
    now: Nanos,
    confs: Vec<PortConf>,
    /// What every network is like.
    network: NetworkConf,
    /// Names that workers answer for.
    names: Option<Arc<dyn NameService>>,
    tunnel: Option<Arc<TunnelConf>>,
    allowed: Option<Arc<Allowed>>,
    differ: fn(u16, &mut NetworkConf),
    limits: BTreeMap<PortIndex, PortLimits>,
    epoch: u64,
}

/// What one worker has.
struct Worker {
    engine: MemoryEngine,
    pool: Pool,
    state: State,
    stats: Stats,
    observer: Recorder,
    fdb_sync: FdbSync,
    handoff: HandoffQueues,
}

thread_local! {
    /// How many workers a switch gets, and the seed by which frames come to them.
    static WORKERS: Cell<(usize, u64)> = const { Cell::new((1, 0)) };
}

/// Every switch of a test has so many workers.
pub(super) fn with_workers(workers: usize, seed: u64, test: impl FnOnce()) {
    WORKERS.set((workers, seed));
    test();
    WORKERS.set((1, 0));
}

fn workers(count: usize) -> Vec<Worker> {
    let wakers: Vec<_> = (0..count).map(|_| Waker::new().expect("an eventfd")).collect();
    let ends = FdbSync::mesh(count).into_iter().zip(HandoffQueues::mesh(&wakers));
    let worker = |(id, (fdb_sync, handoff)): (usize, (FdbSync, HandoffQueues))| Worker {
        engine: MemoryEngine::new(),
        pool: Pool::new(BUFFERS).expect("memory"),
        state: State::new(0x5eed + id as u64, fdb_sync.has_peers())
            .with_shard_spec(nat::ShardSpec::new(id, count)),
        stats: Stats::default(),
        observer: Recorder::default(),
        fdb_sync,
        handoff,
    };
    ends.enumerate().map(worker).collect()
}

/// The address of the host on a port.
pub(super) fn mac(port: u16) -> MacAddr {
    MacAddr::from_u64(0x0200_0000_1000 + u64::from(port))
}

/// An Ethernet frame of an experimental type, behind an offload header that asks for nothing.
pub(super) fn frame(dst: MacAddr, src: MacAddr, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; VNET_LEN];
    bytes.extend(dst.0);
    bytes.extend(src.0);
    bytes.extend([0x88, 0xb5]);
    bytes.extend(payload);
    bytes
}

pub(super) fn network() -> NetworkConf {
    NetworkConf {
        host_config: HostConfig::default(),
        mtu: 1500,
        ageing: Duration::from_secs(limits::AGEING_S),
        fdb_entries_max: limits::FDB_ENTRIES_PER_NETWORK,
        statics: Vec::new(),
        neighbours: Vec::new(),
        router: None,
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        snooping: false,
        service: None,
        overlay: None,
    }
}

fn conf((port, &network): (u16, &u16)) -> PortConf {
    PortConf::new(NetworkIndex(network), PortKind::Container, mac(port))
}

impl Sim {
    /// Ports 0 to `ports - 1` on one network.
    pub(super) fn new(ports: u16) -> Self {
        Self::with_networks(&vec![0; usize::from(ports)])
    }

    /// One port an entry, on the network that it names.
    pub(super) fn with_networks(networks: &[u16]) -> Self {
        let (count, seed) = WORKERS.get();
        let mut sim = Self {
            workers: workers(count),
            queues: Random(seed),
            snapshot: Snapshot::default(),
            now: Nanos(1_000_000_000_000),
            confs: (0..).zip(networks).map(conf).collect(),
            network: network(),
            names: None,
            tunnel: None,
            allowed: None,
            differ: |_, _| {},
            limits: BTreeMap::new(),
            epoch: 0,
        };
        for port in 0..networks.len() {
            sim.open(port as u16);
        }
        sim.compile();
        sim
    }

    /// Workers answer for names.
    pub(super) fn set_names(&mut self, names: Arc<dyn NameService>) {
        self.names = Some(names);
        self.compile();
    }

    /// Makes a further port the tunnel port.
    pub(super) fn open_tunnel(&mut self, vteps: Vec<Option<VtepConf>>) -> u16 {
        let port = self.confs.len() as u16;
        self.confs.push(PortConf::tunnel());
        self.workers.iter_mut().for_each(|worker| worker.engine.open_datagrams(PortIndex(port)));
        self.set_vteps(port, vteps);
        port
    }

    /// Changes the VTEPs of the tunnel port.
    pub(super) fn set_vteps(&mut self, port: u16, vteps: Vec<Option<VtepConf>>) {
        self.tunnel = Some(Arc::new(TunnelConf::new(PortIndex(port), vteps)));
        self.compile();
    }

    /// A VTEP of the tunnel port.
    pub(super) fn vtep(&self, vtep: VtepIndex) -> Option<VtepConf> {
        self.tunnel.as_ref()?.vtep(vtep).copied()
    }

    /// Opens a port.
    pub(super) fn open(&mut self, port: u16) {
        self.workers.iter_mut().for_each(|worker| worker.engine.open(PortIndex(port)));
    }

    /// The device behind a port vanishes.
    pub(super) fn vanish(&mut self, port: u16) {
        self.workers.iter_mut().for_each(|worker| worker.engine.vanish(PortIndex(port)));
    }

    pub(super) fn disable(&mut self, port: u16) {
        self.set(port, |conf| conf.enabled = false);
    }

    /// Changes what a port is configured to be.
    pub(super) fn set(&mut self, port: u16, change: impl FnOnce(&mut PortConf)) {
        change(&mut self.confs[usize::from(port)]);
        self.compile();
    }

    /// Changes what a port may do at most.
    pub(super) fn limit(&mut self, port: u16, change: impl FnOnce(&mut PortLimits)) {
        change(self.limits.entry(PortIndex(port)).or_default());
        self.compile();
    }

    /// Changes what every port may do at most.
    pub(super) fn limit_all(&mut self, mut change: impl FnMut(u16, &mut PortLimits)) {
        for port in 0..self.confs.len() as u16 {
            change(port, self.limits.entry(PortIndex(port)).or_default());
        }
        self.compile();
    }

    /// What the datapath of the first worker has counted.
    pub(super) fn stats(&self) -> &Stats {
        &self.workers[0].stats
    }

    /// What the datapath of the first worker remembers.
    pub(super) fn state(&mut self) -> &mut State {
        &mut self.workers[0].state
    }

    /// Waiting frames.
    pub(super) fn queued(&self) -> usize {
        self.workers.iter().map(|worker| worker.state.queued()).sum()
    }

    /// What the routers of all workers remember.
    pub(super) fn routers(&mut self) -> impl Iterator<Item = &mut RouterState> {
        self.workers.iter_mut().filter_map(|worker| worker.state.router.as_deref_mut())
    }

    /// Tells all workers that the host itself uses a flow without ports.
    pub(super) fn refuse_portless(&mut self, flow: (std::net::IpAddr, u8)) {
        let now = self.now;
        self.routers().for_each(|router| router.refuse_portless(now, &[flow]));
    }

    /// What the routers of all workers have counted.
    pub(super) fn routed(
        &mut self,
        count: impl Fn(&vswitch_counters::RouterCounters) -> u64,
    ) -> u64 {
        self.routers().map(|router| count(&router.counters())).sum()
    }

    /// Connections of all workers.
    pub(super) fn connections(&mut self) -> usize {
        self.routers().map(|router| router.len()).sum()
    }

    /// Frames that one worker handed off to another.
    pub(super) fn handed_off(&self) -> u64 {
        self.workers.iter().map(|worker| worker.stats.counters.handed_off).sum()
    }

    /// The clock.
    pub(super) fn now(&self) -> Nanos {
        self.now
    }

    /// A port is gone.
    pub(super) fn forget(&mut self, port: u16) {
        for Worker { state, pool, stats, observer, .. } in &mut self.workers {
            state.forget_port(PortIndex(port), &mut FrameIo { pool, stats, observer });
        }
    }

    /// Sets the addresses that were given out.
    pub(super) fn neighbours(&mut self, neighbours: Vec<Neighbour>) {
        self.network(|network| network.neighbours = neighbours);
    }

    /// Turns multicast snooping on.
    pub(super) fn snoop(&mut self) {
        self.network(|network| network.snooping = true);
    }

    /// Changes every network.
    pub(super) fn network(&mut self, change: impl FnOnce(&mut NetworkConf)) {
        change(&mut self.network);
        self.compile();
    }

    /// Says how networks differ from each other.
    pub(super) fn differ(&mut self, change: fn(u16, &mut NetworkConf)) {
        self.differ = change;
        self.compile();
    }

    /// Asks who listens, if it is time.
    pub(super) fn query(&mut self) {
        for (id, worker) in self.workers.iter_mut().enumerate() {
            let Worker { engine, pool, state, stats, observer, .. } = worker;
            let conf = TickConf { is_querier: id == 0, is_idle: true };
            // As a worker does.
            state.apply_snapshot(&self.snapshot);
            let io = &mut FrameIo { pool, stats, observer };
            tick(self.now, conf, &self.snapshot, state, io, engine);
        }
        self.run();
    }

    /// Takes all buffers out of the pool but so many.
    pub(super) fn hoard(&mut self, left: usize) -> Vec<Frame> {
        let pool = &mut self.workers[0].pool;
        let taken = pool.available() - left;
        (0..taken).map(|_| pool.alloc().expect("it is available")).collect()
    }

    pub(super) fn give_back(&mut self, frames: Vec<Frame>) {
        frames.into_iter().for_each(|frame| self.workers[0].pool.release(frame));
    }

    fn compile(&mut self) {
        let networks = self.confs.iter().map(|conf| conf.network);
        let count = networks.filter(|&network| network != NetworkIndex::NONE).max();
        let ports = (0..).map(PortIndex).zip(self.confs.iter().cloned());
        let mut networks = vec![self.network.clone(); count.map_or(0, |last| last.0 + 1).into()];
        (0..).zip(&mut networks).for_each(|(index, network)| (self.differ)(index, network));
        self.epoch += 1;
        self.snapshot = Snapshot::compile(networks, ports)
            .with_limits(self.limits.clone())
            .with_epoch(self.epoch);
        let names = self.names.clone();
        self.snapshot = names.into_iter().fold(self.snapshot.clone(), Snapshot::with_names);
        let (tunnel, allowed) = (self.tunnel.clone(), self.allowed.clone());
        self.snapshot = self.snapshot.clone().with_tunnel(tunnel).with_cut_through(allowed);
    }

    /// A frame comes in, to whichever worker.
    pub(super) fn inject(&mut self, port: u16, bytes: Vec<u8>) {
        let worker = self.queues.below(self.workers.len() as u64) as usize;
        self.inject_to(worker, port, bytes);
    }

    /// A frame comes in to that worker.
    pub(super) fn inject_to(&mut self, worker: usize, port: u16, bytes: Vec<u8>) {
        self.workers[worker].engine.inject(PortIndex(port), bytes);
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    /// Rounds until nothing is left to do.
    pub(super) fn run(&mut self) {
        self.run_some(|_| true);
    }

    /// The same, while all workers but one do nothing.
    pub(super) fn run_only(&mut self, worker: usize) {
        self.run_some(|id| id == worker);
    }

    fn run_some(&mut self, runs: impl Fn(usize) -> bool) {
        let mut batch = Batch::with_capacity(64);
        loop {
            let mut is_last = true;
            for (_, worker) in self.workers.iter_mut().enumerate().filter(|(id, _)| runs(*id)) {
                let Worker { engine, pool, state, stats, observer, fdb_sync, handoff } = worker;
                engine.round(pool, Wait::No, batch.incoming()).expect("memory");
                is_last &= batch.is_empty() && !engine.is_busy();
                state.apply_snapshot(&self.snapshot);
                fdb_sync.drain(&self.snapshot, state);
                let io = &mut FrameIo { pool, stats, observer };
                is_last &= !handoff.recv(state, io);
                run(self.now, &mut batch, &self.snapshot, state, io, engine);
                handoff.send(state, io);
                fdb_sync.broadcast(state);
                state.fdb.sweep(self.now.seconds(), &self.snapshot);
            }
            if is_last {
                return;
            }
        }
    }

    pub(super) fn sent(&mut self, port: u16) -> Vec<Vec<u8>> {
        self.workers.iter_mut().flat_map(|worker| worker.engine.sent(PortIndex(port))).collect()
    }

    /// Frames sent to each port since the last call.
    pub(super) fn sent_counts(&mut self) -> Vec<usize> {
        (0..self.confs.len()).map(|port| self.sent(port as u16).len()).collect()
    }

    pub(super) fn drops(&self, port: u16, reason: DropReason) -> u64 {
        self.workers.iter().map(|worker| worker.counters(port).drops[reason as usize]).sum()
    }

    /// What the first worker's observer saw.
    pub(super) fn observed(&self) -> &Recorder {
        &self.workers[0].observer
    }

    /// The law of conservation, and no buffer lost.
    pub(super) fn check(&self) {
        self.workers.iter().for_each(|worker| worker.check(self.confs.len().max(64) as u16));
        let taken: u64 =
            self.workers.iter().map(|worker| worker.stats.counters.handoff_received).sum();
        assert_eq!(taken, self.handed_off(), "between workers");
    }
}

impl Worker {
    fn counters(&self, port: u16) -> PortCounters {
        let port = PortIndex(port);
        PortCounters::new(self.engine.port_io(port), self.stats.port_drops(port))
    }

    fn check(&self, ports: u16) {
        let mut sum = PortCounters::default();
        for port in 0..ports {
            sum += self.counters(port);
        }
        let (stats, held) = (&self.stats, self.state.queued());
        let came = sum.traffic.rx_frames
            + stats.counters.generated
            + stats.counters.flood_copies
            + stats.counters.segmented
            + stats.counters.handoff_received;
        let went = sum.traffic.tx_frames
            + sum.drops_total()
            + stats.counters.consumed
            + stats.counters.merged
            + stats.counters.handed_off;
        let lost = "frames appeared or vanished";
        assert_eq!(came, went + held as u64, "{lost}: {sum:?} {stats:?}");
        assert_eq!(self.pool.available() + held, BUFFERS, "a buffer was lost");
        self.observer.check(stats, ports);
    }
}

/// A small generator, so that a seed means the same for ever (SplitMix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}
