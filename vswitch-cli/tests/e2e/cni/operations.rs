//! ADD, CHECK, DEL, STATUS, GC and VERSION, as the versions of the specification have them.

use serde_json::{Value, json};
use testkit::{COMMAND_TIMEOUT, run};

use super::runtime::{Runtime, nothing_is_left};
use crate::harness::{Host, cni_program};

const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

#[test]
fn each_version_adds_checks_and_deletes() {
    let host = Host::with_switch();
    let peer = host.container("peer");
    let mut spaces = Vec::new();
    for version in VERSIONS {
        let runtime = Runtime::new(&host, version, json!({}));
        let netns = host.namespace("pod");
        let result = runtime.add("id", &netns).ok();
        assert_eq!(result["cniVersion"], version);
        let interface = &result["interfaces"][0];
        assert_eq!(interface["sandbox"], netns.path().to_str().unwrap());
        assert_eq!(interface["mac"], netns.mac("eth0"));
        assert_eq!(interface.get("mtu").is_some(), version == "1.1.0");
        let addresses = result["ips"].as_array().expect("addresses");
        assert_eq!(addresses.len(), 2, "{addresses:?}");
        for (ip, family) in addresses.iter().zip(["4", "6"]) {
            let old = Value::String(family.into());
            assert_eq!(ip.get("version"), (version < "1.0.0").then_some(&old));
            let (address, _) = ip["address"].as_str().unwrap().split_once('/').unwrap();
            peer.ping(address.parse().unwrap());
        }
        assert_eq!(
            result["routes"][0],
            json!({ "dst": "0.0.0.0/0", "gw": result["ips"][0]["gateway"] })
        );
        assert_eq!(result["dns"]["nameservers"][0], result["ips"][0]["gateway"]);
        let checked = runtime.check("id", &netns, &result);
        if version < "0.4.0" {
            checked.fails(1, "has no CHECK");
        } else {
            checked.ok();
        }
        assert_eq!(host.inspect("id").port.labels["cni.network"], "net");
        // DEL has no namespace in containerd, and comes again.
        let path = (version != "0.4.0").then(|| netns.path());
        for _ in 0..2 {
            assert_eq!(runtime.del("id", path).ok(), Value::Null);
        }
        spaces.push(netns);
    }
    host.ok(&["detach", "peer"]);
    nothing_is_left(&host, &spaces.iter().collect::<Vec<_>>());
}

/// Each thing that CHECK is for, taken away by hand.
#[test]
fn check_finds_what_changed() {
    let host = Host::with_switch();
    let runtime = Runtime::new(&host, "1.0.0", json!({}));
    let netns = host.namespace("pod");
    let result = runtime.add("id", &netns).ok();
    let check = |netns: &_| runtime.check("id", netns, &result);
    check(&netns).ok();
    let address = result["ips"][0]["address"].as_str().unwrap();
    let gateway = result["ips"][0]["gateway"].as_str().unwrap();
    for (change, back, fault) in [
        (
            format!("address del {address} dev eth0"),
            format!("address add {address} dev eth0"),
            address,
        ),
        (
            "route del default".into(),
            format!("route add default via {gateway}"),
            "no route to 0.0.0.0/0",
        ),
        ("link set eth0 address 02:00:00:00:00:77".into(), String::new(), "02:00:00:00:00:77"),
    ] {
        netns.run_lines(&[&format!("ip {change}")]);
        check(&netns).fails(101, fault.split('/').next().unwrap());
        if !back.is_empty() {
            netns.run_lines(&[&format!("ip {back}")]);
        }
        if change.starts_with("address") {
            netns.run_lines(&[&format!("ip route replace default via {gateway}")]);
        }
    }
    let mac = result["interfaces"][0]["mac"].as_str().unwrap();
    netns.run_lines(&[&format!("ip link set eth0 address {mac}")]);
    check(&netns).ok();
    // A plugin behind ours may move routes to a table of its own, as `sbr` does.
    netns.run_lines(&[
        "ip route del default",
        &format!("ip route add default via {gateway} table 100"),
        &format!("ip rule add from {} table 100", address.split('/').next().unwrap()),
    ]);
    check(&netns).ok();
    runtime.call(runtime.command("CHECK", "id", Some(netns.path()))).fails(7, "prevResult");
    netns.run_lines(&["ip link set eth0 down"]);
    check(&netns).fails(101, "eth0 is down");
    runtime.del("id", None).ok();
    check(&netns).fails(101, "the switch has no eth0 of container id");
    nothing_is_left(&host, &[&netns]);
    let runtime = runtime.with(json!({ "prevResult": result }));
    let command = runtime.command("CHECK", "id", Some(netns.path()));
    netns.delete();
    runtime.call(command).fails(3, "the network namespace is gone");
}

#[test]
fn gc_removes_what_nobody_owns() {
    let host = Host::with_switch();
    let runtime = Runtime::new(&host, "1.1.0", json!({}));
    let other = Runtime::new(&host, "1.1.0", json!({ "name": "other" }));
    let spaces: Vec<_> = ["a", "b", "c", "d"].map(|tag| host.namespace(tag)).into();
    for (id, netns) in ["a", "b", "c"].iter().zip(&spaces) {
        runtime.add(id, netns).ok();
    }
    other.add("d", &spaces[3]).ok();
    let _mine = host.container("mine");
    let names = || {
        let mut names: Vec<_> = host.ls().into_iter().map(|port| port.name).collect();
        names.sort();
        names
    };
    let valid = |id: &str| json!({ "containerID": id, "ifname": "eth0" });
    runtime.operation("GC").fails(7, "cni.dev/valid-attachments");
    let both = [valid("a"), valid("b"), json!({ "containerID": "c", "ifname": "eth1" })];
    runtime.with(json!({ "cni.dev/valid-attachments": both })).operation("GC").ok();
    assert_eq!(names(), ["a", "b", "d", "mine"]);
    // libcni's other spelling.
    runtime.with(json!({ "cni.dev/attachments": [valid("a")] })).operation("GC").ok();
    assert_eq!(names(), ["a", "d", "mine"]);
    let none = json!({ "cni.dev/valid-attachments": [], "cni.dev/attachments": [] });
    for runtime in [&runtime, &other] {
        for _ in 0..2 {
            runtime.with(none.clone()).operation("GC").ok();
        }
    }
    assert_eq!(names(), ["mine"]);
    runtime.with(json!({ "cniVersion": "1.0.0" })).operation("GC").fails(1, "1.0.0 has no GC");
    host.ok(&["detach", "mine"]);
    nothing_is_left(&host, &spaces.iter().collect::<Vec<_>>());
}

#[test]
fn status_and_version_answer() {
    let host = Host::with_switch();
    let runtime = Runtime::new(&host, "1.1.0", json!({}));
    assert_eq!(runtime.operation("STATUS").ok(), Value::Null);
    let absent = runtime.with(json!({ "network": "blue" }));
    let advice = absent.operation("STATUS").fails(50, "no network named blue");
    assert!(advice.contains("vswitch network create blue"), "{advice}");
    absent.with(json!({ "create": {} })).operation("STATUS").ok();
    // The first network by its further names.
    for name in ["bridge", "default", "br0"] {
        runtime.with(json!({ "network": name })).operation("STATUS").ok();
    }
    runtime.with(json!({ "bridge": "x" })).operation("STATUS").fails(2, "bridge: \"x\"");
    for version in VERSIONS {
        let answer = runtime.with(json!({ "cniVersion": version })).operation("VERSION").ok();
        assert_eq!(answer["cniVersion"], version);
        assert_eq!(answer["supportedVersions"], json!(VERSIONS));
    }
    let person = |args: &[&str]| {
        let program = cni_program();
        let command = [&[program.as_str()][..], args].concat();
        run(&mut host.netns().command(&command), b"", COMMAND_TIMEOUT)
    };
    assert!(person(&["--version"]).ok().starts_with("vswitch-cni "));
    assert!(person(&["--help"]).ok().contains("/opt/cni/bin/"));
    assert_eq!(person(&["up"]).code(), 2);
    let program = person(&[]);
    assert!(
        program.stdout.contains("\"code\":4") && program.stdout.contains("CNI_COMMAND"),
        "{program}"
    );
}
