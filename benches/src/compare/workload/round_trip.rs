//! Round-trip times: with one message on its way (`sockperf ping-pong`, by sockets that block or by epoll), and
//! with 32 of them (our agent, which keeps a window of messages full on one connection).

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::NamedTempFile;

use super::{Figures, Needs, Times, Turn, Workload, message_cost_metrics, message_costs};
use crate::limits::OUTSTANDING;
use crate::metric::Metric;
use crate::shell::{self, Job};

/// Where its server listens.
pub(crate) const PORT: u16 = 11_111;

/// How long sockperf sleeps before it sends, and its warm-up: before the clocks are looked at.
const LEAD: Duration = Duration::from_millis(2_600);

/// What it takes beside the load: this, and sleeps at its end.
const SOCKPERF_S: f64 = 2.4;

fn metrics(key: &str, title: &str) -> Vec<Metric> {
    let quantiles = [("p50", "p50"), ("p99", "p99"), ("p999", "p99.9")];
    let times = quantiles.iter().map(|(name, shown)| {
        Metric::lower(format!("{key}.{name}_us"), format!("{title} {shown}"), "us")
    });
    times.chain(message_cost_metrics(key, title, "round trips")).collect()
}

/// TCP says most.
fn needs(key: &str) -> Needs {
    if key.starts_with("rtt-tcp") { Needs::PAIR } else { Needs::FEW }
}

/// How sockperf uses its sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sockets {
    BlockingTcp,
    /// They do not block, and both ends wait by epoll, as servers of many clients do.
    TcpByEpoll,
    BlockingUdp,
}

impl Sockets {
    /// Adds the options that name the server. Gives the list of sockets, a file that has to outlive the job.
    fn apply(self, job: &mut Command, address: &str, port: &str) -> Result<Option<NamedTempFile>> {
        match self {
            Self::BlockingTcp => job.args(["-i", address, "-p", port, "--tcp"]),
            Self::BlockingUdp => job.args(["-i", address, "-p", port]),
            Self::TcpByEpoll => {
                let list = NamedTempFile::with_prefix("vswb-").context("a list of sockets")?;
                std::fs::write(list.path(), format!("T:{address}:{port}\n")).context("write it")?;
                job.args(["-F", "epoll", "--nonblocked", "-f"]).arg(list.path());
                return Ok(Some(list));
            }
        };
        Ok(None)
    }
}

/// One message at a time.
#[derive(Debug)]
pub(crate) struct PingPong {
    key: &'static str,
    title: &'static str,
    sockets: Sockets,
}

impl PingPong {
    pub(crate) fn tcp() -> Self {
        Self { key: "rtt-tcp", title: "TCP round trip", sockets: Sockets::BlockingTcp }
    }

    pub(crate) fn tcp_by_epoll() -> Self {
        let title = "TCP round trip by epoll";
        Self { key: "rtt-tcp-epoll", title, sockets: Sockets::TcpByEpoll }
    }

    pub(crate) fn udp() -> Self {
        Self { key: "rtt-udp", title: "UDP round trip", sockets: Sockets::BlockingUdp }
    }
}

impl Workload for PingPong {
    fn key(&self) -> &str {
        self.key
    }

    fn needs(&self) -> Needs {
        Needs { by_name_only: self.sockets == Sockets::TcpByEpoll, ..needs(self.key) }
    }

    fn metrics(&self) -> Vec<Metric> {
        metrics(self.key, self.title)
    }

    fn seconds(&self, times: Times) -> f64 {
        times.load as f64 + SOCKPERF_S
    }

    fn run(&self, turn: &Turn<'_>) -> Result<Figures> {
        let (address, port) = (&turn.server().address, PORT.to_string());
        let mut command = turn.server().load("sockperf")?;
        let _list = self.sockets.apply(command.arg("server"), address, &port)?;
        let mut server = Job::spawn(&mut command)?;
        if self.sockets == Sockets::BlockingUdp {
            // A datagram that comes too early would be answered by an ICMP error.
            shell::pause(Duration::from_millis(200))?;
        } else {
            super::listens(&mut server, PORT)?;
        }
        let mut client = turn.client().load("sockperf")?;
        let (to, to_port) = turn.target(PORT);
        client.args(["ping-pong", "--full-rtt", "-t", &turn.seconds.to_string()]);
        let _list = self.sockets.apply(&mut client, to, &to_port.to_string())?;
        let (text, usage) = turn.load(Job::spawn(&mut client)?, LEAD)?;
        super::is_left(&mut server, PORT)?;
        let times = parse_sockperf(&text)?;
        Ok(times.figures(self.key, usage))
    }
}

/// A full window of messages.
#[derive(Debug)]
pub(crate) struct Window {
    key: &'static str,
    title: &'static str,
    protocol: &'static str,
}

impl Window {
    pub(crate) fn tcp() -> Self {
        Self { key: "rtt-tcp32", title: "TCP round trip, 32 outstanding", protocol: "tcp" }
    }

    pub(crate) fn udp() -> Self {
        Self { key: "rtt-udp32", title: "UDP round trip, 32 outstanding", protocol: "udp" }
    }
}

impl Workload for Window {
    fn key(&self) -> &str {
        self.key
    }

    fn needs(&self) -> Needs {
        needs(self.key)
    }

    fn metrics(&self) -> Vec<Metric> {
        metrics(self.key, self.title)
    }

    fn seconds(&self, times: Times) -> f64 {
        times.load as f64 + 0.2
    }

    fn run(&self, turn: &Turn<'_>) -> Result<Figures> {
        let (address, seconds) = (&turn.server().address, turn.seconds);
        let _server = turn
            .agent(turn.server(), &format!("echo --protocol {} --port {PORT}", self.protocol))?
            .ready()?;
        let words = format!(
            "round-trip --protocol {} --to {address}:{PORT} --outstanding {OUTSTANDING} --seconds {seconds}",
            self.protocol
        );
        let (shown, usage) = turn.agent_load(&words)?;
        let number = |key: &str| shown[key].as_f64().with_context(|| format!("no {key}: {shown}"));
        let times = Percentiles {
            p50_us: number("p50_us")?,
            p99_us: number("p99_us")?,
            p999_us: number("p999_us")?,
            per_second: number("per_second")?,
        };
        Ok(times.figures(self.key, usage))
    }
}

/// Round-trip times in microseconds, and how many there were in a second.
#[derive(Debug, PartialEq)]
struct Percentiles {
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    per_second: f64,
}

impl Percentiles {
    fn figures(&self, key: &str, usage: crate::usage::Usage) -> Figures {
        let mut figures = vec![
            (format!("{key}.p50_us"), self.p50_us),
            (format!("{key}.p99_us"), self.p99_us),
            (format!("{key}.p999_us"), self.p999_us),
        ];
        figures.extend(message_costs(key, usage, self.per_second));
        figures
    }
}

/// What `sockperf --full-rtt` prints.
fn parse_sockperf(text: &str) -> Result<Percentiles> {
    // sockperf: ---> percentile 99.900 =  123.456
    let percentile = |name: &str| -> Result<f64> {
        let mark = format!("percentile {name}");
        let line = text.lines().find(|line| line.contains(&mark));
        let value = line.and_then(|line| line.rsplit('=').next()?.trim().parse().ok());
        value.with_context(|| format!("sockperf gives no percentile {name}"))
    };
    // sockperf: [Valid Duration] RunTime=1.549 sec; SentMessages=34500; ReceivedMessages=34500
    let valid = text.lines().find(|line| line.contains("[Valid Duration]"));
    let field = |key: &str| -> Result<f64> {
        let rest = valid.and_then(|line| line.split(key).nth(1));
        let digits = rest.and_then(|rest| rest.split([' ', ';']).next()?.trim().parse().ok());
        digits.with_context(|| format!("sockperf gives no {key}"))
    };
    Ok(Percentiles {
        p50_us: percentile("50.000")?,
        p99_us: percentile("99.000")?,
        p999_us: percentile("99.900")?,
        per_second: field("ReceivedMessages=")? / field("RunTime=")?,
    })
}

#[cfg(test)]
mod tests;
