//! The daemon can be told to end, whatever others do to its socket and by whatever signal.

use std::fs;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use testkit::{COMMAND_TIMEOUT, Process, Snapshot, freeze, wait_for};

use crate::harness::Host;

/// The daemon closes an idle connection after 10 s.
const PROMPT: Duration = Duration::from_secs(6);

#[test]
fn idle_connections_and_a_removed_socket_shut_nobody_out() {
    let mut host = Host::new();
    let before = Snapshot::take(host.netns());
    host.up(&["--uplink", "auto"]);
    let socket = host.path("sock");
    let connect = |_| UnixStream::connect(&socket).expect("a queue");
    let _idle: Vec<_> = (0..64).map(connect).collect();
    let begun = Instant::now();
    host.status();
    assert!(begun.elapsed() < PROMPT, "status took {:?}", begun.elapsed());
    let _more: Vec<_> = (0..300).map(connect).collect();
    host.status();
    assert!(begun.elapsed() < PROMPT, "the next one until {:?}", begun.elapsed());
    for _ in 0..2 {
        fs::remove_file(&socket).expect("it is there");
        wait_for("the socket is made again", Duration::from_secs(3), || {
            host.vswitch(&["status"]).status.success()
        });
    }
    // One line of the log while something else is in its place.
    let other = host.path("other");
    fs::write(&other, "").and_then(|()| fs::rename(&other, &socket)).expect("its place");
    std::thread::sleep(Duration::from_millis(2500));
    let lines = || host.log().matches("the file of the socket is gone").count();
    assert_eq!(lines(), 1, "{}", host.log());
    fs::remove_file(&socket).expect("remove the other file");
    wait_for("the socket is made again", Duration::from_secs(5), || {
        host.vswitch(&["status"]).status.success()
    });
    host.down();
    assert!(!socket.exists());
    before.assert_same(&Snapshot::take(host.netns()));
}

#[test]
fn no_signal_leaves_a_switch_on_the_host() {
    let mut host = Host::new();
    let before = Snapshot::take(host.netns());
    for end in [Signal::SIGQUIT, Signal::SIGALRM] {
        host.up(&["--uplink", "auto"]);
        let pid = Pid::from_raw(i32::try_from(host.daemon_pid()).expect("a pid"));
        for ignored in [Signal::SIGUSR1, Signal::SIGUSR2] {
            kill(pid, ignored).expect("it runs");
        }
        wait_for("the log says so", Duration::from_secs(5), || {
            host.log().contains("a signal that changes nothing")
        });
        host.status();
        host.stop_by(end);
        before.assert_same(&Snapshot::take(host.netns()));
    }
}

/// The daemon is killed before it answers `down`, and while it ends.
#[test]
fn down_sees_the_death_of_the_daemon() {
    let mut host = Host::new();
    let before = Snapshot::take(host.netns());
    for is_stopped in [true, false] {
        host.up(&["--uplink", "auto"]);
        let _containers: Vec<_> = (0..8).map(|n| host.container(&format!("c{n}"))).collect();
        if is_stopped {
            freeze(host.daemon_pid());
        }
        let down = Process::spawn(host.command(&["down"]).stdin(Stdio::null()));
        match is_stopped {
            true => std::thread::sleep(Duration::from_millis(500)),
            false => wait_for("it ends", COMMAND_TIMEOUT, || {
                host.log().matches("shutting down").count() == 1
            }),
        }
        let killed = Instant::now();
        host.kill();
        let output = down.finish(COMMAND_TIMEOUT);
        assert!(output.status.success(), "{output}");
        assert!(killed.elapsed() < Duration::from_secs(15), "{:?}: {output}", killed.elapsed());
        before.assert_same(&Snapshot::take(host.netns()));
    }
}
