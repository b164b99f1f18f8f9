//! `vswitch stats`: counters, drops by reason, and rates while somebody watches.

use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCompleter;
use vswitch_api::stats::{CutThroughCounters, PortStats, Stats, WorkerStats};

use crate::client::Named;
use crate::commands::ls;
use crate::error::Outcome;
use crate::global::Global;
use crate::list::{self, Field, FilterKey, ListArgs, Plan, Row, contains};
use crate::table::Column::{Number, Text};
use crate::{complete, human, output, table, value};

/// Show traffic, drops by reason, and what the workers do
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StatsArgs {
    /// Show one port only, with its drops by reason: an attachment, or the bridge for the host's port
    #[arg(value_parser = value::name, add = ArgValueCompleter::new(complete::ports))]
    name: Option<String>,
    #[command(flatten)]
    list: ListArgs,
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
received + generated + flood_copies + segmented + handoff_received
== sent + dropped + consumed + merged + in_flight + handed_off; counters at zero are left out.
docs/metrics.md explains each counter.
With --watch and --format json every line is one JSON object with the counters; on a terminal the table
is drawn anew each time. Filters are name and network; they select ports.

Examples:
  vswitch stats
  vswitch stats web
  vswitch stats --sort -drops
  vswitch stats --watch 1
  vswitch stats --format json | jq .drops";

impl StatsArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let Self { name, list, watch, count } = self;
        let view = View { name, plan: list.plan(global.format)? };
        let client = global.client()?;
        if let Some(name) = &view.name {
            client.check(Named::Port, name)?;
        }
        let mut before = view.select(client.wait(client.stats())?);
        let Some(interval) = watch else {
            match view.plan.is_json() {
                true => output::json(&before)?,
                false => output::text(&view.render(&before))?,
            }
            return Ok(ExitCode::SUCCESS);
        };
        for _ in 0..count.unwrap_or(u64::MAX) {
            std::thread::sleep(Duration::from_secs(interval));
            let now = view.select(client.wait(client.stats())?);
            match view.plan.is_json() {
                true => output::json_line(&now)?,
                false => output::redraw(&render_rates(&before, &now, interval))?,
            }
            before = now;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The ports to show, and how.
struct View {
    name: Option<String>,
    plan: Plan<PortStats>,
}

impl View {
    /// The counters with the ports of this view only.
    fn select(&self, stats: Stats) -> Stats {
        let mut ports = stats.ports;
        let is_it =
            |port: &PortStats, name: &String| value::is_called(&port.name, &port.network, name);
        ports.retain(|port| self.name.as_ref().is_none_or(|name| is_it(port, name)));
        Stats { ports: self.plan.select(ports), ..stats }
    }

    /// The ports; in the default form their surroundings, too: of one port its drops by reason, of all the
    /// workers and all drops.
    fn render(&self, stats: &Stats) -> String {
        let mut shown = self.plan.render(&stats.ports);
        if !self.plan.is_default() {
            return shown;
        }
        let drops = match self.name {
            Some(_) => &drops_of(&stats.ports),
            None => {
                shown.push('\n');
                shown += &render_workers(&stats.workers);
                shown += &render_cut_through(&stats.cut_through);
                &stats.drops
            }
        };
        if !drops.is_empty() {
            shown.push('\n');
            shown += &table::table(
                [Text("DROP REASON"), Number("FRAMES")],
                drops.iter().map(|(reason, count)| [reason.clone(), count.to_string()]),
            );
        }
        shown
    }
}

/// Drops by reason of several ports together.
fn drops_of(ports: &[PortStats]) -> BTreeMap<String, u64> {
    let mut drops = BTreeMap::new();
    for (reason, count) in ports.iter().flat_map(|port| &port.drops_by_reason) {
        *drops.entry(reason.clone()).or_default() += count;
    }
    drops
}

impl Row for PortStats {
    const FIELDS: &'static [Field<Self>] = &[
        Field::text("PORT", |port| port.name.clone()),
        Field::text("NETWORK", |port: &Self| port.network.clone()).wide(),
        Field::number("RX FRAMES", |port| port.traffic.rx_frames, human::count),
        Field::number("RX", |port| port.traffic.rx_bytes, human::bytes),
        Field::number("TX FRAMES", |port| port.traffic.tx_frames, human::count),
        Field::number("TX", |port| port.traffic.tx_bytes, human::bytes),
        Field::number("DROPS", |port| port.drops, ls::drops),
    ];

    const FILTERS: &'static [FilterKey<Self>] = &[
        ("name", |port, value| contains(&port.name, value)),
        ("network", |port, value| port.network == value),
    ];

    fn name(&self) -> String {
        self.name.clone()
    }

    fn full_name(&self) -> Option<String> {
        Some(format!("{}@{}", self.name, self.network))
    }

    fn sort_key(&self) -> String {
        format!("{} {}", self.name, self.network)
    }

    /// The host's ports come first, then uplinks, which have no network.
    fn rank(&self) -> u8 {
        match self.network.as_str() {
            network if network == self.name => 0,
            "" => 1,
            _ => 2,
        }
    }
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

/// A row for each counter of cut-through that is not zero; nothing if none is.
fn render_cut_through(counters: &CutThroughCounters) -> String {
    let counted: Vec<_> = counters.values().filter(|(_, value)| *value > 0).collect();
    if counted.is_empty() {
        return String::new();
    }
    let cells =
        counted.into_iter().map(|(metric, value)| [metric.field.to_owned(), human::count(value)]);
    format!("\n{}", table::table([Text("CUT-THROUGH"), Number("COUNT")], cells))
}

/// Rates between two responses. A new port counts from zero, and so does one whose counters went
/// backwards: it was attached again.
fn render_rates(before: &Stats, now: &Stats, interval_s: u64) -> String {
    let key = |port: &PortStats| (port.name.clone(), port.network.clone());
    let earlier: HashMap<_, &PortStats> =
        before.ports.iter().map(|port| (key(port), port)).collect();
    let zero = PortStats::default();
    let columns = [
        Text("PORT"),
        Number("RX FRAMES/S"),
        Number("RX"),
        Number("TX FRAMES/S"),
        Number("TX"),
        Number("DROPS/S"),
    ];
    let full_names = list::full_names(&now.ports);
    let rows = now.ports.iter().zip(full_names).map(|(port, full_name)| {
        let then = earlier.get(&key(port)).copied().unwrap_or(&zero);
        let each_s = |now: u64, then: u64| now.checked_sub(then).unwrap_or(now) / interval_s;
        let bits = |now, then| human::bit_rate(each_s(now, then) as f64 * 8.0);
        [
            full_name.unwrap_or_else(|| port.name.clone()),
            human::count(each_s(port.traffic.rx_frames, then.traffic.rx_frames)),
            bits(port.traffic.rx_bytes, then.traffic.rx_bytes),
            human::count(each_s(port.traffic.tx_frames, then.traffic.tx_frames)),
            bits(port.traffic.tx_bytes, then.traffic.tx_bytes),
            ls::drops(each_s(port.drops, then.drops)),
        ]
    });
    table::table(columns, rows) + "\n"
}

#[cfg(test)]
mod tests;
