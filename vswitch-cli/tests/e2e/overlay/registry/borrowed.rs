//! Containers of runtimes on nodes that borrow the same address at the same moment.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};
use testkit::{COMMAND_TIMEOUT, Docker, run, wait_for};

use super::SOON;
use super::docker::up;
use super::nodes::{Nodes, has_network};
use crate::cni::runtime::Runtime;
use crate::docker::{address, start};
use crate::overlay::sites::Family;

/// Rounds; in each, two nodes choose the same address.
const ROUNDS: usize = 2;

/// Creates a network of one block, which the first node claims by a container.
#[track_caller]
fn one_block(nodes: &Nodes, name: &'static str, subnet: &'static str) -> crate::harness::Container {
    nodes.hosts[0].ok(&["network", "create", name, "--overlay", "--subnet", subnet]);
    for host in &nodes.hosts {
        wait_for("it is on all nodes", SOON, || has_network(host, name));
    }
    nodes.hosts[0].container_with(&format!("first-{name}"), &["--network", name])
}

/// Some of the choices met, or the test shows nothing.
#[track_caller]
fn have_met(nodes: &Nodes) {
    let tries = nodes.hosts.iter().map(|it| it.log().matches("tries another address").count());
    assert!(tries.sum::<usize>() > 0, "no node has tried again");
}

/// Docker is told the address before the container has an endpoint (`vswitch`), or after (`null`).
#[test]
fn containers_of_docker() {
    let mut nodes = Nodes::new(Family::V4, 3);
    let daemon = |at: usize| Docker::start_with(nodes.hosts[at].netns(), &["--bridge=none"]);
    let dockers = [daemon(1), daemon(2)];
    nodes.start(0);
    for (at, docker) in dockers.iter().enumerate() {
        docker.bring_image();
        up(&mut nodes, at + 1, docker);
    }
    for (driver, name, subnet) in
        [("vswitch", "blue", "10.50.0.0/26"), ("null", "green", "10.60.0.0/26")]
    {
        let first = one_block(&nodes, name, subnet);
        let overlay = format!("overlay={name}");
        let create = ["network", "create", "-d", "vswitch", "--ipam-driver", driver, "-o"];
        let asked: &[&str] = if driver == "vswitch" { &["--subnet", subnet] } else { &[] };
        for docker in &dockers {
            docker.ok(&[&create[..], &[&overlay], asked, &[name]].concat());
        }
        let mut addresses = BTreeSet::from([first.v4()]);
        for round in 0..ROUNDS {
            let container = format!("{name}{round}");
            std::thread::scope(|scope| {
                for docker in &dockers {
                    scope.spawn(|| start(docker, &container, &["--network", name]));
                }
            });
            for (docker, host) in dockers.iter().zip(&nodes.hosts[1..]) {
                let address = match driver {
                    "vswitch" => address(docker, &container, name, "IPAddress"),
                    _ => {
                        let ports = host.ls().into_iter().filter(|it| it.network == name);
                        let all = ports.flat_map(|port| port.ipv4).map(IpAddr::from);
                        let mut new = all.filter(|it| !addresses.contains(it));
                        new.next().expect("an address of its own")
                    }
                };
                assert!(addresses.insert(address), "{address} twice");
                first.ping_soon(address, SOON);
            }
        }
        for docker in &dockers {
            (0..ROUNDS).for_each(|round| drop(docker.ok(&["rm", "-f", &format!("{name}{round}")])));
            docker.ok(&["network", "rm", name]);
        }
        nodes.hosts[0].ok(&["detach", &format!("first-{name}")]);
        // No reservation is left in the registry.
        nodes.hosts[0].ok(&["network", "rm", name]);
    }
    have_met(&nodes);
}

/// Pods of CNI without an address management of their own.
#[test]
fn pods_of_cni() {
    let nodes = Nodes::up(Family::V4, 3, &[]);
    let first = one_block(&nodes, "small", "10.60.0.0/26");
    let runtimes: Vec<_> = nodes.hosts[1..]
        .iter()
        .map(|host| Runtime::new(host, "1.1.0", json!({ "network": "small" })))
        .collect();
    let mut addresses = BTreeSet::from([first.v4()]);
    let mut pods = Vec::new();
    for round in 0..ROUNDS {
        let id = format!("pod{round}");
        let mut calls: Vec<_> = runtimes
            .iter()
            .map(|runtime| {
                let netns = nodes.hosts[0].namespace(&id);
                let command = runtime.command("ADD", &id, Some(netns.path()));
                pods.push(netns);
                (command, runtime.input())
            })
            .collect();
        let results: Vec<Value> = std::thread::scope(|scope| {
            let add =
                |(command, input): &mut (_, Vec<u8>)| run(command, input, COMMAND_TIMEOUT).ok();
            let started: Vec<_> = calls.iter_mut().map(|it| scope.spawn(move || add(it))).collect();
            let ended = started.into_iter().map(|it| it.join().expect("an answer"));
            ended.map(|text| serde_json::from_str(&text).expect("JSON")).collect()
        });
        for result in results {
            let text = result["ips"][0]["address"].as_str().expect("an address");
            let address = text.split('/').next().expect("an address").parse().expect("an address");
            assert!(addresses.insert(address), "{address} twice");
            first.ping_soon(address, SOON);
        }
    }
    have_met(&nodes);
}
