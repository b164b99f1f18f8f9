//! The switch of this project: its daemon in a namespace that plays the host.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tempfile::TempDir;
use testkit::Netns;

use super::underlay::{self, Underlay};
use super::uplink::Uplink;
use super::{About, Build, Contender, Endpoint, Kind, Link, Outside};
use crate::cgroup::Group;
use crate::sandboxes::Sandboxes;
use crate::shell::{self, Job};
use crate::workload::{PUBLISHED, published_as};

/// The network over two hosts.
const OVERLAY: &str = "overlay";

#[derive(Debug)]
pub(crate) struct Vswitch {
    build: Arc<Build>,
    run: Option<Run>,
    sandboxes: Sandboxes,
    /// As the last attach said.
    gateway: Option<String>,
    names_per_port: usize,
    /// Each two ports have a network of their own.
    is_paired: bool,
}

/// Ends in this order: the daemons, uplink and hosts.
#[derive(Debug)]
struct Run {
    daemons: Vec<Daemon>,
    uplink: Option<Uplink>,
    hosts: Vec<Netns>,
}

/// A daemon, its folder, its control group.
#[derive(Debug)]
struct Daemon {
    job: Job,
    dir: TempDir,
    _group: Group,
}

impl Vswitch {
    pub(crate) fn new(build: &Arc<Build>) -> Self {
        let (build, sandboxes) = (Arc::clone(build), Sandboxes::default());
        Self { build, run: None, sandboxes, gateway: None, names_per_port: 1, is_paired: false }
    }
}

impl Run {
    /// A command to the daemon of the near host.
    fn command(&self, program: &Path) -> Command {
        self.command_on(0, program)
    }

    fn command_on(&self, host: usize, program: &Path) -> Command {
        command_of(&self.hosts[host], &self.daemons[host].dir, program)
    }
}

impl Daemon {
    fn start(build: &Build, host: &Netns, args: &[&str]) -> Result<Self> {
        build.ensure_known()?;
        let dir = TempDir::with_prefix("vswb-").context("folder for the daemon")?;
        let mut command = command_of(host, &dir, &build.program);
        command.args(["up", "--bridge", "br0", "--state-dir"]).arg(dir.path().join("state"));
        let group = Group::service("vswitch");
        let mut job = Job::spawn(group.enter(command)?.args(&build.args).args(args))?;
        job.until("the daemon answers", |_| {
            Ok(shell::run(command_of(host, &dir, &build.program).arg("status")).is_ok())
        })?;
        Ok(Self { job, dir, _group: group })
    }
}

fn command_of(host: &Netns, dir: &TempDir, program: &Path) -> Command {
    let mut command = shell::in_netns(host.path(), program);
    command.arg("--socket").arg(dir.path().join("sock"));
    command
}

impl Contender for Vswitch {
    fn name(&self) -> &str {
        &self.build.name
    }

    fn kind(&self) -> Kind {
        Kind::Own
    }

    fn rounds_max(&self) -> usize {
        self.build.rounds_max
    }

    fn start(&mut self) -> Result<()> {
        let host = Netns::create("vswitch")?;
        let daemons = vec![Daemon::start(&self.build, &host, &[])?];
        self.run = Some(Run { daemons, uplink: None, hosts: vec![host] });
        Ok(())
    }

    fn prepare(&mut self, ports: usize) -> Result<()> {
        self.sandboxes.prepare(ports)
    }

    fn port(&mut self) -> Result<Endpoint> {
        let run = self.run.as_ref().context("not up")?;
        let (n, netns) = self.sandboxes.take()?;
        let network = format!("pair{}", n / 2);
        if self.is_paired && n % 2 == 0 {
            let mut create = run.command(&self.build.program);
            shell::run(create.args(["network", "create", &network]))?;
        }
        let mut command = run.command_on(n % run.hosts.len(), &self.build.program);
        let names = super::names(n, self.names_per_port);
        command.args(["--format", "json", "attach", "--name", &names[0]]);
        if self.is_paired {
            command.args(["--network", &network]);
        }
        if run.hosts.len() > 1 {
            command.args(["--network", OVERLAY, "--ip", &super::address(n)]);
        }
        command.args(names[1..].iter().flat_map(|alias| ["--alias", alias]));
        if run.uplink.is_some() {
            let publish = PUBLISHED.iter().map(|port| format!("{}:{port}", published_as(*port)));
            command.args(publish.flat_map(|spec| ["-p".to_owned(), spec]));
        }
        let text = shell::run(command.arg("--netns").arg(netns.path()))?;
        let shown: Value = serde_json::from_str(&text).context("answer of attach")?;
        let address = shown["ipv4"][0].as_str().context("attach says no ipv4")?.to_owned();
        self.gateway = shown["gateways"][0].as_str().map(str::to_owned);
        Ok(Endpoint::new(netns.path(), address).named(names))
    }

    fn gateway(&self) -> Option<&str> {
        self.gateway.as_deref()
    }

    fn uplink_refusal(&self) -> Option<String> {
        let name = &self.build.name;
        let why = || {
            format!(
                "left out to save time: `--variant {name}-out='{}'` measures it",
                self.build.args.join(" ")
            )
        };
        (!self.build.is_main).then(why)
    }

    fn networks_refusal(&self) -> Option<String> {
        self.uplink_refusal()
    }

    fn pair_ports(&mut self) -> Result<()> {
        self.is_paired = true;
        Ok(())
    }

    fn names_refusal(&self) -> Option<String> {
        self.uplink_refusal()
    }

    fn resolve_names(&mut self, per_port: usize) -> Result<()> {
        self.names_per_port = per_port;
        Ok(())
    }

    fn resolver(&self) -> Option<&str> {
        self.gateway()
    }

    fn go_out(&mut self) -> Result<Outside> {
        let run = self.run.as_mut().context("not up")?;
        Ok(run.uplink.insert(Uplink::new(&run.hosts[0])?).outside())
    }

    fn overlay_refusal(&self) -> Option<String> {
        None
    }

    fn span_hosts(&mut self, link: Link) -> Result<()> {
        self.stop();
        let Underlay { hosts: [near, far] } = Underlay::new(link)?;
        let mut run = Run { daemons: Vec::new(), uplink: None, hosts: vec![near, far] };
        let [near, far] = underlay::ADDRESSES;
        for (host, (local, remote)) in [(near, far), (far, near)].into_iter().enumerate() {
            let args = ["--underlay", local, "--subnet", "10.98.0.0/16"];
            run.daemons.push(Daemon::start(&self.build, &run.hosts[host], &args)?);
            let vni = underlay::VNI.to_string();
            for args in [
                &["create", OVERLAY, "--overlay", "--vni", &vni, "--subnet", "10.99.0.0/16"][..],
                &["peer", "add", OVERLAY, remote],
            ] {
                let mut command = run.command_on(host, &self.build.program);
                shell::run(command.arg("network").args(args))?;
            }
        }
        self.run = Some(run);
        Ok(())
    }

    fn twin(&self) -> Option<Box<dyn Contender>> {
        Some(Box::new(Self::new(&self.build)))
    }

    fn stop(&mut self) {
        if let Some(Run { daemons, uplink, hosts }) = self.run.take() {
            for Daemon { job, dir, _group: group } in daemons {
                job.terminate();
                drop((dir, group));
            }
            drop((uplink, hosts));
        }
        self.sandboxes.clear();
        (self.names_per_port, self.is_paired) = (1, false);
    }

    fn describe(&self) -> Result<About> {
        let run = self.run.as_ref().context("not up")?;
        describe(&mut run.command(&self.build.program), &self.build)
    }

    fn pids(&self) -> Vec<u32> {
        self.run.iter().flat_map(|run| &run.daemons).map(|daemon| daemon.job.pid()).collect()
    }
}

/// What a daemon says of itself, `command` leads to it; an error where it lacks what the build is to be measured with.
pub(super) fn describe(command: &mut Command, build: &Build) -> Result<About> {
    let text = shell::run(command.args(["--format", "json", "status"]))?;
    let status: Value = serde_json::from_str(&text).context("answer of status")?;
    build.ensure_on(&status)?;
    let mut about = About::new();
    if let Some(state) = status["cut_through"]["state"].as_str() {
        about.insert("cut_through".into(), state.into());
    }
    for key in ["version", "backend", "backend_reason", "workers", "idle"] {
        about.insert(key.to_owned(), status[key].clone());
    }
    about.insert("uplink".into(), status["uplinks"][0]["name"].clone());
    about.insert("program".into(), build.program.display().to_string().into());
    about.insert("args".into(), build.args.join(" ").into());
    Ok(about)
}
