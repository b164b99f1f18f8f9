//! Names of other containers, asked for by `dnsperf` in a container: as fast as the server answers, and at a rate
//! that leaves it time. Half of the questions are for IPv4 addresses, half for IPv6 addresses.
//!
//! `dnsperf` has one thread and one socket, and keeps 100 questions on their way. Each question must be answered,
//! with an address: before the load some names are looked up by `dig`.

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::pair::order;
use super::scale::{PORT_S, Small};
use super::{
    Figures, Needs, SHORT_LEAD, Times, Turn, Workload, message_cost_metrics, message_costs,
};
use crate::contender::Contender;
use crate::limits::{LOAD_GRACE, NAMES_CHECKED, NAMES_COMPARISONS, NAMES_PER_S};
use crate::metric::Metric;
use crate::shell::{self, Job};
use crate::stats::{median, quantile};
use crate::targets::ratio;

const KEY: &str = "names";
const TITLE: &str = "DNS answers";

/// One container asks for the names of three.
#[derive(Debug)]
pub(crate) struct Names;

impl Workload for Names {
    fn key(&self) -> &str {
        KEY
    }

    fn needs(&self) -> Needs {
        Needs { ports: 4, names: 1, ..Needs::PAIR }
    }

    fn refusal(&self, contender: &dyn Contender) -> Option<String> {
        contender.names_refusal()
    }

    fn metrics(&self) -> Vec<Metric> {
        let at = |name: &str| format!("{TITLE} at {NAMES_PER_S}/s: {name}");
        let mut metrics = vec![
            Metric::higher(format!("{KEY}.per_s"), TITLE.into(), "1/s"),
            Metric::lower(format!("{KEY}.p50_us"), at("p50"), "us"),
            Metric::lower(format!("{KEY}.p99_us"), at("p99"), "us"),
        ];
        metrics.extend(message_cost_metrics(KEY, TITLE, "answers"));
        metrics
    }

    fn seconds(&self, times: Times) -> f64 {
        2.0 * times.load as f64 + 0.8
    }

    fn run(&self, turn: &Turn<'_>) -> Result<Figures> {
        let asker = Asker::new(turn)?;
        let (text, usage) = turn.load(asker.start(&[])?, SHORT_LEAD)?;
        let per_second = rate(&text)?;
        let rate_limit = NAMES_PER_S.to_string();
        let slowly = asker.start(&["-v", "-Q", &rate_limit])?;
        let text = slowly.finish(Duration::from_secs(turn.seconds) + LOAD_GRACE)?;
        rate(&text)?;
        let times = times_us(&text);
        let at = |share| quantile(&times, share).context("dnsperf gives no times");
        let mut figures = vec![
            (format!("{KEY}.per_s"), per_second),
            (format!("{KEY}.p50_us"), at(0.5)?),
            (format!("{KEY}.p99_us"), at(0.99)?),
        ];
        figures.extend(message_costs(KEY, usage, per_second));
        Ok(figures)
    }
}

/// Ports and names of each: ten thousand names on one network.
const MANY: [usize; 2] = [157, 64];

/// Names of each of the two ports of a second switch beside it: ten names.
const FEW: usize = 5;

/// Answers on a network of 10,000 names beside those on a network of 10, by two switches that take turns.
#[derive(Debug)]
pub(crate) struct ManyNames;

impl Workload for ManyNames {
    fn key(&self) -> &str {
        "names10000"
    }

    fn needs(&self) -> Needs {
        let [ports, names] = MANY;
        Needs { names, family: "scale", by_name_only: true, ..Needs::once(ports) }
    }

    fn refusal(&self, contender: &dyn Contender) -> Option<String> {
        contender.names_refusal().or_else(|| {
            let has_twin = contender.twin().is_some();
            (!has_twin).then(|| "two of it cannot be up side by side".to_owned())
        })
    }

    fn metrics(&self) -> Vec<Metric> {
        let title = |what: &str| format!("{TITLE}, 10,000 names{what}");
        vec![
            Metric::higher("names10000.per_s_ratio".into(), title(": ratio to 10 names"), ""),
            Metric::higher("names10000.per_s".into(), title(""), "1/s"),
        ]
    }

    fn seconds(&self, times: Times) -> f64 {
        let compared = 2.0 * NAMES_COMPARISONS as f64 * (times.load as f64 + 0.3);
        PORT_S * MANY[0] as f64 + compared + 5.0
    }

    fn run(&self, turn: &Turn<'_>) -> Result<Figures> {
        let small = Small::new(turn.contender, FEW)?;
        let few = turn.between(small.contender.as_ref(), &small.ends);
        let askers = [Asker::new(&few)?, Asker::new(turn)?];
        let mut rates = [Vec::new(), Vec::new()];
        for nth in 0..NAMES_COMPARISONS {
            for is_many in order(nth).map(usize::from) {
                let limit = Duration::from_secs(turn.seconds) + LOAD_GRACE;
                rates[is_many].push(rate(&askers[is_many].start(&[])?.finish(limit)?)?);
                shell::heed()?;
            }
        }
        let medians = rates.map(|rates| median(&rates).unwrap_or_default());
        let [few, many] = medians;
        let ratio = ratio(many, few).context("no answers on the small network")?;
        Ok(vec![("names10000.per_s_ratio".into(), ratio), ("names10000.per_s".into(), many)])
    }
}

/// `dnsperf` in the first container of a turn, with the names of the others.
struct Asker<'a> {
    turn: &'a Turn<'a>,
    resolver: &'a str,
    questions: tempfile::NamedTempFile,
}

impl<'a> Asker<'a> {
    fn new(turn: &'a Turn<'a>) -> Result<Self> {
        let resolver = turn.contender.resolver().context("the contender named no DNS server")?;
        let others = || turn.endpoints.iter().skip(1);
        let mut text = String::new();
        for name in others().flat_map(|endpoint| &endpoint.names) {
            text += &format!("{name} A\n{name} AAAA\n");
        }
        let questions = tempfile::NamedTempFile::with_prefix("vswb-").context("questions")?;
        std::fs::write(questions.path(), text).context("write the questions")?;
        for endpoint in others().take(NAMES_CHECKED) {
            let name = endpoint.names.last().context("a container has no name")?;
            let dig = |kind: &str| -> Result<IpAddr> {
                let mut dig = turn.client().command("dig");
                dig.args([&format!("@{resolver}"), "+short", "+tries=2", "+timeout=2"]);
                let shown = shell::run(dig.args([name, kind])).context("package bind9-dnsutils")?;
                let shown = shown.trim();
                shown.parse().with_context(|| format!("{name} {kind}: the answer is {shown:?}"))
            };
            let found = (dig("A")?.to_string(), dig("AAAA")?.is_ipv6());
            ensure!(found == (endpoint.address.clone(), true), "{name} is {found:?}");
        }
        Ok(Self { turn, resolver, questions })
    }

    fn start(&self, options: &[&str]) -> Result<Job> {
        let mut client: Command = self.turn.client().load("dnsperf")?;
        client.args(["-s", self.resolver, "-l", &self.turn.seconds.to_string()]);
        client.arg("-d").arg(self.questions.path()).args(options);
        Job::spawn(&mut client).context("package dnsperf")
    }
}

/// Answers in a second. A question that was lost, or refused, makes the run void.
fn rate(text: &str) -> Result<f64> {
    let after = |mark: &str| {
        text.lines().find_map(|line| Some(line.trim().strip_prefix(mark)?.trim_start()))
    };
    let lost = after("Queries lost:").context("dnsperf gives no summary")?;
    ensure!(lost.starts_with("0 "), "dnsperf: queries lost: {lost}");
    let codes = after("Response codes:").unwrap_or("none");
    ensure!(codes.starts_with("NOERROR") && codes.ends_with("(100.00%)"), "dnsperf: {codes}");
    let rate = after("Queries per second:").context("dnsperf gives no rate")?;
    rate.parse().with_context(|| format!("answers a second: {rate}"))
}

/// Times of all answers, sorted. `dnsperf -v` prints them in seconds: `> NOERROR web A 0.000123`.
fn times_us(text: &str) -> Vec<f64> {
    let answers = text.lines().filter(|line| line.starts_with("> "));
    let seconds = answers.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    let mut times: Vec<_> = seconds.map(|seconds| seconds * 1e6).collect();
    times.sort_by(f64::total_cmp);
    times
}

#[cfg(test)]
mod tests;
