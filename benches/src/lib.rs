//! Shared pieces of the benchmarks: a switch over ports in memory.
#![forbid(unsafe_code)]

use std::time::Duration;

use fastpath::engine::memory::MemoryEngine;
use fastpath::engine::{Engine, Wait};
use fastpath::limits::{POOL_FRAMES, ROUND_FRAMES_MAX, VNET_LEN};
use fastpath::{Nanos, Pool, PortIndex};
use vswitch::datapath::{
    self, Batch, NetworkConf, NetworkIndex, PortConf, PortKind, Snapshot, State, Stats,
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
    /// When there is no memory.
    #[must_use]
    pub fn new(load: Load) -> Self {
        let mut engine = MemoryEngine::new();
        for port in 0..load.ports {
            engine.open_cycle(PortIndex(port), frames(load, port));
        }
        let conf = NetworkConf {
            mtu: 1500,
            ageing: Duration::from_secs(300),
            fdb_entries_max: 65_536,
            statics: Vec::new(),
            neighbours: Vec::new(),
        };
        let port = |port| {
            let conf = PortConf::new(NetworkIndex(0), PortKind::Container, MacAddr::ZERO);
            (PortIndex(port), conf)
        };
        let mut pipeline = Self {
            engine,
            pool: Pool::new(POOL_FRAMES).expect("memory for the pool"),
            batch: Batch::with_capacity(ROUND_FRAMES_MAX),
            snapshot: Snapshot::compile(vec![conf], (0..load.ports).map(port)).with_epoch(1),
            state: State::new(0x005e_ed00, false),
            stats: Stats::default(),
            now: Nanos(1_000_000_000_000),
        };
        let mut learnt = 0;
        while learnt < 2 * load.macs {
            learnt += pipeline.round() as u64;
        }
        pipeline
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
        datapath::run(
            self.now,
            &mut self.batch,
            &mut self.pool,
            &self.snapshot,
            &mut self.state,
            &mut self.stats,
            &mut self.engine,
        );
        self.now = self.now.after(Duration::from_micros(10));
        frames
    }

    /// Frames that were flooded since the start, in further copies.
    #[must_use]
    pub fn flood_copies(&self) -> u64 {
        self.stats.flood_copies
    }
}

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
