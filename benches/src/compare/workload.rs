//! Workloads: one file each, registered in `registry.rs`.
//!
//! A workload says how many ports it wants, what figures it gives, and runs once in a turn of a
//! contender that is up with that many ports. All workloads with the same number of ports share a
//! turn. To add one, write its file and register it;
//! table, plots and result file follow.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::contender::{Contender, Endpoint, Link, Outside};
use crate::limits::{FEW_ROUNDS, LOAD_GRACE, READY_LIMIT};
use crate::metric::{Figures, Metric};
use crate::shell::{self, Job};
use crate::usage::{Look, Usage};

pub(crate) mod across;
pub(crate) mod attack;
pub(crate) mod busy;
pub(crate) mod connect;
pub(crate) mod distance;
pub(crate) mod docker_run;
pub(crate) mod http;
pub(crate) mod idle;
pub(crate) mod loopback;
pub(crate) mod names;
pub(crate) mod networks;
pub(crate) mod outside;
mod pair;
pub(crate) mod redis;
pub(crate) mod round_trip;
pub(crate) mod scale;
pub(crate) mod tcp;
pub(crate) mod udp;

pub(crate) use idle::resident;
pub(crate) use outside::{PUBLISHED, published_as};

/// How long loads run, and how long an idle switch is watched, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) load: u64,
    pub(crate) idle: u64,
}

/// When a workload runs, and with what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needs {
    /// Ports that must be plugged in.
    pub(crate) ports: usize,
    /// A remote host behind the contender's uplink; in a turn of its own.
    pub(crate) uplink: bool,
    /// Two hosts with such a link between them, a port on each; in a turn of its own.
    pub(crate) link: Option<Link>,
    /// Names of each port that the contender resolves; in a turn of its own. 0 where none are needed.
    pub(crate) names: usize,
    /// Each two ports are on a network of their own; in a turn of its own.
    pub(crate) apart: bool,
    /// Once and not in each round: does not drift, and takes long.
    pub(crate) once: bool,
    /// Rounds that it takes part in, from the first on: so that the whole stays within its time.
    pub(crate) rounds_max: usize,
    /// Runs only where `--only` names it, or its family: would take the usual run too long.
    pub(crate) by_name_only: bool,
    /// A name by which `--only` chooses it together with others; its own key if empty.
    pub(crate) family: &'static str,
}

impl Needs {
    /// Two ports, in each round.
    pub(crate) const PAIR: Self = Self {
        ports: 2,
        uplink: false,
        link: None,
        names: 0,
        apart: false,
        once: false,
        rounds_max: usize::MAX,
        by_name_only: false,
        family: "",
    };

    /// The same in few rounds.
    const FEW: Self = Self { rounds_max: FEW_ROUNDS, ..Self::PAIR };

    /// So many ports, once.
    const fn once(ports: usize) -> Self {
        Self { ports, once: true, ..Self::PAIR }
    }
}

/// Something to measure.
pub(crate) trait Workload {
    /// As in `--only` and in the result file.
    fn key(&self) -> &str;

    fn needs(&self) -> Needs {
        Needs::PAIR
    }

    /// Why it cannot run on a contender, if it cannot.
    fn refusal(&self, _contender: &dyn Contender) -> Option<String> {
        None
    }

    /// The figures that it gives; the first is the one that is plotted.
    fn metrics(&self) -> Vec<Metric>;

    /// What a run is expected to take.
    fn seconds(&self, times: Times) -> f64;

    fn run(&self, turn: &Turn<'_>) -> Result<Figures>;
}

/// What of a load's end is not looked at.
const EDGE: Duration = Duration::from_millis(650);

/// Time before the clocks are looked at, where a load has no warm-up of its own.
const SHORT_LEAD: Duration = Duration::from_millis(200);

/// A contender that is up, with its ports.
pub(crate) struct Turn<'a> {
    pub(crate) contender: &'a dyn Contender,
    pub(crate) endpoints: &'a [Endpoint],
    /// Who is behind the uplink, where a remote was asked for.
    pub(crate) outside: Option<&'a Outside>,
    /// Where the client finds the server's ports, if not at the server's own address.
    pub(crate) published_at: Option<&'a str>,
    /// Processes that only take CPU time while the load runs.
    pub(crate) hogs: &'a [u32],
    /// How long each load runs.
    pub(crate) seconds: u64,
    /// How long an idle switch is watched.
    pub(crate) idle_seconds: u64,
    /// This program, for its agents.
    pub(crate) program: &'a Path,
    /// What each port took to plug in, in milliseconds.
    pub(crate) attach_ms: &'a [f64],
    /// Memory of kernel and of the switch before the first port, in KiB; only with many ports.
    pub(crate) memory_before_kib: Option<(u64, u64)>,
}

impl Turn<'_> {
    pub(crate) fn client(&self) -> &Endpoint {
        &self.endpoints[0]
    }

    pub(crate) fn server(&self) -> &Endpoint {
        &self.endpoints[1]
    }

    /// The address and the port by which the client finds a port of the server.
    fn target(&self, port: u16) -> (&str, u16) {
        match self.published_at {
            Some(address) => (address, published_as(port)),
            None => (&self.server().address, port),
        }
    }

    /// The same turn for a pair of ports, of this contender or of another.
    fn between<'b>(&'b self, contender: &'b dyn Contender, ends: &'b [Endpoint; 2]) -> Turn<'b> {
        Turn { contender, endpoints: ends, ..*self }
    }

    /// Runs a load to its end, and looks at the clocks in its middle: after `lead`, until shortly
    /// before the end. So what the load does before and after does not count.
    pub(crate) fn load(&self, job: Job, lead: Duration) -> Result<(String, Usage)> {
        let usage = self.window(lead)?;
        let text = job.finish(Duration::from_secs(self.seconds) + LOAD_GRACE)?;
        Ok((text, usage))
    }

    /// What is used in the middle of a load that has just begun.
    fn window(&self, lead: Duration) -> Result<Usage> {
        shell::pause(lead)?;
        let before = self.look()?;
        shell::pause(Duration::from_secs(self.seconds).saturating_sub(EDGE))?;
        Ok(before.until(&self.look()?))
    }

    /// At the clocks of machine, switch and hogs.
    fn look(&self) -> Result<Look> {
        Look::now(&self.contender.pids(), self.hogs)
    }

    /// Runs an agent of this program in the client as a load, and reads its answer.
    fn agent_load(&self, words: &str) -> Result<(Value, Usage)> {
        let mut client = self.client().load(self.program)?;
        client.arg("agent").args(words.split_whitespace());
        let (text, usage) = self.load(Job::spawn(&mut client)?, SHORT_LEAD)?;
        Ok((serde_json::from_str(&text).context("answer of the agent")?, usage))
    }

    /// An agent of this program in an endpoint.
    pub(crate) fn agent(&self, endpoint: &Endpoint, words: &str) -> Result<Agent> {
        Agent::spawn(endpoint.load(self.program)?, words)
    }
}

/// A process of `vswitch-bench agent`: it answers each line with a line, and ends with its input.
#[derive(Debug)]
pub(crate) struct Agent {
    job: Job,
    input: std::process::ChildStdin,
    answers: usize,
}

impl Agent {
    /// Starts this program, as `command`, as an agent.
    fn spawn(mut command: Command, words: &str) -> Result<Self> {
        command.arg("agent").args(words.split_whitespace());
        let (job, input) = Job::spawn_with_input(&mut command)?;
        Ok(Self { job, input, answers: 0 })
    }

    fn pid(&self) -> u32 {
        self.job.pid()
    }

    /// The next line of the agent's.
    pub(crate) fn answer(&mut self, limit: Duration) -> Result<String> {
        let (job, number) = (&mut self.job, self.answers);
        let mut found = None;
        shell::wait_for("an answer of the agent", limit, || {
            let text = job.output();
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            found = whole.lines().nth(number).map(str::to_owned);
            if found.is_none() && job.has_ended()? {
                bail!("the agent ended: {}", job.last_words());
            }
            Ok(found.is_some())
        })?;
        self.answers += 1;
        found.context("a line was seen")
    }

    /// Waits until it says that it is ready.
    pub(crate) fn ready(mut self) -> Result<Self> {
        let answer = self.answer(READY_LIMIT)?;
        anyhow::ensure!(answer == "ready", "the agent says {answer:?} instead of ready");
        Ok(self)
    }

    /// Writes a line and waits for the answer.
    pub(crate) fn ask(&mut self, line: &str, limit: Duration) -> Result<String> {
        use std::io::Write as _;
        writeln!(self.input, "{line}").context("write to the agent")?;
        self.answer(limit)
    }
}

/// Waits until a server listens on a TCP port, by its own view of the network.
fn listens(server: &mut Job, port: u16) -> Result<()> {
    let pid = server.pid();
    server.until(&format!("something listens on port {port}"), |_| {
        Ok(has_socket(&sockets(pid), port, LISTENING))
    })
}

/// Waits until a server has seen its clients of a TCP port close: one that ends before them leaves
/// sockets in TIME-WAIT, and the next cannot listen.
fn is_left(server: &mut Job, port: u16) -> Result<()> {
    let pid = server.pid();
    server.until(&format!("all clients have left port {port}"), |_| {
        Ok(!has_socket(&sockets(pid), port, ESTABLISHED))
    })
}

const ESTABLISHED: &str = "01";
const LISTENING: &str = "0A";

/// The TCP sockets of a process's namespace: tables as in proc_net_tcp(5).
fn sockets(pid: u32) -> String {
    let files = ["tcp", "tcp6"].map(|file| format!("/proc/{pid}/net/{file}"));
    files.map(|file| std::fs::read_to_string(file).unwrap_or_default()).concat()
}

/// Whether a table as in proc_net_tcp(5) has a socket in a state on a local port.
fn has_socket(table: &str, port: u16, state: &str) -> bool {
    table.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let local = fields.get(1).is_some_and(|at| at.ends_with(&format!(":{port:04X}")));
        local && fields.get(3) == Some(&state)
    })
}

/// The costs that go with a rate of messages.
fn message_costs(key: &str, usage: Usage, per_second: f64) -> Figures {
    let cost = (format!("{key}.cpu_s_per_million"), usage.machine_cpus / per_second * 1e6);
    std::iter::once(cost).chain(process_cpus(key, usage)).collect()
}

/// Of the switch, unless it forwards in the kernel, and of hogs, where there are any.
fn process_cpus(key: &str, usage: Usage) -> impl Iterator<Item = (String, f64)> {
    let switch = usage.switch_cpus.map(|cpus| (format!("{key}.switch_cpus"), cpus));
    let hogs = usage.hog_cpus.map(|cpus| (format!("{key}.{}", busy::HOG_CPUS), cpus));
    switch.into_iter().chain(hogs)
}

/// A metric of a load by its name in a workload that runs the load under other circumstances.
fn renamed(key: &str, load: &str, workload: &str) -> String {
    format!("{workload}{}", key.strip_prefix(load).unwrap_or(key))
}

/// Their metrics; `what` is a message, a frame, a request.
fn message_cost_metrics(key: &str, title: &str, what: &str) -> Vec<Metric> {
    vec![
        Metric::lower(
            format!("{key}.cpu_s_per_million"),
            format!("{title}: CPU per million {what}"),
            "s",
        ),
        Metric::lower(format!("{key}.switch_cpus"), format!("{title}: switch"), "CPUs"),
    ]
}

#[cfg(test)]
mod tests;
