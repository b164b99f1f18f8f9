//! Copy of a worker's counters for control.

use fastpath::PortIndex;
use vswitch_counters::{ReportCounters, RoundCounters, VtepTraffic, WorkerStats};

use super::Worker;
use crate::datapath::PortCounters;

/// Counters of a worker.
#[derive(Debug)]
pub(crate) struct WorkerReport {
    /// Counters of each open port.
    pub(crate) ports: Vec<(PortIndex, PortCounters)>,
    /// Sum over closed ports.
    pub(crate) closed: PortCounters,
    pub(crate) worker: WorkerStats,
    /// FDB entries of each network, by its index.
    pub(crate) fdb_entries: Vec<usize>,
    /// Traffic of each VTEP, by its slot.
    pub(crate) vteps: Vec<VtepTraffic>,
}

impl Worker {
    pub(super) fn port_counters(&self, port: PortIndex) -> PortCounters {
        PortCounters::new(self.engine.port_io(port), self.stats.port_drops(port))
    }

    /// Counters of closed ports. A closed slot still counts drops and keeps its counters until reuse.
    fn closed(&self) -> PortCounters {
        let mut is_open = vec![false; self.engine.slots().max(self.stats.slots())];
        for port in &self.open {
            is_open[port.get()] = true;
        }
        let slots = is_open.iter().enumerate().filter(|(_, is_open)| !**is_open);
        let mut sum = self.retired;
        for port in slots.filter_map(|(slot, _)| PortIndex::new(slot)) {
            sum += self.port_counters(port);
        }
        sum
    }

    pub(super) fn report(&self) -> WorkerReport {
        let ports: Vec<_> =
            self.open.iter().map(|&port| (port, self.port_counters(port))).collect();
        let closed = self.closed();
        let mut total = closed;
        for (_, counters) in &ports {
            total += *counters;
        }
        let state = &self.state;
        let held = self.engine.writes_in_flight() + self.batch.len() + state.queued();
        let mut worker = WorkerStats { worker: self.id, ..WorkerStats::default() };
        worker += ReportCounters {
            received: total.traffic.rx_frames,
            sent: total.traffic.tx_frames,
            dropped: total.drops_total(),
            in_flight: held as u64,
            fdb_entries: state.fdb.len() as u64,
            mdb_entries: state.groups.len() as u64,
            connections: state.router.as_ref().map_or(0, |router| router.len() as u64),
            connections_sharing: state.router.as_ref().map_or(0, |router| router.sharing() as u64),
            fdb_sync_drops: self.fdb_sync.drops() + state.fdb_sync_drops,
        };
        worker += self.stats.counters;
        worker += state.fdb.counters();
        worker += state.groups.counters;
        worker += state.loops.counters();
        worker += state.dhcp.counters;
        worker += state.tunnel_counters();
        if let Some(router) = &state.router {
            let (nat, fragments) = router.nat_counters();
            worker += router.counters();
            worker += nat;
            worker += fragments;
        }
        worker += RoundCounters { throttles: self.rx_throttle.count(), ..self.counters };
        worker += self.engine.stats();
        worker += self.pool.counters();
        WorkerReport {
            ports,
            closed,
            worker,
            fdb_entries: state.fdb.entries_per_network().to_vec(),
            vteps: self.stats.vteps().to_vec(),
        }
    }
}
