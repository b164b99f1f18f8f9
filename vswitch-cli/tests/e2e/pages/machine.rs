//! A machine for a page: a shell with the namespaces of a host, and folders of its own where pages write.
//!
//! `/etc`, `/opt`, `/usr` and `/var/lib` are overlays; `/run` and the stores of engines are empty. So the paths
//! of a page are the real ones, and nothing stays of it. All processes end with the machine.

use std::collections::BTreeSet;
use std::fs::{File, read_to_string};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use testkit::{COMMAND_TIMEOUT, HostNet, Output, Process, Remote, run, wait_for};

use crate::harness::{cni_program, program};
use crate::programs::Programs;

/// `sudo` as Debian sets it up: variables of the shell do not pass, but those that it is told.
const SUDO: &str = "exec env -i PATH=\"$PATH\" HOME=\"$HOME\" TERM=dumb \"$@\"";

/// Makes the mounts; then the machine's first process waits for its end.
const SETUP: &str = include_str!("machine.sh");

/// Seconds after which a page hangs, and what it has shown is told.
const PAGE_SECONDS_MAX: &str = "90";

/// The limit above comes first.
const PAGE_TIMEOUT: Duration = Duration::from_secs(120);

/// Runs a command in the machine's control groups, which bear the id of its first process.
const JOIN: &str =
    "for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
  [ ! -e $hierarchy/vswt-$0/cgroup.procs ] || echo 0 >$hierarchy/vswt-$0/cgroup.procs
done
exec \"$@\"";

const CGROUPS: &str = "/sys/fs/cgroup";

pub(crate) struct Machine {
    /// Id of its first process, outside.
    first: String,
    programs: Programs,
    /// The machine, then its engines.
    processes: Vec<Process>,
    net: HostNet,
    _remote: Remote,
    dir: tempfile::TempDir,
}

impl Machine {
    /// A machine with a NIC on a LAN, and no switch.
    #[track_caller]
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("vswt-").tempdir().expect("a directory");
        let net = HostNet::new();
        let remote = Remote::new(&net);
        net.netns().set_sysctl("net/ipv4/ip_forward", "0");
        let programs = Programs::new(dir.path().join("bin"));
        programs.add("sudo", SUDO);
        programs.add("vswitch", &format!("exec {} \"$@\"", program()));
        let unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child"];
        let mut command = net.netns().command(&unshare);
        command.args(["bash", "-c", SETUP, "machine"]).arg(dir.path());
        let mut holder = Process::spawn(command.stdin(Stdio::piped()));
        let ready = dir.path().join("ready");
        wait_for("the machine is ready", COMMAND_TIMEOUT, || {
            ready.exists() || !holder.is_running()
        });
        let Ok(first) = read_to_string(&ready) else {
            panic!("no machine: {}", holder.finish(COMMAND_TIMEOUT))
        };
        let first = first.trim().to_owned();
        let machine = Self { first, programs, processes: vec![holder], net, _remote: remote, dir };
        // Where runtimes look for it, as the package has it.
        let plugin = cni_program();
        for folder in ["/usr/lib/cni", "/opt/cni/bin"] {
            machine.ok(&["mkdir", "-p", folder]);
            machine.ok(&["ln", "-sf", &plugin, &format!("{folder}/vswitch-cni")]);
        }
        machine
    }

    /// Adds a program that its commands find: a script of `sh`.
    #[track_caller]
    pub(super) fn add_program(&self, name: &str, script: &str) {
        self.programs.add(name, script);
    }

    /// Its namespaces and those of its LAN.
    pub(crate) fn net(&self) -> &HostNet {
        &self.net
    }

    /// A folder that the machine and the test see.
    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// A command of the machine.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", JOIN, &self.first]);
        command.args(["nsenter", "--target", &self.first, "--mount", "--pid"]);
        command.arg(format!("--net={}", self.net.netns().path().display()));
        let home = self.dir.path().join("home");
        command.arg(format!("--wd={}", home.display())).args(args);
        command.env("HOME", home).stdin(Stdio::null());
        self.programs.on_path(&mut command);
        command
    }

    /// Runs a command of the machine, which must succeed.
    #[track_caller]
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        run(&mut self.command(args), b"", COMMAND_TIMEOUT).ok()
    }

    /// Starts an engine, and waits until a command succeeds.
    #[track_caller]
    pub(crate) fn start(&mut self, engine: &[&str], answers: &[&str]) {
        let path = self.dir.path().join(format!("{}.log", engine[0]));
        let log = File::create(&path).expect("a log");
        let mut process = Process::spawn_logged(&mut self.command(engine), log);
        wait_for(&format!("{} answers", engine[0]), COMMAND_TIMEOUT, || {
            let log = || read_to_string(&path).unwrap_or_default();
            assert!(process.is_running(), "{} ended:\n{}", engine[0], log());
            self.command(answers).output().is_ok_and(|output| output.status.success())
        });
        self.processes.push(process);
    }

    /// Runs a script, which ends at the first command that fails. Its standard output has both outputs.
    #[track_caller]
    pub(crate) fn script(&self, name: &str, script: &str) -> Output {
        let (path, out) = (self.dir.path().join(name), self.dir.path().join("out"));
        std::fs::write(&path, script).expect("a script");
        let limit = ["timeout", "--kill-after=5", PAGE_SECONDS_MAX];
        let mut command = self.command(&[&limit[..], &["bash", "-eE", "-o", "pipefail"]].concat());
        command.arg(&path);
        // Into a file: processes that stay would hold a pipe open.
        let log = File::create(&out).expect("a file");
        let output = Process::spawn_logged(&mut command, log).finish(PAGE_TIMEOUT);
        Output { stdout: read_to_string(&out).expect("the output"), ..output }
    }

    /// Logs of the switch and of engines, for a test that fails.
    pub(crate) fn logs(&self) -> String {
        let script =
            format!("tail -n 30 /var/lib/vswitch/vswitch.log {}/*.log", self.dir.path().display());
        run(&mut self.command(&["sh", "-c", &script]), b"", COMMAND_TIMEOUT).stdout
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Engines that are killed leave the control groups of their containers.
        let mut command = self.command(&["sh", "-c", "cat /proc/[0-9]*/cgroup"]);
        let groups = command.output().map(|output| output.stdout).unwrap_or_default();
        // The first process ends with it, and all others with that one.
        self.processes.remove(0);
        let ended = Path::new("/proc").join(&self.first);
        wait_for("the machine ends", COMMAND_TIMEOUT, || !ended.exists());
        let groups = String::from_utf8_lossy(&groups);
        let own = read_to_string("/proc/self/cgroup").unwrap_or_default();
        let (mut groups, own) = (paths(&groups), paths(&own));
        let machine = format!("vswt-{}", self.first);
        groups.insert(&machine);
        let hierarchies = std::fs::read_dir(CGROUPS).into_iter().flatten().flatten();
        for folder in hierarchies.map(|entry| entry.path()).chain([CGROUPS.into()]) {
            for group in groups.difference(&own).filter(|group| !group.is_empty()) {
                remove_group(&folder.join(group));
                // Those above, too, but not the first: other engines may be about to use that.
                let above = Path::new(group).ancestors().skip(1);
                for path in above.filter(|path| path.components().count() > 1) {
                    let _ = std::fs::remove_dir(folder.join(path));
                }
            }
        }
    }
}

/// The paths in files such as `/proc/self/cgroup`, without their first `/`.
fn paths(files: &str) -> BTreeSet<&str> {
    let paths = files.lines().filter_map(|line| line.split(':').nth(2));
    paths.map(|path| path.trim_start_matches('/')).collect()
}

/// Removes a control group and those below it; those with processes stay.
fn remove_group(group: &Path) {
    for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path());
        }
    }
    let _ = std::fs::remove_dir(group);
}
