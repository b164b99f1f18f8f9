//! A run: starts both ends as processes, kills them if asked to, and reads what they tell.

use std::net::IpAddr;
use std::path::Path;
use std::process::Stdio;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::bytes::Bytes;
use super::client::Client;
use super::report::Report;
use super::rng::Rng;
use super::server::Server;
use super::shape::{Deaths, End, Mix};
use super::signals::Signals;
use super::talk::Common;
use super::waits::{AllWaits, Waits};
use crate::{Netns, Process, READY_MAX, wait_for};

/// Parameters of an end.
const PARAMETERS: &str = "VSWITCH_TORTURE";

/// First port of the server.
const PORT: u16 = 7400;

/// Ports of clients: few, so that a tuple comes back soon.
const CLIENT_PORTS: &str = "20000 29999";

/// A run to be done.
#[derive(Clone, Debug)]
pub struct Torture<'a> {
    /// Namespaces of the server and the client.
    pub server: &'a Netns,
    /// See `server`.
    pub client: &'a Netns,
    /// Addresses of the server.
    pub v4: IpAddr,
    /// See `v4`.
    pub v6: IpAddr,
    /// Arguments by which this program becomes an end, that is, calls [`torture_process`].
    pub args: &'a [&'a str],
    /// Words before the program, such as those that put it into a cgroup.
    pub wrapper: &'a [&'a str],
    /// Determines all shapes.
    pub seed: u64,
    /// Which shapes are drawn.
    pub mix: Mix,
    /// How many connections.
    pub connections: u64,
    /// Time without progress after which a connection is stuck.
    pub stuck_after: Duration,
    /// Faults are also answers of calls that leave the bytes right but that plain TCP does not give: `FIONREAD` that
    /// does not count what can be read, `MSG_WAITALL` that gives less.
    pub is_strict: bool,
    /// Time for the whole run.
    pub limit: Duration,
}

/// What came of a run.
#[derive(Debug, Default)]
#[must_use = "it may tell of faults"]
pub struct Tally {
    /// Connections that were right, as the client saw them.
    pub right: u64,
    /// The same, as the server saw them.
    pub served: u64,
    /// Faults with corrupt bytes.
    pub corrupt: Vec<String>,
    /// Faults without progress.
    pub stuck: Vec<String>,
    /// Other faults.
    pub errors: Vec<String>,
    /// Time that the run took.
    pub elapsed: Duration,
    /// The longest wait of a reader for bytes, and the number of its connection.
    pub longest_wait: (Duration, u64),
    /// At most one of a thousand waits of readers reached this time, a power of two of microseconds.
    pub rare_wait: Duration,
}

impl Tally {
    /// All of `connections` were right at both ends.
    ///
    /// # Panics
    /// Otherwise, with the first faults of each kind.
    #[track_caller]
    pub fn assert_right(&self, connections: u64) {
        let kinds = [&self.corrupt, &self.stuck, &self.errors];
        let first: Vec<_> = kinds.iter().flat_map(|kind| kind.iter().take(4)).collect();
        assert!(first.is_empty(), "{self}:\n{first:#?}");
        assert_eq!((self.right, self.served), (connections, connections), "{self}");
    }

    /// Whether it has no fault.
    #[must_use]
    pub const fn is_right(&self) -> bool {
        self.corrupt.is_empty() && self.stuck.is_empty() && self.errors.is_empty()
    }

    fn read(path: &Path, elapsed: Duration) -> Self {
        let mut tally = Self { elapsed, ..Self::default() };
        let mut waits = AllWaits::default();
        for line in std::fs::read_to_string(path).expect("what both ends tell").lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                [end, "right", right, "wrong", _] => {
                    let right: u64 = right.parse().expect("a count");
                    let which = if end == "Client" { &mut tally.right } else { &mut tally.served };
                    *which += right;
                }
                ["Client" | "Server", "waits", ..] => waits.add(&words[2..]),
                ["corrupt", ..] => tally.corrupt.push(line.into()),
                ["stuck", ..] => tally.stuck.push(line.into()),
                _ => tally.errors.push(line.into()),
            }
        }
        tally.longest_wait = waits.longest();
        tally.rare_wait = waits.all_but_one_of(1000);
        tally
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (corrupt, stuck) = (self.corrupt.len(), self.stuck.len());
        let errors = self.errors.len();
        write!(f, "{} right ({} as served), {corrupt} corrupt, ", self.right, self.served)?;
        write!(f, "{stuck} stuck, {errors} errors in {:.1} s; ", self.elapsed.as_secs_f64())?;
        let (longest, number) = self.longest_wait;
        write!(f, "readers waited {longest:?} at most (connection {number}), ")?;
        write!(f, "one of a thousand for {:?}", self.rare_wait)
    }
}

impl Torture<'_> {
    /// Makes the connections.
    #[track_caller]
    pub fn run(&self) -> Tally {
        self.announce();
        let dir = tempfile::tempdir().expect("a directory");
        let report = dir.path().join("report");
        let start = Instant::now();
        let server = self.serve(&report, Deaths::None);
        let client = self.end("client", &report, 0..self.connections, true, Deaths::None);
        client.finish(self.limit).ok();
        // The server has connections that are not at their end yet, and may be stuck.
        server.finish(2 * self.stuck_after + READY_MAX).ok();
        Tally::read(&report, start.elapsed())
    }

    /// The same, while one of the ends is killed again and again: what came is a prefix of what was sent.
    #[track_caller]
    pub fn run_with_deaths(&self, deaths: u32) -> Tally {
        self.announce();
        let dir = tempfile::tempdir().expect("a directory");
        let report = dir.path().join("report");
        let start = Instant::now();
        let rng = &mut Rng::new(self.seed);
        let each = self.connections / u64::from(deaths + 1);
        let mut server = self.serve(&report, Deaths::Many);
        for n in 0..u64::from(deaths) {
            let client = self.end("client", &report, n * each..(n + 1) * each, false, Deaths::Many);
            std::thread::sleep(Duration::from_millis(rng.within(20, 400) as u64));
            if rng.is_one_of(500) {
                client.signal(Signal::SIGKILL);
                client.finish(READY_MAX);
            } else {
                server.signal(Signal::SIGKILL);
                server.finish(READY_MAX);
                server = self.serve(&report, Deaths::Many);
                client.finish(self.limit).ok();
            }
        }
        let last = self.connections - each..self.connections;
        self.end("client", &report, last, true, Deaths::Many).finish(self.limit).ok();
        server.finish(2 * self.stuck_after + READY_MAX).ok();
        Tally::read(&report, start.elapsed())
    }

    /// The same, until all processes of the server's namespace are killed after a while; `then` is called when their
    /// sockets have sent their last bytes.
    #[track_caller]
    pub fn run_until_killed(&self, after: Duration, then: impl FnOnce()) -> Tally {
        self.announce();
        let dir = tempfile::tempdir().expect("a directory");
        let report = dir.path().join("report");
        let start = Instant::now();
        let server = self.serve(&report, Deaths::Last);
        let client = self.end("client", &report, 0..self.connections, false, Deaths::Last);
        std::thread::sleep(after);
        self.server.kill_processes();
        server.finish(READY_MAX);
        wait_for("the last bytes of the killed ones are sent", READY_MAX, || {
            let leave = ["fin-wait-1", "closing", "last-ack"].map(|state| ["state", state]);
            let args = [&["ss", "-tnH"][..], leave.as_flattened()].concat();
            self.server.ok(&args).is_empty()
                && self.client.ok(&["ss", "-tnH", "state", "syn-sent"]).is_empty()
        });
        then();
        client.finish(self.limit).ok();
        Tally::read(&report, start.elapsed())
    }

    fn announce(&self) {
        eprintln!("torture: seed {}, {} connections", self.seed, self.connections);
        for netns in [self.server, self.client] {
            netns.set_sysctl("net/core/somaxconn", "4096");
            netns.set_sysctl("net/ipv4/tcp_tw_reuse", "1");
            netns.set_sysctl("net/ipv4/ip_local_port_range", CLIENT_PORTS);
        }
    }

    fn serve(&self, report: &Path, deaths: Deaths) -> Process {
        let mut server = self.end("server", report, 0..0, false, deaths);
        wait_for("the server of the torture listens", READY_MAX, || {
            assert!(server.is_running(), "the server of the torture ended");
            let sockets = self.server.ok(&["ss", "-ltnH", &format!("sport >= :{PORT}")]);
            sockets.lines().count() == 6
        });
        server
    }

    fn end(
        &self,
        end: &str,
        report: &Path,
        numbers: std::ops::Range<u64>,
        is_last: bool,
        deaths: Deaths,
    ) -> Process {
        let program = std::env::current_exe().expect("the path of this program");
        let program = program.to_str().expect("a path of UTF-8");
        let netns = if end == "server" { self.server } else { self.client };
        let mut words = self.wrapper.to_vec();
        words.push(program);
        words.extend(self.args);
        let (v4, v6, mix, seed) = (self.v4, self.v6, self.mix, self.seed);
        let (stuck_ms, is_strict) = (self.stuck_after.as_millis(), self.is_strict);
        let (start, to, report) = (numbers.start, numbers.end, report.display());
        let parameters = format!(
            "{end} {report} {v4} {v6} {seed} {mix:?} {stuck_ms} {start} {to} {is_last} {deaths:?} \
             {is_strict}"
        );
        let mut command = netns.command(&words);
        Process::spawn(command.env(PARAMETERS, parameters).stdin(Stdio::null()))
    }
}

/// Becomes one end of a run when the environment has its parameters, and does not return then.
///
/// # Panics
/// When the end cannot start.
pub fn torture_process() {
    let Ok(parameters) = std::env::var(PARAMETERS) else { return };
    let words: Vec<&str> = parameters.split(' ').collect();
    let [end, report, v4, v6, seed, mix, stuck_ms, start, to, is_last, deaths, is_strict] =
        words[..]
    else {
        panic!("{PARAMETERS} has other words: {parameters}");
    };
    let mix = if mix == "Short" { Mix::Short } else { Mix::All };
    let deaths = match deaths {
        "None" => Deaths::None,
        "Last" => Deaths::Last,
        _ => Deaths::Many,
    };
    let (seed, port) = (parse(seed), PORT);
    let bytes = Bytes::new(seed).expect("a table of bytes");
    let (limit, is_strict) = (Duration::from_millis(parse(stuck_ms)), parse(is_strict));
    let (waits, signals) = (Waits::default(), Signals::default());
    let common = Common { seed, bytes, limit, is_strict, waits, signals };
    let report = |own| Report::new(own, Path::new(report)).expect("the report's file");
    let ended = if end == "server" {
        let (report, open) = (report(End::Server), AtomicUsize::new(0));
        Server { common, mix, port, deaths, report, open }.run()
    } else {
        let (report, v4, v6) = (report(End::Client), parse(v4), parse(v6));
        let is_over = AtomicBool::new(false);
        let client = Client { common, mix, v4, v6, port, deaths, report, is_over };
        client.run(parse(start)..parse(to), parse(is_last))
    };
    if let Err(fault) = ended {
        eprintln!("{fault}");
        std::process::exit(1);
    }
    std::process::exit(0);
}

fn parse<T: FromStr<Err: std::fmt::Debug>>(word: &str) -> T {
    word.parse().unwrap_or_else(|error| panic!("{word} in {PARAMETERS}: {error:?}"))
}
