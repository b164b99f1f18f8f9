//! Several networks: created, apart from each other, kept over a restart, removed.

use std::net::IpAddr;
use std::time::Duration;

use testkit::{FAR4, FAR6, Remote, Snapshot};
use vswitch_api::network::{Network, NetworkDetail};

use crate::harness::{Container, Host};

const SOON: Duration = Duration::from_secs(5);

fn networks(host: &Host) -> Vec<Network> {
    serde_json::from_value(host.json(&["network", "ls"])).expect("Network[]")
}

fn network(host: &Host, name: &str) -> NetworkDetail {
    serde_json::from_value(host.json(&["network", "inspect", name])).expect("NetworkDetail")
}

fn on(host: &Host, name: &str, network: &str) -> Container {
    host.container_with(name, &["--network", network])
}

/// An address of another network is unreachable, in both families.
#[track_caller]
fn is_apart(from: &Container, to: &Container) {
    for address in [to.v4(), to.v6()] {
        let output = from.try_ping(address, 1);
        assert!(!output.status.success(), "reaches {address}\n{output}");
    }
}

#[test]
fn networks_are_apart_and_each_reaches_host_and_world() {
    let (host, remote, a) = Host::with_remote();
    host.ok(&["network", "create", "blue"]);
    host.ok(&["network", "create", "--subnet", "10.5.0.0/16", "--subnet", "fd05::/64", "green"]);
    let (b, c, d) = (on(&host, "b", "blue"), on(&host, "c", "blue"), on(&host, "d", "green"));
    b.ping(c.v4());
    b.ping(c.v6());
    for (one, other) in [(&a, &b), (&b, &a), (&b, &d), (&d, &b)] {
        is_apart(one, other);
    }
    for container in [&b, &d] {
        container.ping(container.gateway());
        container.ping(container.gateway6());
        host.netns().ping(container.v4());
        host.netns().ping(container.v6());
        for far in [FAR4, FAR6] {
            container.ping(far);
            let _service = remote.far().serve("tcp", far, 7000);
            container.ask("tcp", far, 7000);
        }
    }
    assert!(d.v4().to_string().starts_with("10.5."), "{}", d.v4());
    let listed = networks(&host);
    let names: Vec<_> = listed.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["blue", "br0", "green"]);
    assert_eq!(listed[0].device.as_deref(), Some("br-blue"));
    assert_eq!(listed[0].ports, 2);
    host.balanced();
}

#[test]
fn a_published_port_leads_into_its_network() {
    let (host, remote, _a) = Host::with_remote();
    host.ok(&["network", "create", "blue"]);
    let b = host.container_with("b", &["--network", "blue", "-p", "8080:80"]);
    let _service = b.serve("tcp", b.v4(), 80);
    let nic: IpAddr = "192.0.2.1".parse().expect("an address");
    let _ = remote;
    host.lan().ask("tcp", nic, 8080);
    host.netns().ask("tcp", "127.0.0.1".parse().expect("an address"), 8080);
    let c = host.container("c");
    c.ask("tcp", nic, 8080);
}

#[test]
fn options_are_kept_and_shown_and_survive_a_crash() {
    let mut host = Host::with_switch();
    host.ok(&[
        "network",
        "create",
        "--subnet",
        "10.5.0.0/16",
        "--gateway",
        "10.5.0.254",
        "--ip-range",
        "10.5.7.0/24",
        "--mtu",
        "1400",
        "--internal",
        "--isolated-ports",
        "--bridge",
        "green0",
        "--label",
        "tier=db",
        "green",
    ]);
    let before = network(&host, "green");
    assert_eq!(before.network.gateways[0], "10.5.0.254".parse::<IpAddr>().expect("an address"));
    assert_eq!((before.network.mtu, before.network.internal), (1400, true));
    assert_eq!(before.network.device.as_deref(), Some("green0"));
    assert_eq!(before.network.labels["tier"], "db");
    let (a, b) = (on(&host, "a", "green"), on(&host, "b", "green"));
    assert!(a.v4().to_string().starts_with("10.5.7."), "{}", a.v4());
    is_apart(&a, &b);
    a.ping(a.gateway());
    host.kill();
    host.up(&[]);
    let after = network(&host, "green");
    assert_eq!(after.network, Network { ports: 2, ..before.network });
    assert_eq!((after.isolated_ports, after.ip_ranges), (true, before.ip_ranges));
    a.ping_soon(a.gateway(), SOON);
    is_apart(&a, &b);
    host.down();
    host.up(&[]);
    a.ping_soon(a.gateway(), SOON);
}

#[test]
fn a_network_in_use_stays_unless_forced_and_leaves_nothing() {
    let host = Host::with_switch();
    let before = Snapshot::take(host.netns());
    host.ok(&["network", "create", "blue"]);
    let b = on(&host, "b", "blue");
    host.fails(&["network", "rm", "blue"], &[1], "in use");
    b.ping(b.gateway());
    host.ok(&["network", "rm", "--force", "blue"]);
    assert!(!b.links().contains(&"eth0".to_owned()));
    host.fails(&["network", "inspect", "blue"], &[1], "blue");
    before.assert_same(&Snapshot::take(host.netns()));
    // The name and the number are free again.
    host.ok(&["network", "create", "blue"]);
    let c = on(&host, "c", "blue");
    c.ping(c.gateway());
    host.ok(&["detach", "c"]);
    host.ok(&["network", "create", "red"]);
    host.ok(&["network", "prune"]);
    assert_eq!(networks(&host).len(), 1);
    host.fails(&["network", "rm", "br0"], &[1], "br0");
}

#[test]
fn internal_networks_may_overlap_and_then_have_no_host_port() {
    let host = Host::with_switch();
    let same = ["--internal", "--subnet", "10.5.0.0/24", "--subnet", "fd05::/64"];
    host.ok(&[&["network", "create"], &same[..], &["one"]].concat());
    host.ok(&[&["network", "create"], &same[..], &["two"]].concat());
    assert!(network(&host, "one").network.device.is_some());
    assert!(network(&host, "two").network.device.is_none());
    let at = |name, network| host.container_with(name, &["--network", network, "--ip", "10.5.0.9"]);
    let (a, b) = (at("a", "one"), at("b", "two"));
    assert_eq!(a.v4(), b.v4());
    let c = on(&host, "c", "two");
    c.ping(b.v4());
    b.ping(c.v6());
    assert!(!c.try_ping(c.gateway(), 1).status.success(), "nobody has the gateway's address");
    host.netns().ping(a.v4());
    host.balanced();
}

#[test]
fn requests_that_cannot_be_change_nothing() {
    let host = Host::with_switch();
    host.ok(&["network", "create", "--subnet", "10.5.0.0/16", "blue"]);
    let before = Snapshot::take(host.netns());
    let create = |args: &[&str], code: i32, value: &str| {
        host.fails(&[&["network", "create"], args].concat(), &[code], value);
    };
    create(&["blue"], 1, "blue");
    create(&["host"], 2, "host");
    create(&["a/b"], 2, "a/b");
    create(&["--subnet", "10.5.7.0/24", "red"], 1, "10.5.7.0/24");
    create(&["--subnet", "10.99.7.0/24", "red"], 1, "10.99.7.0/24");
    create(&["--subnet", "10.6.0.0/16", "--subnet", "10.7.0.0/16", "red"], 2, "10.7.0.0/16");
    create(&["--subnet", "10.6.0.1/16", "red"], 2, "10.6.0.1/16");
    create(&["--subnet", "127.0.0.0/8", "red"], 2, "127.0.0.0/8");
    create(&["--subnet", "10.6.0.0/16", "--gateway", "10.7.0.1", "red"], 2, "10.7.0.1");
    create(&["--subnet", "10.6.0.0/16", "--ip-range", "10.7.0.0/24", "red"], 2, "10.7.0.0/24");
    create(&["--mtu", "12", "red"], 2, "12");
    create(&["--uplink", "eth9", "red"], 1, "eth9");
    create(&["--bridge", "nic0", "red"], 1, "nic0");
    create(&["--label", "novalue", "red"], 2, "novalue");
    assert_eq!(networks(&host).len(), 2);
    before.assert_same(&Snapshot::take(host.netns()));
}

#[test]
fn a_subnet_runs_out() {
    let host = Host::with_switch();
    host.ok(&["network", "create", "--subnet", "10.5.0.0/29", "tiny"]);
    let _all: Vec<_> = (0..5).map(|n| on(&host, &format!("c{n}"), "tiny")).collect();
    let namespace = host.namespace("full");
    let attach = ["attach", "--netns", namespace.name(), "--name", "full", "--network", "tiny"];
    host.fails(&attach, &[1], "10.5.0.0/29");
}

/// Default subnets avoid what the host routes.
#[test]
fn chosen_subnets_avoid_routes_of_the_host() {
    let host = Host::with_switch();
    host.netns().ok(&["ip", "route", "add", "blackhole", "10.112.0.0/23"]);
    host.ok(&["network", "create", "blue"]);
    let blue = network(&host, "blue").network;
    assert_eq!(blue.subnets[0].to_string(), "10.112.2.0/24");
    let remote = Remote::new(host.net());
    let b = on(&host, "b", "blue");
    b.ping_soon(FAR4, SOON);
    drop(remote);
}
