//! Overlay networks of nodes that share a registry: a real etcd on the underlay, other kinds, and a file.

mod addresses;
mod borrowed;
mod docker;
mod faults;
mod file;
mod kinds;
mod names;
mod networks;
mod nodes;
mod outages;
mod restart;
mod runtimes;

use testkit::{Snapshot, wait_for};
use vswitch_api::overlay::Peer;
use vswitch_api::registry::LeaseState;

use super::SOON;
use super::sites::{Family, balanced};
use crate::transfer::transfer;
use nodes::{Nodes, forgets, leaves_nothing, network, remotes, resolves, status};

/// One host creates a network, and both have it: containers reach each other by address and name, and hosts reach containers.
#[track_caller]
fn two_hosts(family: Family, args: &[&str]) {
    let mut nodes = Nodes::new(family, 2);
    let before = Snapshot::take(nodes.hosts[0].netns());
    nodes.start_with(args);
    let [n1, n2] = &nodes.hosts[..] else { panic!("two hosts") };
    let (blue, other) = (network(n1, "blue").network, network(n2, "blue").network);
    assert_eq!((&blue.overlay, &blue.subnets), (&other.overlay, &other.subnets));
    assert!(blue.overlay.expect("an overlay network").vni >= 4096, "the registry's choice");
    assert_eq!(blue.mtu, family.mtu());
    let (a, b) = (nodes.container(0, "a"), nodes.container(1, "b"));
    assert!(a.v4() != b.v4() && a.v6() != b.v6());
    a.ping_soon(b.v4(), SOON);
    b.ping_soon(a.v6(), SOON);
    transfer(&a, &b, b.v4(), 4);
    transfer(&b, &a, a.v6(), 4);
    by_name(&nodes);
    resolves(&a, "b", &[b.v4()]);
    resolves(&a, "b.blue", &[b.v6()]);
    resolves(&b, "a", &[a.v6()]);
    // The hosts, by addresses of their own.
    n1.netns().ping_soon(b.v4(), SOON);
    n1.netns().ping_soon(b.v6(), SOON);
    n2.netns().ping_soon(a.v4(), SOON);
    shows(&nodes);
    nodes.hosts.iter().for_each(balanced);
    // What leaves is gone on the other node, with the address that its host has for it.
    n1.ok(&["detach", "a"]);
    forgets(n2, "a");
    wait_for("only the endpoints of n2", SOON, || {
        let status = status(n2);
        (status.endpoints, status.own_endpoints) == (4, 4)
    });
    let own = network(n1, "blue").network.overlay.expect("an overlay network").host_addresses;
    assert!(own.is_empty(), "{own:?}");
    drop((a, b));
    leaves_nothing(&mut nodes.hosts[0], &before);
    wait_for("n1 has left", SOON, || status(&nodes.hosts[1]).nodes == 1);
}

/// Containers that `run` starts resolve by themselves.
#[track_caller]
fn by_name(nodes: &Nodes) {
    for (at, other) in [(0, "b"), (1, "a")] {
        let ping = ["ping", "-n", "-c", "2", "-i", "0.05", "-W", "2", other];
        wait_for("a ping by name", SOON, || {
            let run = ["run", "--network", "blue", "--"];
            nodes.hosts[at].vswitch(&[&run[..], &ping].concat()).status.success()
        });
    }
}

/// What commands show of two nodes with a container each.
#[track_caller]
fn shows(nodes: &Nodes) {
    let [n1, n2] = &nodes.hosts[..] else { panic!("two hosts") };
    // Two families of a container and of the host on each.
    wait_for("all endpoints are seen", SOON, || {
        nodes.hosts.iter().all(|host| status(host).endpoints == 8)
    });
    for (host, node) in [(n1, "n1"), (n2, "n2")] {
        let status = status(host);
        assert!(status.connected && status.problem.is_none(), "{status:#?}");
        assert_eq!((status.node.as_str(), status.url), (node, nodes.registry()));
        assert_eq!((status.networks, status.nodes, status.own_endpoints), (1, 2, 4));
        assert_eq!((status.own_blocks, status.queued, status.doubted), (2, 0, 0));
        assert_eq!(status.endpoint, Some(nodes.etcd.address().to_string()));
        let lease = status.lease.expect("a lease");
        assert_eq!((lease.ttl_s, lease.state), (15, LeaseState::Active));
        assert!(status.faults.is_empty() && status.revision > 0, "{:?}", status.faults);
        let summary = host.status().registry.expect("a registry");
        assert!(summary.connected && summary.faults == 0);
    }
    let text = n1.ok(&["registry", "status"]);
    assert!(text.contains(&nodes.registry()) && text.contains("n1"), "{text}");
    let peers: Vec<Peer> = serde_json::from_value(n1.json(&["peers"])).expect("Peer[]");
    let [peer] = peers.as_slice() else { panic!("one peer: {peers:#?}") };
    assert_eq!(peer.address, nodes.family.endpoint(2));
    assert!(!peer.learning && peer.networks == ["blue"], "{peer:#?}");
    assert_eq!(peer.node.as_deref(), Some("n2"));
    let remote = |name: Option<&str>| (name.map(str::to_owned), "n2".to_owned());
    let mut found = remotes(n1);
    found.sort();
    let expected = [None, None, Some("b"), Some("b")];
    assert_eq!(found, expected.map(remote));
    let names = n1.ok(&["dns", "ls"]);
    assert!(names.lines().any(|line| line.contains("blue") && line.contains("b")), "{names}");
}

#[test]
fn two_hosts_over_ipv4() {
    two_hosts(Family::V4, &[]);
}

#[test]
fn two_hosts_over_ipv6() {
    two_hosts(Family::V6, &[]);
}

#[test]
fn two_hosts_with_epoll() {
    two_hosts(Family::V4, &["--backend", "epoll"]);
}
