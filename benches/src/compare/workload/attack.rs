//! A pair of ports while a third attacks the switch, beside the same pair while the attacker's program
//! does the same work without the switch.
//!
//! The attacker is one thread of an agent that sends as fast as it can. In the baseline it sends into
//! an interface of its own namespace behind which there is nothing, and so takes the same CPU time from
//! the pair. Attack and baseline alternate. An attack of which no frame reached the switch, and a
//! baseline in which none was sent, are errors and not figures.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum as _;
use serde_json::Value;

use super::pair::Pair;
use super::{Agent, Figures, Needs, Times, Turn, Workload};
use crate::agent::Attack;
use crate::contender::Endpoint;
use crate::limits::{ATTACK_LEAD, COMPARISONS, READY_LIMIT};
use crate::metric::Metric;
use crate::shell;
use crate::stats::median;

/// An interface of the attacker that throws everything away, and its network (RFC 2544).
const SINK: &str = "vswb-sink";
const SINK_FROM: &str = "198.18.0.1";
const SINK_TO: &str = "198.18.0.2";

/// Kinds of interface that drop what a program sends through them; not every kernel has both.
const SINK_KINDS: [&str; 2] = ["dummy", "ifb"];

#[derive(Debug)]
pub(crate) struct Hostile {
    kind: Attack,
    key: &'static str,
    title: &'static str,
}

impl Hostile {
    pub(crate) fn new(kind: Attack) -> Self {
        let (key, title) = match kind {
            Attack::MacFlood => ("attack-mac", "MAC flood"),
            Attack::BroadcastStorm => ("attack-broadcast", "broadcast storm"),
            Attack::Garbage => ("attack-garbage", "garbage frames"),
            Attack::ArpSpoof => ("attack-arp", "ARP spoofing"),
            Attack::UdpFlood => ("attack-udp", "UDP flood of 64 B"),
        };
        Self { kind, key, title }
    }
}

impl Workload for Hostile {
    fn key(&self) -> &str {
        self.key
    }

    /// The pair, the attacker, and a container that is flooded.
    fn needs(&self) -> Needs {
        Needs { family: "attack", by_name_only: true, ..Needs::once(4) }
    }

    fn metrics(&self) -> Vec<Metric> {
        let key = |name: &str| format!("{}.{name}", self.key);
        let title = |what: &str| format!("{}: {what}", self.title);
        vec![
            Metric::higher(key("gbps_ratio"), title("TCP 1 stream, ratio to baseline"), ""),
            Metric::lower(key("p99_ratio"), title("TCP round trip p99, ratio to baseline"), ""),
            Metric::higher(key("gbps"), title("TCP 1 stream"), "Gb/s"),
            Metric::lower(key("p99_us"), title("TCP round trip p99"), "us"),
            Metric::higher(key("kpps"), title("frames of the attacker"), "kpps"),
        ]
    }

    fn seconds(&self, times: Times) -> f64 {
        2.0 * COMPARISONS as f64 * (Pair::seconds(times) + 2.0 * ATTACK_LEAD.as_secs_f64() + 0.1)
    }

    fn run(&self, turn: &Turn<'_>) -> Result<Figures> {
        let _sink = Sink::new(&turn.endpoints[2])?;
        let mut kpps = Vec::new();
        let [calm, attacked] = Pair::alternate(|is_attack| {
            let (pair, frames) = self.under(turn, is_attack)?;
            kpps.extend(is_attack.then_some(frames));
            Ok(pair)
        })?;
        let ratios = attacked.over(&calm).context("a figure of the baseline is zero")?;
        let figures = [
            ("gbps_ratio", ratios.gbps),
            ("p99_ratio", ratios.p99_us),
            ("gbps", attacked.gbps),
            ("p99_us", attacked.p99_us),
            ("kpps", median(&kpps).context("nothing was measured")?),
        ];
        Ok(figures.map(|(name, value)| (format!("{}.{name}", self.key), value)).to_vec())
    }
}

impl Hostile {
    /// The pair while the agent sends, and thousands of frames a second that the agent got rid of: in
    /// an attack to the switch, else into the sink.
    fn under(&self, turn: &Turn<'_>, is_attack: bool) -> Result<(Pair, f64)> {
        let mut agent = self.attacker(turn, is_attack)?;
        shell::pause(ATTACK_LEAD)?;
        let (before, begin) = (Count::of(&mut agent)?, Instant::now());
        let pair = Pair::measure(turn);
        let (after, took) = (Count::of(&mut agent)?, begin.elapsed());
        drop(agent);
        shell::pause(ATTACK_LEAD)?;
        let frames = before.until(&after, is_attack);
        let name = if is_attack { "under attack" } else { "in the baseline" };
        ensure!(frames > 0, "no frame of the attacker's passed {name}");
        Ok((pair.context(name)?, kpps(frames, took)))
    }

    fn attacker(&self, turn: &Turn<'_>, is_attack: bool) -> Result<Agent> {
        let [_, victim, attacker, third] = turn.endpoints else {
            anyhow::bail!("{} ports instead of 4", turn.endpoints.len())
        };
        let (from, third) = match is_attack {
            true => (attacker.address.as_str(), third.address.as_str()),
            false => (SINK_FROM, SINK_TO),
        };
        let kind = self.kind.to_possible_value().context("an attack has a name")?;
        let words = format!(
            "attack --kind {} --from {from} --victim {} --third {third}",
            kind.get_name(),
            victim.address
        );
        let mut agent = turn.agent(attacker, &words)?.ready()?;
        agent.ask("go", READY_LIMIT)?;
        Ok(agent)
    }
}

fn kpps(frames: u64, took: Duration) -> f64 {
    frames as f64 / took.as_secs_f64().max(1e-6) / 1e3
}

/// What the agent says of its frames.
#[derive(Debug, PartialEq)]
struct Count {
    /// Those that the kernel took.
    sent: u64,
    /// Those that left the interface.
    passed: u64,
}

impl Count {
    fn of(agent: &mut Agent) -> Result<Self> {
        Self::parse(&agent.ask("count", READY_LIMIT)?)
    }

    fn parse(answer: &str) -> Result<Self> {
        let shown: Value = serde_json::from_str(answer).context("answer of the attacker")?;
        let number = |key: &str| {
            shown[key].as_u64().with_context(|| format!("the attacker says no {key}: {answer}"))
        };
        Ok(Self { sent: number("sent")?, passed: number("passed")? })
    }

    /// Frames since then. What a kernel's sink is given it may count as it likes: there, what was sent.
    fn until(&self, later: &Self, is_attack: bool) -> u64 {
        match is_attack {
            true => later.passed.saturating_sub(self.passed),
            false => later.sent.saturating_sub(self.sent),
        }
    }
}

/// The interface that leads nowhere; it goes away with its guard.
struct Sink<'a> {
    attacker: &'a Endpoint,
}

impl<'a> Sink<'a> {
    fn new(attacker: &'a Endpoint) -> Result<Self> {
        let mut last_error = None;
        for kind in SINK_KINDS {
            let script = format!(
                "link add {SINK} type {kind}\naddr add {SINK_FROM}/24 dev {SINK}\n\
                 link set {SINK} up\n"
            );
            match shell::ip_batch(&attacker.netns, &script) {
                Ok(()) => return Ok(Self { attacker }),
                Err(error) => last_error = Some(error),
            }
        }
        let error = last_error.unwrap_or_else(|| anyhow::anyhow!("no kind is known"));
        Err(error.context(format!("the kernel has neither of {}", SINK_KINDS.join(", "))))
    }
}

impl Drop for Sink<'_> {
    fn drop(&mut self) {
        shell::clean_up(self.attacker.command("ip").args(["link", "del", SINK]));
    }
}

#[cfg(test)]
mod tests;
