//! A Docker daemon of the harness's own, with a namespace of its own.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use testkit::Netns;

use crate::limits::READY_LIMIT;
use crate::shell::{self, Job};

/// Debian's, by its path: another client of that name may stand before it.
const DOCKER: &str = "/usr/bin/docker";
pub(super) const BUSYBOX: &str = "/bin/busybox";
pub(super) const IMAGE: &str = "vswitch-bench";

#[derive(Debug)]
pub(super) struct Daemon {
    job: Option<Job>,
    dir: TempDir,
    /// Where it runs.
    pub(super) host: Netns,
}

impl Daemon {
    pub(super) fn open() -> Result<Self> {
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

    pub(super) fn docker(&self, words: &str) -> Result<String> {
        let mut command = self.client();
        shell::run(command.args(words.split_whitespace()))
    }

    pub(super) fn client(&self) -> Command {
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
