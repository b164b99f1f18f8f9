//! State of the machine while a figure was measured: a record for each run of a workload.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::foreign::Processes;
use crate::limits::{FOREIGN_CPUS_MAX, POLL};
use crate::usage::steal_seconds;

/// A run of a workload on a contender.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TurnRecord {
    /// From 1.
    pub(crate) round: usize,
    pub(crate) workload: String,
    /// Average over the minute before.
    pub(crate) load: f64,
    /// Between the first two processors, before the contender came up; null where there are no two.
    pub(crate) distance_ns: Option<f64>,
    /// CPUs that the hypervisor gave to others.
    pub(crate) steal: f64,
    /// CPUs that processes used which are not the harness's.
    pub(crate) foreign_cpus: f64,
    /// Whether its figures were thrown away because of that, and measured again.
    pub(crate) is_repeated: bool,
}

impl TurnRecord {
    /// Whether another process took so much that the figures are in doubt.
    pub(crate) fn is_disturbed(&self) -> bool {
        self.foreign_cpus > FOREIGN_CPUS_MAX
    }
}

/// The machine before a run.
#[derive(Debug)]
pub(crate) struct Glance {
    at: Instant,
    load: f64,
    steal_s: f64,
    processes: Processes,
}

impl Glance {
    pub(crate) fn now() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let steal_s = steal_seconds(&read("/proc/stat")).unwrap_or(0.0);
        let load = load(&read("/proc/loadavg")).unwrap_or(0.0);
        Self { at: Instant::now(), load, steal_s, processes: Processes::now() }
    }

    /// Record of the time since then.
    pub(crate) fn record(
        &self,
        round: usize,
        workload: &str,
        distance_ns: Option<f64>,
    ) -> TurnRecord {
        // Servers that were killed end now, and are nobody's while they do.
        std::thread::sleep(POLL);
        let later = Self::now();
        let wall = (later.at - self.at).as_secs_f64().max(1e-6);
        TurnRecord {
            round,
            workload: workload.to_owned(),
            load: self.load,
            distance_ns,
            steal: (later.steal_s - self.steal_s) / wall,
            foreign_cpus: self.processes.foreign_cpus(&later.processes),
            is_repeated: false,
        }
    }
}

/// The average over a minute, of proc_loadavg(5).
fn load(loadavg: &str) -> Option<f64> {
    loadavg.split(' ').next()?.parse().ok()
}

/// What to say of the runs that others disturbed; none where there were none. Runs go with the names of their
/// contenders.
pub(crate) fn sentence<'a>(
    turns: impl Iterator<Item = (&'a str, &'a TurnRecord)>,
) -> Option<String> {
    let (repeated, kept): (Vec<_>, Vec<_>) =
        turns.filter(|(_, turn)| turn.is_disturbed()).partition(|(_, turn)| turn.is_repeated);
    let shown = |(name, turn): &(&str, &TurnRecord)| {
        let TurnRecord { round, workload, foreign_cpus, .. } = turn;
        format!("{name} {workload} in round {round} ({foreign_cpus:.2})")
    };
    let list = kept.iter().map(shown).collect::<Vec<_>>().join(", ");
    if repeated.is_empty() && kept.is_empty() {
        return None;
    }
    let mut said = format!(
        "Turns repeated because other processes used more than {FOREIGN_CPUS_MAX} CPUs: {}.",
        repeated.len()
    );
    if !kept.is_empty() {
        said += &format!(" Kept all the same: {list}.");
    }
    Some(said)
}

#[cfg(test)]
mod tests;
