//! Shared pieces of the benchmarks: a switch over ports in memory.
#![forbid(unsafe_code)]

pub mod churn;
pub mod gso;
pub mod names;
pub mod overlay;
pub mod routed;
pub mod shapes;
pub mod stages;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use fastpath::engine::memory::MemoryEngine;
use fastpath::engine::{Engine, Wait};
use fastpath::limits::{POOL_FRAMES, ROUND_FRAMES_MAX, VNET_LEN};
use fastpath::{Nanos, Pool, PortIndex};
use vswitch::datapath::limits::{MACS_PER_PORT, STORM_BROADCAST, STORM_MULTICAST, STORM_UNKNOWN};
use vswitch::datapath::{
    self, Batch, FrameIo, Guard, HostConfig, NetworkConf, NetworkIndex, NoObserver, PortConf,
    PortKind, PortLimits, Rate, RouterConf, ServiceConf, Snapshot, State, Stats, Storm,
    TokenBucket,
};
use wire::MacAddr;

/// What a pipeline is loaded with.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Number of ports.
    pub ports: u16,
    /// MAC addresses in all, spread over the ports.
    pub macs: u64,
    /// Length of the Ethernet frames in bytes.
    pub frame_len: usize,
    /// All guards that a container's port has by default: source guard, storm control, a limit of MAC
    /// addresses, loop protection. One address a port then: the guard knows no other.
    pub guarded: bool,
    /// Whether the network has a router, which none of these frames is for.
    pub routed: bool,
}

impl Load {
    /// The one that targets are set for: 64-byte frames between 1,000 addresses on four ports.
    pub const L2: Self =
        Self { ports: 4, macs: 1_000, frame_len: 64, guarded: false, routed: false };

    /// One address a port, without guards.
    pub const PLAIN: Self = Self { macs: 4, ..Self::L2 };

    /// The first beside a router.
    pub const BESIDE_ROUTER: Self = Self { routed: true, ..Self::L2 };

    /// The second with all guards.
    pub const GUARDED: Self = Self { guarded: true, ..Self::PLAIN };
}

/// A switch over ports in memory, on which UDP frames between known addresses come in for ever.
#[derive(Debug)]
pub struct Pipeline {
    engine: MemoryEngine,
    pool: Pool,
    batch: Batch,
    snapshot: Snapshot,
    state: State,
    stats: Stats,
    now: Nanos,
}

impl Pipeline {
    /// A pipeline that has learnt all its addresses.
    ///
    /// # Panics
    /// When there is no memory, or a guarded port has more than one address.
    #[must_use]
    pub fn new(load: Load) -> Self {
        assert!(!load.guarded || load.macs == u64::from(load.ports), "one address a guarded port");
        let mut engine = MemoryEngine::new();
        for port in 0..load.ports {
            engine.open_cycle(PortIndex(port), frames(load, port));
        }
        let conf = network(routed::GATEWAY, load.routed.then(|| routed::router(Vec::new())));
        let port = |port| {
            let own = mac(u64::from(port));
            let conf = PortConf::new(NetworkIndex(0), PortKind::Container, own);
            let guard = load.guarded.then_some(Guard {
                mac: own,
                ipv4: Some(SOURCE),
                ipv6: None,
                further: vswitch::datapath::PortAddresses::NONE,
            });
            (PortIndex(port), PortConf { guard, ..conf })
        };
        let ports = 0..load.ports;
        let limited =
            ports.clone().filter(|_| load.guarded).map(|port| (PortIndex(port), limits()));
        let snapshot = Snapshot::compile(vec![conf], ports.map(port)).with_limits(limited);
        let mut pipeline = Self::over(engine, snapshot);
        let mut learnt = 0;
        while learnt < 2 * load.macs {
            learnt += pipeline.round() as u64;
        }
        pipeline
    }

    fn over(engine: MemoryEngine, snapshot: Snapshot) -> Self {
        Self {
            engine,
            pool: Pool::new(POOL_FRAMES).expect("memory for the pool"),
            batch: Batch::with_capacity(ROUND_FRAMES_MAX),
            snapshot: snapshot.with_epoch(1),
            state: State::new(0x005e_ed00, false),
            stats: Stats::default(),
            now: Nanos(1_000_000_000_000),
        }
    }

    /// One round. Returns the frames that came in.
    ///
    /// # Panics
    /// Never: memory ports do not fail.
    pub fn round(&mut self) -> usize {
        self.engine
            .round(&mut self.pool, Wait::No, self.batch.incoming())
            .expect("memory ports do not fail");
        let frames = self.batch.len();
        let (pool, stats, observer) = (&mut self.pool, &mut self.stats, &mut NoObserver);
        let io = &mut FrameIo { pool, stats, observer };
        let (state, engine) = (&mut self.state, &mut self.engine);
        datapath::run(self.now, &mut self.batch, &self.snapshot, state, io, engine);
        self.now = self.now.after(Duration::from_micros(10));
        frames
    }

    /// Frames that were flooded since the start, in further copies.
    #[must_use]
    pub fn flood_copies(&self) -> u64 {
        self.stats.counters.flood_copies
    }
}

/// A network with the service where it has a router.
fn network(mac: MacAddr, router: Option<RouterConf>) -> NetworkConf {
    let service = router.as_ref().map(|router| ServiceConf {
        vlan: 0,
        gateways: router.gateways.clone(),
        has_host_port: true,
    });
    NetworkConf {
        host_config: HostConfig::default(),
        mtu: 1500,
        ageing: Duration::from_secs(300),
        fdb_entries_max: 65_536,
        statics: Vec::new(),
        neighbours: Vec::new(),
        router,
        mac,
        snooping: true,
        service,
        overlay: None,
    }
}

/// What a container may do unless told otherwise.
fn limits() -> PortLimits {
    let storm = |rate| Some(Arc::new(TokenBucket::new(Rate::frames(rate))));
    let storm = Storm {
        broadcast: storm(STORM_BROADCAST),
        multicast: storm(STORM_MULTICAST),
        unknown: storm(STORM_UNKNOWN),
    };
    PortLimits { storm: Some(storm), macs_max: MACS_PER_PORT, loop_guard: true, ..PortLimits::NONE }
}

/// Who all frames say that they are from.
const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);

fn mac(n: u64) -> MacAddr {
    MacAddr::from_u64(0x0200_0000_0000 | n)
}

/// Address `n` lives on port `n % ports`; each sends to an address of another port.
fn frames(load: Load, port: u16) -> Vec<Vec<u8>> {
    let own = (0..load.macs).filter(|n| n % u64::from(load.ports) == u64::from(port));
    let udp = |n: u64| {
        let peer = (n + 1 + 7 * u64::from(load.ports)) % load.macs;
        let mut bytes = vec![0; VNET_LEN + load.frame_len];
        let ethernet = &mut bytes[VNET_LEN..];
        ethernet[..6].copy_from_slice(&mac(peer).0);
        ethernet[6..12].copy_from_slice(&mac(n).0);
        ethernet[12..14].copy_from_slice(&[8, 0]);
        let ip_len = (load.frame_len - 14) as u16;
        ethernet[14..24].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17]);
        ethernet[16..18].copy_from_slice(&ip_len.to_be_bytes());
        ethernet[26..34].copy_from_slice(&[10, 99, 0, 2, 10, 99, 0, 3]);
        ethernet[34..38].copy_from_slice(&[0x30, 0x39, 0, 53]);
        ethernet[38..40].copy_from_slice(&(ip_len - 20).to_be_bytes());
        bytes
    };
    own.map(udp).collect()
}
