//! Counters and limits as the API shows them.

use vswitch_api::limits::Limit;
use vswitch_api::stats::{PortStats, Stats};

use super::Control;
use super::error::ControlError;
use crate::datapath::PortCounters;
use crate::limits;

impl Control {
    /// All counters.
    pub(crate) async fn stats(&self) -> Result<Stats, ControlError> {
        let report = self.0.dataplane.stats().await?;
        let model = self.0.model();
        let bridge = model.network.name.as_str();
        let rows = report.ports.iter().filter_map(|(slot, counters)| {
            Some(port_stats(&model.label(*slot)?, bridge, counters))
        });
        let mut ports: Vec<_> = rows.collect();
        // By name, the host's first.
        ports.sort_by_cached_key(|port| (port.name != bridge, port.name.clone()));
        let drops = report.ports_total().drops_by_name();
        Ok(Stats { ports, workers: report.workers, drops })
    }

    /// The limits that a user can act on, with their hits.
    pub(crate) async fn limits(&self) -> Result<Vec<Limit>, ControlError> {
        let report = self.0.dataplane.stats().await?;
        Ok(limits::list(&report.workers_total(), &report.ports_total(), &self.0.refusals))
    }

    /// Counts a request that a limit refused; shown by [`Control::limits`].
    pub(crate) fn count_refusal(&self, limit: &'static str) {
        self.0.refusals.count(limit);
    }
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
