//! Docker's IPAM protocol, with a real daemon.

use std::fs;
use std::net::IpAddr;

use serde_json::Value;
use testkit::{Docker, READY_MAX};

use super::{address, host_with_docker, inside, start};
use crate::harness::Host;

/// Creates a network whose addresses the switch manages; gives its name in the switch.
#[track_caller]
fn create(docker: &Docker, host: &Host, options: &[&str], name: &str) -> String {
    let driver = ["network", "create", "--ipam-driver", "vswitch", "-d", "vswitch"];
    let id = docker.ok(&[&driver[..], options, &[name]].concat());
    let networks = host.json(&["network", "ls"]);
    let all = networks.as_array().expect("a list").iter();
    let is_it = |it: &&Value| it["labels"]["docker.network-id"] == id.trim();
    let found = all.into_iter().find(is_it).expect("the switch has it");
    found["name"].as_str().expect("a name").to_owned()
}

#[track_caller]
fn refused(docker: &Docker, args: &[&str], reason: &str) {
    let output = docker.docker(args);
    assert!(!output.status.success(), "{output}");
    assert!(output.stderr.contains(reason), "{reason:?} is not in\n{output}");
}

/// Pools of the state directory.
fn pools(host: &Host) -> usize {
    let text = fs::read_to_string(host.state_dir().join("state.json")).expect("the document");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    document["pools"].as_array().map_or(0, Vec::len)
}

#[test]
fn the_switch_gives_out_the_addresses_of_containers_and_of_others() {
    let (mut host, docker) = host_with_docker(&[]);
    let blue = create(&docker, &host, &["--ipv6"], "blue");
    start(&docker, "c-a", &["--network", "blue"]);
    let of = |name: &str, key: &str| address(&docker, name, "blue", key);
    let (a4, a6) = (of("c-a", "IPAddress"), of("c-a", "GlobalIPv6Address"));
    assert!(a4.is_ipv4() && a6.is_ipv6());

    // What another client has, Docker does not get, and the other way round.
    let other = host.container_with("other", &["--network", &blue]);
    start(&docker, "c-b", &["--network", "blue"]);
    let (b4, other4) = (of("c-b", "IPAddress"), other.v4());
    let distinct: std::collections::BTreeSet<IpAddr> = [a4, b4, other4].into();
    assert_eq!(distinct.len(), 3, "{distinct:?}");
    other.ping(b4);
    inside(&docker, "c-b", &["ping", "-n", "-c1", "-W2", &a6.to_string()]);

    // A restart keeps all of them, and the quarantine of what was released.
    docker.ok(&["rm", "-f", "c-b"]);
    host.kill();
    host.up_inside(&docker, &["--docker-plugin"]);
    start(&docker, "c-c", &["--network", "blue"]);
    assert!(![a4, b4, other4].contains(&of("c-c", "IPAddress")));
    other.ping_soon(of("c-c", "IPAddress"), READY_MAX);

    let subnet =
        host.json(&["network", "inspect", &blue])["subnets"][0].as_str().map(str::to_owned);
    let subnet = subnet.expect("a subnet");
    let twice = ["network", "create", "-d", "vswitch", "--ipam-driver", "vswitch", "--subnet"];
    refused(&docker, &[&twice[..], &[&subnet, "red"]].concat(), "overlaps");
    refused(&docker, &[&twice[..6], &["--ipam-opt", "x=y", "red"]].concat(), "--ipam-opt \"x\"");

    let ranged =
        ["--subnet", "10.77.0.0/24", "--ip-range", "10.77.0.64/29", "--gateway", "10.77.0.65"];
    let green = create(
        &docker,
        &host,
        &[&ranged[..], &["--aux-address", "nas=10.77.0.64"]].concat(),
        "green",
    );
    start(&docker, "c-d", &["--network", "green"]);
    let d = address(&docker, "c-d", "green", "IPAddress");
    assert_eq!(d.to_string(), "10.77.0.66", "neither the gateway nor the auxiliary address");

    let static_one = host.container_with("static", &["--network", &green, "--ip", "10.77.0.99"]);
    let run = ["run", "--rm", "--network", "green", "--ip", "10.77.0.99", Docker::IMAGE, "true"];
    refused(&docker, &run, "address 10.77.0.99 is in use by static");

    // Docker's own bridge may use it as well.
    docker.ok(&["network", "create", "--ipam-driver", "vswitch", "bridged"]);
    start(&docker, "c-e", &["--network", "bridged"]);
    refused(
        &docker,
        &["network", "create", "--ipam-driver", "vswitch", "--subnet", "10.77.0.0/16", "wide"],
        "overlaps",
    );

    assert_eq!(pools(&host), 4, "two of blue, one of green, one of bridged");
    host.ok(&["detach", "other", "static"]);
    drop((other, static_one));
    docker.ok(&["rm", "-f", "c-a", "c-c", "c-d", "c-e"]);
    docker.ok(&["network", "rm", "blue", "green", "bridged"]);
    assert_eq!(pools(&host), 0);
    create(&docker, &host, &["--subnet", &subnet], "blue");
    docker.ok(&["network", "rm", "blue"]);
}
