//! What a run costs: CPU time of the machine and of the switch, memory of the kernel.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use crate::limits::{MEMORY_SETTLE_MAX, MEMORY_STILL_KIB};
use crate::shell;

/// Jiffies a second in /proc/stat: part of the kernel's interface on all machines of ours.
pub(crate) const USER_HZ: f64 = 100.0;

/// A look at the clocks.
#[derive(Debug)]
pub(crate) struct Look {
    at: Instant,
    cpus: usize,
    idle_s: f64,
    /// None for a contender that forwards in the kernel.
    switch_s: Option<f64>,
    /// None where no hog runs.
    hogs_s: Option<f64>,
}

/// CPUs in use between two looks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// By everything on the machine but the hogs, interrupts and all.
    pub(crate) machine_cpus: f64,
    /// By the processes of the switch, if it has any.
    pub(crate) switch_cpus: Option<f64>,
    /// By all hogs together, if any run.
    pub(crate) hog_cpus: Option<f64>,
}

impl Look {
    /// Now; `pids` are the processes of the switch, `hogs` those that only take CPU time.
    pub(crate) fn now(pids: &[u32], hogs: &[u32]) -> Result<Self> {
        let text = std::fs::read_to_string("/proc/stat").context("read /proc/stat")?;
        let idle_s = idle_seconds(&text).context("/proc/stat has no line of CPUs")?;
        let (switch_s, hogs_s) = (seconds_of(pids)?, seconds_of(hogs)?);
        Ok(Self { at: Instant::now(), cpus: cpus(&text), idle_s, switch_s, hogs_s })
    }

    /// What was used since.
    pub(crate) fn until(&self, later: &Self) -> Usage {
        let wall = (later.at - self.at).as_secs_f64().max(1e-6);
        let between = |from: Option<f64>, to: Option<f64>| Some((to? - from?) / wall);
        let hog_cpus = between(self.hogs_s, later.hogs_s);
        let all_cpus = self.cpus as f64 - (later.idle_s - self.idle_s) / wall;
        Usage {
            machine_cpus: (all_cpus - hog_cpus.unwrap_or(0.0)).max(0.0),
            switch_cpus: between(self.switch_s, later.switch_s),
            hog_cpus,
        }
    }
}

/// CPU time of processes together; none of none.
fn seconds_of(pids: &[u32]) -> Result<Option<f64>> {
    let sum = pids.iter().map(|pid| process_seconds(*pid)).sum::<Result<f64>>()?;
    Ok((!pids.is_empty()).then_some(sum))
}

/// Seconds that all CPUs together did not work: idle, waiting for disks, or taken by the hypervisor.
/// The kernel measures these, while what it says of user, system and interrupts is sampled at its
/// tick and misses a third of a load of short bursts.
pub(crate) fn idle_seconds(proc_stat: &str) -> Option<f64> {
    let line = proc_stat.lines().find(|line| line.starts_with("cpu "))?;
    let fields: Vec<f64> = line.split_whitespace().skip(1).flat_map(str::parse).collect();
    // user nice system idle iowait irq softirq steal ..: proc_stat(5).
    let idle = [3, 4, 7].iter().map(|n| fields.get(*n)).sum::<Option<f64>>()?;
    Some(idle / USER_HZ)
}

/// Seconds that the hypervisor gave to others while this machine wanted to run.
pub(crate) fn steal_seconds(proc_stat: &str) -> Option<f64> {
    let line = proc_stat.lines().find(|line| line.starts_with("cpu "))?;
    Some(line.split_whitespace().nth(8)?.parse::<f64>().ok()? / USER_HZ)
}

/// CPUs that are there.
pub(crate) fn cpus(proc_stat: &str) -> usize {
    let is_cpu = |line: &&str| line.starts_with("cpu") && !line.starts_with("cpu ");
    proc_stat.lines().filter(is_cpu).count()
}

/// CPU time of all threads of a process, also of those that have ended.
fn process_seconds(pid: u32) -> Result<f64> {
    let clock: ClockId = clock_getcpuclockid(Pid::from_raw(pid.cast_signed()))
        .with_context(|| format!("process {pid} is gone"))?;
    Ok(Duration::from(clock_gettime(clock)?).as_secs_f64())
}

/// Memory that a process holds in RAM, in KiB.
pub(crate) fn resident_kib(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    Ok(field_kib(&text, "VmRSS"))
}

/// What the kernel holds for itself and cannot give back, in KiB, once it has stopped moving:
/// deleted namespaces are freed in the background. Caches of files come and go and do not count.
pub(crate) fn settled_kernel_kib() -> Result<u64> {
    let end = Instant::now() + MEMORY_SETTLE_MAX;
    let mut last = [0, u64::MAX / 2, 0];
    loop {
        let text = std::fs::read_to_string("/proc/meminfo").context("read /proc/meminfo")?;
        let now =
            ["SUnreclaim", "Percpu", "VmallocUsed"].iter().map(|key| field_kib(&text, key)).sum();
        last = [last[1], last[2], now];
        let spread = last.iter().max().zip(last.iter().min()).map_or(0, |(max, min)| max - min);
        if spread <= MEMORY_STILL_KIB || Instant::now() > end {
            return Ok(now);
        }
        shell::pause(Duration::from_millis(700))?;
    }
}

/// A field of meminfo(5) or of a process's status.
pub(crate) fn field_kib(text: &str, key: &str) -> u64 {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(name, _)| *name == key);
    found.and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
