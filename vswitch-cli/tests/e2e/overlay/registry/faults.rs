//! Nodes that cannot be, credentials that are wrong, and values that are none.

use std::process::Stdio;
use std::time::Duration;

use testkit::{COMMAND_TIMEOUT, Netns, Process, wait_for};

use super::super::SOON;
use super::super::sites::Family;
use super::nodes::{Nodes, has_network, network, status};
use crate::harness::Host;

/// `up` of a node that must fail; it waits as long as a former node of that name may have a lease.
fn up(host: &Host, args: &[&str]) -> Process {
    let up = [&["up", "--bridge", "br0"], args].concat();
    Process::spawn(host.command(&up).stdin(Stdio::null()))
}

/// A second node with a name or a VTEP that another node has does not come up, and says who has it.
#[test]
fn a_node_with_the_name_or_the_vtep_of_another_is_refused() {
    let mut nodes = Nodes::new(Family::V4, 3);
    nodes.start(0);
    nodes.hosts[0].ok(&["network", "create", "blue", "--overlay", "--subnet", "10.50.0.0/16"]);
    let a = nodes.container(0, "a");
    let registry = nodes.registry();
    let args = ["--registry", registry.as_str(), "--underlay"];
    let name = up(&nodes.hosts[1], &[&args[..], &["198.18.7.2", "--node", "n1"]].concat());
    // The third host has the first one's address, too, where nobody sees it.
    let third = nodes.hosts[2].netns();
    third.set_sysctl("net/ipv4/conf/all/arp_ignore", "1");
    third.run_lines(&["ip addr add 198.18.7.1/32 dev lo"]);
    let vtep = up(&nodes.hosts[2], &[&args[..], &["198.18.7.1", "--node", "n3"]].concat());
    for (process, parts) in [(name, ["n1", "198.18.7.1"]), (vtep, ["198.18.7.1", "n1"])] {
        let output = process.finish(COMMAND_TIMEOUT);
        let error = output.stderr.lines().find(|line| line.starts_with("error: "));
        let is_named = parts.iter().all(|part| error.is_some_and(|error| error.contains(part)));
        assert!(output.code() == 1 && is_named, "{output}");
    }
    for host in &nodes.hosts[1..] {
        assert!(host.netns().links().iter().all(|link| !link.starts_with("br")), "all is undone");
    }
    // The one that was first notices nothing.
    a.ping(a.gateway());
    let shown = status(&nodes.hosts[0]);
    assert!(shown.nodes == 1 && shown.faults.is_empty(), "{shown:#?}");
    nodes.start(1);
    wait_for("n2 has it", SOON, || has_network(&nodes.hosts[1], "blue"));
    let b = nodes.container(1, "b");
    b.ping_soon(a.v4(), SOON);
}

/// Wrong credentials are an error of `up` that names no password. A password's file works.
#[test]
fn wrong_credentials_are_refused() {
    let mut nodes = Nodes::new(Family::V4, 1);
    nodes.etcd.require_users();
    let address = nodes.etcd.address();
    let host = &mut nodes.hosts[0];
    let up = |registry: String| {
        let up = ["up", "--bridge", "br0", "--detach", "--underlay", "198.18.7.1", "--registry"];
        [&up.map(str::to_owned)[..], &[registry]].concat()
    };
    for (url, problem) in [
        (format!("etcd://node:s3cret@{address}"), "invalid user ID or password"),
        (format!("etcd://{address}"), "user name is empty"),
        (format!("etcd://node:nodepass@{address}/elsewhere"), "permission denied"),
    ] {
        let args = up(url);
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let error = host.fails(&args, &[1], problem);
        assert!(error.contains(&address.to_string()), "{error}");
        assert!(!error.contains("s3cret") && !error.contains("nodepass"), "{error}");
    }
    let file = host.path("password").display().to_string();
    std::fs::write(&file, "nodepass\n").expect("write");
    let url = format!("etcd://{address}?user=node&password-file={file}");
    host.up(&["--underlay", "198.18.7.1", "--node", "n1", "--registry", &url]);
    host.ok(&["network", "create", "blue", "--overlay"]);
    assert_eq!(status(host).networks, 1);
    let shown = [host.ok(&["registry", "status"]), host.ok(&["status"]), host.log()].concat();
    assert!(!shown.contains("nodepass") && !shown.contains("s3cret"), "{shown}");
}

/// Values that are no records are named on each node and change nothing; mended, they count.
#[test]
fn a_value_that_is_no_record_is_named_and_left_out() {
    let nodes = Nodes::up(Family::V4, 2, &[]);
    let (a, b) = (nodes.container(0, "a"), nodes.container(1, "b"));
    a.ping_soon(b.v4(), SOON);
    let put = |key: &str, value: &str| nodes.etcd.put(&format!("/vswitch/v1/{key}"), value);
    put("networks/red", "{nonsense");
    put("endpoints/blue/10.50.0.64-26/10.50.0.70", r#"{"node":"n1","mac":"no"}"#);
    put("unknown/thing", "1");
    for host in &nodes.hosts {
        wait_for("the values are named", SOON, || {
            let faults = status(host).faults.join("\n");
            faults.contains("networks/red") && faults.contains("10.50.0.70")
        });
        assert!(host.status().registry.expect("a registry").faults >= 2);
        let text = host.ok(&["registry", "status"]);
        assert!(text.contains("networks/red"), "{text}");
        assert!(!has_network(host, "red"));
    }
    a.ping(b.v4());
    put("vnis/99", r#"{"network":"red"}"#);
    put("networks/red", r#"{"vni":99,"subnets":["10.90.0.0/16"]}"#);
    for host in &nodes.hosts {
        wait_for("red is there", SOON, || has_network(host, "red"));
        assert_eq!(network(host, "red").network.overlay.expect("an overlay network").vni, 99);
        let faults = status(host).faults.join("\n");
        assert!(!faults.contains("networks/red"), "{faults}");
    }
    // A subnet of one family only.
    let netns = Netns::new("red");
    nodes.hosts[1].ok(&["attach", "--netns", netns.name(), "--name", "r", "--network", "red"]);
    assert!(nodes.hosts[1].inspect("r").port.ipv6.is_empty());
    nodes.hosts[0].netns().ping_soon([10, 90, 0, 1].into(), Duration::from_secs(5));
}
