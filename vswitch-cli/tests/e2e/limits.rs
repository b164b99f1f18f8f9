//! Limits of a port, with real attackers: rates, storms, MAC floods, loops.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use vswitch_api::port::PortState;

use testkit::{Netns, Process, SEND_FRAME, wait_for};

use crate::harness::{Container, Host};

/// Sends frames to everybody from so many source addresses in turn: `IFNAME COUNT`.
const FLOOD_SOURCES: &str = "\
import socket, sys, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((sys.argv[1], 0))
for n in range(int(sys.argv[2])):
    mac = bytes([2, 0x77, 0, 0, n >> 8 & 255, n & 255])
    if n % 100 == 99:
        time.sleep(0.005)
    s.send(b'\\xff' * 6 + mac + b'\\x12\\x34' + bytes(46))
";

fn drops(host: &Host, name: &str, reason: &str) -> u64 {
    host.inspect(name).drops_by_reason.get(reason).copied().unwrap_or(0)
}

fn hits(host: &Host, name: &str) -> u64 {
    let limits = host.json(&["status", "--limits"]);
    let rows = limits.as_array().expect("an array");
    let row = rows.iter().find(|row| row["name"] == name).expect(name);
    row["hits"].as_u64().expect("a count")
}

/// Sends TCP from one to the other for three seconds; gives the bits a second that arrived.
#[track_caller]
fn iperf(from: &Container, to: &Container) -> f64 {
    let (address, port) = (to.v4().to_string(), "5201");
    let server = to.spawn(&["iperf3", "-s", "-1", "-p", port]);
    wait_for("iperf3 listens", Duration::from_secs(10), || {
        to.ok(&["ss", "-Hltn", "sport", "=", ":5201"]).contains("5201")
    });
    let client = ["iperf3", "-J", "-c", &address, "-p", port, "-t", "3"];
    let report = from.exec_within(&client, Duration::from_secs(30)).ok();
    drop(server);
    let report: Value = serde_json::from_str(&report).expect("JSON");
    report["end"]["sum_received"]["bits_per_second"].as_f64().expect("a rate")
}

#[test]
fn tcp_reaches_its_rate_and_no_more() {
    let host = Host::with_switch();
    let (a, b) = (host.container("a"), host.container_with("b", &["--rate-out", "200M"]));
    let rate = 200e6;
    for (option, value, reason) in
        [("--rate-in", "200M", "rate-limit-in"), ("--rate-out", "off", "rate-limit-out")]
    {
        // First a limit on the way to b alone, then on the way from a alone.
        let limited = if reason == "rate-limit-in" { "a" } else { "b" };
        if limited == "a" {
            host.ok(&["port", "set", "b", "--rate-out", "off"]);
            host.ok(&["port", "set", "a", option, value]);
        } else {
            host.ok(&["port", "set", "a", "--rate-in", "off"]);
            host.ok(&["port", "set", "b", "--rate-out", "200M"]);
        }
        let before = drops(&host, limited, reason);
        let got = iperf(&a, &b);
        println!("{reason}: {:.1} Mbit/s of {:.0}", got / 1e6, rate / 1e6);
        assert!((0.75 * rate..1.1 * rate).contains(&got), "{reason}: {got} bit/s");
        assert!(drops(&host, limited, reason) > before, "it was not the limit");
    }
    host.ok(&["port", "set", "b", "--rate-out", "off"]);
    let free = iperf(&a, &b);
    assert!(free > 2.0 * rate, "without a limit: {free} bit/s");
    host.balanced();
}

#[test]
fn a_storm_is_cut_and_the_others_talk() {
    let host = Host::with_switch();
    let (attacker, a, b) = (host.container("x"), host.container("a"), host.container("b"));
    a.ping(b.v4());
    // The default is more than a busy machine may send.
    host.ok(&["port", "set", "x", "--storm-multicast", "1000"]);
    let mac = attacker.detail().port.mac.to_string().replace(':', "");
    let kinds = [
        ("ffffffffffff", "storm-broadcast", 1_000.0),
        ("01005e010203", "storm-multicast", 1_000.0),
        ("02deadbeef01", "storm-unknown", 1_000.0),
    ];
    for (dst, reason, rate) in kinds {
        let frame = format!("{dst}{mac}1234{}", "00".repeat(46));
        let (before, started) = (host.inspect("a").port.traffic.tx_frames, Instant::now());
        attacker.ok(&["python3", "-c", SEND_FRAME, "eth0", &frame, "30000"]);
        let port = host.inspect("a").port;
        let passed = (port.traffic.tx_frames - before) as f64;
        let bound = rate * (1.0 + started.elapsed().as_secs_f64()) + 100.0;
        assert!(passed <= bound, "{reason}: {passed} of {bound}");
        // Most of it the kernel drops before it is read, since the attacker is throttled.
        assert!(drops(&host, "x", reason) > 100, "{reason}: nothing was dropped");
        assert!(hits(&host, reason) > 100, "{reason}");
    }
    assert!(hits(&host, "throttled-frames") > 0, "the attacker was not throttled");
    a.ping(b.v6());
    host.balanced();
}

#[test]
fn a_flooder_of_addresses_evicts_itself() {
    let host = Host::with_switch();
    let attacker = host.container_with("x", &["--guard", "off"]);
    let (a, b) = (host.container("a"), host.container("b"));
    host.ok(&["port", "set", "x", "--storm-broadcast", "off"]);
    a.ping(b.v4());
    attacker.ok(&["python3", "-c", FLOOD_SOURCES, "eth0", "5000"]);
    wait_for("the flood is counted", Duration::from_secs(10), || hits(&host, "port-macs") >= 3000);
    let rows = host.json(&["fdb"]);
    let rows = rows.as_array().expect("an array");
    let of = |name: &str| rows.iter().filter(|row| row["port"] == name).count();
    assert_eq!(of("x"), 1024);
    for victim in [&a, &b] {
        let known = rows.iter().any(|row| row["mac"] == victim.detail().port.mac.to_string());
        assert!(known, "{} was evicted", victim.detail().port.name);
    }
    a.ping(b.v4());
    // Below what is in use it cannot be set, and stays what it was.
    let before = host.json(&["port", "show", "x"]);
    host.fails(&["port", "set", "x", "--macs-max", "1023"], &[1], "1024 MAC addresses in use");
    assert_eq!(host.json(&["port", "show", "x"]), before);
    host.ok(&["port", "set", "x", "--macs-max", "1024"]);
    host.balanced();
}

#[test]
fn limits_that_cannot_be_kept_are_refused_and_nothing_changes() {
    let host = Host::with_switch();
    let _a = host.container("a");
    let before = host.json(&["port", "show", "a"]);
    for (option, value) in [
        ("--rate-in", "0"),
        ("--rate-in", "7999"),
        ("--rate-out", "401G"),
        ("--rate-out", "99999999999999999999"),
        ("--rate-in", "fast"),
        ("--storm-broadcast", "0"),
        ("--storm-multicast", "1000000001"),
        ("--storm-unknown", "-1"),
        ("--macs-max", "0"),
        ("--macs-max", "65537"),
        ("--loop-guard", "perhaps"),
    ] {
        host.fails(&["port", "set", "a", &format!("{option}={value}")], &[2], value);
    }
    assert_eq!(host.json(&["port", "show", "a"]), before);
    let said = host.json(&["port", "set", "a", "--rate-in", "10M", "--macs-max", "7"]);
    assert_eq!(said["limits"]["rate_in"], 10_000_000);
    let said = host.json(&["port", "set", "a", "--rate-out", "1.5G"]);
    assert_eq!(
        (&said["limits"]["rate_in"], &said["limits"]["macs_max"]),
        (&10_000_000.into(), &7.into())
    );
}

/// Two attachments of one namespace, bridged by it.
fn bridged(host: &Host) -> (Netns, Process) {
    let netns = host.namespace("loop");
    for (name, ifname) in [("l1", "eth0"), ("l2", "eth1")] {
        let attach = ["attach", "--netns", netns.name(), "--name", name, "--ifname", ifname];
        // A guarded port takes nothing from a bridge: the loop needs an administrator's help.
        host.ok(&[&attach[..], &["--guard", "off"]].concat());
    }
    netns.ok(&["ip", "link", "add", "name", "lbr0", "type", "bridge"]);
    for ifname in ["eth0", "eth1"] {
        netns.ok(&["ip", "addr", "flush", "dev", ifname]);
        netns.ok(&["ip", "link", "set", ifname, "master", "lbr0"]);
    }
    let up = netns.spawn(&["ip", "link", "set", "lbr0", "up"]);
    (netns, up)
}

#[test]
fn a_loop_is_found_blocked_and_told() {
    let host = Host::with_switch();
    let (a, b) = (host.container("a"), host.container("b"));
    a.ping(b.v4());
    let (_netns, up) = bridged(&host);
    drop(up.finish(Duration::from_secs(10)).ok());
    // Whoever looks for a neighbour asks everybody: the loop begins.
    a.try_ping("10.99.200.200".parse().expect("an address"), 2);
    let mut found = None;
    wait_for("a port of the loop is blocked", Duration::from_secs(20), || {
        a.try_ping("10.99.200.201".parse().expect("an address"), 1);
        let ends = ["l1", "l2"].map(|name| (name, host.inspect(name)));
        found = ends.into_iter().find(|(_, end)| end.port.state == PortState::LoopBlocked);
        found.is_some()
    });
    let (blocked, detail) = found.expect("one that is blocked");
    assert!((1..=10).contains(&detail.blocked_s), "{}", detail.blocked_s);
    assert!(host.ok(&["ls"]).contains("loop-blocked"));
    assert!(host.log().contains("blocked: "), "{}", host.log());
    assert!(hits(&host, "loop-mac-moves") >= 1);
    // Nothing goes round, and the others talk.
    let before = host.stats().workers[0].received;
    a.ping(b.v4());
    b.ping(a.v6());
    std::thread::sleep(Duration::from_secs(1));
    let received = host.stats().workers[0].received - before;
    assert!(received < 2_000, "{received} frames within a second");
    wait_for("what is for it is counted", Duration::from_secs(5), || {
        a.try_ping("10.99.200.202".parse().expect("an address"), 1);
        drops(&host, blocked, "loop-blocked") > 0
    });
    host.balanced();
}

/// Once the bridge is gone and the pause is over, the port works again.
#[test]
fn a_blocked_port_opens_again() {
    let host = Host::with_switch();
    let watch = |kind: &str| {
        let mut command =
            host.command(&["--format", "json", "events", "--count", "1", "--kind", kind]);
        Process::spawn(command.stdin(Stdio::null()))
    };
    let watchers = [watch("block"), watch("unblock")];
    let a = host.container("a");
    let (netns, up) = bridged(&host);
    drop(up.finish(Duration::from_secs(10)).ok());
    let blocked = || host.ls().into_iter().find(|port| port.state == PortState::LoopBlocked);
    wait_for("a port of the loop is blocked", Duration::from_secs(20), || {
        a.try_ping("10.99.200.201".parse().expect("an address"), 1);
        blocked().is_some()
    });
    let port = blocked().expect("it is blocked");
    netns.ok(&["ip", "link", "del", "lbr0"]);
    let address = format!("{}/16", port.ipv4[0]);
    netns.ok(&["ip", "addr", "add", &address, "dev", &port.ifname]);
    wait_for("it is open again", Duration::from_secs(25), || blocked().is_none());
    a.ping_soon(port.ipv4[0].into(), Duration::from_secs(10));
    wait_for("the log says so", Duration::from_secs(5), || host.log().contains("open again"));
    for (watcher, kind) in watchers.into_iter().zip(["block", "unblock"]) {
        let event: serde_json::Value =
            serde_json::from_str(&watcher.finish(Duration::from_secs(5)).ok()).expect("an event");
        assert_eq!((&event["event"], &event["network"]), (&kind.into(), &"br0".into()));
        assert!(["l1", "l2"].contains(&event["name"].as_str().expect("a name")), "{event}");
    }
    host.balanced();
}
