//! Snapshots that change one port of many, on a switch with publications: the cost of a worker's next round.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use fastpath::engine::memory::MemoryEngine;
use fastpath::{Clock, Nanos, Pool, PortIndex};
use nat::{OwnerId, Published, Transport, Zone};
use vswitch::datapath::{
    self, Batch, FrameIo, Isolation, NetworkIndex, NoObserver, PortConf, PortKind, Snapshot,
    SnapshotBuilder, State, Stats,
};

use crate::{mac, routed};

/// Container ports.
const PORTS: RangeInclusive<u16> = 2..=1_001;

/// A worker without traffic, and two snapshots that differ in the isolation of one port.
#[derive(Debug)]
pub struct Churn {
    snapshots: [Snapshot; 2],
    state: State,
    pool: Pool,
    stats: Stats,
    engine: MemoryEngine,
    batch: Batch,
    epoch: u64,
}

impl Churn {
    /// 1,000 ports, each with a publication.
    ///
    /// # Panics
    /// When there is no memory.
    #[must_use]
    pub fn new() -> Self {
        let mut builder = SnapshotBuilder::default();
        let network =
            crate::network(routed::GATEWAY, Some(routed::router(PORTS.map(published).collect())));
        let mut snapshot = |isolation| {
            let ports = PORTS.map(|port| {
                let conf = PortConf::new(NetworkIndex(0), PortKind::Container, mac(port.into()));
                let isolation = if port == 500 { isolation } else { Isolation::None };
                (PortIndex(port), PortConf { isolation, ..conf })
            });
            builder.next(vec![network.clone()], ports, [])
        };
        let snapshots = [snapshot(Isolation::None), snapshot(Isolation::Promiscuous)];
        let mut churn = Self {
            snapshots,
            state: State::new(1, false),
            pool: Pool::new(64).expect("memory for the pool"),
            stats: Stats::default(),
            engine: MemoryEngine::new(),
            batch: Batch::with_capacity(64),
            epoch: 0,
        };
        churn.round();
        churn
    }

    /// Publishes the other snapshot. Returns how long the worker's next round takes, without packet I/O.
    pub fn round(&mut self) -> Duration {
        self.epoch += 1;
        let snapshot = self.snapshots[(self.epoch % 2) as usize].clone().with_epoch(self.epoch);
        let (pool, stats, observer) = (&mut self.pool, &mut self.stats, &mut NoObserver);
        let io = &mut FrameIo { pool, stats, observer };
        let now = Nanos(1_000_000_000_000);
        let begin = Clock.now();
        datapath::run(now, &mut self.batch, &snapshot, &mut self.state, io, &mut self.engine);
        Clock.now() - begin
    }
}

/// Port 10000 and so on of the host, one for each container.
fn published(port: u16) -> Published {
    Published {
        zone: Zone(0),
        transport: Transport::Tcp,
        address: None,
        ports: 10_000 + port..=10_000 + port,
        to_v4: Some(Ipv4Addr::from_bits(0x0a63_0000 + u32::from(port))),
        to_v6: None,
        to_port: 80,
        owner: OwnerId(port.into()),
        allow_from: Vec::new(),
    }
}

impl Default for Churn {
    fn default() -> Self {
        Self::new()
    }
}
