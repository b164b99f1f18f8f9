//! The one table of counters.
//!
//! A line of [`mod@worker`], [`mod@port`], [`mod@vtep`], [`mod@dns`] or [`mod@cut_through`] makes the field that a stage counts in, the key of the API,
//! the Prometheus metric with its help text, the row of `docs/metrics.md`, and the row of
//! `vswitch stats`. A new counter is one line here and the statement that increments it.
//!
//! The structs are plain `u64` fields: a worker owns its counters, and control asks for a copy.
#![forbid(unsafe_code)]

pub mod cut_through;
pub mod dns;
mod exposition;
mod macros;
pub mod port;
#[cfg(test)]
mod tests;
pub mod vtep;
pub mod worker;

pub use cut_through::CutThroughCounters;
pub use dns::DnsCounters;
pub use exposition::{CONTENT_TYPE, Exposition};
pub use port::PortTraffic;
pub use vtep::VtepTraffic;
pub use worker::{
    DatapathCounters, DhcpCounters, EngineCounters, FdbCounters, FragmentCounters, LoopCounters,
    MulticastCounters, NatCounters, PoolCounters, ReportCounters, RoundCounters, RouterCounters,
    WorkerStats,
};

/// Type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the daemon restarts.
    Counter,
    /// Rises and falls.
    Gauge,
}

impl Kind {
    /// The word of the exposition format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// A line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Field of the struct, key of the API, row of `vswitch stats`.
    pub field: &'static str,
    /// Name for Prometheus.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// One sentence for people.
    pub help: &'static str,
}
