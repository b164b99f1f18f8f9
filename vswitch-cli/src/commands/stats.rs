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
received + generated + flood copies + handoff received
== sent + dropped + consumed + in flight + handed off.
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
                human::count(port.rx_frames),
                human::bytes(port.rx_bytes),
                human::count(port.tx_frames),
                human::bytes(port.tx_bytes),
                human::count(port.drops),
            ]
        }),
    );
    shown.push('\n');
    shown += &render_workers(stats);
    if !stats.drops.is_empty() {
        shown.push('\n');
        shown += &table::table(
            [Text("DROP REASON"), Number("FRAMES")],
            stats.drops.iter().map(|(reason, count)| [reason.clone(), count.to_string()]),
        );
    }
    shown
}

fn render_workers(stats: &Stats) -> String {
    let columns = [
        Number("WORKER"),
        Number("RECEIVED"),
        Number("GENERATED"),
        Number("FLOOD COPIES"),
        Number("SENT"),
        Number("DROPPED"),
        Number("CONSUMED"),
        Number("IN FLIGHT"),
        Number("MACS"),
        Number("MOVES"),
        Number("FDB FULL"),
        Number("SYSCALLS"),
        Number("SLEEPS"),
    ];
    let mut shown = table::table(
        columns,
        stats.workers.iter().map(|worker| {
            [
                worker.worker.to_string(),
                human::count(worker.received),
                human::count(worker.generated),
                human::count(worker.flood_copies),
                human::count(worker.sent),
                human::count(worker.dropped),
                human::count(worker.consumed),
                worker.in_flight.to_string(),
                worker.fdb_entries.to_string(),
                human::count(worker.mac_moves),
                human::count(worker.fdb_full),
                human::count(worker.syscalls),
                human::count(worker.sleeps),
            ]
        }),
    );
    if stats.workers.len() > 1 {
        shown.push('\n');
        shown += &render_handoffs(stats);
    }
    shown
}

/// What workers have handed to each other for translation.
fn render_handoffs(stats: &Stats) -> String {
    let columns = [Number("WORKER"), Number("HANDOFF RECEIVED"), Number("HANDED OFF")];
    let row = |worker: &WorkerStats| {
        let (taken, handed) =
            (human::count(worker.handoff_received), human::count(worker.handed_off));
        [worker.worker.to_string(), taken, handed]
    };
    table::table(columns, stats.workers.iter().map(row))
}

/// What happened in each second between two answers. A port that is new counts from zero; one whose
/// counters went backwards was detached and attached again.
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
            human::count(each_s(port.rx_frames, then.rx_frames)),
            bits(port.rx_bytes, then.rx_bytes),
            human::count(each_s(port.tx_frames, then.tx_frames)),
            bits(port.tx_bytes, then.tx_bytes),
            human::count(each_s(port.drops, then.drops)),
        ]
    });
    table::table(columns, rows) + "\n"
}

#[cfg(test)]
mod tests;
