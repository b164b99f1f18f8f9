//! A real Docker daemon on a host of the tests.
//!
//! The daemon has folders and a mount namespace of its own. There `/run/docker/plugins` is empty, so that tests
//! with plugins run side by side. A switch that serves a plugin starts in the same mount namespace
//! ([`Docker::inside`]). Names of network namespaces made later are seen there, too.

mod leftovers;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::process::{self, Output, Process};
use crate::{COMMAND_TIMEOUT, Netns, READY_MAX, wait_for};

/// Debian's, by its path: another client of that name may stand before it.
const CLIENT: &str = "/usr/bin/docker";

/// Debian's static one, of package busybox-static.
const BUSYBOX: &str = "/bin/busybox";

/// How long a daemon may take to start, or to end.
const DAEMON_MAX: Duration = Duration::from_secs(60);

/// Folder of plugin sockets.
const PLUGINS: &str = "/run/docker/plugins";

/// A daemon, its containers and its folders. Dropping it kills all of them.
#[derive(Debug)]
pub struct Docker {
    daemon: Option<Process>,
    /// Its mount namespace lives as long as this process.
    holder: Process,
    netns: PathBuf,
    args: Vec<String>,
    dir: tempfile::TempDir,
}

impl Docker {
    /// Name of the image that [`Docker::bring_image`] imports.
    pub const IMAGE: &str = "bb";

    /// Starts a daemon in the namespace of a host, and waits until it answers.
    #[track_caller]
    pub fn start(host: &Netns) -> Self {
        Self::start_with(host, &[])
    }

    /// The same with further options of `dockerd`, such as `--live-restore`.
    #[track_caller]
    pub fn start_with(host: &Netns, args: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("vswt-").tempdir().expect("a directory");
        fs::write(dir.path().join("daemon.json"), "{}").expect("write a file");
        let script =
            format!("mkdir -p {PLUGINS} && mount -t tmpfs vswt {PLUGINS} && exec sleep infinity");
        // The namespaces' names of /run/netns still propagate to it.
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "slave", "sh", "-c", &script]);
        let mut holder = Process::spawn(command.stdin(Stdio::null()));
        let comm = format!("/proc/{}/comm", holder.pid());
        wait_for("the mount namespace is ready", READY_MAX, || {
            assert!(holder.is_running(), "{PLUGINS} cannot be mounted");
            fs::read_to_string(&comm).is_ok_and(|name| name.trim() == "sleep")
        });
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut docker = Self { daemon: None, holder, netns: host.path().to_owned(), args, dir };
        docker.start_again();
        docker
    }

    /// Starts the daemon after [`Docker::stop`] or [`Docker::kill`], and waits until it answers.
    #[track_caller]
    pub fn start_again(&mut self) {
        let at = |file: &str| self.path(file).display().to_string();
        let option = |name: &str, file: &str| format!("--{name}={}", at(file));
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.netns.display()));
        command.args(["dockerd", "--log-level=error"]).args(&self.args);
        command.args([option("data-root", "data"), option("exec-root", "exec")]);
        command.args([option("pidfile", "pid"), option("config-file", "daemon.json")]);
        command.arg(format!("--host={}", self.url()));
        let log = fs::File::options().create(true).append(true).open(self.path("log"));
        let mut daemon = Process::spawn_logged(&mut self.inside(&command), log.expect("a log"));
        wait_for("dockerd answers", DAEMON_MAX, || {
            assert!(daemon.is_running(), "dockerd ended:\n{}", self.log());
            self.answers().is_some()
        });
        self.daemon = Some(daemon);
    }

    fn answers(&self) -> Option<()> {
        let mut stream = UnixStream::connect(self.path("sock")).ok()?;
        stream.set_read_timeout(Some(COMMAND_TIMEOUT)).ok()?;
        stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.contains(" 200 OK").then_some(())
    }

    /// Ends the daemon as an init system does. Without `--live-restore` its containers stop.
    #[track_caller]
    pub fn stop(&mut self) {
        let daemon = self.daemon.take().expect("dockerd runs");
        daemon.signal(Signal::SIGTERM);
        daemon.finish(DAEMON_MAX);
    }

    /// Stops the daemon and starts it again.
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// `kill -9` of the daemon. The kernel ends its containerd with it.
    #[track_caller]
    pub fn kill(&mut self) {
        let daemon = self.daemon.take().expect("dockerd runs");
        let pid = fs::read_to_string(self.path("exec/containerd/containerd.pid"));
        let containerd = format!("/proc/{}", pid.expect("containerd's process id").trim());
        daemon.signal(Signal::SIGKILL);
        daemon.finish(READY_MAX);
        // The next daemon would take one that still ends for its own, and wait for it in vain.
        wait_for("containerd ends", READY_MAX, || !Path::new(&containerd).exists());
    }

    /// A command that sees the daemon's plugin sockets and the namespaces of its containers.
    pub fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.arg(format!("--mount=/proc/{}/ns/mnt", self.holder.pid()));
        inside.arg(command.get_program()).args(command.get_args());
        inside
    }

    /// Imports a small image with busybox, named [`Docker::IMAGE`].
    #[track_caller]
    pub fn bring_image(&self) {
        let root = self.path("root");
        for folder in ["bin", "proc", "sys", "dev", "etc", "tmp"] {
            fs::create_dir_all(root.join(folder)).expect("folders of the image");
        }
        fs::copy(BUSYBOX, root.join("bin/busybox")).expect("package busybox-static");
        let applets = Command::new(BUSYBOX).arg("--list").output().expect("applets of busybox");
        for applet in String::from_utf8_lossy(&applets.stdout).lines() {
            // The program itself is among them.
            let _ = std::os::unix::fs::symlink("busybox", root.join("bin").join(applet));
        }
        let (root, tar) = (root.display().to_string(), self.path("image.tar"));
        let tar = tar.display().to_string();
        process::run(Command::new("tar").args(["-C", &root, "-cf", &tar, "."]), b"", READY_MAX)
            .ok();
        self.ok(&["import", &tar, Self::IMAGE]);
    }

    /// The daemon's address, for `DOCKER_HOST`.
    pub fn url(&self) -> String {
        format!("unix://{}", self.path("sock").display())
    }

    /// Socket of the daemon's containerd.
    pub fn containerd_socket(&self) -> PathBuf {
        self.path("exec/containerd/containerd.sock")
    }

    /// A file or folder of this daemon.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A command with the client's variables, such as `docker-compose`.
    pub fn client(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).env("DOCKER_HOST", self.url()).env("DOCKER_CONFIG", self.path("config"));
        command
    }

    /// Runs `docker ARGS`, whatever its end.
    #[track_caller]
    pub fn docker(&self, args: &[&str]) -> Output {
        process::run(&mut self.client(CLIENT, args), b"", COMMAND_TIMEOUT)
    }

    /// Runs `docker ARGS`, which must succeed; returns its standard output without the end of the line.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.docker(args);
        assert!(output.status.success(), "{output}--- log\n{}", self.log());
        output.stdout.trim_end().to_owned()
    }

    /// Process id of a container.
    #[track_caller]
    pub fn pid(&self, container: &str) -> u32 {
        let pid = self.ok(&["inspect", "--format", "{{.State.Pid}}", container]);
        pid.parse().expect("a process id")
    }

    /// A command in the network namespace of a container, with the programs of the host.
    #[track_caller]
    pub fn in_netns_of(&self, container: &str, args: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.pid(container))).args(args);
        command
    }

    /// Log of the daemon.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- dockerd's log\n{}", self.log());
        }
        self.daemon = None;
        leftovers::remove(self.dir.path());
    }
}
