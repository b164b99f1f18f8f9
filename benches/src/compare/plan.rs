//! What runs, in which order, and how long it will take.

use crate::contender::{Contender, Kind, Link};
use crate::workload::{Needs, Times, Workload};

/// One contender, up with a number of ports, and the workloads that run on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) contender: usize,
    pub(crate) ports: usize,
    /// With a remote host behind its uplink.
    pub(crate) is_over_uplink: bool,
    /// Over two hosts with such a link between them.
    pub(crate) link: Option<Link>,
    /// Names of each port that it resolves.
    pub(crate) names: usize,
    /// Each two ports are on a network of their own.
    pub(crate) is_apart: bool,
    /// From 1.
    pub(crate) round: usize,
    pub(crate) workloads: Vec<usize>,
}

/// All steps: rounds in which the contenders alternate, the first of one being the last of the next,
/// and then what is measured once.
pub(crate) fn steps(
    contenders: usize,
    workloads: &[Box<dyn Workload>],
    rounds: usize,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for once in [false, true] {
        for round in 0..if once { 1 } else { rounds } {
            for place in 0..contenders {
                let contender = (place + round) % contenders;
                steps.extend(of_contender(contender, round + 1, workloads, once));
            }
        }
    }
    steps
}

/// A step for each number of ports that its workloads want, one with a remote host, one for each kind of link between
/// two hosts, one with names, and one with many networks.
fn of_contender(
    contender: usize,
    round: usize,
    workloads: &[Box<dyn Workload>],
    once: bool,
) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let is_due = |w: &dyn Workload| w.needs().once == once && round <= w.needs().rounds_max;
    for (number, workload) in workloads.iter().enumerate().filter(|(_, w)| is_due(w.as_ref())) {
        let Needs { ports, uplink: is_over_uplink, link, names, apart: is_apart, .. } =
            workload.needs();
        let is_alike = |step: &&mut Step| {
            (step.ports, step.is_over_uplink, step.link, step.names, step.is_apart)
                == (ports, is_over_uplink, link, names, is_apart)
        };
        match steps.iter_mut().find(is_alike) {
            Some(step) => step.workloads.push(number),
            None => {
                let workloads = vec![number];
                steps.push(Step {
                    contender,
                    ports,
                    is_over_uplink,
                    link,
                    names,
                    is_apart,
                    round,
                    workloads,
                });
            }
        }
    }
    steps
}

/// Why a contender is not put through a workload, if it is not.
pub(crate) fn refusal(
    contender: &dyn Contender,
    workload: &dyn Workload,
    quick: bool,
) -> Option<String> {
    let ports = workload.needs().ports;
    if ports > contender.ports_max() {
        let max = contender.ports_max();
        return Some(format!("{ports} ports take it too long: it is measured with {max} at most"));
    }
    if quick && ports > 2 && contender.kind() != Kind::Own {
        return Some(format!("{ports} ports take too long for a quick run"));
    }
    workload.refusal(contender)
}

/// What a step is expected to take, in seconds.
pub(crate) fn step_seconds(
    step: &Step,
    contender: &dyn Contender,
    workloads: &[Box<dyn Workload>],
    times: Times,
) -> f64 {
    let loads = step.workloads.iter().map(|n| workloads[*n].seconds(times)).sum::<f64>();
    contender.turn_seconds() + loads
}

#[cfg(test)]
mod tests;
