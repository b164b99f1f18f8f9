//! Networks that several nodes create, use and delete.

use std::process::Stdio;

use testkit::{COMMAND_TIMEOUT, Process, wait_for};

use super::super::SOON;
use super::super::sites::Family;
use super::nodes::{Nodes, has_network, network, resolves};

/// A network in use on another node stays, and goes on all nodes once nobody uses it.
#[test]
fn a_network_is_deleted_when_no_node_uses_it() {
    let nodes = Nodes::up(Family::V4, 2, &[]);
    let [n1, n2] = &nodes.hosts[..] else { panic!("two hosts") };
    let b = nodes.container(1, "b");
    for rm in [&["network", "rm", "blue"][..], &["network", "rm", "--force", "blue"]] {
        wait_for("the refusal names n2", SOON, || n1.fails(rm, &[1], "blue").contains("on n2"));
    }
    let a = nodes.container(0, "a");
    a.ping_soon(b.v4(), SOON);
    resolves(&b, "a", &[a.v4()]);
    n1.fails(&["network", "rm", "blue"], &[1], "blue");
    n1.ok(&["detach", "a"]);
    n2.ok(&["detach", "b"]);
    // The first node hears of the last detach a moment later, and asks the registry meanwhile.
    n1.ok(&["network", "rm", "blue"]);
    wait_for("blue is gone on n2", SOON, || !has_network(n2, "blue"));
    for host in &nodes.hosts {
        wait_for("the device is gone", SOON, || {
            !host.netns().links().iter().any(|link| link == "br-blue")
        });
        host.fails(&["network", "inspect", "blue"], &[1], "blue");
    }
    // The name is free for another one.
    n2.ok(&["network", "create", "blue", "--overlay", "--subnet", "10.51.0.0/16"]);
    wait_for("the new one is on n1", SOON, || has_network(n1, "blue"));
    assert_eq!(network(n1, "blue").network.subnets[0].to_string(), "10.51.0.0/16");
}

/// Names, numbers and subnets are refused where another network has them; options come along.
#[test]
fn what_another_network_has_is_refused_and_options_are_the_same_everywhere() {
    let nodes = Nodes::up(Family::V4, 2, &[]);
    let [n1, n2] = &nodes.hosts[..] else { panic!("two hosts") };
    let vni = network(n1, "blue").network.overlay.expect("an overlay network").vni.to_string();
    let create = |args: &[&'static str]| [&["network", "create", "--overlay"], args].concat();
    n2.fails(&create(&["blue"]), &[1], "blue");
    let taken = [&create(&["green"])[..], &["--vni", &vni]].concat();
    assert!(n2.fails(&taken, &[1], &vni).contains("blue"));
    let overlap =
        n2.fails(&create(&["--subnet", "10.50.128.0/17", "green"]), &[1], "10.50.128.0/17");
    assert!(overlap.contains("blue"), "{overlap}");
    n2.fails(&create(&["--ip-range", "10.60.1.0/24", "green"]), &[2], "--ip-range");
    n2.fails(&create(&["--host-ip", "10.60.0.9", "green"]), &[2], "--host-ip");
    assert!(!has_network(n1, "green") && !has_network(n2, "green"));
    let subnets = ["--subnet", "10.60.0.0/16", "--subnet", "fd00:60::/64"];
    let options = ["--gateway", "10.60.0.9", "--mtu", "1400", "--internal", "--vni", "77", "green"];
    n2.ok(&create(&[&subnets[..], &options].concat()));
    wait_for("green is on n1", SOON, || has_network(n1, "green"));
    let [here, there] = [network(n1, "green").network, network(n2, "green").network];
    assert_eq!((here.subnets, here.gateways), (there.subnets, there.gateways));
    assert_eq!((here.mtu, here.internal), (1400, true));
    assert_eq!(here.overlay.expect("an overlay network").vni, 77);
}

/// Both nodes create the same network at once: one of them does.
#[test]
fn of_two_that_create_it_one_does() {
    let nodes = Nodes::up(Family::V4, 2, &[]);
    let create = ["network", "create", "race", "--overlay", "--subnet", "10.60.0.0/16"];
    let started: Vec<_> = nodes
        .hosts
        .iter()
        .map(|host| Process::spawn(host.command(&create).stdin(Stdio::null())))
        .collect();
    let ended: Vec<_> =
        started.into_iter().map(|process| process.finish(COMMAND_TIMEOUT)).collect();
    let codes: Vec<_> = ended.iter().map(|output| output.code()).collect();
    assert!(codes == [0, 1] || codes == [1, 0], "{} {}", ended[0], ended[1]);
    let loser = ended.iter().find(|output| output.code() == 1).expect("a loser");
    assert!(loser.stderr.contains("race"), "{loser}");
    for host in &nodes.hosts {
        wait_for("both have it", SOON, || has_network(host, "race"));
    }
    let [n1, n2] = &nodes.hosts[..] else { panic!("two hosts") };
    assert_eq!(network(n1, "race").network.overlay, network(n2, "race").network.overlay);
}

/// A node whose own network is in the way says so, and makes the other one when it can.
#[test]
fn a_network_that_a_node_cannot_make_is_a_fault_there() {
    let nodes = Nodes::up(Family::V4, 2, &[]);
    let [n1, n2] = &nodes.hosts[..] else { panic!("two hosts") };
    n2.ok(&["network", "create", "red", "--subnet", "10.60.0.0/16"]);
    n1.ok(&["network", "create", "red", "--overlay", "--subnet", "10.61.0.0/16"]);
    n1.ok(&["network", "create", "green", "--overlay", "--subnet", "10.60.5.0/24"]);
    wait_for("both are faults on n2", SOON, || {
        let faults = n2.status().host_faults.join("\n");
        faults.contains("network red cannot be made")
            && faults.contains("network green cannot be made")
    });
    assert_eq!(n1.status().host_faults, Vec::<String>::new());
    n2.ok(&["network", "rm", "red"]);
    wait_for("both are made", 2 * SOON, || {
        n2.status().host_faults.is_empty() && has_network(n2, "red") && has_network(n2, "green")
    });
    assert_eq!(network(n2, "red").network.overlay, network(n1, "red").network.overlay);
}
