//! Names of containers on other nodes, in all ways in which local ones have them.

use std::net::IpAddr;

use testkit::wait_for;

use super::super::SOON;
use super::super::sites::Family;
use super::nodes::{Nodes, forgets, remotes, resolve, resolves};
use crate::harness::Container;

/// Aliases that both nodes have, names with the network, names of addresses, and a name that changes.
#[test]
fn names_of_other_nodes_are_like_local_ones() {
    let nodes = Nodes::up(Family::V4, 2, &[]);
    let [n1, n2] = &nodes.hosts[..] else { panic!("two hosts") };
    let here = nodes.container_with(0, "here", &["--alias", "db", "--alias", "first"]);
    let there = nodes.container_with(1, "There", &["--alias", "db"]);
    let client = nodes.container(0, "client");
    resolves(&client, "there", &[there.v4()]);
    resolves(&client, "THERE.blue", &[there.v6()]);
    resolves(&client, "db", &[here.v4(), there.v4()]);
    resolves(&there, "db.blue", &[here.v6(), there.v6()]);
    resolves(&there, "first", &[here.v4()]);
    // Each node's own comes first.
    for _ in 0..3 {
        assert_eq!(first(&client, "db"), here.v4());
        assert_eq!(first(&there, "db"), there.v4());
    }
    for address in [there.v4(), there.v6()] {
        assert_eq!(name_of(&client, address), "there.blue.");
    }
    // It is on another network only.
    let local = n1.container("local");
    assert!(resolve(&local, "there", "A").is_empty());
    n1.ok(&["network", "connect", "--alias", "new", "blue", "local"]);
    resolves(&there, "new", &remote_v4(&there, "local"));
    resolves(&local, "there", &[there.v4()]);
    n2.ok(&["rename", "There", "moved"]);
    resolves(&client, "moved", &[there.v4()]);
    forgets(n1, "there");
    resolves(&client, "db", &[here.v4(), there.v4()]);
    assert_eq!(name_of(&client, there.v4()), "moved.blue.");
    n1.ok(&["network", "disconnect", "blue", "local"]);
    forgets(n2, "new");
    wait_for("it has left blue", SOON, || {
        remotes(n2).iter().all(|(name, _)| name.as_deref() != Some("local"))
    });
    there.ping(here.v4());
}

/// The address that an answer begins with.
#[track_caller]
fn first(container: &Container, name: &str) -> IpAddr {
    let server = format!("@{}", container.gateway());
    let text = container.ok(&["dig", &server, "+short", "-q", name, "-t", "A"]);
    text.lines().next().and_then(|line| line.parse().ok()).expect("an address")
}

/// The name of an address.
#[track_caller]
fn name_of(container: &Container, address: IpAddr) -> String {
    let server = format!("@{}", container.gateway());
    container.ok(&["dig", &server, "+short", "-x", &address.to_string()]).trim().to_owned()
}

/// The IPv4 address that a name gets, as soon as it has one.
#[track_caller]
fn remote_v4(container: &Container, name: &str) -> Vec<IpAddr> {
    wait_for("the name is there", SOON, || !resolve(container, name, "A").is_empty());
    resolve(container, name, "A")
}
