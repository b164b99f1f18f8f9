//! `vswitch attach --container` by podman's API.

use std::process::{Command, Stdio};

use testkit::{COMMAND_TIMEOUT, Process, READY_MAX, run, wait_for};
use vswitch_api::port::PortState;

use crate::harness::Host;

/// Podman with folders of its own, and its API.
struct Podman {
    _service: Process,
    options: Vec<String>,
    netns: String,
    dir: tempfile::TempDir,
}

impl Podman {
    #[track_caller]
    fn start(host: &Host) -> Self {
        let dir = tempfile::Builder::new().prefix("vswt-").tempdir().expect("a directory");
        let at = |file: &str| dir.path().join(file).display().to_string();
        let config = "[engine]\nruntime=\"runc\"\ncgroup_manager=\"cgroupfs\"\nevents_logger=\"file\"\n\
            [network]\nnetwork_backend=\"cni\"\n";
        std::fs::write(at("containers.conf"), config).expect("write a file");
        let options = [
            format!("--root={}", at("root")),
            format!("--runroot={}", at("run")),
            format!("--tmpdir={}", at("tmp")),
            "--storage-driver=vfs".to_owned(),
        ];
        let netns = format!("--net={}", host.netns().path().display());
        let mut command = Self::command(&netns, &options, &at("containers.conf"));
        command.args(["system", "service", "--time", "0", &format!("unix://{}", at("sock"))]);
        let service = Process::spawn(command.stdin(Stdio::null()));
        let podman = Self { _service: service, options: options.to_vec(), netns, dir };
        let socket = podman.dir.path().join("sock");
        wait_for("podman's API", COMMAND_TIMEOUT, || socket.exists());
        podman
    }

    fn command(netns: &str, options: &[String], config: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args([netns, "podman"]).args(options).env("CONTAINERS_CONF", config);
        command
    }

    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        let config = self.dir.path().join("containers.conf").display().to_string();
        let mut command = Self::command(&self.netns, &self.options, &config);
        run(command.args(args), b"", COMMAND_TIMEOUT).ok().trim_end().to_owned()
    }

    #[track_caller]
    fn bring_image(&self) {
        let script = "mkdir -p image/bin image/etc image/proc image/sys image/dev image/tmp && \
            cp /bin/busybox image/bin && ln -s busybox image/bin/sh && tar -C image -cf image.tar .";
        let mut command = Command::new("sh");
        run(command.args(["-ec", script]).current_dir(self.dir.path()), b"", COMMAND_TIMEOUT).ok();
        self.ok(&["import", &self.dir.path().join("image.tar").display().to_string(), "bb"]);
    }

    #[track_caller]
    fn run(&self, name: &str, options: &[&str]) {
        // The limits of this machine are below podman's defaults.
        let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
        let run = [&["run", "-d", "--stop-signal", "KILL", "--name", name][..], &limits, options];
        self.ok(&[&run.concat()[..], &["bb", "busybox", "sleep", "9999"]].concat());
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let config = self.dir.path().join("containers.conf").display().to_string();
        let mut command = Self::command(&self.netns, &self.options, &config);
        let _ = command.args(["rm", "-af", "-t", "0"]).output();
    }
}

#[test]
fn podmans_containers_are_attached_by_name_and_again() {
    let mut host = Host::new();
    host.up(&[]);
    let podman = Podman::start(&host);
    podman.bring_image();
    // Podman gives a container without a network no resolv.conf.
    let file = podman.dir.path().join("resolv.conf").display().to_string();
    std::fs::write(&file, "").expect("write a file");
    podman.run("web", &["--network", "none", "-v", &format!("{file}:/etc/resolv.conf")]);
    podman.run("own", &["--network", "host"]);
    let socket = podman.dir.path().join("sock").display().to_string();
    let attach = |name: &'static str| ["attach", "--container", name, "--engine", &socket];
    host.ok(&[&attach("web")[..], &["--resolv-conf", &file]].concat());
    host.fails(&attach("nobody"), &[1], "there is no container nobody");
    host.fails(&attach("own"), &[2], "has the network of the host");
    podman.ok(&["pause", "own"]);
    podman.ok(&["unpause", "own"]);
    podman.ok(&["create", "--network", "none", "--name", "new", "bb", "busybox", "true"]);
    host.fails(&attach("new"), &[1], "container new does not run");

    let first = host.inspect("web");
    let gateway = first.gateways[0].to_string();
    let text = podman.ok(&["exec", "web", "busybox", "cat", "/etc/resolv.conf"]);
    assert!(text.contains(&format!("nameserver {gateway}")), "{text}");
    podman.ok(&["exec", "web", "busybox", "ping", "-c", "1", "-W", "5", &gateway]);
    let state = |state: PortState| {
        wait_for(&format!("web is {state}"), READY_MAX, || {
            host.ls().iter().any(|port| port.name == "web" && port.state == state)
        });
        let again = host.inspect("web");
        assert_eq!((again.port.ipv4, again.port.mac), (first.port.ipv4.clone(), first.port.mac));
    };
    podman.ok(&["stop", "-t", "0", "web"]);
    state(PortState::Waiting);
    podman.ok(&["start", "web"]);
    state(PortState::Up);
    podman.ok(&["exec", "web", "busybox", "ping", "-c", "1", "-W", "5", &gateway]);
    podman.ok(&["rename", "web", "front"]);
    podman.ok(&["stop", "-t", "0", "front"]);
    podman.ok(&["rm", "-f", "front"]);
    wait_for("it is forgotten", READY_MAX, || host.ls().is_empty());
    host.balanced();
}
