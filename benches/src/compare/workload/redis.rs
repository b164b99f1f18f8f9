//! Redis: `redis-benchmark` reads one key of a `redis-server` with one thread, which keeps nothing on disk,
//! by one client (each request waits for the answer before it) or by fifty.
//!
//! `redis-benchmark` counts requests and knows no time: it is given more of them than it can do, says four
//! times a second how fast it was since it said so last, and is ended. The figure is the mean of what it said
//! in the window in which the clocks are looked at.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Figures, Times, Turn, Workload, listens, message_cost_metrics, message_costs};
use crate::limits::{COMMAND_LIMIT, REDIS_REQUESTS};
use crate::metric::Metric;
use crate::shell::{self, Job};
use crate::stats::mean;

/// Where its server listens.
const PORT: u16 = 6_379;

/// The beginning is left out: connections are opened in it. The client's lines of that time are those at its
/// start, after a quarter and after half of a second.
const LEAD: Duration = Duration::from_millis(500);
const LEAD_LINES: usize = 3;

#[derive(Debug)]
pub(crate) struct Redis {
    key: String,
    title: String,
    clients: usize,
}

impl Redis {
    pub(crate) fn clients(clients: usize) -> Self {
        let s = if clients == 1 { "" } else { "s" };
        let title = format!("Redis GET, {clients} client{s}");
        Self { key: format!("redis{clients}"), title, clients }
    }
}

impl Workload for Redis {
    fn key(&self) -> &str {
        &self.key
    }

    fn metrics(&self) -> Vec<Metric> {
        let rate = Metric::higher(format!("{}.per_s", self.key), self.title.clone(), "1/s");
        let costs = message_cost_metrics(&self.key, &self.title, "requests");
        std::iter::once(rate).chain(costs).collect()
    }

    fn seconds(&self, times: Times) -> f64 {
        times.load as f64 + 0.2
    }

    fn run(&self, turn: &Turn<'_>) -> Result<Figures> {
        let dir = tempfile::TempDir::with_prefix("vswb-").context("folder for Redis")?;
        let port = PORT.to_string();
        let mut command = turn.server().load("redis-server")?;
        command.arg("--dir").arg(dir.path()).args(["--port", &port, "--bind"]);
        command.args([&turn.server().address, "--protected-mode", "no"]);
        command.args(["--save", "", "--appendonly", "no"]);
        let mut server = Job::spawn(&mut command).context("package redis-server")?;
        listens(&mut server, PORT)?;
        let client = |test: &str, clients: usize, requests: u64| -> Result<Job> {
            let mut command = turn.client().load("redis-benchmark")?;
            command.args(["-h", &turn.server().address, "-p", &port, "-t", test]);
            command.args(["-c", &clients.to_string(), "-n", &requests.to_string()]);
            Job::spawn(&mut command).context("package redis-tools")
        };
        // The key that is read.
        client("set", 1, 1)?.finish(COMMAND_LIMIT)?;
        let load = client("get", self.clients, REDIS_REQUESTS)?;
        let usage = turn.window(LEAD)?;
        let text = load.output();
        drop(load);
        shell::heed()?;
        let per_second = parse(&text)?;
        let mut figures = vec![(format!("{}.per_s", self.key), per_second)];
        figures.extend(message_costs(&self.key, usage, per_second));
        Ok(figures)
    }
}

/// The mean of the rates that it printed after the lead, each over a quarter of a second:
/// `GET: rps=51234.5 (overall: 50123.4) avg_msec=0.016 (overall: 0.017)`.
fn parse(text: &str) -> Result<f64> {
    let rates: Vec<f64> = text
        .split("GET: rps=")
        .skip(1 + LEAD_LINES)
        .filter_map(|rest| rest.split(' ').next()?.parse().ok())
        .collect();
    let mean = mean(&rates).filter(|rate| *rate > 0.0);
    mean.with_context(|| format!("redis-benchmark gives no rate: {}", text.trim()))
}

#[cfg(test)]
mod tests;
