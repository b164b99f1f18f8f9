//! A namespace that plays the host, and the daemon in it.

use std::fs::File;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use testkit::{
    COMMAND_TIMEOUT, Docker, HostNet, Netns, Output, Process, READY_MAX, Remote, run, wait_for,
};
use vswitch_api::port::{Port, PortDetail};
use vswitch_api::stats::Stats;
use vswitch_api::status::Status;

use super::{Cgroup, Container};

/// Ports that containers appear from by default.
pub(crate) const SNAT_PORTS: RangeInclusive<u16> = 20_000..=29_999;

/// A host of its own: namespace, NIC with addresses and default routes, socket, state directory.
pub(crate) struct Host {
    bridge: &'static str,
    daemon: Option<Process>,
    detached: Option<Pid>,
    net: Rc<HostNet>,
    dir: tempfile::TempDir,
    /// After the daemon, whose programs go with it.
    cgroup: Option<Cgroup>,
}

impl Host {
    /// A host without a daemon; see [`HostNet`] for its addresses.
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self::on("br0", Rc::new(HostNet::new()))
    }

    /// Another daemon on the same host, with a socket and a state directory of its own.
    #[track_caller]
    pub(crate) fn beside(&self, bridge: &'static str) -> Self {
        Self::on(bridge, Rc::clone(&self.net))
    }

    fn on(bridge: &'static str, net: Rc<HostNet>) -> Self {
        let dir = tempfile::Builder::new().prefix("vswt-").tempdir().expect("a directory");
        Self { bridge, daemon: None, detached: None, net, dir, cgroup: None }
    }

    /// A host with a remote one, and a switch that translates for its container `a`.
    #[track_caller]
    pub(crate) fn with_remote() -> (Self, Remote, Container) {
        let mut host = Self::new();
        let remote = Remote::new(&host.net);
        host.up(&["--uplink", "auto"]);
        let a = host.container("a");
        (host, remote, a)
    }

    /// A host whose daemon runs with default options.
    #[track_caller]
    pub(crate) fn with_switch() -> Self {
        Self::with_switch_args(&[])
    }

    /// A host whose daemon runs with these further options of `up`.
    #[track_caller]
    pub(crate) fn with_switch_args(args: &[&str]) -> Self {
        let mut host = Self::new();
        host.up(args);
        host
    }

    /// The namespaces of the host and its LAN.
    pub(crate) fn net(&self) -> &HostNet {
        &self.net
    }

    pub(crate) fn netns(&self) -> &Netns {
        self.net.netns()
    }

    /// The other end of its NIC.
    pub(crate) fn lan(&self) -> &Netns {
        self.net.lan()
    }

    /// A file or folder of this host alone.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.path("state")
    }

    /// Makes a cgroup that goes with this host, which has to be dropped after the containers.
    #[track_caller]
    pub(crate) fn own_cgroup(&mut self) -> PathBuf {
        self.cgroup.insert(Cgroup::new()).path().into()
    }

    /// Starts the daemon in the foreground and waits until it answers.
    #[track_caller]
    pub(crate) fn up(&mut self, args: &[&str]) {
        let up = [&["up", "--bridge", self.bridge], args].concat();
        self.start(self.command(&up));
    }

    /// The same, with these guards of cut-through, which debug builds take from the environment.
    #[track_caller]
    pub(crate) fn up_with_guards(&mut self, guards: &str, args: &[&str]) {
        let mut up = self.command(&[&["up", "--bridge", self.bridge], args].concat());
        up.env("VSWITCH_CUT_THROUGH_GUARDS", guards);
        self.start(up);
    }

    /// The same, in the mount namespace of a Docker daemon, which has the plugin sockets.
    #[track_caller]
    pub(crate) fn up_inside(&mut self, docker: &Docker, args: &[&str]) {
        let up = self.command(&[&["up", "--bridge", self.bridge], args].concat());
        self.start(docker.inside(&up));
    }

    /// The same, with a file of the test for `/etc/resolv.conf`.
    #[track_caller]
    pub(crate) fn up_with_resolv_conf(&mut self, file: &Path, args: &[&str]) {
        let up = self.command(&[&["up", "--bridge", self.bridge], args].concat());
        let script = format!("mount --bind {} /etc/resolv.conf && exec \"$@\"", file.display());
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script, "sh"]);
        command.arg(up.get_program()).args(up.get_args());
        self.start(command);
    }

    /// The same, in the mount namespace of a process.
    #[track_caller]
    pub(crate) fn up_in_mounts_of(&mut self, pid: &str, args: &[&str]) {
        let up = self.command(&[&["up", "--bridge", self.bridge], args].concat());
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", pid, "--"]);
        command.arg(up.get_program()).args(up.get_args());
        self.start(command);
    }

    #[track_caller]
    fn start(&mut self, mut command: Command) {
        assert!(self.daemon.is_none(), "this host has a daemon already");
        let log = File::options().create(true).append(true).open(self.path("log")).expect("log");
        let mut daemon = Process::spawn_logged(&mut command, log);
        wait_for("the daemon answers", READY_MAX, || {
            assert!(daemon.is_running(), "the daemon ended:\n{}", self.log());
            self.vswitch(&["status"]).status.success()
        });
        self.daemon = Some(daemon);
    }

    /// Starts the daemon as people do, with `--detach`.
    #[track_caller]
    pub(crate) fn up_detached(&mut self, args: &[&str]) {
        let mut up = vec!["up", "--bridge", self.bridge, "--detach"];
        up.extend(args);
        self.ok(&up);
        let pid = i32::try_from(self.status().pid).expect("a pid fits into i32");
        self.detached = Some(Pid::from_raw(pid));
    }

    /// `vswitch down`, and waits for the daemon's end.
    #[track_caller]
    pub(crate) fn down(&mut self) {
        self.ok(&["down"]);
        if let Some(daemon) = self.daemon.take() {
            let output = daemon.finish(READY_MAX);
            assert!(output.status.success(), "{}\n{}", output, self.log());
        }
        if let Some(pid) = self.detached.take() {
            wait_for("the daemon ends", READY_MAX, || kill(pid, None).is_err());
        }
    }

    /// `kill -9`: no clean-up by the daemon.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        let daemon = self.daemon.take().expect("a daemon in the foreground");
        daemon.signal(Signal::SIGKILL);
        daemon.finish(Duration::from_secs(5));
    }

    /// The same, without waiting for its end.
    pub(crate) fn kill_unseen(&mut self) -> Process {
        let daemon = self.daemon.take().expect("a daemon in the foreground");
        daemon.signal(Signal::SIGKILL);
        daemon
    }

    /// Ends the daemon by a signal that it handles.
    #[track_caller]
    pub(crate) fn stop_by(&mut self, signal: Signal) {
        let daemon = self.daemon.take().expect("a daemon in the foreground");
        daemon.signal(signal);
        let output = daemon.finish(READY_MAX);
        assert!(output.status.success(), "{}\n{}", output, self.log());
    }

    pub(crate) fn daemon_pid(&self) -> u32 {
        self.daemon.as_ref().expect("a daemon in the foreground").pid()
    }

    /// The program under test.
    pub(crate) fn program(&self) -> String {
        program()
    }

    /// The command line of `vswitch ARGS` on this host.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.netns().command(&[&self.program()]);
        command.arg("--socket").arg(self.path("sock")).args(args);
        let has_state = matches!(args.first(), Some(&"up" | &"down"));
        if has_state && !args.contains(&"--state-dir") {
            command.arg("--state-dir").arg(self.state_dir());
        }
        command
    }

    /// Runs `vswitch ARGS`, whatever its end.
    #[track_caller]
    pub(crate) fn vswitch(&self, args: &[&str]) -> Output {
        run(&mut self.command(args), b"", COMMAND_TIMEOUT)
    }

    /// Runs `vswitch ARGS`, which must succeed.
    #[track_caller]
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.vswitch(args);
        assert!(output.status.success(), "{output}--- log\n{}", self.log());
        output.stdout
    }

    /// Runs `vswitch ARGS --format json`.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let mut command = vec!["--format", "json"];
        command.extend(args);
        let text = self.ok(&command);
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e} in {text}"))
    }

    /// Runs `vswitch ARGS`, which must fail with one of `codes` and one line that holds `value`.
    #[track_caller]
    pub(crate) fn fails(&self, args: &[&str], codes: &[i32], value: &str) -> String {
        let output = self.vswitch(args);
        assert!(codes.contains(&output.code()), "exit code not of {codes:?}\n{output}");
        let mut lines = output.stderr.lines().filter(|line| !line.is_empty());
        let error = lines.next().unwrap_or_default();
        assert!(error.starts_with("error: "), "{output}");
        let value = if value.is_empty() { "''" } else { value };
        assert!(output.stderr.contains(value), "the error does not name {value}\n{output}");
        // Below the error, only the hint.
        for line in lines {
            let is_hint = ["  hint: ", "  tip: ", "Usage: ", "For more information"];
            assert!(is_hint.iter().any(|start| line.starts_with(start)), "{line:?} in\n{output}");
        }
        output.stderr
    }

    #[track_caller]
    pub(crate) fn status(&self) -> Status {
        serde_json::from_value(self.json(&["status"])).expect("Status")
    }

    #[track_caller]
    pub(crate) fn stats(&self) -> Stats {
        serde_json::from_value(self.json(&["stats"])).expect("Stats")
    }

    /// No frame appeared or vanished.
    #[track_caller]
    pub(crate) fn balanced(&self) {
        for worker in self.stats().workers {
            let entered =
                worker.received + worker.generated + worker.flood_copies + worker.segmented;
            let left =
                worker.sent + worker.dropped + worker.consumed + worker.merged + worker.in_flight;
            assert_eq!(entered + worker.handoff_received, left + worker.handed_off, "{worker:#?}");
        }
    }

    #[track_caller]
    pub(crate) fn ls(&self) -> Vec<Port> {
        serde_json::from_value(self.json(&["ls"])).expect("Port[]")
    }

    #[track_caller]
    pub(crate) fn inspect(&self, name: &str) -> PortDetail {
        serde_json::from_value(self.json(&["inspect", name])[0].take()).expect("PortDetail")
    }

    /// A namespace beside the host, not attached.
    #[track_caller]
    pub(crate) fn namespace(&self, tag: &str) -> Netns {
        Netns::new(tag)
    }

    /// A new namespace, attached as `name`.
    #[track_caller]
    pub(crate) fn container(&self, name: &str) -> Container {
        self.container_with(name, &[])
    }

    /// A new namespace, attached as `name` with further options.
    #[track_caller]
    pub(crate) fn container_with(&self, name: &str, args: &[&str]) -> Container {
        Container::attach(self, self.namespace(name), name, args)
    }

    /// Log of the daemon.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// The program under test: VSWITCH_BIN, or the one that cargo has just built.
pub(crate) fn program() -> String {
    std::env::var("VSWITCH_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_vswitch").to_owned())
}

/// The CNI plugin under test, beside that program.
pub(crate) fn cni_program() -> String {
    match std::env::var("VSWITCH_BIN") {
        Ok(bin) => Path::new(&bin).with_file_name("vswitch-cni").display().to_string(),
        Err(_) => env!("CARGO_BIN_EXE_vswitch-cni").to_owned(),
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(pid) = self.detached.take() {
            let _ = kill(pid, Signal::SIGKILL);
        }
        if std::thread::panicking() && self.daemon.is_some() {
            eprintln!("--- the daemon's log\n{}", self.log());
        }
    }
}
