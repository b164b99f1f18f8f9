//! Metrics and their values.

use serde::{Deserialize, Serialize};

/// Values by the key of their metric.
pub(crate) type Figures = Vec<(String, f64)>;

/// Direction in which a metric improves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// A measured figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Metric {
    /// `WORKLOAD.NAME`.
    pub(crate) key: String,
    pub(crate) title: String,
    pub(crate) unit: String,
    pub(crate) better: Better,
    /// Whether plots show it; one metric a workload.
    pub(crate) is_main: bool,
}

impl Metric {
    pub(crate) fn higher(key: String, title: String, unit: &str) -> Self {
        Self { key, title, unit: unit.to_owned(), better: Better::Higher, is_main: false }
    }

    pub(crate) fn lower(key: String, title: String, unit: &str) -> Self {
        Self { better: Better::Lower, ..Self::higher(key, title, unit) }
    }
}
