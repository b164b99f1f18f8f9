//! What a runtime wants for one container: `runtimeConfig`, `args`, `CNI_ARGS`; and networks made on demand.

use serde_json::{Value, json};
use testkit::{FAR4, HOST4, Netns, Remote};

use super::runtime::{Runtime, nothing_is_left, race};
use crate::harness::Host;

#[test]
fn capabilities_reach_the_switch() {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    host.up(&["--uplink", "auto"]);
    let runtime = Runtime::new(
        &host,
        "1.0.0",
        json!({
            "capabilities": { "portMappings": true, "ips": true, "mac": true, "bandwidth": true, "dns": true,
                "aliases": true },
            "runtimeConfig": {
                "portMappings": [
                    { "hostPort": 8080, "containerPort": 80, "protocol": "tcp" },
                    { "hostPort": 8081, "containerPort": 81, "protocol": "tcp" },
                    { "hostPort": 5353, "containerPort": 53, "protocol": "udp", "hostIP": "192.0.2.1" },
                ],
                "ips": ["10.99.0.80/16", "10.99.0.81"], "mac": "02:00:00:00:00:80",
                "bandwidth": { "ingressRate": 2_000_000, "ingressBurst": 100, "egressRate": 4_000_000,
                    "egressBurst": 100 },
                "dns": { "servers": ["192.0.2.53"], "searches": ["shop.example"], "options": ["ndots:5"] },
                "aliases": { "net": ["db"] },
            },
            "args": { "cni": { "labels": [{ "key": "app", "value": "shop" }] } },
        }),
    );
    let netns = host.namespace("pod");
    let result =
        runtime.add_with("id", &netns, "IgnoreUnknown=1;K8S_POD_NAME=web;K8S_POD_UID=u;X=1").ok();
    let port = host.inspect("web");
    assert_eq!(port.port.mac.to_string(), "02:00:00:00:00:80");
    assert_eq!(
        port.port.ipv4.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["10.99.0.80", "10.99.0.81"]
    );
    let published: Vec<_> = port.port.publish.iter().map(ToString::to_string).collect();
    assert_eq!(published, ["8080-8081:80-81/tcp", "192.0.2.1:5353:53/udp"]);
    assert_eq!(port.settings.limits.rate_out.to_string(), "2 Mbit/s");
    assert_eq!(port.settings.limits.rate_in.to_string(), "4 Mbit/s");
    assert_eq!(port.port.aliases, ["db"]);
    assert_eq!(port.port.labels["app"], "shop");
    assert_eq!(port.port.labels["io.kubernetes.pod.uid"], "u");
    let dns = json!({ "nameservers": ["192.0.2.53"], "search": ["shop.example"], "options": ["ndots:5"] });
    assert_eq!(result["dns"], dns);
    assert_eq!(result["ips"][1]["address"], "10.99.0.81/16");
    let _web = netns.serve("tcp", "10.99.0.80".parse().unwrap(), 81);
    assert_eq!(remote.far().ask("tcp", HOST4, 8081).0, FAR4);
    runtime.check("id", &netns, &result).ok();
    // `args.cni.ips` and `CNI_ARGS` of runtimes without the capability.
    let other = host.namespace("other");
    let plain =
        Runtime::new(&host, "0.4.0", json!({ "args": { "cni": { "ips": ["10.99.0.90"] } } }));
    assert_eq!(plain.add("a", &other).ok()["ips"][0]["address"], "10.99.0.90/16");
    plain.del("a", None).ok();
    let plain =
        Runtime::new(&host, "0.4.0", json!({ "family": "ipv4", "dns": { "domain": "a.b" } }));
    let result = plain.add_with("a", &other, "IP=10.99.0.91;MAC=02:00:00:00:00:91").ok();
    assert_eq!(result["ips"].as_array().unwrap().len(), 1, "{result:#}");
    assert_eq!(result["ips"][0]["address"], "10.99.0.91/16");
    assert_eq!(result["dns"]["domain"], "a.b");
    assert_eq!(other.mac("eth0"), "02:00:00:00:00:91");
    plain.del("a", None).ok();
    runtime.del("id", None).ok();
    assert!(!remote.far().can_ask("tcp", HOST4, 8081), "the port is still published");
    nothing_is_left(&host, &[&netns, &other]);
}

/// A network without an uplink publishes no ports, by whatever name the configuration calls it.
#[test]
fn the_first_network_has_further_names() {
    let host = Host::with_switch_args(&["--uplink", "none"]);
    let ports = json!({ "portMappings": [{ "hostPort": 8080, "containerPort": 80 }] });
    let runtime = Runtime::new(&host, "1.1.0", json!({ "runtimeConfig": ports }));
    let netns = host.namespace("pod");
    let named = |name| runtime.with(json!({ "network": name }));
    for runtime in [&runtime, &named("default"), &named("bridge"), &named("br0")] {
        let result = runtime.add("id", &netns).ok();
        assert_eq!(host.inspect("id").port.network, "br0", "{result:#}");
        assert_eq!(host.inspect("id").port.publish, []);
        runtime.del("id", None).ok();
    }
    nothing_is_left(&host, &[&netns]);
}

#[test]
fn without_masquerade_are_internal_networks_only() {
    let host = Host::with_switch();
    host.ok(&["network", "create", "--internal", "back"]);
    let netns = host.namespace("pod");
    let add = |fields: Value| Runtime::new(&host, "1.0.0", fields).add("id", &netns);
    add(json!({ "ipMasq": false })).fails(7, "ipMasq: false");
    add(json!({ "ipMasq": false, "network": "none-such" })).fails(7, "none-such");
    let create = json!({ "ipMasq": false, "network": "blue", "create": {} });
    add(create).fails(7, "ipMasq: false");
    let internal = json!({ "ipMasq": false, "network": "back" });
    add(internal.clone()).ok();
    Runtime::new(&host, "1.0.0", internal).del("id", Some(netns.path())).ok();
    let create = json!({ "ipMasq": false, "network": "blue", "create": { "internal": true } });
    add(create.clone()).ok();
    Runtime::new(&host, "1.0.0", create).del("id", Some(netns.path())).ok();
    nothing_is_left(&host, &[&netns]);
}

#[test]
fn a_network_is_created_where_it_is_absent() {
    let mut host = Host::new();
    let cgroup = host.own_cgroup();
    host.up(&["--cut-through-cgroup", cgroup.to_str().expect("a path")]);
    let blue = json!({ "network": "blue", "create": {
        "subnets": ["10.20.0.0/16", "fd00:20::/64"], "gateways": ["10.20.0.254"], "ipRanges": ["10.20.7.0/24"],
        "mtu": 1400, "internal": true, "isolatedPorts": true, "cutThrough": true, "device": "blue0",
    } });
    let runtime = Runtime::new(&host, "1.1.0", blue);
    // Several at once: one of them creates it.
    let spaces = ["a", "b", "e", "f"].map(|tag| host.namespace(tag));
    let call =
        |netns: &Netns| (runtime.command("ADD", netns.name(), Some(netns.path())), runtime.input());
    race(spaces.iter().map(call).collect());
    for netns in &spaces {
        runtime.del(netns.name(), Some(netns.path())).ok();
    }
    for (id, netns) in ["a", "b"].iter().zip(&spaces) {
        let result = runtime.add(id, netns).ok();
        assert_eq!(result["ips"][0]["gateway"], "10.20.0.254");
        assert!(result["ips"][0]["address"].as_str().unwrap().starts_with("10.20.7."));
        assert_eq!(result["interfaces"][0]["mtu"], 1400);
    }
    let detail = host.json(&["network", "inspect", "blue"]);
    assert_eq!(detail["device"], "blue0");
    for flag in ["internal", "isolated_ports", "cut_through"] {
        assert_eq!(detail[flag], true, "{flag} of {detail}");
    }
    // One that cannot be created says why, and the container is not attached.
    let red = json!({ "network": "red", "create": { "subnets": ["10.20.0.0/24"] } });
    let netns = host.namespace("c");
    runtime.with(red).add("c", &netns).fails(100, "10.20.0.0/24");
    // Two interfaces of one container, on two networks: each has its own DEL. The runtime passes its ports to both.
    let ports = json!({ "portMappings": [{ "hostPort": 8080, "containerPort": 80 }] });
    let runtime = runtime.with(json!({ "runtimeConfig": ports }));
    let first = Runtime::new(&host, "1.1.0", json!({ "name": "first", "runtimeConfig": ports }));
    let pod = "IgnoreUnknown=1;K8S_POD_NAME=web";
    first.add_with("c", &netns, pod).ok();
    let mut command = runtime.command("ADD", "c", Some(netns.path()));
    command.env("CNI_ARGS", pod).env("CNI_IFNAME", "net1");
    let second = runtime.call(command).ok();
    assert_eq!(second["interfaces"][0]["name"], "net1");
    assert_eq!(host.json(&["inspect", "web"]).as_array().unwrap().len(), 2);
    let mut command = runtime.command("DEL", "c", Some(netns.path()));
    command.env("CNI_IFNAME", "net1");
    runtime.call(command).ok();
    assert_eq!(host.inspect("web").port.network, "br0");
    let green =
        json!({ "name": "green", "network": "green", "create": {}, "runtimeConfig": ports });
    let green = Runtime::new(&host, "1.1.0", green);
    let mut command = green.command("ADD", "c", Some(netns.path()));
    command.env("CNI_ARGS", pod).env("CNI_IFNAME", "net2");
    green.call(command).ok();
    let published = || host.ls().iter().map(|port| port.publish.len()).sum::<usize>();
    assert_eq!(published(), 1);
    let other = host.namespace("d");
    first.add("d", &other).fails(100, "8080:80/tcp");
    // The network that stays takes the port over.
    first.del("c", None).ok();
    assert_eq!((published(), host.inspect("web").port.network), (1, "green".to_owned()));
    let mut command = green.command("DEL", "c", Some(netns.path()));
    command.env("CNI_IFNAME", "net2");
    green.call(command).ok();
    first.del("c", None).ok();
    runtime.del("a", None).ok();
    runtime.del("b", None).ok();
    nothing_is_left(&host, &[&spaces[0], &spaces[1], &netns, &other]);
}
