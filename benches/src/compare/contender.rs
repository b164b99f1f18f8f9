//! Contenders: one file each, registered in `registry.rs`.
//!
//! A contender goes through `start`, `go_out` (where a remote host is wanted), `span_hosts` (where two hosts are),
//! `resolve_names` (where names are), `prepare`, any number of `port`, `stop`, and that again for the next turn. `stop`
//! may be called at any time, also after a `start` that failed half-way, and never fails: it is what cleans the machine
//! up.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use serde_json::{Map, Value};

use crate::cgroup::Group;
use crate::limits::{ECHO_LIMIT, PORTS_MAX};
use crate::shell;

pub(crate) mod bridge;
mod build;
pub(crate) mod docker;
pub(crate) mod host;
pub(crate) mod ovs;
mod underlay;
mod uplink;
pub(crate) mod vde;
pub(crate) mod vswitch;

pub(crate) use build::Build;
pub(crate) use underlay::Link;
pub(crate) use uplink::Outside;

/// What is known of a contender: versions and settings, by name.
pub(crate) type About = Map<String, Value>;

/// Names that the targets and the ratios refer to.
pub(crate) const DOCKER0: &str = "docker0";
pub(crate) const DOCKER_VSWITCH: &str = "docker-vswitch";
pub(crate) const KERNEL_BRIDGE: &str = "kernel-bridge";
pub(crate) const HOST: &str = "host";
pub(crate) const OVS_TSO: &str = "ovs-tso";
pub(crate) const VSWITCH: &str = "vswitch";
pub(crate) const VSWITCH_CUT_THROUGH: &str = "vswitch-cut-through";

/// What a contender is, for the ratios.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Forwards in the kernel.
    Kernel,
    /// Another switch in user space.
    UserSpace,
    /// This project's.
    Own,
}

/// A container's end of a port.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// The file of its network namespace.
    pub(crate) netns: PathBuf,
    /// Its IPv4 address.
    pub(crate) address: String,
    /// Its names in the DNS of the contender.
    pub(crate) names: Vec<String>,
    /// What it took to plug it in, where the harness looked at more than that.
    pub(crate) took: Option<Duration>,
    /// That of its loads.
    group: Arc<Group>,
}

impl Endpoint {
    pub(crate) fn new(netns: impl Into<PathBuf>, address: impl Into<String>) -> Self {
        let group = Arc::new(Group::new("container"));
        let (netns, address) = (netns.into(), address.into());
        Self { netns, address, names: Vec::new(), took: None, group }
    }

    /// The same with names.
    fn named(self, names: Vec<String>) -> Self {
        Self { names, ..self }
    }

    /// The same, with what it took to plug it in.
    fn plugged_in(self, took: Duration) -> Self {
        Self { took: Some(took), ..self }
    }

    /// A program that loads or serves, to be run in its network namespace and in its control group.
    pub(crate) fn load(&self, program: impl AsRef<std::ffi::OsStr>) -> Result<Command> {
        self.group.enter(self.command(program))
    }

    /// A program that sets something up in its network namespace.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        shell::in_netns(&self.netns, program)
    }

    /// Whether an echo comes back from an address; it also resolves the neighbours.
    pub(crate) fn reaches(&self, address: &str) -> Result<()> {
        let mut last_error = None;
        let end = Instant::now() + ECHO_LIMIT;
        while Instant::now() < end {
            let mut ping = self.command("ping");
            match shell::run(ping.args(["-n", "-c1", "-W1", address])) {
                Ok(_) => return Ok(()),
                Err(error) => last_error = Some(error),
            }
            shell::pause(Duration::from_millis(100))?;
        }
        let error = last_error.unwrap_or_else(|| anyhow!("no time"));
        Err(error).with_context(|| format!("no echo passes from {} to {address}", self.address))
    }
}

/// A switch that the harness starts by itself.
pub(crate) trait Contender {
    /// As in tables and in the result file.
    fn name(&self) -> &str;

    fn kind(&self) -> Kind;

    /// More ports than this are too many for it, or take too long.
    fn ports_max(&self) -> usize {
        PORTS_MAX
    }

    /// Rounds that it takes part in where the user names no contenders, from the first on.
    fn rounds_max(&self) -> usize {
        usize::MAX
    }

    /// A guess of what a start and a stop with two ports take, in seconds.
    fn turn_seconds(&self) -> f64 {
        1.0
    }

    /// Brings it up without ports.
    fn start(&mut self) -> Result<()>;

    /// Makes what will be plugged in, so that it costs nothing later.
    fn prepare(&mut self, _ports: usize) -> Result<()> {
        Ok(())
    }

    /// Plugs one more in.
    fn port(&mut self) -> Result<Endpoint>;

    /// The address of the host behind the switch, where the harness gave it one.
    fn gateway(&self) -> Option<&str> {
        None
    }

    /// Whether its ports are containers of Docker.
    fn runs_containers(&self) -> bool {
        false
    }

    /// Why nobody outside is reached from its ports, if that is so.
    fn uplink_refusal(&self) -> Option<String> {
        None
    }

    /// Gives its host an uplink with a remote host behind it. The port that is plugged in next gets
    /// out by it, and its ports [`crate::workload::PUBLISHED`] are published.
    fn go_out(&mut self) -> Result<Outside> {
        let why = self.uplink_refusal().unwrap_or_else(|| "it has no uplink".to_owned());
        Err(anyhow!("{why}"))
    }

    /// Why it spans no two hosts, if that is so.
    fn overlay_refusal(&self) -> Option<String> {
        Some("the harness gives it no overlay".to_owned())
    }

    /// Spans two hosts with a link between them; of the ports that are plugged in next, each second is on
    /// the far host.
    fn span_hosts(&mut self, _link: Link) -> Result<()> {
        let why = self.overlay_refusal().unwrap_or_else(|| "it has no overlay".to_owned());
        Err(anyhow!("{why}"))
    }

    /// Why its ports cannot be on many networks, if that is so.
    fn networks_refusal(&self) -> Option<String> {
        Some("the harness gives it one network".to_owned())
    }

    /// Puts each two ports that are plugged in next on a network of their own.
    fn pair_ports(&mut self) -> Result<()> {
        let why = self.networks_refusal().unwrap_or_else(|| "it has one network".to_owned());
        anyhow::bail!("no network for each pair: {why}")
    }

    /// Why it resolves no names of its ports, if that is so.
    fn names_refusal(&self) -> Option<String> {
        Some("it has no DNS".to_owned())
    }

    /// Gives each port that is plugged in next so many names, which all of them can ask for.
    fn resolve_names(&mut self, _per_port: usize) -> Result<()> {
        let why = self.names_refusal().unwrap_or_else(|| "it has no DNS".to_owned());
        Err(anyhow!("{why}"))
    }

    /// The address of the DNS server that its ports ask.
    fn resolver(&self) -> Option<&str> {
        None
    }

    /// Another of the same kind that can be up at the same time, if that is possible.
    fn twin(&self) -> Option<Box<dyn Contender>> {
        None
    }

    /// Takes all away.
    fn stop(&mut self);

    /// Versions and settings, while it runs.
    fn describe(&self) -> Result<About>;

    /// The processes that forward, and that are alive now; none where the kernel forwards.
    fn pids(&self) -> Vec<u32> {
        Vec::new()
    }

    /// Ends what is kept between turns.
    fn finish(&mut self) {
        self.stop();
    }
}

/// Address of the port with a number from 0, in the subnet that all but docker0 use.
fn address(number: usize) -> String {
    format!("10.99.{}.{}", number / 250, number % 250 + 2)
}

/// Names of the port with a number from 0.
fn names(number: usize, count: usize) -> Vec<String> {
    (0..count).map(|nth| format!("c{number}-{nth}")).collect()
}

/// A setting of the kernel as a network namespace sees it; "none" where it does not exist.
fn sysctl(netns: &Path, path: &str) -> String {
    let file = Path::new("/proc/sys").join(path);
    let text = shell::run(shell::in_netns(netns, "cat").arg(file));
    text.map_or_else(|_| "none".to_owned(), |text| text.trim().to_owned())
}

/// The first line that a program says of itself, whatever it says by its exit code.
pub(crate) fn version(words: &str) -> String {
    let mut words = words.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    shell::first_line(command.args(words))
}
