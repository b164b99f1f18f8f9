//! One pair of ports, by the loads of the rows `tcp1` and `rtt-tcp`: for workloads that compare a pair
//! with itself or with another, under other circumstances.

use anyhow::{Context as _, Result};

use super::round_trip::PingPong;
use super::tcp::Tcp;
use super::{Figures, Times, Turn, Workload as _};
use crate::limits::COMPARISONS;
use crate::stats::median;
use crate::targets::ratio;

/// What the pair reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pair {
    pub(crate) gbps: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

impl Pair {
    /// Of the turn's first two ports.
    pub(crate) fn measure(turn: &Turn<'_>) -> Result<Self> {
        let figures = [Tcp::streams(1).run(turn)?, PingPong::tcp().run(turn)?].concat();
        Self::from(&figures)
    }

    fn from(figures: &Figures) -> Result<Self> {
        let value = |key: &str| {
            let found = figures.iter().find(|(name, _)| name == key);
            found.map(|(_, value)| *value).with_context(|| format!("no {key} was measured"))
        };
        let (p50_us, p99_us) = (value("rtt-tcp.p50_us")?, value("rtt-tcp.p99_us")?);
        Ok(Self { gbps: value("tcp1.gbps")?, p50_us, p99_us })
    }

    /// What it is expected to take.
    pub(crate) fn seconds(times: Times) -> f64 {
        Tcp::streams(1).seconds(times) + PingPong::tcp().seconds(times)
    }

    /// The median of each figure; none of no pairs.
    fn medians(pairs: &[Self]) -> Option<Self> {
        let of = |figure: fn(&Self) -> f64| median(&pairs.iter().map(figure).collect::<Vec<_>>());
        Some(Self { gbps: of(|p| p.gbps)?, p50_us: of(|p| p.p50_us)?, p99_us: of(|p| p.p99_us)? })
    }

    /// The medians of two that take turns: each begins as often as the other, so that a machine that
    /// drifts treats both alike. `measure` is told which one it is.
    pub(crate) fn alternate(mut measure: impl FnMut(bool) -> Result<Self>) -> Result<[Self; 2]> {
        let mut pairs = [Vec::new(), Vec::new()];
        for nth in 0..COMPARISONS {
            for is_second in order(nth) {
                pairs[usize::from(is_second)].push(measure(is_second)?);
            }
        }
        let [first, second] =
            pairs.map(|pairs| Self::medians(&pairs).context("nothing was measured"));
        Ok([first?, second?])
    }

    /// Each figure as a multiple of another pair's.
    pub(crate) fn over(&self, other: &Self) -> Option<Self> {
        Some(Self {
            gbps: ratio(self.gbps, other.gbps)?,
            p50_us: ratio(self.p50_us, other.p50_us)?,
            p99_us: ratio(self.p99_us, other.p99_us)?,
        })
    }
}

/// The order in which two are measured the nth time.
pub(super) fn order(nth: usize) -> [bool; 2] {
    if nth.is_multiple_of(2) { [false, true] } else { [true, false] }
}

#[cfg(test)]
mod tests;
