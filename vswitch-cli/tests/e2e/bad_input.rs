//! Bad input to a running switch: a one-line error with the value, exit code 1 or 2, nothing changed.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use testkit::{Process, Snapshot, wait_for};
use wire::MacAddr;

use crate::harness::{Container, Host};

/// Failed: the switch or the kernel says no.
const FAILED: &[i32] = &[1];
/// Usage: the request itself is wrong.
const USAGE: &[i32] = &[2];
/// Wrong in itself or only here: both can be said.
const EITHER: &[i32] = &[1, 2];

/// All that a refused request must leave alone.
#[derive(Debug, PartialEq)]
struct World {
    ports: Vec<(String, MacAddr, Vec<Ipv4Addr>, Vec<Ipv6Addr>)>,
    state: BTreeMap<PathBuf, Vec<u8>>,
}

impl World {
    #[track_caller]
    fn look(host: &Host) -> Self {
        let ports = host.ls().into_iter();
        let ports = ports.map(|p| (p.name, p.mac, p.ipv4, p.ipv6)).collect();
        let files = std::fs::read_dir(host.state_dir()).expect("state directory");
        let state = files.map(|f| f.expect("entry").path()).filter(|path| path.is_file());
        let state = state.map(|path| (path.clone(), std::fs::read(path).expect("state file")));
        Self { ports, state: state.collect() }
    }
}

/// A switch with one container at 10.99.0.10 and a namespace to attach.
struct Scene {
    host: Host,
    a: Container,
    netns: testkit::Netns,
}

impl Scene {
    #[track_caller]
    fn new() -> Self {
        let host = Host::with_switch();
        let a = host.container_with("a", &["--ip", "10.99.0.10", "--mac", "02:00:00:00:00:10"]);
        let netns = host.namespace("b");
        Self { host, a, netns }
    }

    /// `attach` of the namespace as `b` with `args` fails, names `value`, and changes nothing.
    #[track_caller]
    fn refuses_attach(&self, args: &[&str], codes: &[i32], value: &str) {
        let mut command = vec!["attach"];
        for (option, default) in [("--netns", self.netns.name()), ("--name", "b")] {
            if !args.contains(&option) {
                command.extend([option, default]);
            }
        }
        command.extend(args);
        self.refuses(&command, codes, value);
        assert!(self.netns.links().is_empty(), "{:?}", self.netns.links());
    }

    #[track_caller]
    fn refuses(&self, command: &[&str], codes: &[i32], value: &str) {
        let (world, links) = (World::look(&self.host), Snapshot::take(self.host.netns()));
        self.host.fails(command, codes, value);
        links.assert_same(&Snapshot::take(self.host.netns()));
        assert_eq!(World::look(&self.host), world);
        assert_eq!(self.a.links(), ["eth0"]);
    }
}

#[test]
fn unknown_name() {
    let scene = Scene::new();
    scene.refuses(&["detach", "nobody"], FAILED, "nobody");
    scene.refuses(&["inspect", "nobody"], FAILED, "nobody");
    scene.refuses(&["network", "inspect", "nowhere"], FAILED, "nowhere");
    scene.refuses_attach(&["--network", "nowhere"], FAILED, "nowhere");
}

#[test]
fn duplicate_name() {
    Scene::new().refuses_attach(&["--name", "a"], FAILED, "a");
}

#[test]
fn malformed_name() {
    let scene = Scene::new();
    for name in ["-", "a b", "a/b", "ä", "", ".a", &"x".repeat(129)] {
        scene.refuses_attach(&["--name", name], USAGE, name);
    }
    for alias in ["a..b", "a.", &"x".repeat(64)] {
        scene.refuses_attach(&["--alias", alias], USAGE, alias);
    }
    // The bridge's name is that of the host's port.
    scene.refuses_attach(&["--name", "br0"], EITHER, "br0");
}

#[test]
fn address_in_use() {
    let scene = Scene::new();
    scene.refuses_attach(&["--ip", "10.99.0.10"], FAILED, "10.99.0.10");
    let v6 = scene.a.v6().to_string();
    scene.refuses_attach(&["--ip6", &v6], FAILED, &v6);
    scene.refuses_attach(&["--mac", "02:00:00:00:00:10"], FAILED, "02:00:00:00:00:10");
}

#[test]
fn address_outside_the_subnet() {
    let scene = Scene::new();
    scene.refuses_attach(&["--ip", "10.98.0.10"], USAGE, "10.98.0.10");
    scene.refuses_attach(&["--ip6", "2001:db8::10"], USAGE, "2001:db8::10");
}

#[test]
fn address_that_nobody_can_have() {
    let scene = Scene::new();
    // The gateway's, the subnet's own, and the broadcast address.
    scene.refuses_attach(&["--ip", "10.99.0.1"], USAGE, "10.99.0.1");
    scene.refuses_attach(&["--ip6", &scene.a.gateway6().to_string()], USAGE, "gateway");
    scene.refuses_attach(&["--ip", "10.99.0.0"], USAGE, "10.99.0.0");
    scene.refuses_attach(&["--ip", "10.99.255.255"], USAGE, "10.99.255.255");
    scene.refuses_attach(&["--ip", "10.99.0.300"], USAGE, "10.99.0.300");
    scene.refuses_attach(&["--ip6", "fd::zz"], USAGE, "fd::zz");
}

#[test]
fn namespace_that_does_not_exist() {
    let scene = Scene::new();
    scene.refuses_attach(&["--netns", "no-such-netns"], FAILED, "no-such-netns");
    scene.refuses_attach(&["--netns", "/run/netns/no-such"], FAILED, "/run/netns/no-such");
    scene.refuses_attach(&["--netns", "/etc/hosts"], EITHER, "/etc/hosts");
    scene.refuses_attach(&["--netns", "0"], USAGE, "0");
}

#[test]
fn namespace_of_a_process_that_is_gone() {
    let scene = Scene::new();
    let process = scene.netns.spawn(&["true"]);
    let pid = process.pid().to_string();
    process.finish(Duration::from_secs(5));
    scene.refuses_attach(&["--netns", &pid], FAILED, &pid);
}

/// The host's own namespace is no container: `br0` is its port.
#[test]
fn namespace_of_the_host() {
    let scene = Scene::new();
    scene.refuses_attach(
        &["--netns", scene.host.netns().name()],
        EITHER,
        scene.host.netns().name(),
    );
}

/// Whenever the process ends, attach either worked and is undone by the death, or failed.
#[test]
fn pid_that_exits_during_attach() {
    let scene = Scene::new();
    let (world, links) = (World::look(&scene.host), scene.host.netns().links());
    for milliseconds in (0..60).step_by(4) {
        let lifetime = format!("0.{milliseconds:03}");
        let mut command = Command::new("unshare");
        let process =
            Process::spawn(command.args(["--net", "sleep", &lifetime]).stdin(Stdio::null()));
        let pid = process.pid().to_string();
        // Not before it has left our namespace: that would be another test's.
        let its = format!("/proc/{pid}/ns/net");
        let own = std::fs::read_link("/proc/self/ns/net").expect("own namespace");
        while std::fs::read_link(&its).is_ok_and(|netns| netns == own) {}
        let name = format!("p{milliseconds}");
        let output = scene.host.vswitch(&["attach", "--netns", &pid, "--name", &name]);
        if !output.status.success() {
            assert_eq!(output.code(), 1, "{output}");
            assert!(output.stderr.contains(&pid), "{output}");
        }
        process.finish(Duration::from_secs(5));
        wait_for("the port is gone", Duration::from_secs(3), || scene.host.ls().len() == 1);
    }
    assert_eq!(scene.host.netns().links(), links);
    assert_eq!(World::look(&scene.host).ports, world.ports);
}

#[test]
fn malformed_mac() {
    let scene = Scene::new();
    for mac in ["02:00:00:00:00", "02:00:00:00:00:0g", "020000000001", "nonsense", ""] {
        scene.refuses_attach(&["--mac", mac], USAGE, mac);
    }
}

#[test]
fn multicast_mac() {
    let scene = Scene::new();
    for mac in ["01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"] {
        scene.refuses_attach(&["--mac", mac], USAGE, mac);
    }
}

#[test]
fn interface_name_taken_or_too_long() {
    let scene = Scene::new();
    scene.refuses_attach(&["--ifname", "sixteen-letters-"], USAGE, "sixteen-letters-");
    scene.refuses_attach(&["--ifname", "a/b"], USAGE, "a/b");
    scene.refuses_attach(&["--ifname", "lo"], EITHER, "lo");
    let taken = ["attach", "--netns", scene.a.name(), "--name", "b", "--ifname", "eth0"];
    scene.refuses(&taken, FAILED, "eth0");
}

#[test]
fn a_command_line_that_makes_no_sense() {
    let scene = Scene::new();
    scene.refuses(&["no-such-command"], USAGE, "no-such-command");
    scene.refuses(&["attach", "--name", "b"], USAGE, "--netns");
    scene.refuses(&["run", "--name", "r"], USAGE, "<CMD>");
}

/// The socket is for root and for the user that the daemon runs as.
#[test]
fn another_user() {
    let scene = Scene::new();
    let folder = scene.host.path("");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    let client = "\
import os, socket, sys
os.setgid(65534); os.setuid(65534)
s = socket.socket(socket.AF_UNIX)
try:
    s.connect(sys.argv[1])
    s.sendall(b'GET /v1/status HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n')
    print(s.recv(12).decode())
except PermissionError:
    print('refused by the kernel')
";
    let socket = scene.host.path("sock").display().to_string();
    let answer = scene.host.netns().ok(&["python3", "-c", client, &socket]);
    assert!(["HTTP/1.1 403\n", "refused by the kernel\n"].contains(&answer.as_str()), "{answer}");
}
