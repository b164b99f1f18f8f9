//! Open vSwitch with its datapath in user space: ports of `type=internal`, which are TAPs there.
//!
//! Database and daemon are the harness's own, with a folder and a namespace of their own, so that an
//! Open vSwitch that the machine runs is left alone.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use testkit::Netns;

use super::{About, Contender, Endpoint, Kind, address, version};
use crate::cgroup::Group;
use crate::limits::FEW_ROUNDS;
use crate::sandboxes::Sandboxes;
use crate::shell::{self, Job};

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

#[derive(Debug)]
pub(crate) struct OpenVswitch {
    name: &'static str,
    /// `other_config:userspace-tso-enable`: 64 KiB frames pass whole.
    tso: bool,
    run: Option<Run>,
    sandboxes: Sandboxes,
}

#[derive(Debug)]
struct Run {
    switch: Job,
    database: Job,
    dir: TempDir,
    host: Netns,
    group: Group,
}

impl OpenVswitch {
    pub(crate) fn new(name: &'static str, tso: bool) -> Self {
        Self { name, tso, run: None, sandboxes: Sandboxes::default() }
    }

    /// Without a table of flows the switch would drop all; `add-br` gives it one that learns.
    fn open(&self) -> Result<Run> {
        let host = Netns::create("ovs")?;
        let dir = TempDir::with_prefix("vswb-").context("folder for Open vSwitch")?;
        let at = dir.path();
        shell::run(Command::new("ovsdb-tool").arg("create").arg(at.join("db")).arg(SCHEMA))
            .context("make its database (package openvswitch-switch)")?;
        let group = Group::service("ovs");
        let mut command = group.enter(own(&host, at, "ovsdb-server"))?;
        command.arg(format!("--remote=punix:{}", at.join("sock").display()));
        let mut database = Job::spawn(command.arg("--unixctl=db.ctl").arg(at.join("db")))?;
        database.until("ovsdb-server listens", |_| Ok(at.join("sock").exists()))?;
        vsctl(&host, at, "--no-wait init")?;
        if self.tso {
            vsctl(
                &host,
                at,
                "--no-wait set Open_vSwitch . other_config:userspace-tso-enable=true",
            )?;
        }
        let mut command = group.enter(own(&host, at, "ovs-vswitchd"))?;
        command.arg(format!("unix:{}", at.join("sock").display()));
        let switch = Job::spawn(command.arg("--unixctl=vswitchd.ctl"))?;
        vsctl(&host, at, "add-br br0 -- set bridge br0 datapath_type=netdev")?;
        Ok(Run { switch, database, dir, host, group })
    }
}

/// A program of Open vSwitch with a folder of its own for all that it writes.
fn own(host: &Netns, dir: &Path, program: &str) -> Command {
    let mut command = shell::in_netns(host.path(), program);
    for key in ["OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR"] {
        command.env(key, dir);
    }
    command
}

fn vsctl(host: &Netns, dir: &Path, words: &str) -> Result<String> {
    let mut command = own(host, dir, "ovs-vsctl");
    command.arg(format!("--db=unix:{}", dir.join("sock").display())).arg("--timeout=20");
    shell::run(command.args(words.split_whitespace()))
}

impl Contender for OpenVswitch {
    fn name(&self) -> &str {
        self.name
    }

    fn kind(&self) -> Kind {
        Kind::UserSpace
    }

    fn rounds_max(&self) -> usize {
        if self.tso { usize::MAX } else { FEW_ROUNDS }
    }

    fn start(&mut self) -> Result<()> {
        self.run = Some(self.open()?);
        Ok(())
    }

    fn prepare(&mut self, ports: usize) -> Result<()> {
        self.sandboxes.prepare(ports)
    }

    fn port(&mut self) -> Result<Endpoint> {
        let run = self.run.as_ref().context("Open vSwitch is not up")?;
        let (n, netns) = self.sandboxes.take()?;
        let (port, address) = (format!("p{n}"), address(n));
        let words = format!("add-port br0 {port} -- set interface {port} type=internal");
        vsctl(&run.host, run.dir.path(), &words)?;
        let name = netns.name();
        shell::ip_batch(run.host.path(), &format!("link set {port} netns {name}\n"))?;
        shell::bring_up(netns.path(), &port, &address)?;
        Ok(Endpoint::new(netns.path(), address))
    }

    fn uplink_refusal(&self) -> Option<String> {
        Some("a learning switch: it translates no address unless flows (`ct`) say so".to_owned())
    }

    fn stop(&mut self) {
        if let Some(Run { switch, database, dir, host, group }) = self.run.take() {
            switch.terminate();
            database.terminate();
            drop((dir, host, group));
        }
        self.sandboxes.clear();
    }

    fn describe(&self) -> Result<About> {
        let run = self.run.as_ref().context("Open vSwitch is not up")?;
        let mut about = About::new();
        about.insert("version".into(), version("ovs-vswitchd --version").into());
        let kind = vsctl(&run.host, run.dir.path(), "get bridge br0 datapath_type")?;
        about.insert("datapath_type".into(), kind.trim().into());
        let config = vsctl(&run.host, run.dir.path(), "get Open_vSwitch . other_config")?;
        about.insert("other_config".into(), config.trim().into());
        Ok(about)
    }

    fn pids(&self) -> Vec<u32> {
        self.run.iter().map(|run| run.switch.pid()).collect()
    }
}
