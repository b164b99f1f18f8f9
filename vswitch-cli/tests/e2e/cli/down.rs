//! `down` tells the truth, and the environment is read as documented.

use std::process::Command;

use testkit::{COMMAND_TIMEOUT, Output, READY_MAX, Snapshot, run, wait_for};

use crate::harness::Host;

/// `vswitch ARGS` without the options that the harness adds.
fn bare(host: &Host, environment: &[(&str, &str)], args: &[&str]) -> Output {
    let mut command: Command = host.netns().command(&[&host.program()]);
    command.args(args).envs(environment.iter().copied());
    run(&mut command, b"", COMMAND_TIMEOUT)
}

#[test]
fn without_a_switch_there_is_nothing_to_stop() {
    let host = Host::new();
    let report = host.fails(&["down"], &[1], "nothing to stop");
    assert!(!report.contains("start one"), "{report}");
}

/// Nobody says --state-dir: the note beside the socket does.
#[test]
fn a_crash_is_cleared_without_the_state_directory() {
    let mut host = Host::new();
    let before = Snapshot::take(host.netns());
    host.up(&["--uplink", "auto"]);
    let _web = host.container_with("web", &["-p", "40000-40999:40000-40999/udp"]);
    host.kill();
    let socket = host.path("sock").display().to_string();
    let output = bare(&host, &[], &["--socket", &socket, "down"]);
    let said = output.ok();
    for part in ["nftables table netdev vswitch-br0", "reserved ports", "40000-40999"] {
        assert!(said.contains(part), "no {part} in: {said}");
    }
    before.assert_same(&Snapshot::take(host.netns()));
    let left = bare(&host, &[], &["--socket", &socket, "down"]);
    assert_eq!(left.code(), 1);
    assert!(left.stderr.contains("nothing of a switch is left"), "{left}");
    host.up(&[]);
    assert_eq!(host.ls().len(), 1);
    host.down();
    assert!(!host.path("sock.state-dir").exists(), "the note is left");
}

/// Another switch has crashed: its parts are named, not taken away, and not said to be gone.
#[test]
fn what_others_left_is_named() {
    let mut host = Host::new();
    host.up(&["--uplink", "auto"]);
    host.kill();
    wait_for("the kernel takes the bridge away", READY_MAX, || {
        !host.netns().ok(&["ip", "-o", "link"]).contains("br0")
    });
    let other = host.path("other").display().to_string();
    let state = host.path("no-state").display().to_string();
    let output = bare(&host, &[], &["--socket", &other, "down", "--state-dir", &state]);
    assert_eq!(output.code(), 1);
    assert!(output.stderr.contains("left by other switches"), "{output}");
    assert!(
        output.stderr.contains("vswitch-br0") && !output.stderr.contains("nothing of"),
        "{output}"
    );
    host.ok(&["down"]);
}

#[test]
fn the_socket_of_the_environment() {
    let host = Host::with_switch();
    let socket = host.path("sock").display().to_string();
    let named = bare(&host, &[("VSWITCH_SOCKET", &socket)], &["network", "ls", "-q"]);
    assert_eq!(named.ok(), "br0\n");
    // The option wins; an empty variable is none.
    let wins = bare(&host, &[("VSWITCH_SOCKET", "/no/switch")], &["--socket", &socket, "ls", "-q"]);
    assert!(wins.status.success(), "{wins}");
    let empty = bare(&host, &[("VSWITCH_SOCKET", "")], &["--socket", &socket, "ls", "-q"]);
    assert!(empty.status.success(), "{empty}");
    let long = "/x".repeat(100);
    let wrong = bare(&host, &[("VSWITCH_SOCKET", &long)], &["ls"]);
    assert_eq!(wrong.code(), 2);
    assert!(wrong.stderr.contains("VSWITCH_SOCKET"), "{wrong}");
}
