//! `docker run -d` on a network, from its start to its end. Docker's work for the container itself is the same on
//! every network.

use anyhow::{Context as _, Result};

use super::{Figures, Needs, Times, Turn, Workload};
use crate::contender::Contender;
use crate::metric::Metric;
use crate::stats::median;

/// Containers that are started, one after the other.
const COUNT: usize = 20;

/// A guess of what one takes, with its end.
const CONTAINER_S: f64 = 1.2;

/// On Docker's default network, or on one that a user made: there Docker brings its DNS into each container.
#[derive(Debug)]
pub(crate) struct DockerRun {
    key: &'static str,
    is_user_defined: bool,
}

impl DockerRun {
    pub(crate) fn default_network() -> Self {
        Self { key: "docker-run", is_user_defined: false }
    }

    pub(crate) fn user_defined() -> Self {
        Self { key: "docker-run-dns", is_user_defined: true }
    }
}

impl Workload for DockerRun {
    fn key(&self) -> &str {
        self.key
    }

    fn needs(&self) -> Needs {
        let names = usize::from(self.is_user_defined);
        Needs { ports: COUNT, names, by_name_only: true, ..Needs::PAIR }
    }

    fn refusal(&self, contender: &dyn Contender) -> Option<String> {
        (!contender.runs_containers()).then(|| "no containers of Docker".to_owned())
    }

    fn metrics(&self) -> Vec<Metric> {
        let beside = if self.is_user_defined { ", beside a network with DNS" } else { "" };
        let title = format!("`docker run`, median of {COUNT}{beside}");
        vec![Metric::lower(format!("{}.ms", self.key), title, "ms")]
    }

    fn seconds(&self, _times: Times) -> f64 {
        COUNT as f64 * CONTAINER_S
    }

    fn run(&self, turn: &Turn<'_>) -> Result<Figures> {
        let took = turn.endpoints.iter().map(|endpoint| endpoint.took);
        let seconds: Option<Vec<f64>> = took.map(|it| Some(it?.as_secs_f64())).collect();
        let seconds = seconds.context("a container whose start nobody timed")?;
        let ms = median(&seconds).context("no container")? * 1e3;
        Ok(vec![(format!("{}.ms", self.key), ms)])
    }
}
