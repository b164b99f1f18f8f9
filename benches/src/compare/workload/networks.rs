//! A switch with many networks beside one with one: whether a network more costs the others anything.
//!
//! Each network has two ports. Its creation counts with that of its first port. The last pair takes turns with the
//! pair of a second switch, which has two ports on one network.

use anyhow::{Context as _, Result, ensure};

use super::scale::{PORT_S, beside_small};
use super::{Figures, Needs, Times, Turn, Workload};
use crate::contender::Contender;
use crate::limits::{COMPARISONS, PAIRS_TRIED};
use crate::machine;
use crate::metric::Metric;

use super::pair::Pair;

/// Networks of two ports each.
const COUNT: usize = 500;

#[derive(Debug)]
pub(crate) struct Networks;

impl Workload for Networks {
    fn key(&self) -> &str {
        "networks500"
    }

    fn needs(&self) -> Needs {
        Needs { apart: true, family: "scale", by_name_only: true, ..Needs::once(2 * COUNT) }
    }

    fn refusal(&self, contender: &dyn Contender) -> Option<String> {
        contender.networks_refusal().or_else(|| {
            let has_twin = contender.twin().is_some();
            (!has_twin).then(|| "two of it cannot be up side by side".to_owned())
        })
    }

    fn metrics(&self) -> Vec<Metric> {
        let key = |name: &str| format!("{}.{name}", self.key());
        let title = |what: &str| format!("{COUNT} networks with 2 ports each: {what}");
        vec![
            Metric::higher(key("gbps_ratio"), title("TCP 1 stream, ratio to 1 network"), ""),
            Metric::lower(key("p50_ratio"), title("TCP round trip p50, ratio to 1 network"), ""),
            Metric::lower(key("create_s"), title("created and attached"), "s"),
        ]
    }

    fn seconds(&self, times: Times) -> f64 {
        PORT_S * (2 * COUNT) as f64 + 2.0 * COMPARISONS as f64 * Pair::seconds(times) + 3.0
    }

    fn run(&self, turn: &Turn<'_>) -> Result<Figures> {
        let neighbours = machine::many_neighbours()?;
        let (pairs, rest) = turn.endpoints.as_chunks::<2>();
        ensure!(rest.is_empty() && pairs.len() == COUNT, "{} pairs", pairs.len());
        for [one, other] in pairs.iter().step_by(COUNT.div_ceil(PAIRS_TRIED)) {
            one.reaches(&other.address)?;
        }
        let last = pairs.last().context("no pair")?.clone();
        let [one, many] = beside_small(turn, last)?;
        drop(neighbours);
        let ratios = many.over(&one).context("a figure of the one network is zero")?;
        let create_s = turn.attach_ms.iter().sum::<f64>() / 1e3;
        let figures =
            [("gbps_ratio", ratios.gbps), ("p50_ratio", ratios.p50_us), ("create_s", create_s)];
        Ok(figures.map(|(name, value)| (format!("{}.{name}", self.key()), value)).into())
    }
}
