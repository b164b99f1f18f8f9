//! Loads between containers of two hosts, over VXLAN. Each is a load that is run between two containers of one
//! host as well, over another path.

use anyhow::Result;

use super::{Figures, Needs, Times, Turn, Workload, renamed};
use crate::contender::{Contender, Link};
use crate::metric::Metric;

pub(crate) struct AcrossHosts {
    key: &'static str,
    link: Link,
    load: Box<dyn Workload>,
}

impl AcrossHosts {
    pub(crate) fn nic(key: &'static str, load: impl Workload + 'static) -> Self {
        Self { key, link: Link::Nic, load: Box::new(load) }
    }

    pub(crate) fn veth(key: &'static str, load: impl Workload + 'static) -> Self {
        Self { key, link: Link::Veth, load: Box::new(load) }
    }
}

impl Workload for AcrossHosts {
    fn key(&self) -> &str {
        self.key
    }

    fn needs(&self) -> Needs {
        Needs { family: "overlay", link: Some(self.link), by_name_only: true, ..Needs::PAIR }
    }

    fn refusal(&self, contender: &dyn Contender) -> Option<String> {
        contender.overlay_refusal()
    }

    fn metrics(&self) -> Vec<Metric> {
        let link = match self.link {
            Link::Nic => "overlay",
            Link::Veth => "overlay over veth",
        };
        let mut metrics = self.load.metrics();
        for metric in &mut metrics {
            metric.key = renamed(&metric.key, self.load.key(), self.key);
            metric.title = format!("{link}: {}", metric.title);
        }
        metrics
    }

    fn seconds(&self, times: Times) -> f64 {
        self.load.seconds(times)
    }

    fn run(&self, turn: &Turn<'_>) -> Result<Figures> {
        let figures = self.load.run(turn)?;
        let named = |(key, value): (String, f64)| (renamed(&key, self.load.key(), self.key), value);
        Ok(figures.into_iter().map(named).collect())
    }
}

#[cfg(test)]
mod tests;
