//! `down` leaves the host as it was.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::harness::{Host, Snapshot, wait_for};

/// Up, use it in every way, and compare after `end`.
#[track_caller]
fn used_and_ended(mut host: Host, end: impl FnOnce(&mut Host)) {
    let before = Snapshot::take(host.netns());
    host.up(&[]);
    let (a, b) = (host.container("a"), host.container("b"));
    a.ping(b.v4());
    a.ping(a.detail().gateway6.into());
    host.ok(&["run", "--name", "r", "--", "true"]);
    host.ok(&["detach", "b"]);
    let during = Snapshot::take(host.netns());
    assert!(!during.with("link: ").iter().all(|line| !line.contains("br0")), "{during:?}");
    end(&mut host);
    before.assert_same(&Snapshot::take(host.netns()));
    assert!(a.links().is_empty(), "{:?}", a.links());
    assert!(!host.path("sock").exists(), "the socket is left");
}

#[test]
fn after_down() {
    used_and_ended(Host::new(), Host::down);
}

#[test]
fn after_sigterm() {
    used_and_ended(Host::new(), |host| host.stop_by(Signal::SIGTERM));
}

#[test]
fn after_sigint() {
    used_and_ended(Host::new(), |host| host.stop_by(Signal::SIGINT));
}

#[test]
fn after_a_crash_up_and_down() {
    used_and_ended(Host::new(), |host| {
        host.kill();
        host.up(&[]);
        host.down();
    });
}

/// The switch changes what it must, and not a line more.
#[test]
fn while_it_runs_only_br0_is_new() {
    let mut host = Host::new();
    let before = Snapshot::take(host.netns());
    host.up(&[]);
    let _a = host.container("a");
    let during = Snapshot::take(host.netns());
    let foreign: Vec<_> =
        during.added(&before).into_iter().filter(|l| !l.contains("br0")).collect();
    // Routes of the kernel's own making name the gateway, not always the device.
    let foreign: Vec<&str> =
        foreign.into_iter().filter(|line| !line.starts_with("route")).collect();
    // The lines of a table do not all name it; the tables do.
    let (rules, foreign): (Vec<&str>, Vec<&str>) =
        foreign.into_iter().partition(|line| line.starts_with("nft: "));
    let strange = |line: &&&str| line.contains("table ") && !line.contains("vswitch-br0");
    assert!(rules.iter().all(|line| !strange(&line)), "{rules:#?}");
    let ports = "ip_local_reserved_ports";
    let foreign: Vec<_> = foreign.iter().filter(|line| !line.contains(ports)).collect();
    assert!(foreign.is_empty(), "{foreign:#?}");
    assert!(before.added(&during).is_empty(), "gone: {:#?}", before.added(&during));
}

/// The containers still talk; the log says, once, how the host gets back in.
#[test]
fn a_bridge_that_somebody_deleted() {
    let mut host = Host::with_switch_args(&["--workers", "2", "--uplink", "none"]);
    let (a, b) = (host.container("a"), host.container("b"));
    host.netns().ok(&["ip", "link", "del", "br0"]);
    wait_for("the log says so", Duration::from_secs(1), || host.log().contains("was deleted"));
    a.ping(b.v4());
    let log = host.log();
    let line: Vec<_> = log.lines().filter(|line| line.contains("was deleted")).collect();
    assert_eq!(line.len(), 1, "{log}");
    for part in ["ERROR", "br0", "vswitch down", "vswitch up"] {
        assert!(line[0].contains(part), "{}", line[0]);
    }
    host.down();
    host.up(&[]);
    assert_eq!(host.ls().len(), 2, "{}", host.log());
    a.ping(a.detail().gateway.into());
}

#[test]
fn down_without_a_daemon_says_so() {
    let host = Host::new();
    let socket = host.path("sock").display().to_string();
    host.fails(&["down"], &[1], &socket);
}
