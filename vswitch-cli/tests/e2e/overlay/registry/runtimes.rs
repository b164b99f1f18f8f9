//! CNI and netavark on two hosts: containers of both in one network of the registry.

use std::net::IpAddr;

use serde_json::{Value, json};
use testkit::{Netns, wait_for};

use super::SOON;
use super::nodes::{Nodes, remotes, status};
use crate::cni::runtime::Runtime;
use crate::netavark;
use crate::netavark::podman::{Container, Podman};
use crate::overlay::sites::Family;

const GATEWAY: &str = "10.50.0.1";

/// Waits until a namespace resolves a name by the network's gateway.
#[track_caller]
fn resolves(netns: &Netns, name: &str, expected: IpAddr) {
    let dig = ["dig", "+short", "+tries=1", "+timeout=2", &format!("@{GATEWAY}"), name];
    wait_for(&format!("{name} is {expected}"), SOON, || {
        netns.exec(&dig).stdout.trim() == expected.to_string()
    });
}

/// First address of a result of CNI.
#[track_caller]
fn first(result: &Value) -> IpAddr {
    let text = result["ips"][0]["address"].as_str().expect("an address");
    text.split('/').next().expect("an address").parse().expect("an address")
}

/// A pod on each host: addresses of the registry, by ADD, CHECK, DEL and GC.
#[test]
fn pods_of_cni_on_two_hosts() {
    let nodes = Nodes::up(Family::V4, 2, &[]);
    let [n1, n2] = &nodes.hosts[..] else { panic!("two hosts") };
    let blue = || json!({ "network": "blue" });
    let (c1, c2) = (Runtime::new(n1, "1.1.0", blue()), Runtime::new(n2, "1.1.0", blue()));
    let [web, cli, fixed] = ["web", "cli", "fixed"].map(|tag| n1.namespace(tag));
    let on_n1 = c1.add("web", &web).ok();
    let on_n2 = c2.add("cli", &cli).ok();
    let (a, b) = (first(&on_n1), first(&on_n2));
    assert_ne!(a, b);
    assert_eq!(on_n1["ips"].as_array().map(Vec::len), Some(2), "{on_n1:#}");
    assert_eq!(on_n1["ips"][0]["gateway"], GATEWAY);
    web.ping_soon(b, SOON);
    cli.ping_soon(a, SOON);
    resolves(&cli, "web", a);
    c1.check("web", &web, &on_n1).ok();
    c2.check("cli", &cli, &on_n2).ok();
    // A fixed address is one pod's on all hosts.
    c1.add_with("fixed", &fixed, &format!("IP={b}"))
        .fails(100, "is taken by an endpoint of node n2");
    assert_eq!(
        first(&c1.add_with("fixed", &fixed, "IP=10.50.9.9").ok()),
        "10.50.9.9".parse::<IpAddr>().expect("it")
    );
    cli.ping_soon("10.50.9.9".parse().expect("an address"), SOON);
    // What ends is gone on the other host.
    let valid =
        json!({ "cni.dev/valid-attachments": [{ "containerID": "web", "ifname": "eth0" }] });
    c1.with(valid).operation("GC").ok();
    c2.del("cli", Some(cli.path())).ok();
    c2.check("cli", &cli, &on_n2).fails(101, "cli");
    wait_for("only web is left", SOON, || {
        let names: Vec<_> = remotes(n2).into_iter().filter_map(|(name, _)| name).collect();
        names == ["web", "web"] && remotes(n1).is_empty()
    });
    c1.del("web", None).ok();
    wait_for("all is gone", SOON, || [n1, n2].iter().all(|it| status(it).endpoints == 0));
}

/// A container of podman on each host. Its network stands for that of the registry.
#[test]
fn containers_of_podman_on_two_hosts() {
    let nodes = Nodes::up(Family::V4, 2, &[]);
    let [n1, n2] = &nodes.hosts[..] else { panic!("two hosts") };
    let mut podmans = [Podman::new(n1), Podman::new(n2)];
    for podman in &mut podmans {
        let created = podman.create("pod", json!({ "options": { "network": "blue" } }));
        assert_eq!(created.expect("pod")["subnets"][0]["subnet"], "10.50.0.0/16");
        let wrong =
            json!({ "options": { "network": "blue" }, "subnets": [{ "subnet": "10.51.0.0/16" }] });
        assert!(podman.create("red", wrong).expect_err("another subnet").contains("10.51.0.0/16"));
    }
    let [p1, p2] = &podmans;
    let [web, cli] = ["web", "cli"].map(|tag| n1.namespace(tag));
    let (web_of, cli_of) = (Container::new("web", "pod"), Container::new("cli", "pod"));
    let on_n1 = p1.setup(&web, &web_of).expect("setup of web");
    let on_n2 = p2.setup(&cli, &cli_of).expect("setup of cli");
    let of = |status: &Value| netavark::address(status, "pod", "eth0", 0);
    let (a, b) = (of(&on_n1), of(&on_n2));
    assert_ne!(a, b);
    assert_eq!(on_n1["pod"]["dns_server_ips"], json!([GATEWAY]));
    web.ping_soon(b, SOON);
    cli.ping_soon(a, SOON);
    resolves(&cli, "web", a);
    let taken = Container::with("x", "pod", json!({ "static_ips": [b.to_string()] }));
    let netns = n1.namespace("x");
    let error = p1.setup(&netns, &taken).expect_err("it is taken");
    assert!(error.contains("is taken by an endpoint of node n2"), "{error}");
    p2.teardown(&cli.path().display().to_string(), &cli_of).expect("teardown of cli");
    wait_for("cli is gone", SOON, || remotes(n1).is_empty());
    p1.teardown(&web.path().display().to_string(), &web_of).expect("teardown of web");
    wait_for("all is gone", SOON, || [n1, n2].iter().all(|it| status(it).endpoints == 0));
}
