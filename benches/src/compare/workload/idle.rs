//! A switch with nothing to do: the CPU that it takes, the first frame after silence, and with many
//! ports what a port costs in memory and in time to plug in.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Figures, Needs, Times, Turn, Workload};
use crate::limits::{ATTACHES_COUNTED, FIRST_FRAMES, IDLE_SETTLE};
use crate::metric::Metric;
use crate::shell;
use crate::stats::median;
use crate::usage::{Look, resident_kib, settled_kernel_kib};

#[derive(Debug)]
pub(crate) struct Idle {
    key: String,
    ports: usize,
}

impl Idle {
    pub(crate) fn ports(ports: usize) -> Self {
        Self { key: format!("idle{ports}"), ports }
    }

    fn is_many(&self) -> bool {
        self.ports > 2
    }
}

impl Workload for Idle {
    fn key(&self) -> &str {
        &self.key
    }

    fn needs(&self) -> Needs {
        Needs::once(self.ports)
    }

    fn metrics(&self) -> Vec<Metric> {
        let key = &self.key;
        let title = |what: &str| format!("{} idle ports: {what}", self.ports);
        let mut metrics = vec![
            Metric::lower(format!("{key}.cpu_percent"), title("CPU of the switch"), "%"),
            Metric::lower(format!("{key}.first_frame_us"), title("first frame after idle"), "us"),
        ];
        if self.is_many() {
            metrics.push(Metric::lower(format!("{key}.attach_ms"), title("attach"), "ms"));
            let memory = title("memory per port, switch + kernel");
            metrics.push(Metric::lower(format!("{key}.kib_per_port"), memory, "KiB"));
        }
        metrics
    }

    fn seconds(&self, times: Times) -> f64 {
        let many = if self.is_many() { 0.08 * self.ports as f64 } else { 0.0 };
        let watched = times.idle as f64;
        IDLE_SETTLE.as_secs_f64() + watched + f64::from(FIRST_FRAMES + 2) * 0.5 + many
    }

    fn run(&self, turn: &Turn<'_>) -> Result<Figures> {
        let mut figures = at_rest(&self.key, turn)?;
        figures.push((format!("{}.first_frame_us", self.key), first_frame_us(turn)?));
        // Two attaches are too few for a median.
        figures.retain(|(name, _)| self.is_many() || !name.ends_with(".attach_ms"));
        Ok(figures)
    }
}

/// Memory, attach and CPU of a switch that has nothing to do.
pub(super) fn at_rest(key: &str, turn: &Turn<'_>) -> Result<Figures> {
    shell::pause(IDLE_SETTLE)?;
    let figures = [
        ("kib_per_port", kib_per_port(turn)?),
        ("attach_ms", Some(attach_ms(turn)?)),
        ("cpu_percent", cpu_percent(turn)?),
    ];
    let given =
        figures.into_iter().filter_map(|(name, value)| Some((format!("{key}.{name}"), value?)));
    Ok(given.collect())
}

/// What a port costs in memory, kernel and processes together; only with many ports.
fn kib_per_port(turn: &Turn<'_>) -> Result<Option<f64>> {
    let Some((kernel, process)) = turn.memory_before_kib else { return Ok(None) };
    let kernel = settled_kernel_kib()?.saturating_sub(kernel);
    let process = resident(&turn.contender.pids())?.saturating_sub(process);
    Ok(Some((kernel + process) as f64 / turn.endpoints.len() as f64))
}

/// Median time that the last ports took to plug in.
fn attach_ms(turn: &Turn<'_>) -> Result<f64> {
    let last = &turn.attach_ms[turn.attach_ms.len().saturating_sub(ATTACHES_COUNTED)..];
    median(last).context("no port was plugged in")
}

/// CPU of the switch while nothing happens; none for a contender that forwards in the kernel.
fn cpu_percent(turn: &Turn<'_>) -> Result<Option<f64>> {
    let pids = turn.contender.pids();
    if pids.is_empty() {
        return Ok(None);
    }
    let before = Look::now(&pids, &[])?;
    shell::pause(Duration::from_secs(turn.idle_seconds))?;
    let usage = before.until(&Look::now(&pids, &[])?);
    Ok(usage.switch_cpus.map(|cpus| cpus * 100.0))
}

/// Memory of the processes of the switch.
pub(crate) fn resident(pids: &[u32]) -> Result<u64> {
    pids.iter().map(|pid| resident_kib(*pid)).sum()
}

/// Median round trip of single echoes with half a second of silence before each.
fn first_frame_us(turn: &Turn<'_>) -> Result<f64> {
    let last = turn.endpoints.last().context("no port")?;
    let mut command = turn.client().command("ping");
    // The two that come first resolve the neighbours.
    let count = (FIRST_FRAMES + 2).to_string();
    let text = shell::run(command.args(["-n", "-i0.5", "-W2", "-c", &count, &last.address]))?;
    let times: Vec<f64> = echo_times_us(&text).into_iter().skip(2).collect();
    median(&times).context("no echo came back")
}

/// The times that ping(8) prints, in microseconds.
fn echo_times_us(text: &str) -> Vec<f64> {
    let times = text.split("time=").skip(1).filter_map(|rest| rest.split_whitespace().next());
    times.flat_map(str::parse::<f64>).map(|ms| ms * 1e3).collect()
}

#[cfg(test)]
mod tests;
