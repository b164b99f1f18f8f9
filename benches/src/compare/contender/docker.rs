//! Docker's default network, or for names one made by the user, since the default one has no DNS: a real daemon, real containers, its bridge and its iptables rules.
//!
//! The daemon is the harness's own, with a namespace of its own: its `FORWARD DROP` and its bridge
//! filtering touch nobody else, and a Docker that the machine runs is left alone. It stays for the
//! whole run; containers are new in each turn. The image is made of what is installed here, without
//! a registry. Loads enter a container by its network namespace, and run in a control group of the
//! harness, as they do with every contender: Docker's seccomp filter is left out, which favours docker0.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use testkit::Netns;

use super::uplink::Uplink;
use super::{About, Contender, DOCKER0, Endpoint, Kind, Outside, sysctl, version};
use crate::limits::{DOCKER_PORTS_MAX, READY_LIMIT};
use crate::shell::{self, Job};
use crate::workload::{PUBLISHED, published_as};

/// Debian's, by its path: another client of that name may stand before it.
const DOCKER: &str = "/usr/bin/docker";
const BUSYBOX: &str = "/bin/busybox";
const IMAGE: &str = "vswitch-bench";

/// The network on which containers have names.
const NAMES: &str = "names";

/// Where its containers ask: every container has Docker's server there.
const RESOLVER: &str = "127.0.0.11";

#[derive(Debug, Default)]
pub(crate) struct Docker {
    uplink: Option<Uplink>,
    daemon: Option<Daemon>,
    containers: Vec<String>,
    /// Names of each container; 0 on the default network.
    names_per_port: usize,
}

#[derive(Debug)]
struct Daemon {
    job: Option<Job>,
    dir: TempDir,
    host: Netns,
}

impl Daemon {
    fn open() -> Result<Self> {
        let host = Netns::create("docker")?;
        let dir = TempDir::with_prefix("vswb-").context("folder for Docker")?;
        let at = dir.path();
        fs::write(at.join("daemon.json"), "{}").context("write daemon.json")?;
        let option = |name: &str, file: &str| format!("--{name}={}", at.join(file).display());
        // Its mounts go away with its mount namespace.
        let mut command = shell::in_netns(host.path(), "unshare");
        command.args(["--mount", "dockerd", "--log-level=error"]).args([
            option("data-root", "data"),
            option("exec-root", "exec"),
            option("pidfile", "pid"),
            option("config-file", "daemon.json"),
            format!("--host=unix://{}", at.join("sock").display()),
        ]);
        let job = Some(Job::spawn(&mut command).context("package docker.io")?);
        let mut daemon = Self { job, dir, host };
        shell::wait_for("dockerd answers", READY_LIMIT, || daemon.answers())?;
        daemon.bring_image()?;
        Ok(daemon)
    }

    fn answers(&mut self) -> Result<bool> {
        if let Some(job) = &mut self.job
            && job.has_ended()?
        {
            bail!("dockerd ended: {}", job.last_words());
        }
        Ok(self.docker("version --format {{.Server.Version}}").is_ok())
    }

    fn docker(&self, words: &str) -> Result<String> {
        let mut command = self.client();
        shell::run(command.args(words.split_whitespace()))
    }

    fn client(&self) -> Command {
        let mut command = Command::new(DOCKER);
        command.arg(format!("--host=unix://{}", self.dir.path().join("sock").display()));
        command
    }

    fn bring_image(&self) -> Result<()> {
        let (root, tar) = (self.dir.path().join("root"), self.dir.path().join("image.tar"));
        for folder in ["bin", "proc", "sys", "dev", "etc", "tmp"] {
            fs::create_dir_all(root.join(folder)).context("folders of the image")?;
        }
        fs::copy(BUSYBOX, root.join("bin/busybox")).context("package busybox-static")?;
        shell::run(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&tar).arg("."))?;
        shell::run(self.client().arg("import").arg(&tar).arg(IMAGE)).map(drop)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            job.terminate();
        }
        // The shims of containers leave the process group; all of them name this folder.
        let dir = self.dir.path().display().to_string();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let pid = entry.file_name().to_string_lossy().parse::<i32>();
            if let Ok(pid) = pid
                && String::from_utf8_lossy(&command).contains(&dir)
            {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
}

impl Contender for Docker {
    fn name(&self) -> &str {
        DOCKER0
    }

    fn kind(&self) -> Kind {
        Kind::Kernel
    }

    fn ports_max(&self) -> usize {
        DOCKER_PORTS_MAX
    }

    fn turn_seconds(&self) -> f64 {
        3.0
    }

    fn start(&mut self) -> Result<()> {
        if self.daemon.is_none() {
            self.daemon = Some(Daemon::open()?);
        }
        Ok(())
    }

    fn port(&mut self) -> Result<Endpoint> {
        let daemon = self.daemon.as_ref().context("dockerd is not up")?;
        let mut publish = String::new();
        if self.uplink.is_some() {
            let options = PUBLISHED.map(|port| format!("-p {}:{port} ", published_as(port)));
            publish = options.concat();
        }
        let names = super::names(self.containers.len(), self.names_per_port);
        let mut options = publish;
        if let [name, aliases @ ..] = &names[..] {
            options += &format!("--network {NAMES} --name {name} ");
            options.extend(aliases.iter().map(|alias| format!("--network-alias {alias} ")));
        }
        let id = daemon.docker(&format!("run -d {options}{IMAGE} {BUSYBOX} sleep 100000"))?;
        let id = id.trim().to_owned();
        self.containers.push(id.clone());
        let text = daemon.docker(&format!("inspect {id}"))?;
        let shown: Value = serde_json::from_str(&text).context("answer of docker inspect")?;
        let pid = shown[0]["State"]["Pid"].as_u64().context("docker inspect says no pid")?;
        let network = if names.is_empty() { "bridge" } else { NAMES };
        let address = shown[0]["NetworkSettings"]["Networks"][network]["IPAddress"].as_str();
        let address = address.context("docker inspect says no address")?.to_owned();
        Ok(Endpoint::new(format!("/proc/{pid}/ns/net"), address).named(names))
    }

    fn go_out(&mut self) -> Result<Outside> {
        let daemon = self.daemon.as_ref().context("dockerd is not up")?;
        Ok(self.uplink.insert(Uplink::new(&daemon.host)?).outside())
    }

    fn names_refusal(&self) -> Option<String> {
        None
    }

    fn resolve_names(&mut self, per_port: usize) -> Result<()> {
        let daemon = self.daemon.as_ref().context("dockerd is not up")?;
        daemon.docker(&format!("network create --ipv6 --subnet fd00:99::/64 {NAMES}"))?;
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
        if let Some(daemon) = &self.daemon
            && self.names_per_port > 0
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
        let daemon = self.daemon.as_ref().context("dockerd is not up")?;
        let mut about = About::new();
        let server = daemon.docker("version --format {{.Server.Version}}")?;
        about.insert("version".into(), server.trim().into());
        about.insert("iptables".into(), version("iptables --version").into());
        let filtered = sysctl(daemon.host.path(), "net/bridge/bridge-nf-call-iptables");
        about.insert("bridge_nf_call_iptables".into(), filtered.into());
        let rules = shell::run(shell::in_netns(daemon.host.path(), "iptables").arg("-S"))?;
        about.insert("iptables_rules".into(), rules.lines().count().into());
        about.insert("loads".into(), "entered by nsenter: no seccomp".into());
        Ok(about)
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        self.finish();
    }
}
