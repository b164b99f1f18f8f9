//! `vswitch run`: a command in a network namespace of its own.

use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use testkit::{COMMAND_TIMEOUT, Process, Snapshot, wait_for};

use crate::harness::Host;

/// Runs a shell script by `vswitch run ARGS -- sh -c SCRIPT`.
#[track_caller]
fn shell(host: &Host, args: &[&str], script: &str) -> testkit::Output {
    host.vswitch(&[&["run"], args, &["--", "sh", "-c", script]].concat())
}

#[test]
fn the_exit_code_passes_through() {
    let host = Host::with_switch();
    assert_eq!(shell(&host, &["--name", "r"], "exit 7").code(), 7);
    assert_eq!(shell(&host, &["--name", "r"], "exit 0").code(), 0);
    assert_eq!(shell(&host, &["--name", "r"], "kill -TERM $$").code(), 128 + 15);
    assert!(host.ls().is_empty(), "{:?}", host.ls());
}

#[test]
fn a_command_that_does_not_exist() {
    let host = Host::with_switch();
    host.fails(&["run", "--name", "r", "--", "no-such-command"], &[127], "no-such-command");
    assert!(host.ls().is_empty(), "{:?}", host.ls());
}

#[test]
fn signals_pass_through() {
    let host = Host::with_switch();
    let marker = host.path("marker");
    let script =
        format!("trap 'exit 9' TERM; touch {}; while :; do sleep 0.05; done", marker.display());
    let mut command = host.command(&["run", "--name", "r", "--", "sh", "-c", &script]);
    let process = Process::spawn(command.stdin(Stdio::null()));
    wait_for("the command runs", Duration::from_secs(10), || marker.exists());
    process.signal(Signal::SIGTERM);
    let output = process.finish(COMMAND_TIMEOUT);
    assert_eq!(output.code(), 9, "{output}");
    assert!(host.ls().is_empty(), "{:?}", host.ls());
}

#[test]
fn stdin_and_stdout_pass_through() {
    let host = Host::with_switch();
    let mut command = host.command(&["run", "--name", "r", "--", "cat"]);
    let mut process = Process::spawn(command.stdin(Stdio::piped()));
    let mut stdin = process.stdin();
    std::io::Write::write_all(&mut stdin, b"through the switch\n").expect("write to cat");
    drop(stdin);
    assert_eq!(process.finish(COMMAND_TIMEOUT).ok(), "through the switch\n");
}

#[test]
fn the_command_has_its_own_network_and_hosts_file() {
    let host = Host::with_switch();
    let before = std::fs::read_to_string("/etc/hosts").expect("/etc/hosts");
    let script = "cat /etc/hosts; ip -o link; ip -o -4 address show dev eth0; cat /etc/resolv.conf";
    let output = shell(&host, &["--name", "r", "--ip", "10.99.0.20"], script).ok();
    let line = output.lines().find(|line| line.starts_with("10.99.0.20"));
    let line = line.unwrap_or_else(|| panic!("no 10.99.0.20 in its /etc/hosts: {output}"));
    assert!(line.split_whitespace().any(|word| word == "r"), "{line}");
    assert!(output.contains("localhost"), "{output}");
    assert!(output.contains("inet 10.99.0.20/16"), "{output}");
    assert!(!output.contains("nic0"), "the host's NIC is not there: {output}");
    assert!(output.contains("nameserver 10.99.0.1\n"), "the switch answers: {output}");
    assert_eq!(std::fs::read_to_string("/etc/hosts").expect("/etc/hosts"), before);
}

#[test]
fn a_command_reaches_containers_and_the_host() {
    let host = Host::with_switch();
    let a = host.container("a");
    let (v4, v6) = (a.v4(), a.v6());
    let script = format!("ping -nc1 -W2 {v4} && ping -nc1 -W2 {v6} && ping -nc1 -W2 10.99.0.1");
    shell(&host, &["--name", "r"], &script).ok();
}

#[test]
fn nothing_is_left_behind() {
    let host = Host::with_switch();
    let before = Snapshot::take(host.netns());
    shell(&host, &["--name", "r"], "ip -o link show eth0").ok();
    shell(&host, &["--name", "r"], "exit 3");
    // Also when `run` itself is killed, and cannot clean up.
    let mut command = host.command(&["run", "--name", "r", "--", "sleep", "60"]);
    let process = Process::spawn(command.stdin(Stdio::null()));
    wait_for("attached", Duration::from_secs(10), || host.ls().len() == 1);
    drop(process);
    wait_for("the dead command's port goes", Duration::from_secs(5), || host.ls().is_empty());
    before.assert_same(&Snapshot::take(host.netns()));
}

#[test]
fn mode_host_shares_the_hosts_network() {
    let host = Host::with_switch();
    let output = shell(&host, &["--name", "r", "--network", "host"], "ip -o link").ok();
    assert!(output.contains("nic0") && output.contains("br0"), "{output}");
    assert!(host.ls().is_empty());
}

#[test]
fn mode_none_has_a_loopback_only() {
    let host = Host::with_switch();
    let output = shell(&host, &["--name", "r", "--network", "none"], "ip -o link").ok();
    assert_eq!(output.lines().count(), 1, "{output}");
    assert!(output.contains(" lo: ") && output.contains("UP"), "{output}");
    assert!(host.ls().is_empty());
}

#[test]
fn mode_container_shares_anothers_namespace() {
    let host = Host::with_switch();
    let a = host.container("a");
    let own = a.ok(&["readlink", "/proc/self/ns/net"]);
    let mode = ["--name", "r", "--network", "container:a"];
    assert_eq!(shell(&host, &mode, "readlink /proc/self/ns/net").ok(), own);
    let missing = ["run", "--name", "r", "--network", "container:nobody", "--", "true"];
    host.fails(&missing, &[1], "nobody");
}

#[test]
fn two_commands_talk() {
    let host = Host::with_switch();
    let listen =
        "import socket; s = socket.create_server(('', 80)); s.accept()[0].sendall(b'hello')";
    let args = ["run", "--name", "web", "--ip", "10.99.0.80", "--", "python3", "-c", listen];
    let web = Process::spawn(host.command(&args).stdin(Stdio::null()));
    wait_for("attached", Duration::from_secs(10), || host.ls().len() == 1);
    let connect = "\
import socket, time
for _ in range(100):
    try:
        print(socket.create_connection(('10.99.0.80', 80), timeout=5).recv(9).decode()); break
    except ConnectionRefusedError:
        time.sleep(0.05)
";
    let client = host.vswitch(&["run", "--name", "client", "--", "python3", "-c", connect]);
    assert_eq!(client.ok(), "hello\n");
    web.finish(COMMAND_TIMEOUT).ok();
}

/// On a terminal of its own: `script` makes one.
#[test]
fn a_terminal_passes_through() {
    let host = Host::with_switch();
    let run = format!("{:?}", host.command(&["run", "--name", "r", "--", "tty"])).replace('"', "'");
    let mut command = Command::new("script");
    command.args(["-qec", &run, "/dev/null"]);
    let output = Process::spawn(command.stdin(Stdio::null())).finish(COMMAND_TIMEOUT);
    assert!(output.stdout.contains("/dev/pts/") || output.stdout.contains("/dev/tty"), "{output}");
    assert_eq!(output.code(), 0, "{output}");
}
