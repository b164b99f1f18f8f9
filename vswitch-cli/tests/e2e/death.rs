//! A container that dies takes its port with it within a second, and leaves nothing.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use testkit::{Netns, Process, wait_for};

use crate::harness::Host;

/// From the death until the port is gone; then its name and addresses can be had.
const DEATH_LIMIT: Duration = Duration::from_secs(1);

/// Attaches `netns` under a name and an address that a dead container had.
#[track_caller]
fn attach_again(host: &Host, netns: &Netns, name: &str, args: &[&str]) {
    let command = [&["attach", "--netns", netns.name(), "--name", name], args].concat();
    host.ok(&command);
    netns.ping(host.inspect(name).gateways[0]);
}

#[test]
fn a_deleted_namespace() {
    let host = Host::with_switch();
    let before = host.netns().links();
    let (a, b) = (host.container("a"), host.container_with("b", &["--ip", "10.99.0.44"]));
    a.ping(b.v4());
    let mac = b.detail().port.mac.to_string();
    b.into_netns().delete();
    wait_for("the port is gone", DEATH_LIMIT, || host.ls().len() == 1);
    assert_eq!(host.netns().links(), before, "a TAP came back to the host");
    assert!(!host.ok(&["fdb"]).contains(&mac), "its MAC address is still known");
    let netns = host.namespace("b");
    attach_again(&host, &netns, "b", &["--ip", "10.99.0.44"]);
    a.ping([10, 99, 0, 44].into());
}

/// The kernel destroys a namespace some time after its end; who comes at once waits for it.
#[test]
fn a_successor_at_once() {
    let host = Host::with_switch();
    let own = ["--ip", "10.99.0.46", "--mac", "02:00:00:00:00:46", "-p", "8080:80"];
    let mut former = host.container_with("s", &own).into_netns();
    let busy: Vec<_> = (0..8).map(|i| host.container(&format!("busy{i}"))).collect();
    let successors = ["s", "s", "s", "other"].map(|name| (name, host.namespace(name)));
    for (name, netns) in successors {
        former.delete();
        attach_again(&host, &netns, name, &own);
        former = netns;
    }
    assert_eq!(host.ls().len(), busy.len() + 1);
    // Who lives keeps what it has.
    let begun = Instant::now();
    host.fails(&["attach", "--netns", busy[0].name(), "--name", "other"], &[1], "other");
    assert!(begun.elapsed() < DEATH_LIMIT, "a conflict with one that lives is told at once");
}

#[test]
fn a_killed_process() {
    let host = Host::with_switch();
    let mut command = Command::new("unshare");
    let process = Process::spawn(command.args(["--net", "sleep", "60"]).stdin(Stdio::null()));
    let pid = process.pid().to_string();
    let own = std::fs::read_link("/proc/self/ns/net").expect("own namespace");
    let its = format!("/proc/{pid}/ns/net");
    wait_for("unshare has run", Duration::from_secs(5), || {
        std::fs::read_link(&its).is_ok_and(|netns| netns != own)
    });
    host.ok(&["attach", "--netns", &pid, "--name", "p", "--ip", "10.99.0.45"]);
    process.signal(Signal::SIGKILL);
    process.finish(Duration::from_secs(5));
    wait_for("the port is gone", DEATH_LIMIT, || host.ls().is_empty());
    attach_again(&host, &host.namespace("p"), "p", &["--ip", "10.99.0.45"]);
}

#[test]
fn many_at_once_while_others_talk() {
    let host = Host::with_switch();
    let (a, b) = (host.container("a"), host.container("b"));
    let dying: Vec<_> = (0..10).map(|n| host.container(&format!("d{n}"))).collect();
    let mut command = a.command(&["ping", "-n", "-i", "0.02", "-c", "150", &b.v4().to_string()]);
    let ping = Process::spawn(command.stdin(Stdio::null()));
    for container in dying {
        container.into_netns().delete();
    }
    wait_for("the ports are gone", DEATH_LIMIT * 2, || host.ls().len() == 2);
    let output = ping.finish(Duration::from_secs(30));
    assert!(output.stdout.contains("150 received"), "{output}");
}

/// A container removes its own interface: as good as its death.
#[test]
fn a_deleted_interface() {
    let host = Host::with_switch();
    let a = host.container("a");
    a.ok(&["ip", "link", "del", "eth0"]);
    wait_for("the port is gone", DEATH_LIMIT, || host.ls().is_empty());
    attach_again(&host, &a, "a", &[]);
}

#[test]
fn an_interface_that_is_down_is_not_dead() {
    let host = Host::with_switch();
    let (a, b) = (host.container("a"), host.container("b"));
    a.ok(&["ip", "link", "set", "eth0", "down"]);
    assert!(!b.try_ping(a.v4(), 2).status.success());
    a.ok(&["ip", "link", "set", "eth0", "up"]);
    b.ping_soon(a.v4(), Duration::from_secs(5));
    assert_eq!(host.ls().len(), 2);
}
