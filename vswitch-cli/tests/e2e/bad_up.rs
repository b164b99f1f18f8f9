//! Bad input to `vswitch up`: a one-line error with the value, and the host as it was.

use std::process::Stdio;

use testkit::{Process, Snapshot};

use crate::harness::Host;

/// `up` with `args` fails with one of `codes`, names `value`, and leaves the host alone.
#[track_caller]
fn refuses(host: &Host, args: &[&str], codes: &[i32], value: &str) {
    let before = Snapshot::take(host.netns());
    let mut command = vec!["up"];
    if !args.contains(&"--bridge") {
        command.extend(["--bridge", "br0"]);
    }
    command.extend(args);
    host.fails(&command, codes, value);
    before.assert_same(&Snapshot::take(host.netns()));
    assert!(!host.path("sock").exists(), "a socket is left");
}

#[test]
fn subnet_that_overlaps_a_route_of_the_host() {
    let host = Host::new();
    refuses(&host, &["--subnet", "192.0.2.0/25"], &[1], "192.0.2.0/25");
    refuses(&host, &["--subnet", "192.0.0.0/16"], &[1], "192.0.0.0/16");
    refuses(&host, &["--subnet6", "2001:db8::/64"], &[1], "2001:db8::/64");
}

#[test]
fn malformed_subnet() {
    let host = Host::new();
    for subnet in ["10.99.0.0", "10.99.0.0/33", "10.99.0.5/16", "ten/8", "fd00::/64", ""] {
        refuses(&host, &["--subnet", subnet], &[2], subnet);
    }
    for subnet in ["fd00::/129", "fd00::1/64", "10.0.0.0/8"] {
        refuses(&host, &["--subnet6", subnet], &[2], subnet);
    }
}

#[test]
fn subnet_without_room() {
    let host = Host::new();
    refuses(&host, &["--subnet", "10.1.1.0/31"], &[1, 2], "10.1.1.0/31");
    refuses(&host, &["--subnet", "224.0.0.0/24"], &[1, 2], "224.0.0.0/24");
}

#[test]
fn bridge_name_taken_or_too_long() {
    let host = Host::new();
    refuses(&host, &["--bridge", "nic0"], &[1], "nic0");
    refuses(&host, &["--bridge", "sixteen-letters-"], &[2], "sixteen-letters-");
    refuses(&host, &["--bridge", "a/b"], &[2], "a/b");
    refuses(&host, &["--bridge", ""], &[2], "");
}

#[test]
fn socket_already_served() {
    let host = Host::with_switch();
    let socket = host.path("sock").display().to_string();
    let other = host.path("other-state").display().to_string();
    let before = Snapshot::take(host.netns());
    host.fails(&["up", "--bridge", "br1", "--state-dir", &other], &[1], &socket);
    let plugin = format!("--docker-plugin={socket}");
    let own = host.path("own").display().to_string();
    let mut command = host.netns().command(&[]);
    command.args([&host.program(), "--socket", &own, "up", "--bridge", "br1", &plugin]);
    command.args(["--subnet", "10.98.0.0/16", "--state-dir", &other]);
    let output = Process::spawn(command.stdin(Stdio::null())).finish(testkit::COMMAND_TIMEOUT);
    assert!(output.stderr.contains("choose another --docker-plugin"), "{output}");
    before.assert_same(&Snapshot::take(host.netns()));
    assert_eq!(host.status().pid, host.daemon_pid(), "the first one still serves");
}

/// Two daemons must not write one state directory.
#[test]
fn state_directory_in_use() {
    let host = Host::with_switch();
    let before = Snapshot::take(host.netns());
    let state = host.state_dir().display().to_string();
    let socket = host.path("sock2").display().to_string();
    let args = ["--socket", &socket, "up", "--bridge", "br1", "--subnet", "10.98.0.0/16"];
    let mut command = host.netns().command(&[]);
    command.arg(host.program()).args(args).args(["--state-dir", &state]);
    let output = Process::spawn(command.stdin(Stdio::null())).finish(testkit::COMMAND_TIMEOUT);
    assert_eq!(output.code(), 1, "{output}");
    assert!(output.stderr.contains(&state), "{output}");
    before.assert_same(&Snapshot::take(host.netns()));
}

/// A socket that a crashed daemon left is no obstacle.
#[test]
fn stale_socket() {
    let mut host = Host::with_switch();
    host.kill();
    assert!(host.path("sock").exists(), "a crash leaves the socket");
    host.up(&[]);
}

#[test]
fn missing_privilege() {
    let host = Host::new();
    let before = Snapshot::take(host.netns());
    let up = host.command(&["up", "--bridge", "br0"]);
    // nsenter needs privileges: they are dropped after it.
    let mut words = up.get_args().map(|word| word.to_str().expect("UTF-8"));
    let enter = words.next().expect("--net");
    let mut command = std::process::Command::new(up.get_program());
    command.args([enter, "setpriv", "--bounding-set=-all", "--inh-caps=-all"]).args(words);
    let output = Process::spawn(command.stdin(Stdio::null())).finish(testkit::COMMAND_TIMEOUT);
    assert_eq!(output.code(), 1, "{output}");
    assert!(output.stderr.starts_with("error: "), "{output}");
    let words = ["root", "privilege", "CAP_NET_ADMIN", "permitted"];
    assert!(words.iter().any(|word| output.stderr.contains(word)), "{output}");
    before.assert_same(&Snapshot::take(host.netns()));
}

#[test]
fn values_out_of_range() {
    let host = Host::new();
    refuses(&host, &["--workers", "0"], &[2], "0");
    refuses(&host, &["--workers", "1000"], &[1, 2], "1000");
    refuses(&host, &["--cpus", "3-1"], &[2], "3-1");
    refuses(&host, &["--cpus", "1000"], &[1], "1000");
    refuses(&host, &["--scheduling", "fifo"], &[2], "fifo");
    refuses(&host, &["--mtu", "67"], &[2], "67");
    refuses(&host, &["--mtu", "70000"], &[2], "70000");
    refuses(&host, &["--idle", "lazy"], &[2], "lazy");
    refuses(&host, &["--backend", "dpdk"], &[2], "dpdk");
    refuses(&host, &["--uplink", "no-such-nic"], &[1, 2], "no-such-nic");
}

#[test]
fn configuration_file() {
    let host = Host::new();
    let file = host.path("config.toml");
    let path = file.display().to_string();
    refuses(&host, &["--config", &path], &[1, 2], &path);
    for (text, value) in [("bridge = ", "config.toml"), ("no_such_key = 1\n", "no_such_key")] {
        std::fs::write(&file, text).expect("write");
        refuses(&host, &["--config", &path], &[1, 2], value);
    }
}

#[test]
fn a_damaged_state_file_is_reported_not_overwritten() {
    let mut host = Host::with_switch();
    host.down();
    let files = std::fs::read_dir(host.state_dir()).expect("state directory");
    let file = files
        .map(|f| f.expect("entry").path())
        .find(|p| p.extension().is_some_and(|e| e == "json"));
    let file = file.expect("a JSON file in the state directory");
    std::fs::write(&file, "{ half").expect("write");
    refuses(&host, &[], &[1], file.to_str().expect("UTF-8"));
    assert_eq!(std::fs::read_to_string(&file).expect("read"), "{ half");
}
