//! This switch as a network driver of the daemon: `vswitch up --docker-plugin`.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::super::{About, Build};
use super::daemon::Daemon;
use crate::cgroup::Group;
use crate::contender::vswitch;
use crate::shell::{self, Job};

/// Where Docker looks for plugins.
const PLUGINS: &str = "/run/docker/plugins";

/// A switch beside a daemon, with one network. Its name as a driver is its own, so that runs do not meet.
#[derive(Debug)]
pub(super) struct Driver {
    build: Arc<Build>,
    switch: Job,
    dir: TempDir,
    group: Group,
}

impl Driver {
    pub(super) fn start(daemon: &Daemon, build: &Arc<Build>) -> Result<Self> {
        build.ensure_known()?;
        let dir = TempDir::with_prefix("vswb-").context("folder for the switch")?;
        let group = Group::service("vswitch");
        let mut command = command(daemon, build, &dir);
        command.args(["up", "--bridge", "br0", "--state-dir"]).arg(dir.path().join("state"));
        let plugin = format!("--docker-plugin={}", socket().display());
        let switch = Job::spawn(group.enter(command)?.arg(plugin).args(&build.args))?;
        let mut driver = Self { build: Arc::clone(build), switch, dir, group };
        let (build, dir) = (&driver.build, &driver.dir);
        driver.switch.until("the daemon answers", |_| {
            Ok(shell::run(self::command(daemon, build, dir).arg("status")).is_ok())
        })?;
        driver.create(daemon, "")?;
        Ok(driver)
    }

    /// The network of its containers.
    pub(super) fn network(&self) -> &'static str {
        "vswitch"
    }

    fn create(&self, daemon: &Daemon, options: &str) -> Result<()> {
        let (driver, network) = (name(), self.network());
        daemon.docker(&format!("network create -d {driver} {options} {network}")).map(drop)
    }

    /// Creates the network again, with other options.
    pub(super) fn create_again(&self, daemon: &Daemon, options: &str) -> Result<()> {
        daemon.docker(&format!("network rm {}", self.network()))?;
        self.create(daemon, options)
    }

    pub(super) fn pid(&self) -> u32 {
        self.switch.pid()
    }

    pub(super) fn describe(&self, daemon: &Daemon) -> Result<About> {
        vswitch::describe(&mut command(daemon, &self.build, &self.dir), &self.build)
    }

    pub(super) fn stop(self, daemon: &Daemon) {
        let network = self.network();
        shell::clean_up(daemon.client().args(["network", "rm", network]));
        self.switch.terminate();
        drop((self.dir, self.group));
    }
}

fn command(daemon: &Daemon, build: &Build, dir: &TempDir) -> Command {
    let mut command = shell::in_netns(daemon.host.path(), &build.program);
    command.arg("--socket").arg(dir.path().join("sock"));
    command
}

/// The driver's name is that of its socket.
fn name() -> String {
    format!("vswb-{}", std::process::id())
}

fn socket() -> PathBuf {
    PathBuf::from(PLUGINS).join(name()).with_extension("sock")
}
