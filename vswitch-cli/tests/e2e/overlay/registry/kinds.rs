//! The same with other registries than etcd: ZooKeeper (a real server), and Consul's protocol (a double).

use std::net::IpAddr;

use testkit::{Consul, Netns, Snapshot, ZooKeeper, wait_for};

use super::super::SOON;
use super::super::sites::{Family, Sites, balanced};
use super::nodes::{forgets, has_network, leaves_nothing, remotes, resolves};

/// Number of the registry's address on the underlay.
const REGISTRY: u8 = 9;

/// A server for names that nobody answers for.
const UPSTREAM: &str = "192.0.2.1";

/// A container on each host reaches the other by its name, which is gone when the container is.
#[track_caller]
fn share_names(sites: &Sites) {
    let [n1, n2] = &sites.hosts;
    let (a, b) = sites.containers();
    for (container, name, other) in [(&a, "b", &b), (&b, "a", &a)] {
        resolves(container, name, &[other.v4()]);
        resolves(container, name, &[other.v6()]);
        container.ping_soon(other.v4(), SOON);
        container.ping(other.v6());
    }
    n1.ok(&["run", "--network", "blue", "--", "ping", "-n", "-c2", "-i0.05", "-W2", "b"]);
    n1.ok(&["detach", "a"]);
    forgets(n2, "a");
    wait_for("only the host itself is left", SOON, || {
        remotes(n2).iter().all(|(name, node)| name.is_none() && node == "n1")
    });
    sites.hosts.iter().for_each(balanced);
    n2.ok(&["detach", "b"]);
}

/// One host creates the network; containers of both share it, and names; and nothing is left.
#[track_caller]
fn two_hosts(mut sites: Sites, url: &str) {
    let before = Snapshot::take(sites.hosts[0].netns());
    sites.start_switches(&["--registry", url, "--dns-upstream", UPSTREAM]);
    let [n1, n2] = &sites.hosts;
    let subnets = ["--subnet", "10.50.0.0/16", "--subnet", "fd00:50::/64"];
    n1.ok(&[&["network", "create", "blue", "--overlay"], &subnets[..]].concat());
    wait_for("blue is on n2", SOON, || has_network(n2, "blue"));
    share_names(&sites);
    // Nobody uses it any more.
    let [n1, n2] = &sites.hosts;
    wait_for("n1 knows", SOON, || n1.vswitch(&["network", "rm", "blue"]).status.success());
    wait_for("blue is gone on n2", SOON, || !has_network(n2, "blue"));
    leaves_nothing(&mut sites.hosts[0], &before);
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
