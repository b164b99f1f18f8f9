//! The rate of UDP frames that gets through without loss, after RFC 2544: a paced sender that sleeps
//! between small bursts, a receiver with a plain socket, and a binary search.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Agent, Figures, Needs, Times, Turn, Workload, message_cost_metrics, message_costs};
use crate::limits::{LOAD_GRACE, UDP_DRAIN, UDP_PPS_MAX, UDP_PPS_MIN, UDP_STEPS, UDP_TRIAL};
use crate::metric::Metric;
use crate::search::{self, Trial};
use crate::shell;
use crate::usage::Usage;

const PORT: u16 = 9_000;

/// Of an Ethernet frame, what is not UDP payload: MAC header, IPv4, UDP, frame check sequence.
const OVERHEAD_LEN: usize = 14 + 20 + 8 + 4;

#[derive(Debug)]
pub(crate) struct NoLoss {
    key: String,
    title: String,
    payload_len: usize,
}

impl NoLoss {
    /// For Ethernet frames of a length, with their check sequence as RFC 2544 counts it.
    pub(crate) fn frame(len: usize) -> Self {
        let title = format!("UDP {len} B without loss");
        Self { key: format!("udp{len}"), title, payload_len: len - OVERHEAD_LEN }
    }
}

impl Workload for NoLoss {
    fn key(&self) -> &str {
        &self.key
    }

    fn metrics(&self) -> Vec<Metric> {
        let rate = Metric::higher(format!("{}.kpps", self.key), self.title.clone(), "kpps");
        let costs = message_cost_metrics(&self.key, &self.title, "frames");
        std::iter::once(rate).chain(costs).collect()
    }

    fn seconds(&self, _times: Times) -> f64 {
        // Some of the rates fail, and are tried twice.
        f64::from(UDP_STEPS) * 1.3 * (UDP_TRIAL + UDP_DRAIN).as_secs_f64() + 0.4
    }

    /// What lies between the shortest and the longest says least.
    fn needs(&self) -> Needs {
        if self.key == "udp512" { Needs::FEW } else { Needs::PAIR }
    }

    fn run(&self, turn: &Turn<'_>) -> Result<Figures> {
        let mut ends = Ends {
            sink: turn.agent(turn.server(), &format!("udp-sink --port {PORT}"))?.ready()?,
            sender: turn.agent(
                turn.client(),
                &format!(
                    "udp-send --to {}:{PORT} --len {}",
                    turn.server().address,
                    self.payload_len
                ),
            )?,
            trials: 0,
        };
        ends.sender = ends.sender.ready()?;
        let found =
            search::highest(UDP_PPS_MIN, UDP_PPS_MAX, UDP_STEPS, |pps| ends.trial(pps, turn))?;
        let lowest = format!("loses frames at {UDP_PPS_MIN} frames/s already");
        let (pps, usage) = found.context(lowest)?;
        let mut figures = vec![(format!("{}.kpps", self.key), pps / 1e3)];
        figures.extend(message_costs(&self.key, usage, pps));
        Ok(figures)
    }
}

/// Sender and receiver of a search.
struct Ends {
    sink: Agent,
    sender: Agent,
    trials: u32,
}

impl Ends {
    fn trial(&mut self, pps: f64, turn: &Turn<'_>) -> Result<(Trial, Usage)> {
        self.trials += 1;
        let number = self.trials;
        self.sink.ask(&format!("{number}"), LOAD_GRACE)?;
        let before = turn.look()?;
        let words = format!("{number} {pps:.0} {}", UDP_TRIAL.as_millis());
        let answer = self.sender.ask(&words, UDP_TRIAL + LOAD_GRACE)?;
        let usage = before.until(&turn.look()?);
        shell::pause(UDP_DRAIN)?;
        let shown: Value = serde_json::from_str(&answer).context("answer of the sender")?;
        let sent = shown["sent"].as_u64().context("the sender says no number")?;
        let sent_pps = shown["pps"].as_f64().context("the sender says no rate")?;
        let received = self.sink.ask("count", Duration::from_secs(5))?;
        let received = received.parse().context("answer of the receiver")?;
        Ok((Trial { sent, received, sent_pps }, usage))
    }
}
