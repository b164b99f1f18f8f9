//! A load that the switch has no part in, while it is up: both ends in a network namespace of their own, over its
//! loopback. A switch that attaches programs to the control groups of the host must not cost others anything.

use anyhow::{Context as _, Result};
use testkit::Netns;

use super::{Figures, Needs, Times, Turn, Workload, renamed};
use crate::contender::Endpoint;
use crate::metric::Metric;

pub(crate) struct Loopback {
    key: &'static str,
    load: Box<dyn Workload>,
}

impl Loopback {
    pub(crate) fn new(key: &'static str, load: impl Workload + 'static) -> Self {
        Self { key, load: Box::new(load) }
    }
}

impl Workload for Loopback {
    fn key(&self) -> &str {
        self.key
    }

    fn needs(&self) -> Needs {
        Needs { by_name_only: true, ..self.load.needs() }
    }

    fn metrics(&self) -> Vec<Metric> {
        let mut metrics = self.load.metrics();
        for metric in &mut metrics {
            metric.key = renamed(&metric.key, self.load.key(), self.key);
            metric.title = format!("loopback beside the switch: {}", metric.title);
        }
        metrics
    }

    fn seconds(&self, times: Times) -> f64 {
        self.load.seconds(times) + 0.1
    }

    fn run(&self, turn: &Turn<'_>) -> Result<Figures> {
        let netns = Netns::create("beside").context("a namespace beside the switch")?;
        let ends = [(); 2].map(|()| Endpoint::new(netns.path(), "127.0.0.1"));
        let figures = self.load.run(&turn.between(turn.contender, &ends))?;
        let named = |(key, value): (String, f64)| (renamed(&key, self.load.key(), self.key), value);
        Ok(figures.into_iter().map(named).collect())
    }
}

#[cfg(test)]
mod tests;
