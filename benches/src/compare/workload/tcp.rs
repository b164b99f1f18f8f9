//! Throughput of TCP, by `iperf3`: one or several streams one way, or one each way at once.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Figures, Needs, Times, Turn, Workload, listens, process_cpus};
use crate::limits::LOAD_GRACE;
use crate::metric::Metric;
use crate::shell::Job;

/// Where its server listens.
pub(crate) const PORT: u16 = 5201;

/// `iperf3` leaves the first second out: slow start, and caches that are cold.
const OMIT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Tcp {
    key: String,
    title: String,
    streams: u32,
    both: bool,
}

impl Tcp {
    pub(crate) fn streams(streams: u32) -> Self {
        let s = if streams == 1 { "" } else { "s" };
        let title = format!("TCP {streams} stream{s}");
        Self { key: format!("tcp{streams}"), title, streams, both: false }
    }

    pub(crate) fn both_directions() -> Self {
        let title = "TCP both directions".to_owned();
        Self { key: "tcp-both".to_owned(), title, streams: 1, both: true }
    }
}

impl Workload for Tcp {
    fn key(&self) -> &str {
        &self.key
    }

    fn metrics(&self) -> Vec<Metric> {
        let (key, title) = (&self.key, &self.title);
        vec![
            Metric::higher(format!("{key}.gbps"), title.clone(), "Gb/s"),
            Metric::lower(format!("{key}.cpu_s_per_gb"), format!("{title}: CPU per GB"), "s"),
            Metric::lower(format!("{key}.switch_cpus"), format!("{title}: switch"), "CPUs"),
            Metric::lower(format!("{key}.retransmits"), format!("{title}: retransmits"), ""),
        ]
    }

    fn seconds(&self, times: Times) -> f64 {
        times.load as f64 + 1.1
    }

    /// One stream and four say most.
    fn needs(&self) -> Needs {
        if matches!(self.key(), "tcp1" | "tcp4") { Needs::PAIR } else { Needs::FEW }
    }

    fn run(&self, turn: &Turn<'_>) -> Result<Figures> {
        let mut server = Job::spawn(turn.server().load("iperf3")?.args(["-s", "-1"]))?;
        listens(&mut server, PORT)?;
        let mut client = turn.client().load("iperf3")?;
        let (address, port) = turn.target(PORT);
        client.args(["-J", "-O", "1", "-c", address, "-p", &port.to_string()]);
        client.args(["-t", &turn.seconds.to_string(), "-P", &self.streams.to_string()]);
        if self.both {
            client.arg("--bidir");
        }
        let (text, usage) = turn.load(Job::spawn(&mut client)?, OMIT)?;
        let received = parse(&text)?;
        server.finish(LOAD_GRACE)?;
        let (key, gb_per_second) = (&self.key, received.gbps / 8.0);
        let figures = vec![
            (format!("{key}.gbps"), received.gbps),
            (format!("{key}.cpu_s_per_gb"), usage.machine_cpus / gb_per_second),
            (format!("{key}.retransmits"), received.retransmits),
        ];
        Ok(figures.into_iter().chain(process_cpus(key, usage)).collect())
    }
}

/// What both ends together received.
#[derive(Debug, PartialEq)]
struct Received {
    gbps: f64,
    retransmits: f64,
}

fn parse(text: &str) -> Result<Received> {
    let shown: Value = serde_json::from_str(text).context("JSON of iperf3")?;
    let end = &shown["end"];
    let sum = |keys: [&str; 2], field| {
        keys.iter().filter_map(|key| end[*key][field].as_f64()).sum::<f64>()
    };
    let bits = sum(["sum_received", "sum_received_bidir_reverse"], "bits_per_second");
    let retransmits = sum(["sum_sent", "sum_sent_bidir_reverse"], "retransmits");
    let error = shown["error"].as_str().unwrap_or("no end.sum_received.bits_per_second");
    anyhow::ensure!(bits > 0.0, "iperf3: {error}");
    Ok(Received { gbps: bits / 1e9, retransmits })
}

#[cfg(test)]
mod tests;
