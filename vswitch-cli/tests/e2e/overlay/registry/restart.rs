//! A node that ends, properly or not, and comes back.

use std::time::{Duration, Instant};

use testkit::wait_for;

use super::super::SOON;
use super::super::sites::Family;
use super::nodes::{Nodes, forgets, resolves, status};

/// Longest time until a dead node is forgotten: its lease has 15 s, which etcd checks now and then.
const FORGOTTEN: Duration = Duration::from_secs(25);

/// After `kill -9` and `up` endpoints have their addresses, and nobody has seen them leave. After `down` they have left.
#[test]
fn endpoints_keep_their_addresses_over_a_restart() {
    let mut nodes = Nodes::up(Family::V4, 2, &[]);
    let (a, b) = (nodes.container(0, "a"), nodes.container(1, "b"));
    a.ping_soon(b.v4(), SOON);
    let before = nodes.hosts[0].inspect("a");
    nodes.hosts[0].kill();
    resolves(&b, "a", &[a.v4()]);
    nodes.start(0);
    a.ping_soon(b.v4(), SOON);
    b.ping_soon(a.v6(), SOON);
    resolves(&b, "a", &[a.v4()]);
    resolves(&a, "b", &[b.v4()]);
    nodes.hosts[0].netns().ping_soon(b.v4(), SOON);
    nodes.hosts[0].down();
    forgets(&nodes.hosts[1], "a");
    wait_for("n1 has left", SOON, || status(&nodes.hosts[1]).nodes == 1);
    nodes.start(0);
    a.ping_soon(b.v4(), SOON);
    b.ping_soon(a.v6(), SOON);
    resolves(&b, "a", &[a.v4()]);
    let after = nodes.hosts[0].inspect("a");
    assert_eq!((before.port.ipv4, before.port.ipv6), (after.port.ipv4, after.port.ipv6));
    assert_eq!(before.port.mac, after.port.mac);
    // A new one has an address of its own.
    let c = nodes.container(0, "c");
    assert!(c.v4() != a.v4() && c.v4() != b.v4());
    b.ping_soon(c.v4(), SOON);
}

/// A node that comes back with another address on the underlay is reached there.
#[test]
fn a_vtep_that_changes_is_followed() {
    let mut nodes = Nodes::up(Family::V4, 2, &[]);
    let (a, b) = (nodes.container(0, "a"), nodes.container(1, "b"));
    a.ping_soon(b.v4(), SOON);
    nodes.hosts[0].down();
    nodes.hosts[0]
        .netns()
        .run_lines(&["ip addr del 198.18.7.1/24 dev ul", "ip addr add 198.18.7.11/24 dev ul"]);
    let registry = nodes.registry();
    let options = ["--underlay", "198.18.7.11", "--node", "n1", "--registry", &registry];
    nodes.hosts[0].up(&options);
    b.ping_soon(a.v4(), SOON);
    a.ping_soon(b.v6(), SOON);
    let peers = nodes.hosts[1].json(&["peers"]);
    assert_eq!(peers.as_array().map(Vec::len), Some(1), "{peers:#}");
    assert_eq!(peers[0]["address"], "198.18.7.11:4789");
    assert_eq!(peers[0]["node"], "n1");
}

/// A node that dies is forgotten when its lease ends: names, VTEP, and its address is free for others.
#[test]
fn a_dead_node_is_forgotten_with_its_lease() {
    let mut nodes = Nodes::up(Family::V4, 2, &[]);
    let (a, b) = (nodes.container(0, "a"), nodes.container(1, "b"));
    a.ping_soon(b.v4(), SOON);
    resolves(&b, "a", &[a.v4()]);
    nodes.hosts[0].kill();
    let begin = Instant::now();
    std::thread::sleep(Duration::from_secs(5));
    resolves(&b, "a", &[a.v4()]);
    let n2 = &nodes.hosts[1];
    wait_for("n1 is forgotten", FORGOTTEN, || status(n2).nodes == 1);
    assert!(begin.elapsed() > Duration::from_secs(9), "{:?}", begin.elapsed());
    forgets(&nodes.hosts[1], "a");
    wait_for("its VTEP is gone", SOON, || n2.json(&["peers"]).as_array().expect("rows").is_empty());
    let taken = nodes.container_with(1, "c", &["--ip", &a.v4().to_string()]);
    assert_eq!(taken.v4(), a.v4());
}
