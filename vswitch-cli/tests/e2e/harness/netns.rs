//! Named network namespaces that delete themselves.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::process::{self, Output, Process};
use super::{COMMAND_TIMEOUT, wait_for};

const DIR: &str = "/run/netns";
const PREFIX: &str = "vswt-";

/// A namespace made by `ip netns add`; dropping it kills what runs inside and deletes it.
#[must_use = "dropped, it is gone"]
pub(crate) struct Netns {
    name: String,
}

impl Netns {
    /// A new namespace with its loopback up, named `vswt-PID-N-TAG`.
    #[track_caller]
    pub(crate) fn new(tag: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        static SWEEP: Once = Once::new();
        assert!(
            nix::unistd::geteuid().is_root(),
            "end-to-end tests need root, for namespaces and TAPs: run `make test`, or `sudo -E cargo test`"
        );
        SWEEP.call_once(sweep);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let netns = Self { name: format!("{PREFIX}{}-{n}-{tag}", std::process::id()) };
        ip(&["netns", "add", &netns.name]);
        netns.ok(&["ip", "link", "set", "lo", "up"]);
        netns
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn path(&self) -> PathBuf {
        Path::new(DIR).join(&self.name)
    }

    /// A command inside; the mount namespace is the machine's, so that later names are seen.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).args(args);
        command
    }

    #[track_caller]
    pub(crate) fn exec(&self, args: &[&str]) -> Output {
        self.exec_within(args, COMMAND_TIMEOUT)
    }

    #[track_caller]
    pub(crate) fn exec_within(&self, args: &[&str], limit: Duration) -> Output {
        process::run(&mut self.command(args), b"", limit)
    }

    /// Runs a command that must succeed, and gives its standard output.
    #[track_caller]
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        self.exec(args).ok()
    }

    /// Starts a process inside, and waits until it has got there: before, its id names another
    /// namespace.
    #[track_caller]
    pub(crate) fn spawn(&self, args: &[&str]) -> Process {
        let mut process = Process::spawn(self.command(args).stdin(std::process::Stdio::null()));
        let own = format!("/proc/{}/ns/net", process.pid());
        let inode = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.ino()).ok();
        wait_for("the process is inside", Duration::from_secs(10), || {
            !process.is_running() || inode(Path::new(&own)) == inode(&self.path())
        });
        process
    }

    /// Names of the links inside, without the loopback.
    #[track_caller]
    pub(crate) fn links(&self) -> Vec<String> {
        let links: serde_json::Value =
            serde_json::from_str(&self.ok(&["ip", "-j", "link"])).expect("JSON of ip link");
        let names = links.as_array().expect("an array").iter();
        names
            .filter_map(|l| l["ifname"].as_str())
            .filter(|n| *n != "lo")
            .map(str::to_owned)
            .collect()
    }

    /// Deletes it now: what was inside is gone when the kernel has dropped its last reference.
    pub(crate) fn delete(self) {
        drop(self);
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        delete(&self.name);
    }
}

fn ip(args: &[&str]) -> String {
    process::run(Command::new("ip").args(args), b"", COMMAND_TIMEOUT).ok()
}

fn delete(name: &str) {
    let run = |args: &[&str]| Command::new("ip").args(args).output();
    if let Ok(pids) = run(&["netns", "pids", name]) {
        for pid in String::from_utf8_lossy(&pids.stdout).split_whitespace() {
            if let Ok(pid) = pid.parse() {
                let _ = nix::sys::signal::kill(
                    nix::unistd::Pid::from_raw(pid),
                    nix::sys::signal::Signal::SIGKILL,
                );
            }
        }
    }
    if let Ok(output) = run(&["netns", "del", name])
        && !output.status.success()
    {
        eprintln!("left behind: {name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Deletes what a killed test run left: namespaces that bear the id of a process that is no more.
fn sweep() {
    for entry in std::fs::read_dir(DIR).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            delete(&name);
        }
    }
}

/// Joins two namespaces by a veth pair, `left` in the first and `right` in the second.
#[track_caller]
pub(crate) fn join(first: &Netns, left: &str, second: &Netns, right: &str) {
    first.ok(&[
        "ip",
        "link",
        "add",
        left,
        "type",
        "veth",
        "peer",
        "name",
        right,
        "netns",
        second.name(),
    ]);
    // No link-local address on the first: its duplicate address detection would be seen as a change.
    first.ok(&["ip", "link", "set", left, "addrgenmode", "none"]);
    first.ok(&["ip", "link", "set", left, "up"]);
    second.ok(&["ip", "link", "set", right, "up"]);
    wait_for("carrier of the veth pair", Duration::from_secs(5), || {
        first.ok(&["ip", "link", "show", left]).contains("LOWER_UP")
    });
}
