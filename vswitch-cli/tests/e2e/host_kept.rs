//! `down` leaves the host as it was.

use nix::sys::signal::Signal;

use crate::harness::{Host, Snapshot};

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
    let foreign: Vec<_> = foreign.iter().filter(|line| !line.starts_with("route")).collect();
    assert!(foreign.is_empty(), "{foreign:#?}");
    assert!(before.added(&during).is_empty(), "gone: {:#?}", before.added(&during));
}

#[test]
fn down_without_a_daemon_says_so() {
    let host = Host::new();
    let socket = host.path("sock").display().to_string();
    host.fails(&["down"], &[1], &socket);
}
