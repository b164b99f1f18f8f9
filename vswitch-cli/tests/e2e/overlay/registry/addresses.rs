//! Addresses: one owner among all nodes, and one that moves.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use testkit::{COMMAND_TIMEOUT, Netns, Process, wait_for};

use super::super::SOON;
use super::super::sites::{Family, balanced};
use super::nodes::{Nodes, has_network, remotes, resolves};
use crate::harness::Container;

const FIXED: &str = "10.50.0.77";
const MAC: &str = "02:00:00:00:00:77";

/// Echo requests during a move.
const PINGS: u32 = 60;

/// An address that a container of another node has is refused, with the node's name, until it is free.
#[test]
fn a_fixed_address_of_another_node_is_refused() {
    let nodes = Nodes::up(Family::V4, 2, &[]);
    let [n1, n2] = &nodes.hosts[..] else { panic!("two hosts") };
    let a = nodes.container_with(0, "a", &["--ip", FIXED]);
    let netns = Netns::new("b");
    let attach = |ip: &'static str| {
        let attach = ["attach", "--netns", netns.name(), "--name", "b", "--network", "blue"];
        [&attach[..], &["--ip", ip]].concat()
    };
    assert!(n2.fails(&attach(FIXED), &[1], FIXED).contains("node n1"));
    // The address that n1's host has.
    let own = n1.json(&["network", "inspect", "blue"])["overlay"]["host_addresses"][0].clone();
    let own: String = own.as_str().expect("an address").to_owned();
    assert!(n2.fails(&attach(own.leak()), &[1], "10.50.").contains("node n1"));
    n2.fails(&attach("10.50.0.1"), &[1, 2], "10.50.0.1");
    n2.fails(&attach("10.99.0.9"), &[1, 2], "10.99.0.9");
    assert!(n2.ls().iter().all(|port| port.name != "b"), "a refusal attaches nothing");
    n1.ok(&["detach", "a"]);
    let stays = nodes.container(0, "stays");
    let b = Container::attach(n2, netns, "b", &["--network", "blue", "--ip", FIXED]);
    assert_eq!(b.v4().to_string(), FIXED);
    stays.ping_soon(b.v4(), SOON);
    n1.netns().ping_soon(b.v4(), SOON);
    drop(a);
}

/// Nodes without a block of their own borrow from the same one at the same moment, and so take the same address: all but
/// one of them take another one.
#[test]
fn nodes_that_choose_the_same_address_go_on_with_another() {
    let nodes = Nodes::up(Family::V4, 4, &[]);
    let subnets = ["--subnet", "10.60.0.0/26", "--subnet", "fd00:60::/112"];
    let create = ["network", "create", "small", "--overlay"];
    nodes.hosts[0].ok(&[&create[..], &subnets].concat());
    for host in &nodes.hosts {
        wait_for("small is on all nodes", SOON, || has_network(host, "small"));
    }
    // It claims the only block of IPv4.
    let first = nodes.hosts[0].container_with("first", &["--network", "small"]);
    let mut addresses = BTreeSet::from([first.v4(), first.v6()]);
    let mut namespaces = Vec::new();
    for round in 0..3 {
        let name = format!("c{round}");
        let started = nodes.hosts[1..].iter().map(|host| {
            let netns = host.namespace(&name);
            let netns_args = ["--netns", netns.name(), "--network", "small"];
            let attach = [&["attach", "--name", &name][..], &netns_args].concat();
            let process = Process::spawn(host.command(&attach).stdin(Stdio::null()));
            (host, netns, process)
        });
        for (host, netns, process) in started.collect::<Vec<_>>() {
            let output = process.finish(COMMAND_TIMEOUT);
            assert!(output.status.success(), "{output}");
            let port = host.inspect(&name).port;
            assert_eq!(port.ifname, "eth0");
            let (v4, v6) = (port.ipv4[0].into(), port.ipv6[0].into());
            assert!(addresses.insert(v4) && addresses.insert(v6), "{v4} or {v6} twice");
            first.ping_soon(v4, SOON);
            netns.ping_soon(first.v6(), SOON);
            namespaces.push(netns);
        }
    }
    let tries = nodes.hosts.iter().map(|host| host.log().matches("tries another address").count());
    assert!(tries.sum::<usize>() > 0, "nothing was tried again: the test shows nothing");
    nodes.hosts.iter().for_each(balanced);
}

/// Containers of three nodes have addresses of their own and reach each other; one moves under ping, there and back.
#[test]
fn a_container_moves_between_hosts_under_ping() {
    let nodes = Nodes::up(Family::V4, 3, &[]);
    let c = nodes.container(2, "c");
    let fixed = ["--ip", FIXED, "--mac", MAC];
    let mut a = nodes.container_with(0, "a", &fixed);
    let (to, observer) = (a.v4(), nodes.container(1, "observer"));
    c.ping_soon(to, SOON);
    observer.ping_soon(to, SOON);
    for to_node in [1, 0] {
        let ping = ping_all_along(&c, FIXED);
        std::thread::sleep(Duration::from_millis(300));
        let begin = Instant::now();
        nodes.hosts[1 - to_node].ok(&["detach", "a"]);
        let moved = nodes.container_with(to_node, "a", &fixed);
        c.ping_soon(to, SOON);
        observer.ping_soon(to, SOON);
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(5), "the move took {took:?}");
        moved.ping_soon(c.v4(), SOON);
        resolves(&c, "a", &[to]);
        assert_eq!(moved.detail().port.mac.to_string(), MAC);
        // While it moves, nobody has the address; before and after, all is answered.
        let lost = lost(ping);
        assert!(lost < 30, "{lost} of {PINGS} in 3 s");
        a = moved;
    }
    nodes.hosts.iter().for_each(balanced);
    for host in &nodes.hosts[1..] {
        let mut found = Vec::new();
        let is_on_n1 = || {
            found = remotes(host);
            found.retain(|(name, _)| name.as_deref() == Some("a"));
            found.iter().map(|(_, node)| node.as_str()).collect::<Vec<_>>() == ["n1", "n1"]
        };
        wait_for("it is on n1 only", SOON, is_on_n1);
    }
    drop(a);
}

/// Echo requests for three seconds.
fn ping_all_along(from: &Netns, to: &str) -> Process {
    from.spawn(&["ping", "-n", "-c", &PINGS.to_string(), "-i", "0.05", "-W", "1", to])
}

/// Requests of that without an answer.
fn lost(ping: Process) -> u32 {
    let output = ping.finish(Duration::from_secs(20));
    let received = output.stdout.split(',').find_map(|part| part.trim().strip_suffix(" received"));
    PINGS - received.and_then(|number| number.parse::<u32>().ok()).expect("a count")
}
