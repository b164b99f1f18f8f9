//! The same with other registries than etcd: ZooKeeper (a real server), and Consul's protocol (a double).

use std::net::IpAddr;

use testkit::{Consul, Netns, Snapshot, ZooKeeper, wait_for};

use super::SOON;
use super::sites::{Family, Sites, balanced};
use crate::harness::{Container, Host};

/// Number of the registry's address on the underlay.
const REGISTRY: u8 = 9;

/// A server for names that nobody answers for.
const UPSTREAM: &str = "192.0.2.1";

fn has_blue(host: &Host) -> bool {
    let networks = host.json(&["network", "ls"]);
    networks.as_array().expect("rows").iter().any(|row| row["name"] == "blue")
}

/// IPv4 addresses of a name, as its container is told.
#[track_caller]
fn addresses(container: &Container, name: &str) -> String {
    let server = format!("@{}", container.gateway());
    let dig = ["dig", &server, "+short", "+tries=2", "+timeout=2", "-q", name, "-t", "A"];
    container.exec(&dig).stdout.trim().to_owned()
}

/// Waits until a container is told that address; empty: none.
#[track_caller]
fn resolves(container: &Container, name: &str, address: &str) {
    wait_for(&format!("{name} is '{address}'"), SOON, || addresses(container, name) == address);
}

/// A container on each host reaches the other by its name, which is gone when the container is.
#[track_caller]
fn share_names(sites: &Sites) {
    for host in &sites.hosts {
        wait_for("blue is on both", SOON, || has_blue(host));
    }
    let (a, b) = sites.containers();
    for (container, name, other) in [(&a, "b", &b), (&b, "a", &a)] {
        resolves(container, name, &other.v4().to_string());
        container.ping_soon(other.v4(), SOON);
        container.ping(other.v4());
    }
    let [n1, n2] = &sites.hosts;
    assert!(addresses(&b, "nobody").is_empty());
    n1.ok(&["detach", "a"]);
    resolves(&b, "a", "");
    assert_eq!(n2.json(&["network", "inspect", "blue"])["remote_endpoints"].to_string(), "[]");
    sites.hosts.iter().for_each(balanced);
    n2.ok(&["detach", "b"]);
}

/// One host creates the network; containers of both share it, and names; and nothing is left.
#[track_caller]
fn two_hosts(mut sites: Sites, url: &str) {
    let before = Snapshot::take(sites.hosts[0].netns());
    sites.start_switches(&["--registry", url, "--dns-upstream", UPSTREAM]);
    let subnets = ["--subnet", "10.50.0.0/16", "--subnet", "fd00:50::/64"];
    sites.hosts[0].ok(&[&["network", "create", "blue", "--overlay"], &subnets[..]].concat());
    share_names(&sites);
    // Nobody uses it any more.
    let [n1, n2] = &sites.hosts;
    wait_for("n1 knows", SOON, || n1.vswitch(&["network", "rm", "blue"]).status.success());
    wait_for("blue is gone on n2", SOON, || !has_blue(n2));
    sites.hosts[0].down();
    before.assert_same(&Snapshot::take(sites.hosts[0].netns()));
}

/// Two hosts, and a namespace between them that has the registry's address.
#[track_caller]
fn sites() -> (Sites, Netns, IpAddr) {
    let (sites, underlay) = Sites::bridged(Family::V4);
    underlay.ok(&["ip", "addr", "add", &Family::V4.net(REGISTRY), "dev", "mid"]);
    (sites, underlay, Family::V4.address(REGISTRY))
}

#[test]
fn two_hosts_share_a_zookeeper() {
    let (sites, underlay, address) = sites();
    let server = ZooKeeper::inside(&underlay, address);
    two_hosts(sites, &format!("zookeeper://{}/vswitch", server.address()));
}

#[test]
fn two_hosts_share_a_consul() {
    let (sites, underlay, address) = sites();
    let server = Consul::inside(&underlay, address);
    two_hosts(sites, &format!("consul://{}/vswitch", server.address()));
}
