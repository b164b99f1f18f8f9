//! Loads over the uplink, between a container and a remote host, through the translation of the
//! contender: *egress* is opened by the container, *publish* by the remote to a published port. Each
//! is a load that is run between two containers as well, between other ends.

use anyhow::{Context as _, Result};

use super::{Figures, Needs, Times, Turn, Workload, connect, http, renamed, round_trip, tcp};
use crate::contender::Contender;
use crate::metric::Metric;

/// The ports on which the servers of these loads listen, and which a contender publishes.
pub(crate) const PUBLISHED: [u16; 4] = [tcp::PORT, http::PORT, connect::PORT, round_trip::PORT];

/// The port of the host that stands for one of the container: another, so that it is translated too.
pub(crate) const fn published_as(port: u16) -> u16 {
    port + 1_000
}

pub(crate) struct OverUplink {
    key: &'static str,
    /// Whether the remote opens the connections, and not the container.
    is_publish: bool,
    load: Box<dyn Workload>,
}

impl OverUplink {
    pub(crate) fn egress(key: &'static str, load: impl Workload + 'static) -> Self {
        Self { key, is_publish: false, load: Box::new(load) }
    }

    pub(crate) fn publish(key: &'static str, load: impl Workload + 'static) -> Self {
        Self { key, is_publish: true, load: Box::new(load) }
    }
}

impl Workload for OverUplink {
    fn key(&self) -> &str {
        self.key
    }

    fn needs(&self) -> Needs {
        Needs { family: "outside", ports: 1, uplink: true, ..Needs::FEW }
    }

    fn refusal(&self, contender: &dyn Contender) -> Option<String> {
        contender.uplink_refusal()
    }

    fn metrics(&self) -> Vec<Metric> {
        let family = if self.is_publish { "published" } else { "egress" };
        let mut metrics = self.load.metrics();
        for metric in &mut metrics {
            metric.key = renamed(&metric.key, self.load.key(), self.key);
            metric.title = format!("{family}: {}", metric.title);
        }
        metrics
    }

    fn seconds(&self, times: Times) -> f64 {
        self.load.seconds(times)
    }

    fn run(&self, turn: &Turn<'_>) -> Result<Figures> {
        let outside = turn.outside.context("nothing is behind an uplink")?;
        let [container] = turn.endpoints else {
            anyhow::bail!("{} ports instead of 1", turn.endpoints.len())
        };
        let (container, remote) = (container.clone(), outside.remote.clone());
        let (ends, published_at) = match self.is_publish {
            false => ([container, remote], None),
            true => ([remote, container], outside.published_at.as_deref()),
        };
        let figures = self.load.run(&Turn { endpoints: &ends, published_at, ..*turn })?;
        let named = |(key, value): (String, f64)| (renamed(&key, self.load.key(), self.key), value);
        Ok(figures.into_iter().map(named).collect())
    }
}

#[cfg(test)]
mod tests;
