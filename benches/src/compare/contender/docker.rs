//! Real containers of a real Docker daemon: on its own network (`docker0`, or for names one made by the user, since
//! the default one has no DNS, with Docker's bridge and iptables rules), or on one of this switch (`docker-vswitch`).
//!
//! The daemon is the harness's own, with a namespace of its own: its `FORWARD DROP` and its bridge
//! filtering touch nobody else, and a Docker that the machine runs is left alone. It stays for the
//! whole run; containers are new in each turn. The image is made of what is installed here, without
//! a registry. Loads enter a container by its network namespace, and run in a control group of the
//! harness, as they do with every contender: Docker's seccomp filter is left out, which favours docker0.

mod daemon;
mod driver;

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::uplink::Uplink;
use super::{
    About, Build, Contender, DOCKER_VSWITCH, DOCKER0, Endpoint, Kind, Outside, sysctl, version,
};
use crate::limits::DOCKER_PORTS_MAX;
use crate::shell;
use crate::workload::{PUBLISHED, published_as};
use daemon::{BUSYBOX, Daemon, IMAGE};
use driver::Driver;

/// The network on which containers have names.
const NAMES: &str = "names";

/// Where its containers ask: every container has Docker's server there.
const RESOLVER: &str = "127.0.0.11";

/// A contender with Docker's containers.
#[derive(Debug)]
pub(crate) struct Docker {
    /// The switch that gives its network; Docker's own one without.
    build: Option<Arc<Build>>,
    driver: Option<Driver>,
    uplink: Option<Uplink>,
    daemon: Option<Daemon>,
    containers: Vec<String>,
    /// Names of each container; 0 on the default network.
    names_per_port: usize,
}

impl Docker {
    /// Docker's own network.
    pub(crate) fn docker0() -> Self {
        Self::new(None)
    }

    /// A network of this switch.
    pub(crate) fn on_vswitch(build: &Arc<Build>) -> Self {
        Self::new(Some(Arc::clone(build)))
    }

    fn new(build: Option<Arc<Build>>) -> Self {
        let (driver, uplink, daemon) = (None, None, None);
        Self { build, driver, uplink, daemon, containers: Vec::new(), names_per_port: 0 }
    }

    fn daemon(&self) -> Result<&Daemon> {
        self.daemon.as_ref().context("dockerd is not up")
    }

    /// The network that containers join.
    fn network(&self) -> &str {
        match (&self.driver, self.names_per_port) {
            (Some(driver), _) => driver.network(),
            (None, 0) => "bridge",
            (None, _) => NAMES,
        }
    }
}

impl Contender for Docker {
    fn name(&self) -> &str {
        if self.build.is_some() { DOCKER_VSWITCH } else { DOCKER0 }
    }

    fn kind(&self) -> Kind {
        if self.build.is_some() { Kind::Own } else { Kind::Kernel }
    }

    fn ports_max(&self) -> usize {
        DOCKER_PORTS_MAX
    }

    fn runs_containers(&self) -> bool {
        true
    }

    fn rounds_max(&self) -> usize {
        // `make bench-docker` names it: a whole run has no time for it.
        if self.build.is_some() { 0 } else { usize::MAX }
    }

    fn turn_seconds(&self) -> f64 {
        3.0
    }

    fn start(&mut self) -> Result<()> {
        if self.daemon.is_none() {
            self.daemon = Some(Daemon::open()?);
        }
        if let Some(build) = &self.build {
            self.driver = Some(Driver::start(self.daemon()?, build)?);
        }
        Ok(())
    }

    fn port(&mut self) -> Result<Endpoint> {
        let mut options = format!("--network {} ", self.network());
        if self.uplink.is_some() {
            options.extend(PUBLISHED.map(|port| format!("-p {}:{port} ", published_as(port))));
        }
        let names = super::names(self.containers.len(), self.names_per_port);
        if let [name, aliases @ ..] = &names[..] {
            options += &format!("--name {name} ");
            options.extend(aliases.iter().map(|alias| format!("--network-alias {alias} ")));
        }
        let begin = Instant::now();
        let run = format!("run -d {options}{IMAGE} {BUSYBOX} sleep 100000");
        let id = self.daemon()?.docker(&run)?.trim().to_owned();
        let took = begin.elapsed();
        self.containers.push(id.clone());
        let text = self.daemon()?.docker(&format!("inspect {id}"))?;
        let shown: Value = serde_json::from_str(&text).context("answer of docker inspect")?;
        let pid = shown[0]["State"]["Pid"].as_u64().context("docker inspect says no pid")?;
        let endpoint = &shown[0]["NetworkSettings"]["Networks"][self.network()];
        let address = endpoint["IPAddress"].as_str();
        let address = address.context("docker inspect says no address")?.to_owned();
        Ok(Endpoint::new(format!("/proc/{pid}/ns/net"), address).named(names).plugged_in(took))
    }

    fn go_out(&mut self) -> Result<Outside> {
        let uplink = Uplink::new(&self.daemon()?.host)?;
        Ok(self.uplink.insert(uplink).outside())
    }

    fn names_refusal(&self) -> Option<String> {
        None
    }

    fn resolve_names(&mut self, per_port: usize) -> Result<()> {
        let options = "--ipv6 --subnet fd00:99::/64";
        match &self.driver {
            // Docker's own DNS answers there as well.
            Some(driver) => driver.create_again(self.daemon()?, options)?,
            None => drop(self.daemon()?.docker(&format!("network create {options} {NAMES}"))?),
        }
        self.names_per_port = per_port;
        Ok(())
    }

    fn resolver(&self) -> Option<&str> {
        Some(RESOLVER)
    }

    fn stop(&mut self) {
        if let Some(daemon) = &self.daemon
            && !self.containers.is_empty()
        {
            shell::clean_up(daemon.client().args(["rm", "-f"]).args(&self.containers));
        }
        self.containers.clear();
        if let (Some(daemon), Some(driver)) = (&self.daemon, self.driver.take()) {
            driver.stop(daemon);
        }
        if let Some(daemon) = &self.daemon
            && self.names_per_port > 0
            && self.build.is_none()
        {
            shell::clean_up(daemon.client().args(["network", "rm", NAMES]));
        }
        self.names_per_port = 0;
        self.uplink = None;
    }

    fn finish(&mut self) {
        self.stop();
        self.daemon = None;
    }

    fn describe(&self) -> Result<About> {
        let daemon = self.daemon()?;
        let mut about = match &self.driver {
            Some(driver) => driver.describe(daemon)?,
            None => About::new(),
        };
        let server = daemon.docker("version --format {{.Server.Version}}")?;
        let key = if self.driver.is_some() { "docker" } else { "version" };
        about.insert(key.into(), server.trim().into());
        about.insert("iptables".into(), version("iptables --version").into());
        let filtered = sysctl(daemon.host.path(), "net/bridge/bridge-nf-call-iptables");
        about.insert("bridge_nf_call_iptables".into(), filtered.into());
        let rules = shell::run(shell::in_netns(daemon.host.path(), "iptables").arg("-S"))?;
        about.insert("iptables_rules".into(), rules.lines().count().into());
        about.insert("loads".into(), "entered by nsenter: no seccomp".into());
        Ok(about)
    }

    fn pids(&self) -> Vec<u32> {
        self.driver.iter().map(Driver::pid).collect()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        self.finish();
    }
}
