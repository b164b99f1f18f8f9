//! The result file; docs/benchmarks.md describes its keys. An incompatible change raises [`FORMAT`].

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::contender::{About, Contender, Kind};
use crate::metric::{Better, Figures, Metric};
use crate::stats::Spread;
use crate::turns::TurnRecord;
use crate::workload::Workload;

/// Version of the keys.
pub(crate) const FORMAT: u32 = 1;

/// A contender and its values.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) is_own: bool,
    pub(crate) is_user_space: bool,
    /// Versions and settings, as it said while it ran.
    pub(crate) about: About,
    /// The reason that it could not run.
    pub(crate) cannot_run: Option<String>,
    /// By metric, one value a round.
    pub(crate) values: BTreeMap<String, Vec<f64>>,
    /// What else went on; older files do not say it.
    #[serde(default)]
    pub(crate) turns: Vec<TurnRecord>,
}

/// A workload that failed on a contender.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) contender: String,
    pub(crate) workload: String,
    /// From 1.
    pub(crate) round: usize,
    pub(crate) reason: String,
}

/// A whole run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) format: u32,
    pub(crate) machine: Map<String, Value>,
    pub(crate) settings: Map<String, Value>,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) contenders: Vec<Entry>,
    pub(crate) failures: Vec<Failure>,
}

impl Outcome {
    /// An outcome without values.
    pub(crate) fn new(
        contenders: &[Box<dyn Contender>],
        workloads: &[Box<dyn Workload>],
        machine: Map<String, Value>,
        settings: Map<String, Value>,
    ) -> Self {
        let mut metrics = Vec::new();
        for workload in workloads {
            let mut of_workload = workload.metrics();
            if let Some(first) = of_workload.first_mut() {
                first.is_main = true;
            }
            metrics.extend(of_workload);
        }
        let entry = |contender: &dyn Contender| Entry {
            name: contender.name().to_owned(),
            is_own: contender.kind() == Kind::Own,
            is_user_space: contender.kind() != Kind::Kernel,
            about: About::new(),
            cannot_run: None,
            values: BTreeMap::new(),
            turns: Vec::new(),
        };
        let contenders = contenders.iter().map(|contender| entry(contender.as_ref())).collect();
        Self { format: FORMAT, machine, settings, metrics, contenders, failures: Vec::new() }
    }

    /// Adds the figures of one run of a workload.
    pub(crate) fn add(&mut self, contender: usize, figures: Figures) {
        for (key, value) in figures {
            self.contenders[contender].values.entry(key).or_default().push(value);
        }
    }

    /// Puts a workload on record that did not run.
    pub(crate) fn fail(&mut self, contender: &str, workload: &str, round: usize, reason: String) {
        let (contender, workload) = (contender.to_owned(), workload.to_owned());
        self.failures.push(Failure { contender, workload, round, reason });
    }

    /// The contender of a name, if it took part.
    pub(crate) fn entry(&self, name: &str) -> Option<&Entry> {
        self.contenders.iter().find(|entry| entry.name == name)
    }

    /// The best user-space switch that is not ours.
    pub(crate) fn best_user_space(&self, metric: &Metric) -> Option<(&Entry, f64)> {
        let others = self.contenders.iter().filter(|entry| entry.is_user_space && !entry.is_own);
        let values = others.filter_map(|entry| Some((entry, entry.spread(&metric.key)?.median)));
        values.reduce(|best, other| match metric.better {
            Better::Higher if other.1 > best.1 => other,
            Better::Lower if other.1 < best.1 => other,
            _ => best,
        })
    }

    pub(crate) fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("read the result file {}", path.display()))?;
        let shown: Value = serde_json::from_str(&text)
            .with_context(|| format!("{} is no result file", path.display()))?;
        let format = shown["format"].as_u64();
        ensure!(
            format == Some(u64::from(FORMAT)),
            "{} has format {:?}, this program reads {FORMAT}: measure again",
            path.display(),
            format
        );
        serde_json::from_value(shown).with_context(|| format!("keys of {}", path.display()))
    }

    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("write the result as JSON")?;
        write(path, &(text + "\n"))
    }
}

impl Entry {
    pub(crate) fn spread(&self, metric: &str) -> Option<Spread> {
        Spread::of(self.values.get(metric)?)
    }
}

/// Writes a file, and the folders that it needs.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("make the folder {}", folder.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
