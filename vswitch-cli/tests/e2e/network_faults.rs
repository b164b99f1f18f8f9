//! Several networks: bad input, requests at the same time, devices that go, and what a restart makes of them.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Stdio;
use std::time::Duration;

use testkit::{COMMAND_TIMEOUT, FAR4, HOST4, Process, Snapshot, wait_for};
use vswitch_api::network::Network;

use crate::harness::{Container, Host};

const SOON: Duration = Duration::from_secs(5);
const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Runs commands at the same time, which must all succeed.
#[track_caller]
fn at_once(host: &Host, commands: &[Vec<&str>]) {
    for output in all_at_once(host, commands) {
        assert!(output.status.success(), "{output}");
    }
}

fn all_at_once(host: &Host, commands: &[Vec<&str>]) -> Vec<testkit::Output> {
    let spawn = |args: &Vec<&str>| Process::spawn(host.command(args).stdin(Stdio::null()));
    let running: Vec<_> = commands.iter().map(spawn).collect();
    running.into_iter().map(|process| process.finish(COMMAND_TIMEOUT)).collect()
}

fn publications(host: &Host, name: &str) -> usize {
    host.ls().iter().filter(|port| port.name == name).map(|port| port.publish.len()).sum()
}

fn network(host: &Host, name: &str) -> Network {
    let all: Vec<Network> =
        serde_json::from_value(host.json(&["network", "ls"])).expect("Network[]");
    all.into_iter().find(|network| network.name == name).expect(name)
}

/// A detach of one network, its removal, an interface that somebody deletes, a disconnection.
#[test]
fn publications_move_whatever_takes_a_network_away() {
    let (host, _remote, a) = Host::with_remote();
    let _services: Vec<_> = (80..84).map(|port| a.serve("tcp", ANY, port)).collect();
    let takes: [&dyn Fn(); 4] = [
        &|| _ = host.ok(&["detach", "a@blue"]),
        &|| _ = host.ok(&["network", "rm", "--force", "blue"]),
        &|| _ = a.ok(&["ip", "link", "del", "eth1"]),
        &|| _ = host.ok(&["network", "disconnect", "blue", "a"]),
    ];
    // One that has the default route, and can publish nothing.
    host.ok(&["network", "create", "--internal", "isle"]);
    for (n, take) in takes.into_iter().enumerate() {
        host.vswitch(&["network", "create", "blue"]);
        host.ok(&["network", "connect", "--gw-priority", "5", "blue", "a"]);
        let port = 8080 + n as u16;
        host.ok(&["publish", "a", &format!("{port}:{}", 80 + n)]);
        host.lan().ask("tcp", HOST4, port);
        if n == 3 {
            host.ok(&["network", "connect", "--gw-priority", "9", "isle", "a"]);
        }
        take();
        wait_for("the network is gone", SOON, || !a.links().contains(&"eth1".to_owned()));
        wait_for("all are published", SOON, || publications(&host, "a") == n + 1);
        host.lan().ask("tcp", HOST4, port);
        host.netns().ask("tcp", "127.0.0.1".parse().expect("an address"), port);
    }
    // What no network can have ends.
    host.ok(&["network", "disconnect", "br0", "a"]);
    assert_eq!(publications(&host, "a"), 0);
    host.ok(&["network", "connect", "br0", "a"]);
    host.ok(&["publish", "a", "8080:80"]);
    assert_eq!(host.inspect("a@br0").publications.len(), 1, "not on the internal one");
    host.balanced();
}

/// Requests at the same time leave the routes of all networks, and after them nothing.
#[test]
fn connects_and_disconnects_at_once_leave_all_routes_or_none() {
    let mut host = Host::with_switch();
    let names = ["n1", "n2", "n3", "n4"];
    at_once(&host, &names.map(|name| vec!["network", "create", name]));
    let a = host.container("a");
    let before = Snapshot::take(&a);
    let rules = |host: &Host| {
        let addresses: Vec<_> = host.ls().into_iter().filter(|port| port.name == "a").collect();
        let shown = ["-4", "-6"].map(|family| a.ok(&["ip", family, "rule"]));
        for port in addresses.iter().filter(|_| addresses.len() > 1) {
            assert!(shown[0].contains(&port.ipv4[0].to_string()), "{port:?}\n{}", shown[0]);
            assert!(shown[1].contains(&port.ipv6[0].to_string()), "{port:?}\n{}", shown[1]);
        }
        shown.map(|shown| shown.lines().count())
    };
    for round in 0..3 {
        at_once(&host, &names.map(|name| vec!["network", "connect", name, "a"]));
        assert_eq!(rules(&host), [14, 13], "round {round}");
        if round == 0 {
            host.kill();
            host.up(&[]);
            assert_eq!(rules(&host), [14, 13], "after a crash");
        }
        at_once(&host, &names.map(|name| vec!["network", "disconnect", name, "a"]));
        assert_eq!(rules(&host), [3, 2], "round {round}");
    }
    // The interface has another index since the crash.
    let after = Snapshot::take(&a);
    for (title, line) in [("rule", "lookup 3"), ("route", "table 3"), ("link", "eth1")] {
        let left = after.added(&before);
        assert!(!left.iter().any(|it| it.starts_with(title) && it.contains(line)), "{left:#?}");
    }
    assert!(!host.log().contains("routes stay"), "{}", host.log());
}

#[test]
fn a_forced_removal_ends_while_containers_attach() {
    let host = Host::with_switch();
    let before = Snapshot::take(host.netns());
    let namespaces: Vec<_> = (0..4).map(|n| host.namespace(&format!("r{n}"))).collect();
    for round in 0..4 {
        host.ok(&["network", "create", "red"]);
        let attach = |n: usize| {
            vec!["attach", "--network", "red", "--netns", namespaces[n].name(), "--name", NAMES[n]]
        };
        let mut commands: Vec<_> = (0..4).map(attach).collect();
        commands.insert(round, vec!["network", "rm", "--force", "red"]);
        let outputs = all_at_once(&host, &commands);
        assert!(outputs[round].status.success(), "{}", outputs[round]);
        assert!(host.ls().is_empty(), "{:?}", outputs[round]);
        assert!(namespaces.iter().all(|it| it.links().is_empty()));
        before.assert_same(&Snapshot::take(host.netns()));
    }
    host.balanced();
}

const NAMES: [&str; 4] = ["r0", "r1", "r2", "r3"];

/// Somebody deletes a host device: the other networks go on, and change as before.
#[test]
fn a_deleted_device_hurts_its_own_network_only() {
    for uplink in ["auto", "kernel"] {
        let mut host = Host::new();
        let _remote = testkit::Remote::new(host.net());
        host.up(&["--uplink", uplink]);
        host.ok(&["network", "create", "blue"]);
        let (a, b) = (host.container("a"), host.container_with("b", &["--network", "blue"]));
        host.netns().ok(&["ip", "link", "del", "br-blue"]);
        wait_for("it is noticed", SOON, || host.log().contains("the host device was deleted"));
        host.ok(&["network", "create", "red"]);
        let c = host.container_with("c", &["--network", "red", "-p", "8080:80"]);
        let _service = c.serve("tcp", ANY, 80);
        host.lan().ask("tcp", HOST4, 8080);
        a.ping(FAR4);
        c.ping(c.gateway());
        host.ok(&["network", "disconnect", "blue", "b"]);
        host.ok(&["network", "rm", "blue"]);
        host.ok(&["network", "create", "blue"]);
        let b = Container::attach(&host, b.into_netns(), "b", &["--network", "blue"]);
        b.ping(b.gateway());
        b.ping(FAR4);
        assert!(!host.log().contains("WARN"), "{}", host.log());
    }
}

/// A start without an uplink makes all networks internal as long as it runs.
#[test]
fn networks_have_the_uplink_back_that_the_switch_has() {
    let (mut host, _remote, a) = Host::with_remote();
    host.ok(&["network", "create", "blue"]);
    host.ok(&["network", "create", "--internal", "isle"]);
    let b = host.container_with("b", &["--network", "blue", "-p", "8080:80"]);
    let _service = b.serve("tcp", ANY, 80);
    host.down();
    host.up(&["--uplink", "none"]);
    host.ok(&["network", "create", "late"]);
    assert!(!b.try_ping(FAR4, 1).status.success());
    host.down();
    host.up(&["--uplink", "auto"]);
    for (name, is_internal) in [("blue", false), ("late", false), ("isle", true)] {
        assert_eq!(network(&host, name).internal, is_internal, "{name}");
    }
    a.ping_soon(FAR4, SOON);
    b.ping_soon(FAR4, SOON);
    host.lan().ask("tcp", HOST4, 8080);
}

#[test]
fn a_first_network_that_would_share_addresses_is_refused() {
    let mut host = Host::with_switch();
    host.ok(&["network", "create", "--subnet", "10.5.0.0/16", "--subnet", "fd05::/64", "blue"]);
    host.down();
    let before = Snapshot::take(host.netns());
    let document = std::fs::read(host.state_dir().join("state.json")).expect("the document");
    let up = |option: &str, value: &str| {
        host.fails(&["up", "--bridge", "br0", option, value], &[1], "blue");
    };
    up("--subnet", "10.5.7.0/24");
    up("--subnet", "10.0.0.0/8");
    up("--subnet6", "fd05::/64");
    // The name of another network, which has attachments of its own.
    host.fails(&["up", "--bridge", "blue"], &[1], "blue");
    before.assert_same(&Snapshot::take(host.netns()));
    assert_eq!(std::fs::read(host.state_dir().join("state.json")).expect("it"), document);
    host.up(&["--subnet", "10.6.0.0/16"]);
    assert_eq!(network(&host, "blue").subnets[0].to_string(), "10.5.0.0/16");
}

#[test]
fn requests_about_networks_that_cannot_be_change_nothing() {
    let host = Host::with_switch();
    host.ok(&["network", "create", "--subnet", "10.5.0.0/16", "--subnet", "fd05::/64", "blue"]);
    let (a, b) = (host.container("a"), host.container_with("b", &["--network", "blue"]));
    let before = [Snapshot::take(host.netns()), Snapshot::take(&a)];
    let create = |args: &[&str], code: i32, value: &str| {
        host.fails(&[&["network", "create"], args].concat(), &[code], value);
    };
    create(&["--subnet", "fd05::/64", "red"], 1, "fd05::/64");
    create(&["--subnet", "fd05::/64", "--subnet", "10.6.0.0/16", "red"], 1, "fd05::/64");
    create(
        &["--subnet", "10.6.0.0/16", "--gateway", "10.6.0.1", "--gateway", "10.6.0.2", "red"],
        2,
        "10.6.0.2",
    );
    let ranges = ["--ip-range", "10.6.0.0/24", "--ip-range", "10.6.1.0/24"];
    create(&[&["--subnet", "10.6.0.0/16"], &ranges[..], &["red"]].concat(), 2, "10.6.1.0/24");
    create(&["--subnet", "10.6.0.0/16", "--ip-range", "10.6.0.1/32", "red"], 2, "10.6.0.1/32");
    create(&["--subnet", "10.6.0.0/16", "--ip-range", "10.6.255.255/32", "red"], 2, "10.6.255.255");
    create(&["--bridge", "up-br0", "red"], 1, "up-br0");
    create(&["--bridge", "br-blue", "red"], 1, "br-blue");
    create(&[&"n".repeat(129)], 2, "nnn");
    create(&["-x", "red"], 2, "-x");
    let connect = |args: &[&str], code: i32, value: &str| {
        host.fails(&[&["network", "connect"], args].concat(), &[code], value);
    };
    connect(&["br0", "a"], 1, "a is connected to network br0");
    connect(&["blue", "b"], 1, "b is connected to network blue");
    connect(&["--ip", &b.v4().to_string(), "blue", "a"], 1, &b.v4().to_string());
    connect(&["--ip6", &b.v6().to_string(), "blue", "a"], 1, &b.v6().to_string());
    connect(&["--mac", &b.mac("eth0"), "blue", "a"], 1, &b.mac("eth0"));
    connect(&["--ip", "10.6.0.9", "blue", "a"], 2, "10.6.0.9");
    connect(&["--ip", "10.5.0.1", "blue", "a"], 2, "10.5.0.1");
    connect(&["--ifname", "eth0", "blue", "a"], 1, "eth0");
    connect(&["blue", "nobody"], 1, "nobody");
    connect(&["red", "a"], 1, "red");
    let disconnect = |network: &str, name: &str| {
        host.fails(&["network", "disconnect", network, name], &[1], name);
    };
    disconnect("blue", "a");
    disconnect("br0", "b");
    disconnect("blue", "nobody");
    before[0].assert_same(&Snapshot::take(host.netns()));
    before[1].assert_same(&Snapshot::take(&a));
    a.ping(a.gateway());
    // Of the last network: the container is detached.
    host.ok(&["network", "disconnect", "blue", "b"]);
    assert!(b.links().is_empty() && host.ls().len() == 1);
}

/// `NAME@NETWORK` is one attachment, also for what the host knows of it.
#[test]
fn settings_of_one_attachment_reach_the_hosts_neighbour_table() {
    let host = Host::with_switch();
    host.ok(&["network", "create", "blue"]);
    let _a = host.container("a");
    host.ok(&["network", "connect", "blue", "a"]);
    let known =
        |device: &str| host.netns().ok(&["ip", "neigh", "show", "dev", device, "nud", "permanent"]);
    assert_eq!((known("br0").lines().count(), known("br-blue").lines().count()), (2, 2));
    host.ok(&["port", "set", "a@blue", "--guard", "off"]);
    assert_eq!((known("br0").lines().count(), known("br-blue").lines().count()), (2, 0));
    host.ok(&["port", "set", "a@blue", "--guard", "on"]);
    assert_eq!(known("br-blue").lines().count(), 2);
}
