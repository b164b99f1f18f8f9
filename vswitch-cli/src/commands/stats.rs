//! `vswitch stats`: counters, drops by reason, and rates while somebody watches.

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use vswitch_api::stats::{PortStats, Stats, WorkerStats};

use crate::error::Outcome;
use crate::global::Global;
use crate::output::Format;
use crate::table::Column::{Number, Text};
use crate::{human, output, table};

/// Show traffic, drops by reason, and what the workers do
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StatsArgs {
    /// Go on, and show rates every so many seconds, until interrupted
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: Option<u64>,
    /// End after so many times
    #[arg(long, value_name = "N", requires = "watch")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

const EXAMPLES: &str = "\
Directions are the switch's: RX came from the container. For every worker
received + generated + flood_copies + handoff_received
== sent + dropped + consumed + in_flight + handed_off; counters at zero are left out.
docs/metrics.md explains each counter.
With --watch and --format json every line is one JSON object with the counters.

Examples:
  vswitch stats
  vswitch stats --watch 1
  vswitch stats --format json | jq .drops";

impl StatsArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let client = global.client()?;
        let mut before = client.wait(client.stats())?;
        let Some(interval) = self.watch else {
            output::show(global.format, &before, render)?;
            return Ok(ExitCode::SUCCESS);
        };
        for _ in 0..self.count.unwrap_or(u64::MAX) {
            std::thread::sleep(Duration::from_secs(interval));
            let now = client.wait(client.stats())?;
            match global.format {
                Format::Table => output::text(&render_rates(&before, &now, interval))?,
                Format::Json => output::json_line(&now)?,
            }
            before = now;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn render(stats: &Stats) -> String {
    let columns = [
        Text("PORT"),
        Number("RX FRAMES"),
        Number("RX"),
        Number("TX FRAMES"),
        Number("TX"),
        Number("DROPS"),
    ];
    let mut shown = table::table(
        columns,
        stats.ports.iter().map(|port| {
            [
                port.name.clone(),
                human::count(port.traffic.rx_frames),
                human::bytes(port.traffic.rx_bytes),
                human::count(port.traffic.tx_frames),
                human::bytes(port.traffic.tx_bytes),
                human::count(port.drops),
            ]
        }),
    );
    shown.push('\n');
    shown += &render_workers(&stats.workers);
    if !stats.drops.is_empty() {
        shown.push('\n');
        shown += &table::table(
            [Text("DROP REASON"), Number("FRAMES")],
            stats.drops.iter().map(|(reason, count)| [reason.clone(), count.to_string()]),
        );
    }
    shown
}

/// A row for each counter that is not zero, under its key in JSON; a column for each worker.
fn render_workers(workers: &[WorkerStats]) -> String {
    let heads: Vec<_> = workers.iter().map(|stats| format!("WORKER {}", stats.worker)).collect();
    let columns: Vec<_> =
        [Text("COUNTER")].into_iter().chain(heads.iter().map(|h| Number(h))).collect();
    let values: Vec<Vec<u64>> =
        workers.iter().map(|stats| stats.values().map(|(_, value)| value).collect()).collect();
    let rows = WorkerStats::METRICS.iter().enumerate();
    let counted = rows.filter(|(row, _)| values.iter().any(|worker| worker[*row] > 0));
    let cells = counted.map(|(row, metric)| {
        let counts = values.iter().map(move |worker| human::count(worker[row]));
        std::iter::once(metric.field.to_owned()).chain(counts)
    });
    table::table(columns, cells)
}

/// Rates between two responses. A new port counts from zero, and so does one whose counters went
/// backwards: it was attached again.
fn render_rates(before: &Stats, now: &Stats, interval_s: u64) -> String {
    let earlier: HashMap<&str, &PortStats> =
        before.ports.iter().map(|port| (port.name.as_str(), port)).collect();
    let zero = PortStats::default();
    let columns = [
        Text("PORT"),
        Number("RX FRAMES/S"),
        Number("RX"),
        Number("TX FRAMES/S"),
        Number("TX"),
        Number("DROPS/S"),
    ];
    let rows = now.ports.iter().map(|port| {
        let then = earlier.get(port.name.as_str()).copied().unwrap_or(&zero);
        let each_s = |now: u64, then: u64| now.checked_sub(then).unwrap_or(now) / interval_s;
        let bits = |now, then| human::bit_rate(each_s(now, then) as f64 * 8.0);
        [
            port.name.clone(),
            human::count(each_s(port.traffic.rx_frames, then.traffic.rx_frames)),
            bits(port.traffic.rx_bytes, then.traffic.rx_bytes),
            human::count(each_s(port.traffic.tx_frames, then.traffic.tx_frames)),
            bits(port.traffic.tx_bytes, then.traffic.tx_bytes),
            human::count(each_s(port.drops, then.drops)),
        ]
    });
    table::table(columns, rows) + "\n"
}

#[cfg(test)]
mod tests;
