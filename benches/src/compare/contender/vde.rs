//! VDE: `vde_switch`, and a `vde_plug2tap` process for each port.

use std::process::{ChildStdin, Command};

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use testkit::Netns;

use super::{About, Contender, Endpoint, Kind, address, version};
use crate::cgroup::Group;
use crate::limits::{FEW_ROUNDS, PORTS_MAX};
use crate::sandboxes::Sandboxes;
use crate::shell::{self, Job};

#[derive(Debug, Default)]
pub(crate) struct Vde {
    run: Option<Run>,
    sandboxes: Sandboxes,
}

#[derive(Debug)]
struct Run {
    plugs: Vec<Job>,
    switch: Job,
    dir: TempDir,
    host: Netns,
    group: Group,
    /// The switch ends when its console does.
    _console: ChildStdin,
}

impl Run {
    fn open() -> Result<Self> {
        let host = Netns::create("vde")?;
        let dir = TempDir::with_prefix("vswb-").context("folder for VDE")?;
        let control = dir.path().join("ctl");
        let group = Group::service("vde");
        let mut command = group.enter(shell::in_netns(host.path(), "vde_switch"))?;
        command.args(["-n", &(PORTS_MAX + 1).to_string(), "-s"]).arg(&control);
        let (mut switch, console) = Job::spawn_with_input(&mut command).context("package vde2")?;
        switch.until("vde_switch listens", |_| Ok(control.join("ctl").exists()))?;
        Ok(Self { plugs: Vec::new(), switch, dir, host, group, _console: console })
    }

    /// A TAP with a process that carries its frames to the switch.
    fn plug(&mut self, tap: &str) -> Result<()> {
        let mut command = self.group.enter(shell::in_netns(self.host.path(), "vde_plug2tap"))?;
        let mut plug = Job::spawn(command.arg("-s").arg(self.dir.path().join("ctl")).arg(tap))?;
        let host = self.host.path();
        plug.until("the TAP of vde_plug2tap is there", |_| {
            Ok(shell::run(shell::in_netns(host, "ip").args(["link", "show", tap])).is_ok())
        })?;
        self.plugs.push(plug);
        Ok(())
    }
}

impl Contender for Vde {
    fn name(&self) -> &str {
        "vde"
    }

    fn kind(&self) -> Kind {
        Kind::UserSpace
    }

    fn rounds_max(&self) -> usize {
        FEW_ROUNDS
    }

    fn start(&mut self) -> Result<()> {
        self.run = Some(Run::open()?);
        Ok(())
    }

    fn prepare(&mut self, ports: usize) -> Result<()> {
        self.sandboxes.prepare(ports)
    }

    fn port(&mut self) -> Result<Endpoint> {
        let run = self.run.as_mut().context("VDE is not up")?;
        let (n, netns) = self.sandboxes.take()?;
        let (tap, address) = (format!("p{n}"), address(n));
        run.plug(&tap)?;
        let name = netns.name();
        shell::ip_batch(run.host.path(), &format!("link set {tap} netns {name}\n"))?;
        shell::bring_up(netns.path(), &tap, &address)?;
        Ok(Endpoint::new(netns.path(), address))
    }

    fn uplink_refusal(&self) -> Option<String> {
        Some("a switch only: it neither routes nor translates addresses".to_owned())
    }

    fn stop(&mut self) {
        if let Some(Run { plugs, switch, dir, host, group, _console }) = self.run.take() {
            drop(plugs);
            switch.terminate();
            drop((dir, host, group));
        }
        self.sandboxes.clear();
    }

    fn describe(&self) -> Result<About> {
        let mut about = About::new();
        let package = shell::run(Command::new("dpkg-query").args(["-W", "vde2"]));
        let package = package.unwrap_or_else(|_| version("vde_switch --version"));
        about.insert("version".into(), package.trim().into());
        Ok(about)
    }

    fn pids(&self) -> Vec<u32> {
        let plugs = |run: &Run| run.plugs.iter().map(Job::pid).collect::<Vec<_>>();
        let all = |run: &Run| [vec![Job::pid(&run.switch)], plugs(run)].concat();
        self.run.as_ref().map(all).unwrap_or_default()
    }
}
