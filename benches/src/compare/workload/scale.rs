//! A switch with many ports beside one with two: whether a port more costs the others anything.
//!
//! With its ports in place and nothing to do, the switch is looked at as in `idle200`. Then every port
//! has to reach the gateway, and pairs that are drawn by lot each other. Then a second switch of the
//! same kind is brought up with two ports, and the pair of the first and the last port takes turns with
//! that one's pair. Beside two ports, two ports are put: what differs there is the machine's noise.

use std::hash::{BuildHasher as _, RandomState};

use anyhow::{Context as _, Result};

use super::idle::at_rest;
use super::pair::Pair;
use super::{Figures, Needs, Times, Turn, Workload};
use crate::contender::{Contender, Endpoint};
use crate::limits::{COMPARISONS, IDLE_SETTLE, PAIRS_TRIED};
use crate::machine;
use crate::metric::Metric;

/// What a port takes to make, to plug in, to try and to take away, in seconds.
pub(super) const PORT_S: f64 = 0.13;

#[derive(Debug)]
pub(crate) struct Scale {
    key: String,
    ports: usize,
}

impl Scale {
    pub(crate) fn ports(ports: usize) -> Self {
        Self { key: format!("scale{ports}"), ports }
    }
}

impl Workload for Scale {
    fn key(&self) -> &str {
        &self.key
    }

    fn needs(&self) -> Needs {
        Needs { family: "scale", by_name_only: true, ..Needs::once(self.ports) }
    }

    fn refusal(&self, contender: &dyn Contender) -> Option<String> {
        let has_twin = contender.twin().is_some();
        (!has_twin).then(|| "two of it cannot be up side by side".to_owned())
    }

    fn metrics(&self) -> Vec<Metric> {
        let key = |name: &str| format!("{}.{name}", self.key);
        let title = |what: &str| format!("{} ports: {what}", self.ports);
        let mut metrics = vec![
            Metric::higher(key("gbps_ratio"), title("TCP 1 stream, ratio to 2 ports"), ""),
            Metric::lower(key("p50_ratio"), title("TCP round trip p50, ratio to 2 ports"), ""),
            Metric::higher(key("gbps"), title("TCP 1 stream"), "Gb/s"),
            Metric::lower(key("p50_us"), title("TCP round trip p50"), "us"),
            Metric::lower(key("attach_ms"), title("attach"), "ms"),
            Metric::lower(key("cpu_percent"), title("CPU of the idle switch"), "%"),
        ];
        if self.ports > 2 {
            let memory = title("memory per port, switch + kernel");
            metrics.push(Metric::lower(key("kib_per_port"), memory, "KiB"));
        }
        metrics
    }

    fn seconds(&self, times: Times) -> f64 {
        let compared = 2.0 * COMPARISONS as f64 * Pair::seconds(times);
        IDLE_SETTLE.as_secs_f64() + times.idle as f64 + PORT_S * self.ports as f64 + compared + 3.0
    }

    fn run(&self, turn: &Turn<'_>) -> Result<Figures> {
        let mut figures = at_rest(&self.key, turn)?;
        let neighbours = machine::many_neighbours()?;
        everybody_talks(turn)?;
        let [two, many] = compare(turn)?;
        drop(neighbours);
        let ratios = many.over(&two).context("a figure of the two ports is zero")?;
        let compared = [
            ("gbps_ratio", ratios.gbps),
            ("p50_ratio", ratios.p50_us),
            ("gbps", many.gbps),
            ("p50_us", many.p50_us),
        ];
        figures.extend(compared.map(|(name, value)| (format!("{}.{name}", self.key), value)));
        Ok(figures)
    }
}

/// Every port reaches the gateway, and some pairs each other.
fn everybody_talks(turn: &Turn<'_>) -> Result<()> {
    let gateway = turn.contender.gateway().context("the switch named no gateway")?;
    for (number, endpoint) in turn.endpoints.iter().enumerate() {
        endpoint.reaches(gateway).with_context(|| format!("port {}", number + 1))?;
    }
    for _ in 0..PAIRS_TRIED {
        let (from, to) = two_of(turn.endpoints.len(), RandomState::new().hash_one(()));
        turn.endpoints[from].reaches(&turn.endpoints[to].address)?;
    }
    Ok(())
}

/// Two different numbers below `count`, by a lot.
fn two_of(count: usize, lot: u64) -> (usize, usize) {
    let (high, low) = ((lot >> 32) as usize, lot as u32 as usize);
    let from = high % count;
    (from, (from + 1 + low % (count - 1)) % count)
}

/// The medians of the pair of two, and of that among many.
fn compare(turn: &Turn<'_>) -> Result<[Pair; 2]> {
    let [first, .., last] = turn.endpoints else { anyhow::bail!("fewer than two ports") };
    beside_small(turn, [first.clone(), last.clone()])
}

/// The medians of the pair of a second switch with two ports, and of this pair, which take turns.
pub(super) fn beside_small(turn: &Turn<'_>, ends: [Endpoint; 2]) -> Result<[Pair; 2]> {
    let small = Small::new(turn.contender, 0)?;
    let beside = turn.between(small.contender.as_ref(), &small.ends);
    let among = turn.between(turn.contender, &ends);
    Pair::alternate(|is_many| Pair::measure(if is_many { &among } else { &beside }))
}

/// A second switch with two ports; it goes away with its guard.
pub(super) struct Small {
    pub(super) contender: Box<dyn Contender>,
    pub(super) ends: [Endpoint; 2],
}

impl Small {
    /// `names`: those that each port has, where names are asked for.
    pub(super) fn new(of: &dyn Contender, names: usize) -> Result<Self> {
        let mut contender = of.twin().context("it has no twin")?;
        match Self::bring_up(contender.as_mut(), names) {
            Ok(ends) => Ok(Self { contender, ends }),
            Err(error) => {
                contender.stop();
                Err(error.context("a second switch with two ports"))
            }
        }
    }

    fn bring_up(contender: &mut dyn Contender, names: usize) -> Result<[Endpoint; 2]> {
        contender.start()?;
        if names > 0 {
            contender.resolve_names(names)?;
        }
        contender.prepare(2)?;
        let ends = [contender.port()?, contender.port()?];
        ends[0].reaches(&ends[1].address)?;
        Ok(ends)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        self.contender.stop();
    }
}

#[cfg(test)]
mod tests;
