//! Counters and limits as the API shows them.

use std::collections::BTreeMap;

use fastpath::PortIndex;
use vswitch_api::limits::Limit;
use vswitch_api::stats::{CutThroughCounters, DnsCounters, PortStats, Stats};

use super::Control;
use super::error::ControlError;
use super::inner::Inner;
use super::model::{Model, Network};
use super::{overlay, uplink};
use crate::datapath::PortCounters;
use crate::dataplane::StatsReport;
use crate::limits::{self, Counted};
use crate::metrics::{NetworkGauges, Scrape};

impl Control {
    /// All counters.
    pub(crate) async fn stats(&self) -> Result<Stats, ControlError> {
        let report = self.0.dataplane.stats().await?;
        let beside = (self.0.dns_counters(), self.0.cut_through_counters().await);
        Ok(shown(&self.0.model(), report, beside))
    }

    /// The limits that a user can act on, with their hits.
    pub(crate) async fn limits(&self) -> Result<Vec<Limit>, ControlError> {
        let report = self.0.dataplane.stats().await?;
        Ok(self.0.limits(&report, &self.0.cut_through_counters().await))
    }

    /// All metrics: one report of each worker.
    pub(crate) async fn scrape(&self) -> Result<Scrape, ControlError> {
        let inner = &self.0;
        let report = inner.dataplane.stats().await?;
        let registry = inner.registry_status().await;
        let beside = (inner.dns_counters(), inner.cut_through_counters().await);
        let model = inner.model();
        let limits = inner.limits(&report, &beside.1);
        let mut active = BTreeMap::new();
        model.active().for_each(|(port, _)| *active.entry(&port.lease.network).or_default() += 1);
        let network = |network: &Network| NetworkGauges {
            name: network.spec.name.to_string(),
            ports: active.get(&network.spec.name).copied().unwrap_or(0),
            fdb_entries: report
                .fdb_entries
                .get(usize::from(network.index.0))
                .map_or(0, |&n| n as u64),
            fdb_entries_max: network.spec.fdb_entries_max as u64,
        };
        let (published, pending) = model.count_publications();
        Ok(Scrape {
            backend: inner.dataplane.backend().name.to_string(),
            started_s: inner.started_s,
            restored: inner.restored.load(std::sync::atomic::Ordering::Relaxed),
            faults: model.faults() as u64,
            networks: model.networks().map(network).collect(),
            uplinks: uplink::labelled_statuses(&model),
            publications: [published, pending].map(|count| count as u64),
            limits,
            peers: overlay::peers(&model, &report.vteps),
            registry,
            stats: shown(&model, report, beside),
        })
    }

    /// Counts a request that a limit refused; shown by [`Control::limits`].
    pub(crate) fn count_refusal(&self, limit: &'static str) {
        self.0.refusals.count(limit);
    }
}

impl Inner {
    fn limits(&self, report: &StatsReport, cut_through: &CutThroughCounters) -> Vec<Limit> {
        limits::list(&Counted {
            workers: &report.workers_total(),
            ports: &report.ports_total(),
            dns: &self.dns_counters(),
            cut_through,
            refusals: &self.refusals,
        })
    }
}

/// Counters by network and name, host ports first, uplinks last; those beside the workers' are ready.
fn shown(
    model: &Model,
    report: StatsReport,
    (dns, cut_through): (DnsCounters, CutThroughCounters),
) -> Stats {
    let row = |(slot, counters): &(PortIndex, PortCounters)| {
        let network = model.network_in_slot(*slot).unwrap_or_default();
        Some(PortStats {
            name: model.label(*slot)?.into_owned(),
            network: network.to_owned(),
            traffic: counters.traffic,
            drops: counters.drops_total(),
            drops_by_reason: counters.drops_by_name(),
        })
    };
    let mut ports: Vec<_> = report.ports.iter().filter_map(row).collect();
    ports.sort_by_cached_key(|PortStats { name, network, .. }| {
        let is_host = model.network_of_device(name).is_some();
        (network.is_empty(), network.clone(), !is_host, name.clone())
    });
    let drops = report.ports_total().drops_by_name();
    Stats { ports, workers: report.workers, drops, dns, cut_through }
}
