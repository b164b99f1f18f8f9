//! Attach and detach in real namespaces. Needs root.
#![allow(missing_docs)]

mod common;

use std::time::Duration;

use common::{Lab, eventually, now};
use serde_json::json;

#[test]
#[ignore = "the daemon of the other tests"]
fn daemon_process() {
    common::daemon_process();
}

#[test]
fn two_containers_and_the_host_reach_each_other() {
    let mut lab = Lab::new();
    let (a, b) = (lab.add_namespace("a"), lab.add_namespace("b"));
    let daemon = lab.up("");
    let start = now();
    let port_a = daemon.api.attach(&json!({"name": "a", "netns": {"name": a}}));
    println!("first attach took {:?}", start.elapsed());
    let port_b = daemon.api.attach(&json!({"name": "b", "netns": {"path": format!("/run/netns/{b}")}}));
    assert_eq!(port_a["ifname"], "eth0");
    assert_eq!(port_a["netns"], json!(a));
    for (from, to) in [("a", &port_b), ("b", &port_a), ("host", &port_a)] {
        for key in ["ipv4", "ipv6"] {
            let to = to[key].as_str().unwrap();
            lab.in_namespace(from, &["ping", "-c1", "-W2", to]);
        }
    }
    for key in ["gateway", "gateway6"] {
        lab.in_namespace("a", &["ping", "-c1", "-W2", port_a[key].as_str().unwrap()]);
    }
    assert_eq!(daemon.api.names(), ["a", "b"]);
    let fdb = daemon.api.get("/v1/fdb");
    assert!(fdb.as_array().unwrap().iter().any(|row| row["port"] == "a" && row["mac"] == port_a["mac"]));
    assert_eq!(daemon.api.detach("a").status, 204);
    assert_eq!(daemon.api.detach("a").code(), "not_found");
    assert!(!lab.in_namespace("a", &["ip", "link"]).contains("eth0"));
    assert_eq!(daemon.api.names(), ["b"]);
    eventually("a is forgotten", Duration::from_secs(1), || {
        !daemon.api.get("/v1/fdb").to_string().contains(port_a["mac"].as_str().unwrap())
    });
    daemon.down();
}
