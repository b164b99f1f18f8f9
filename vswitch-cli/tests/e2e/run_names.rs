//! `vswitch run`: host name, `/etc/hosts`, `/etc/resolv.conf`.

use std::time::{Duration, Instant};

use testkit::Output;

use crate::harness::Host;

#[track_caller]
fn shell(host: &Host, args: &[&str], script: &str) -> Output {
    host.vswitch(&[&["run"], args, &["--", "sh", "-c", script]].concat())
}

#[test]
fn the_host_is_named_after_the_container() {
    let host = Host::with_switch();
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("the host name");
    let script = "uname -n; cat /proc/sys/kernel/hostname; getent hosts \"$(uname -n)\"";
    let shown = shell(&host, &["--name", "shop", "--ip", "10.99.0.20"], script).ok();
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines[..2], ["shop", "shop"]);
    assert!(lines[2].contains("shop"), "{shown}");
    let after = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("the host name");
    assert_eq!(own, after, "the host's own name has changed");
}

/// A server that looks its own name up, on a host whose resolver does not answer.
#[test]
fn looking_the_own_name_up_takes_no_time() {
    let host = Host::with_switch_args(&["--uplink", "none"]);
    let script = "python3 -c 'import socket; print(socket.gethostbyname(socket.gethostname()))'";
    let start = Instant::now();
    let args = ["--name", "server", "--ip", "10.99.0.30", "--dns", "10.99.0.99"];
    assert_eq!(shell(&host, &args, script).ok(), "10.99.0.30\n");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn names_are_as_the_options_say() {
    let host = Host::with_switch();
    let script = "uname -n; cat /etc/hosts; echo --; cat /etc/resolv.conf";
    let args = [
        "--name",
        "a",
        "--ip",
        "10.99.0.20",
        "--hostname",
        "web.example.org",
        "--add-host",
        "db:192.0.2.7",
        "--add-host",
        "host:host-gateway",
        "--dns",
        "192.0.2.53",
        "--dns",
        "2001:db8::53",
        "--dns-search",
        "example.org",
        "--dns-option",
        "ndots:1",
    ];
    let shown = shell(&host, &args, script).ok();
    let (hosts, resolver) = shown.split_once("--\n").expect("two parts");
    assert!(hosts.starts_with("web.example.org\n"), "{hosts}");
    for line in ["10.99.0.20\tweb.example.org a a.br0", "192.0.2.7\tdb", "10.99.0.1\thost"] {
        assert!(hosts.lines().any(|it| it == line), "no {line:?} in {hosts}");
    }
    let settings: Vec<_> = resolver.lines().filter(|line| !line.starts_with('#')).collect();
    let wanted = [
        "nameserver 192.0.2.53",
        "nameserver 2001:db8::53",
        "search example.org",
        "options ndots:1",
    ];
    assert_eq!(settings[settings.len() - 4..], wanted, "{resolver}");
    assert!(!settings[..settings.len() - 4].iter().any(|line| line.contains("nameserver")));
}

#[test]
fn other_networks_have_names_too() {
    let host = Host::with_switch();
    let script = "uname -n; getent hosts \"$(uname -n)\" | tr -s ' '";
    let none = shell(&host, &["--network", "none", "--hostname", "alone"], script).ok();
    assert_eq!(none, "alone\n127.0.0.1 alone\n");
    let a = host.container("a");
    let joined = shell(&host, &["--network", "container:a"], script).ok();
    assert!(joined.starts_with("a\n"), "{joined}");
    assert!(joined.contains(&a.v4().to_string()) || joined.contains(&a.v6().to_string()));
    for (option, value) in [
        ("--hostname", "a b"),
        ("--add-host", "db"),
        ("--add-host", "db:nowhere"),
        ("--dns", "x"),
        ("--dns-search", "a b"),
    ] {
        host.fails(&["run", "--name", "r", option, value, "--", "true"], &[2], value);
    }
    host.fails(&["run", "--network", "host", "--dns", "192.0.2.1", "--", "true"], &[2], "host");
}
