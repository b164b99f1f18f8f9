//! Named network namespaces that delete themselves.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::{self, Output, Process};
use crate::{COMMAND_TIMEOUT, READY_MAX, wait_for};

const DIR: &str = "/run/netns";
const PREFIX: &str = "vswt-";

/// A namespace made by `ip netns add`. Dropping it kills the processes inside and deletes it.
#[derive(Debug)]
#[must_use = "dropped, it is deleted"]
pub struct Netns {
    name: String,
    path: PathBuf,
    cgroup: Option<PathBuf>,
}

impl Netns {
    /// Creates a namespace with its loopback up.
    ///
    /// # Panics
    /// Without root, or when the kernel refuses.
    #[track_caller]
    pub fn new(tag: &str) -> Self {
        Self::create(tag).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Creates a namespace with its loopback up, named `vswt-PID-N-TAG`.
    ///
    /// # Errors
    /// The process is not root, or the kernel refuses.
    pub fn create(tag: &str) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        static SWEEP: Once = Once::new();
        if !nix::unistd::geteuid().is_root() {
            return Err(io::Error::other(
                "namespaces and TAPs need root: run `make test`, or `sudo -E cargo test`",
            ));
        }
        SWEEP.call_once(sweep);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{n}-{tag}", std::process::id());
        ip(&["netns", "add", &name])?;
        let netns = Self { path: Path::new(DIR).join(&name), name, cgroup: None };
        ip(&["-n", &netns.name, "link", "set", "lo", "up"])?;
        Ok(netns)
    }

    /// The same, whose commands run in a cgroup.
    pub fn in_cgroup(mut self, cgroup: &Path) -> Self {
        self.cgroup = Some(cgroup.to_owned());
        self
    }

    /// Name for `ip netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// File of the namespace.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A command that runs inside. It keeps the mount namespace, so that it sees names made later.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = match &self.cgroup {
            None => Command::new("nsenter"),
            Some(cgroup) => {
                let script = "echo 0 > \"$0\" && exec nsenter \"$@\"";
                let mut command = Command::new("sh");
                command.args(["-c", script]).arg(cgroup.join("cgroup.procs"));
                command
            }
        };
        command.arg(format!("--net={}", self.path.display())).args(args);
        command
    }

    /// Runs a command inside, whatever its result.
    #[track_caller]
    pub fn exec(&self, args: &[&str]) -> Output {
        self.exec_within(args, COMMAND_TIMEOUT)
    }

    /// Runs a command inside, with a time limit of its own.
    #[track_caller]
    pub fn exec_within(&self, args: &[&str], limit: Duration) -> Output {
        process::run(&mut self.command(args), b"", limit)
    }

    /// Runs a command that must succeed; returns its standard output.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        self.exec(args).ok()
    }

    /// Runs command lines without quoting, which must succeed.
    #[track_caller]
    pub fn run_lines(&self, lines: &[&str]) {
        for line in lines {
            self.ok(&line.split_whitespace().collect::<Vec<_>>());
        }
    }

    /// Writes a file of `/proc/sys`, as this namespace shows it.
    #[track_caller]
    pub fn set_sysctl(&self, key: &str, value: &str) {
        self.ok(&["sh", "-c", &format!("echo {value} > /proc/sys/{key}")]);
    }

    /// Starts a process and waits until it runs inside: before, its id names another namespace.
    #[track_caller]
    pub fn spawn(&self, args: &[&str]) -> Process {
        let mut process = Process::spawn(self.command(args).stdin(Stdio::null()));
        let own = format!("/proc/{}/ns/net", process.pid());
        let inode = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.ino()).ok();
        wait_for("the process is inside", READY_MAX, || {
            !process.is_running() || inode(Path::new(&own)) == inode(&self.path)
        });
        process
    }

    /// Names of the links inside, without the loopback.
    #[track_caller]
    pub fn links(&self) -> Vec<String> {
        let links: serde_json::Value =
            serde_json::from_str(&self.ok(&["ip", "-j", "link"])).expect("JSON of ip link");
        let names = links.as_array().expect("an array").iter();
        let names = names.filter_map(|link| link["ifname"].as_str()).filter(|name| *name != "lo");
        names.map(str::to_owned).collect()
    }

    /// MAC address of a link inside.
    #[track_caller]
    pub fn mac(&self, ifname: &str) -> String {
        let link: serde_json::Value =
            serde_json::from_str(&self.ok(&["ip", "-j", "link", "show", ifname])).expect("JSON");
        link[0]["address"].as_str().expect("a MAC address").to_owned()
    }

    /// Kills the processes inside, and waits until they have ended.
    ///
    /// # Panics
    /// When they do not end.
    #[track_caller]
    pub fn kill_processes(&self) {
        wait_for("all processes of the namespace end", READY_MAX, || kill_all(&self.name) == 0);
    }

    /// Kills the processes inside and deletes it now.
    pub fn delete(self) {
        drop(self);
    }

    /// Deletes the name only: the namespace ends with its last process.
    pub fn delete_name(self) {
        let named = std::mem::ManuallyDrop::new(self);
        delete_name(&named.name);
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        delete(&self.name);
    }
}

/// Runs `ip` in a process group of its own, so that Ctrl-C does not stop a clean-up.
fn ip(args: &[&str]) -> io::Result<String> {
    let output = Command::new("ip").args(args).process_group(0).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("ip {}: {}", args.join(" "), stderr.trim())))
}

/// Kills the processes of a namespace, and returns how many there were.
fn kill_all(name: &str) -> usize {
    let pids = ip(&["netns", "pids", name]).unwrap_or_default();
    let pids: Vec<_> = pids.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    for pid in &pids {
        let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
    }
    pids.len()
}

fn delete(name: &str) {
    kill_all(name);
    delete_name(name);
}

fn delete_name(name: &str) {
    if let Err(error) = ip(&["netns", "del", name]) {
        eprintln!("left behind: {error}");
    }
}

/// Deletes namespaces of killed test runs: their names bear the id of a process that has ended.
fn sweep() {
    for entry in std::fs::read_dir(DIR).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            delete(&name);
        }
    }
}

/// Joins two namespaces by a veth pair: `left` in the first, `right` in the second.
#[track_caller]
pub fn join(first: &Netns, left: &str, second: &Netns, right: &str) {
    let name = second.name();
    first.run_lines(&[
        &format!("ip link add {left} type veth peer name {right} netns {name}"),
        // Without a link-local address: a snapshot would see its duplicate address detection.
        &format!("ip link set {left} addrgenmode none"),
        &format!("ip link set {left} up"),
    ]);
    second.ok(&["ip", "link", "set", right, "up"]);
    wait_for("carrier of the veth pair", READY_MAX, || {
        first.ok(&["ip", "link", "show", left]).contains("LOWER_UP")
    });
}
