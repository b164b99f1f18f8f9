//! A container on several networks: default route, replies by the interface that was asked, publications.

use std::net::IpAddr;
use std::process::Stdio;
use std::time::Duration;

use testkit::{COMMAND_TIMEOUT, FAR4, Netns, Process, wait_for};
use vswitch_api::port::PortDetail;

use crate::harness::Host;

const SOON: Duration = Duration::from_secs(5);
const NIC: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn details(host: &Host, name: &str) -> Vec<PortDetail> {
    serde_json::from_value(host.json(&["inspect", name])).expect("PortDetail[]")
}

/// The interface of the default route of a family.
fn default_route(netns: &Netns, family: &str) -> String {
    let route = netns.ok(&["ip", family, "route", "show", "default"]);
    let mut words = route.split_whitespace().skip_while(|word| *word != "dev");
    words.nth(1).unwrap_or_default().to_owned()
}

#[test]
fn a_container_joins_and_leaves_a_network_while_it_runs() {
    let host = Host::with_switch();
    host.ok(&["network", "create", "blue"]);
    let a = host.container("a");
    let b = host.container_with("b", &["--network", "blue"]);
    assert!(!a.try_ping(b.v4(), 1).status.success());
    host.ok(&["network", "connect", "--alias", "api", "blue", "a"]);
    let on_blue = details(&host, "a").remove(0);
    assert_eq!((on_blue.port.network.as_str(), on_blue.port.ifname.as_str()), ("blue", "eth1"));
    a.ping(b.v4());
    b.ping(on_blue.port.ipv4[0].into());
    b.ping(on_blue.port.ipv6[0].into());
    host.netns().ping(a.v4());
    assert_eq!(host.ls().iter().filter(|port| port.name == "a").count(), 2);
    host.ok(&["network", "disconnect", "blue", "a"]);
    assert_eq!(a.links(), ["eth0"]);
    assert!(!a.try_ping(b.v4(), 1).status.success());
    assert_eq!(a.ok(&["ip", "rule"]).lines().count(), 3, "the kernel's own rules");
    host.fails(&["network", "disconnect", "blue", "a"], &[1], "blue");
    host.fails(&["network", "connect", "blue", "nobody"], &[1], "nobody");
    host.fails(&["network", "connect", "red", "a"], &[1], "red");
    host.fails(&["network", "connect", "br0", "a"], &[1], "a");
}

#[test]
fn the_highest_priority_gives_the_default_route_and_the_next_takes_over() {
    let (host, remote, a) = Host::with_remote();
    host.ok(&["network", "create", "zeta"]);
    host.ok(&["network", "create", "--internal", "alpha"]);
    host.ok(&["network", "connect", "alpha", "a"]);
    for family in ["-4", "-6"] {
        assert_eq!(default_route(&a, family), "eth0", "an internal network gives none");
    }
    host.ok(&["network", "connect", "--gw-priority", "1", "zeta", "a"]);
    for family in ["-4", "-6"] {
        assert_eq!(default_route(&a, family), "eth2");
    }
    a.ping(FAR4);
    let of = |network: &str| {
        details(&host, "a").into_iter().find(|it| it.port.network == network).expect(network)
    };
    assert!(of("zeta").is_default_route && !of("br0").is_default_route);
    host.ok(&["network", "disconnect", "zeta", "a"]);
    for family in ["-4", "-6"] {
        assert_eq!(default_route(&a, family), "eth0");
    }
    a.ping_soon(FAR4, SOON);
    drop(remote);
}

/// An interface that somebody deletes in the container is one network less.
#[test]
fn the_next_network_takes_over_from_an_interface_that_was_deleted() {
    let (host, remote, a) = Host::with_remote();
    host.ok(&["network", "create", "zeta"]);
    host.ok(&["network", "connect", "--gw-priority", "1", "zeta", "a"]);
    assert_eq!(default_route(&a, "-4"), "eth1");
    a.ok(&["ip", "link", "del", "eth1"]);
    for family in ["-4", "-6"] {
        wait_for("the default route by br0", SOON, || default_route(&a, family) == "eth0");
    }
    a.ping_soon(FAR4, SOON);
    drop(remote);
}

#[test]
fn replies_leave_by_the_interface_that_was_asked() {
    let (host, remote, a) = Host::with_remote();
    host.ok(&["network", "create", "zeta"]);
    host.ok(&["network", "connect", "zeta", "a"]);
    host.ok(&["publish", "a@zeta", "8080:80"]);
    host.ok(&["publish", "a", "8081:81"]);
    let published = details(&host, "a").into_iter().map(|it| it.publications.len());
    assert_eq!(published.collect::<Vec<_>>(), [1, 1]);
    let any = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
    let _services = [a.serve("tcp", any, 80), a.serve("tcp", any, 81)];
    // The default route leads by br0, and the client is beyond it.
    assert_eq!(default_route(&a, "-4"), "eth0");
    host.lan().ask("tcp", NIC, 8080);
    host.lan().ask("tcp", NIC, 8081);
    // Hairpin by the host's address, into its other network.
    a.ask("tcp", NIC, 8080);
    drop(remote);
}

#[test]
fn publications_move_to_the_next_network() {
    let (host, remote, a) = Host::with_remote();
    host.ok(&["network", "create", "blue"]);
    host.ok(&["network", "connect", "--gw-priority", "5", "blue", "a"]);
    host.ok(&["publish", "a", "8080:80"]);
    let any = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
    let _service = a.serve("tcp", any, 80);
    host.lan().ask("tcp", NIC, 8080);
    host.ok(&["network", "disconnect", "blue", "a"]);
    assert_eq!(details(&host, "a")[0].publications.len(), 1);
    host.lan().ask("tcp", NIC, 8080);
    host.ok(&["unpublish", "a", "8080:80"]);
    assert!(!host.lan().can_ask("tcp", NIC, 8080));
    drop(remote);
}

#[test]
fn all_networks_of_a_container_come_back_after_a_crash() {
    let (mut host, remote, a) = Host::with_remote();
    host.ok(&["network", "create", "blue"]);
    host.ok(&["network", "connect", "--gw-priority", "1", "blue", "a"]);
    let before = details(&host, "a");
    host.kill();
    host.up(&["--uplink", "auto"]);
    let after = details(&host, "a");
    for (one, other) in before.iter().zip(&after) {
        assert_eq!((&one.port.ipv4, &one.port.ifname), (&other.port.ipv4, &other.port.ifname));
        assert_eq!(one.is_default_route, other.is_default_route);
    }
    a.ping_soon(FAR4, SOON);
    assert_eq!(default_route(&a, "-4"), "eth1");
    host.ok(&["detach", "a"]);
    assert!(a.links().is_empty());
    drop(remote);
}

/// A name is one container: another namespace cannot have it on another network.
#[test]
fn a_name_is_one_container() {
    let host = Host::with_switch();
    host.ok(&["network", "create", "blue"]);
    let _a = host.container("a");
    let other = host.namespace("other");
    let attach = ["attach", "--netns", other.name(), "--name", "a", "--network", "blue"];
    host.fails(&attach, &[1], "a");
    assert_eq!(host.ls().len(), 1);
    assert!(other.links().is_empty());
}

/// On all networks at once, with its publications and the events of it.
#[test]
fn a_container_on_several_networks_is_renamed_once() {
    let host = Host::with_switch();
    let mut command = host.command(&["--format", "json", "events", "--count", "6"]);
    let watcher = Process::spawn(command.stdin(Stdio::null()));
    std::thread::sleep(Duration::from_secs(1));
    host.ok(&["network", "create", "blue", "--label", "tier=db"]);
    let _a = host.container_with("a", &["-p", "8080:80"]);
    host.ok(&["network", "connect", "blue", "a"]);
    host.ok(&["rename", "a", "web"]);
    assert_eq!(host.ok(&["ls", "-q"]), "web\n", "one container, whose name is said once");
    assert_eq!(host.ok(&["ls", "-q", "--filter", "network=blue"]), "web\n");
    assert_eq!(host.ok(&["publish", "ls", "-q"]), "8080:80/tcp\n");
    assert_eq!(host.ok(&["network", "ls", "-q", "--filter", "label=tier=db"]), "blue\n");
    host.ok(&["network", "disconnect", "blue", "web"]);
    let text = watcher.finish(COMMAND_TIMEOUT).ok();
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let kinds: Vec<_> =
        events.iter().map(|event| event["event"].as_str().expect("a word")).collect();
    assert_eq!(kinds, ["network-create", "attach", "attach", "rename", "rename", "detach"]);
    assert_eq!((&events[5]["name"], &events[5]["network"]), (&"web".into(), &"blue".into()));
    let report = host.fails(&["network", "rm", "bleu", "blue"], &[1], "bleu");
    assert!(report.contains("did you mean blue?"), "{report}");
    assert_eq!(host.ok(&["network", "ls", "-q"]), "br0\n");
    assert_eq!(host.ok(&["detach", "--all"]), "web is detached\n");
}
