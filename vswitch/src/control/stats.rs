//! Counters and limits as the API shows them.

use vswitch_api::limits::Limit;
use vswitch_api::stats::{PortStats, Stats};

use super::Control;
use super::error::ControlError;
use super::model::Model;
use super::uplink;
use crate::datapath::PortCounters;
use crate::dataplane::StatsReport;
use crate::limits;
use crate::metrics::{NetworkGauges, Scrape};

impl Control {
    /// All counters.
    pub(crate) async fn stats(&self) -> Result<Stats, ControlError> {
        let report = self.0.dataplane.stats().await?;
        Ok(shown(&self.0.model(), report))
    }

    /// The limits that a user can act on, with their hits.
    pub(crate) async fn limits(&self) -> Result<Vec<Limit>, ControlError> {
        let report = self.0.dataplane.stats().await?;
        Ok(limits::list(&report.workers_total(), &report.ports_total(), &self.0.refusals))
    }

    /// All metrics: one report of each worker.
    pub(crate) async fn scrape(&self) -> Result<Scrape, ControlError> {
        let inner = &self.0;
        let report = inner.dataplane.stats().await?;
        let model = inner.model();
        let connections = report.workers_total().connections as usize;
        let network = &model.network;
        let limits = limits::list(&report.workers_total(), &report.ports_total(), &inner.refusals);
        let networks = vec![NetworkGauges {
            name: network.name.to_string(),
            ports: model.active().count() as u64,
            fdb_entries: report.fdb_entries.first().copied().unwrap_or(0) as u64,
            fdb_entries_max: network.fdb_entries_max as u64,
        }];
        Ok(Scrape {
            backend: inner.dataplane.backend().name.to_string(),
            started_s: inner.started_s,
            networks,
            uplinks: uplink::status(&model, connections).into_iter().collect(),
            stats: shown(&model, report),
            limits,
        })
    }

    /// Counts a request that a limit refused; shown by [`Control::limits`].
    pub(crate) fn count_refusal(&self, limit: &'static str) {
        self.0.refusals.count(limit);
    }
}

/// Counters by name, the host's port first.
fn shown(model: &Model, report: StatsReport) -> Stats {
    let bridge = model.network.name.as_str();
    let rows = report
        .ports
        .iter()
        .filter_map(|(slot, counters)| Some(port_stats(&model.label(*slot)?, bridge, counters)));
    let mut ports: Vec<_> = rows.collect();
    ports.sort_by_cached_key(|port| (port.name != bridge, port.name.clone()));
    let drops = report.ports_total().drops_by_name();
    Stats { ports, workers: report.workers, drops }
}

fn port_stats(name: &str, network: &str, counters: &PortCounters) -> PortStats {
    PortStats {
        name: name.to_owned(),
        network: network.to_owned(),
        traffic: counters.traffic,
        drops: counters.drops_total(),
        drops_by_reason: counters.drops_by_name(),
    }
}
