//! Loads on a busy host: the same as on an idle one, while *hogs*, processes that compute without end at
//! the default priority, want CPUs too. One (`busy1`), or as many as there are CPUs (`busy2`, after the
//! machine with two).
//!
//! Hogs start before the load and end after it, whatever becomes of it. What they got of the CPUs while the
//! load ran is a figure of its own (`hog_cpus`): a switch must not be fast by starving its neighbours. The
//! costs of the machine are those without the hogs.

use std::process::Command;

use anyhow::Result;

use super::{Agent, Figures, Needs, Times, Turn, Workload, renamed};
use crate::cgroup::Group;
use crate::contender::Contender;
use crate::metric::Metric;

/// The name of the figure that says what the hogs got.
pub(super) const HOG_CPUS: &str = "hog_cpus";

/// How many want CPUs beside the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hogs {
    One,
    OnePerCpu,
}

impl Hogs {
    /// Name of all loads beside so many, for `--only`.
    fn family(self) -> &'static str {
        match self {
            Self::One => "busy1",
            Self::OnePerCpu => "busy2",
        }
    }

    fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::OnePerCpu => std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

pub(crate) struct Busy {
    key: String,
    hogs: Hogs,
    load: Box<dyn Workload>,
}

impl Busy {
    /// A load beside one hog.
    pub(crate) fn one(load: Box<dyn Workload>) -> Self {
        Self::beside(Hogs::One, load)
    }

    /// A load beside as many hogs as there are CPUs.
    pub(crate) fn all(load: Box<dyn Workload>) -> Self {
        Self::beside(Hogs::OnePerCpu, load)
    }

    fn beside(hogs: Hogs, load: Box<dyn Workload>) -> Self {
        Self { key: format!("{}-{}", hogs.family(), load.key()), hogs, load }
    }
}

impl Workload for Busy {
    fn key(&self) -> &str {
        &self.key
    }

    /// In each round: a busy host makes figures spread.
    fn needs(&self) -> Needs {
        let family = self.hogs.family();
        Needs { family, by_name_only: true, rounds_max: usize::MAX, ..self.load.needs() }
    }

    fn refusal(&self, contender: &dyn Contender) -> Option<String> {
        self.load.refusal(contender)
    }

    fn metrics(&self) -> Vec<Metric> {
        let mut metrics = self.load.metrics();
        let title =
            metrics.first().map_or("", |first| first.title.trim_end_matches(" p50")).to_owned();
        metrics.push(Metric::higher(
            format!("{}.{HOG_CPUS}", self.load.key()),
            format!("{title}: hogs"),
            "CPUs",
        ));
        for metric in &mut metrics {
            metric.key = renamed(&metric.key, self.load.key(), &self.key);
            metric.title = format!("{}: {}", self.hogs.family(), metric.title);
        }
        metrics
    }

    fn seconds(&self, times: Times) -> f64 {
        self.load.seconds(times) + 0.1
    }

    fn run(&self, turn: &Turn<'_>) -> Result<Figures> {
        // They go away after their hogs.
        let groups: Vec<Group> = (0..self.hogs.count()).map(|_| Group::new("hog")).collect();
        let start =
            |group: &Group| Agent::spawn(group.enter(Command::new(turn.program))?, "hog")?.ready();
        let hogs = groups.iter().map(start).collect::<Result<Vec<_>>>()?;
        let pids: Vec<u32> = hogs.iter().map(Agent::pid).collect();
        let figures = self.load.run(&Turn { hogs: &pids, ..*turn })?;
        let named =
            |(key, value): (String, f64)| (renamed(&key, self.load.key(), &self.key), value);
        Ok(figures.into_iter().map(named).collect())
    }
}

#[cfg(test)]
mod tests;
