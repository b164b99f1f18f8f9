//! `vswitch-netavark`: networks of podman on the switch. See `netavark/podman.rs` for who runs it.

pub(crate) mod podman;

use std::net::IpAddr;

use serde_json::{Value, json};
use testkit::{FAR4, HOST4, Remote};
use vswitch_api::port::Port;

use crate::harness::Host;
use podman::{Container, Podman};

pub(crate) fn address(status: &Value, network: &str, ifname: &str, at: usize) -> IpAddr {
    let ipnet = &status[network]["interfaces"][ifname]["subnets"][at]["ipnet"];
    let text = ipnet.as_str().unwrap_or_else(|| panic!("no address {at} of {ifname} in {status}"));
    text.split('/').next().expect("an address").parse().expect("an address")
}

/// Network and published ports of an attachment.
fn published(port: &Port) -> String {
    let ports: Vec<_> = port.publish.iter().map(ToString::to_string).collect();
    format!("{} {}", port.network, ports.join(" "))
}

/// A life: networks, containers on one and on two of them, names, ports, static addresses; and nothing is left.
#[test]
fn containers_of_podman_live_on_the_switch() {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    let cgroup = host.own_cgroup();
    host.up(&["--cut-through-cgroup", cgroup.to_str().expect("a path")]);
    let mut podman = Podman::new(&host);
    let subnets = json!([{ "subnet": "10.5.0.0/16", "gateway": "10.5.0.254",
        "lease_range": { "start_ip": "10.5.1.1", "end_ip": "10.5.1.255" } }]);
    let keys = json!({ "subnets": subnets, "options": { "mtu": "1400", "isolate": "true", "cut-through": "true" },
        "network_interface": "pod0", "labels": { "tier": "db" } });
    let blue = podman.create("blue", keys).expect("blue");
    assert_eq!(blue["subnets"][0]["gateway"], "10.5.0.254");
    assert_eq!((&blue["subnets"][1], &blue["network_interface"]), (&Value::Null, &json!("pod0")));
    let flag = |network: &str| host.json(&["network", "inspect", network])["cut_through"].clone();
    assert_eq!(flag("blue"), true);
    let green = podman.create("green", json!({ "ipv6_enabled": true, "internal": true }));
    assert_eq!(flag("green"), false);
    let green = green.expect("green");
    assert!(green["subnets"].as_array().is_some_and(|subnets| subnets.len() == 2), "{green}");

    let [web, db] = ["web", "db"].map(|name| host.namespace(name));
    let ports = json!([{ "container_port": 80, "host_ip": "", "host_port": 8080, "protocol": "tcp",
        "range": 1 }]);
    let options = json!({ "static_ips": ["10.5.0.80"], "static_mac": "02:00:00:00:00:50",
        "aliases": ["www", "web"], "options": { "rate": "100M" } });
    let web_of = Container { ports, ..Container::with("web", "blue", options) };
    let status = podman.setup(&web, &web_of).expect("setup of web");
    let eth0 = &status["blue"]["interfaces"]["eth0"];
    let wanted = json!({ "mac_address": "02:00:00:00:00:50",
        "subnets": [{ "gateway": "10.5.0.254", "ipnet": "10.5.0.80/16" }] });
    assert_eq!((eth0, &status["blue"]["dns_server_ips"]), (&wanted, &json!(["10.5.0.254"])));
    assert_eq!(host.inspect("web").settings.limits.rate_in.to_string(), "100 Mbit/s");
    assert_eq!(host.inspect("web").mtu, 1400);

    // netavark gives the ports to both networks; a namesake is no reason for the short id.
    let ports = json!([{ "container_port": 5432, "host_ip": "", "host_port": 5432, "protocol": "tcp",
        "range": 1 }]);
    let networks = vec!["blue", "green"];
    let db_of = Container { networks, ports, ..Container::new("db", "blue") };
    let status = podman.setup(&db, &db_of).expect("setup of db");
    let (on_blue, on_green) =
        (address(&status, "blue", "eth0", 0), address(&status, "green", "eth1", 0));
    assert!(on_blue.to_string().starts_with("10.5.1."), "out of the range: {on_blue}");
    assert!(address(&status, "green", "eth1", 1).is_ipv6());
    db.ping("10.5.0.80".parse().expect("an address"));
    let dig = ["dig", "+short", "@10.5.0.254"];
    for name in ["web", "www", "web.blue"] {
        assert_eq!(db.ok(&[&dig[..], &[name]].concat()).trim(), "10.5.0.80", "{name}");
    }
    assert_eq!(web.ok(&[&dig[..], &["db"]].concat()).trim(), on_blue.to_string());
    assert!(!web.exec(&["ping", "-c1", "-W1", &on_green.to_string()]).status.success());

    let _server = web.serve("tcp", "10.5.0.80".parse().expect("an address"), 80);
    assert_eq!(remote.far().ask("tcp", HOST4, 8080).0, FAR4);
    let published: Vec<_> =
        host.ls().iter().filter(|port| port.name == "db").map(published).collect();
    assert_eq!(published, [["blue", "5432:5432/tcp"].join(" "), "green ".to_owned()]);
    let inner = host.namespace("inner");
    let inner_of = Container { networks: vec!["green"], name: "inner", ..db_of.clone() };
    podman.setup(&inner, &inner_of).expect("ports on an internal network alone");
    podman.teardown(&inner.path().display().to_string(), &inner_of).expect("teardown of inner");

    let again = podman.setup(&web, &web_of).expect("a second setup in one namespace");
    assert_eq!(again["blue"]["interfaces"]["eth0"], wanted);

    for _ in 0..2 {
        podman.teardown(&web.path().display().to_string(), &web_of).expect("teardown of web");
        podman.teardown(&db.path().display().to_string(), &db_of).expect("teardown of db");
    }
    assert!(host.ls().is_empty() && web.links().is_empty() && db.links().is_empty());
    host.balanced();
}

/// A container that starts again: its namespace is another one, or gone. And a network of podman that is gone.
#[test]
fn leftovers_make_room_for_their_successors() {
    let mut host = Host::new();
    host.up(&["--uplink", "none"]);
    let mut podman = Podman::new(&host);
    let subnets = json!({ "subnets": [{ "subnet": "10.5.0.0/24" }] });
    podman.create("blue", subnets.clone()).expect("blue");
    let web = Container::with("web", "blue", json!({ "static_ips": ["10.5.0.7"] }));
    podman.create("green", json!({})).expect("green");
    let first = host.namespace("first");
    let on_both = Container { networks: vec!["blue", "green"], ..Container::new("web", "blue") };
    podman.setup(&first, &on_both).expect("setup");
    let second = host.namespace("second");
    let status = podman.setup(&second, &web).expect("setup without a teardown");
    assert_eq!(address(&status, "blue", "eth0", 0).to_string(), "10.5.0.7");
    assert_eq!(host.ls().iter().map(|port| &port.name[..]).collect::<Vec<_>>(), ["web"]);
    assert!(first.links().is_empty(), "the earlier interfaces are gone");
    let gone = second.path().display().to_string();
    drop(second);
    podman.teardown(&gone, &web).expect("teardown without a namespace");
    assert!(host.ls().is_empty());

    // podman removes a network without a word, and makes another one of that name.
    podman.forget("blue");
    podman.create("blue", json!({ "subnets": [{ "subnet": "10.6.0.0/24" }] })).expect("blue again");
    let networks = host.json(&["network", "ls"]).to_string();
    assert!(networks.contains("10.6.0.0/24") && !networks.contains("10.5.0.0/24"), "{networks}");
    // A switch without its state gets the network again from podman's.
    host.ok(&["network", "rm", "blue"]);
    let third = host.namespace("third");
    let web = Container::new("web", "blue");
    let status = podman.setup(&third, &web).expect("setup");
    assert_eq!(address(&status, "blue", "eth0", 0).to_string(), "10.6.0.2");

    // A network of the switch that podman's is one with; and a name that another container has.
    let other = host.container_with("shop", &["--network", "br0"]);
    podman.create("pod", json!({ "options": { "network": "default" } })).expect("pod");
    let netns = host.namespace("shop");
    let shop = Container::new("shop", "pod");
    let status = podman.setup(&netns, &shop).expect("setup beside a namesake");
    netns.ping(other.v4());
    assert_eq!(host.ls().iter().filter(|port| port.network == "br0").count(), 2);
    podman.teardown(&netns.path().display().to_string(), &shop).expect("teardown");
    assert_eq!(host.ls().len(), 2, "only its own attachment: {status}");
}

/// Each fault is one clear line, and leaves nothing behind.
#[test]
fn faults_of_podmans_networks_are_told() {
    let mut host = Host::new();
    let mut podman = Podman::new(&host);
    let down = podman.create("blue", json!({})).expect_err("no switch");
    assert!(down.contains("vswitch up"), "{down}");
    host.up(&[]);
    podman.create("blue", json!({ "subnets": [{ "subnet": "10.5.0.0/24" }] })).expect("blue");
    let networks = host.ok(&["network", "ls", "-q"]);
    let overlap = json!({ "subnets": [{ "subnet": "10.5.0.0/16" }] });
    let refused = [
        (overlap, "10.5.0.0/16"),
        (json!({ "options": { "mtu": "many" } }), "mtu=many"),
        (json!({ "options": { "mut": "1400" } }), "mut=1400"),
        (json!({ "options": { "isolate": "false" } }), "reachable-from"),
        (json!({ "options": { "network": "grey" } }), "grey"),
        (json!({ "options": { "uplink": "nic7" } }), "nic7"),
        (json!({ "network_dns_servers": ["9.9.9.9"] }), "--dns-upstream"),
    ];
    for (keys, wanted) in refused {
        let error = podman.create("red", keys).expect_err(wanted);
        assert!(error.contains(wanted), "{wanted} is not in {error}");
    }
    let foreign = podman.create("br0", json!({})).expect_err("the switch's own");
    assert!(foreign.contains("network=br0"), "{foreign}");
    assert_eq!(host.ok(&["network", "ls", "-q"]), networks);

    let taken = host.container_with("taken", &["--network", "blue", "-p", "8080:80"]);
    let netns = host.namespace("web");
    let ports = json!([{ "container_port": 80, "host_ip": "", "host_port": 8080,
        "protocol": "tcp", "range": 1 }]);
    let own = taken.v4().to_string();
    let refused = [
        (Container::with("web", "blue", json!({ "static_ips": [own] })), own.as_str()),
        (Container::with("web", "blue", json!({ "static_ips": ["10.9.0.1"] })), "10.9.0.1"),
        (Container::with("web", "blue", json!({ "static_mac": "none" })), "none"),
        (Container::with("web", "blue", json!({ "options": { "rate": "fast" } })), "rate=fast"),
        (Container { ports, ..Container::new("web", "blue") }, "8080"),
    ];
    for (container, wanted) in refused {
        let error = podman.setup(&netns, &container).expect_err(wanted);
        assert!(error.contains(wanted), "{wanted} is not in {error}");
    }
    assert!(netns.links().is_empty());
    assert_eq!(host.ls().len(), 1, "only the one from before");
    let web = Container::new("web", "blue");
    podman.setup(&netns, &web).expect("nothing is in the way");
    host.down();
    let down = podman.teardown(&netns.path().display().to_string(), &web).expect_err("no switch");
    assert!(down.contains("vswitch up"), "{down}");
    let gone = netns.path().display().to_string();
    netns.delete();
    podman.teardown(&gone, &web).expect("nothing of it comes back");
}

#[test]
fn the_protocol_is_spoken_as_documented() {
    let host = Host::new();
    let podman = Podman::new(&host);
    for args in [&["info"][..], &[]] {
        let info: Value =
            serde_json::from_str(&podman.plugin(args, &json!({})).ok()).expect("JSON");
        assert_eq!(info["api_version"], "1.0.0");
        assert!(info["version"].as_str().is_some_and(|version| !version.is_empty()));
    }
    let wrong = [
        (&["setup"][..], json!({}), "network namespace"),
        (&["setup", "/run/netns/x"], json!({ "container_id": "a" }), "container_name"),
        (&["create"], json!(["blue"]), "not a network"),
        (&["create"], json!({ "name": "blue" }), "id"),
        (&["remove"], json!({}), "remove"),
    ];
    for (args, input, wanted) in wrong {
        let output = podman.plugin(args, &input);
        assert_eq!(output.code(), 1, "{output}");
        let answer: Value = serde_json::from_str(&output.stdout).expect("JSON");
        assert!(answer["error"].as_str().is_some_and(|error| error.contains(wanted)), "{output}");
    }
}
