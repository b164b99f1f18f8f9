//! Chains with Debian's plugins before and behind ours.

use serde_json::{Value, json};
use testkit::Netns;

use super::runtime::{Runtime, nothing_is_left};
use crate::harness::Host;

/// ADD of a chain, as libcni does it: each plugin gets the result of the one before.
#[track_caller]
fn add(chain: &[Runtime<'_>], id: &str, netns: &Netns) -> Value {
    let mut result = Value::Null;
    for plugin in chain {
        let plugin = match result {
            Value::Null => plugin.with(json!({})),
            result => plugin.with(json!({ "prevResult": result })),
        };
        result = plugin.add(id, netns).ok();
    }
    result
}

#[test]
fn others_stand_before_and_behind() {
    let host = Host::with_switch();
    let plugin = |fields: Value| Runtime::new(&host, "1.0.0", fields);
    let of_debian =
        |name: &str, fields: Value| plugin(json!({ "type": name, "socket": null })).with(fields);
    let netns = host.namespace("pod");
    netns.ok(&["ip", "link", "set", "lo", "down"]);
    let tuning =
        of_debian("tuning", json!({ "sysctl": { "net.ipv4.conf.eth0.log_martians": "1" } }));
    let chain = [of_debian("loopback", json!({})), plugin(json!({})), tuning];
    let result = add(&chain, "id", &netns);
    let names: Vec<_> =
        result["interfaces"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["lo", "eth0"], "{result:#}");
    let own = result["ips"].as_array().unwrap().iter().filter(|ip| ip["interface"] == 1).count();
    assert_eq!(own, 2, "{result:#}");
    assert_eq!(netns.ok(&["sysctl", "-n", "net.ipv4.conf.eth0.log_martians"]).trim(), "1");
    let peer = host.container("peer");
    netns.ping(peer.v4());
    for plugin in &chain {
        plugin.check("id", &netns, &result).ok();
    }
    for plugin in chain.iter().rev() {
        plugin.with(json!({ "prevResult": result })).del("id", Some(netns.path())).ok();
    }
    // Behind a plugin that made the interface there is no room.
    let bridge = of_debian("bridge", json!({ "bridge": "cni0", "ipam": {} }));
    let result = bridge.add("id", &netns).ok();
    let advice = plugin(json!({ "prevResult": result })).add("id", &netns).fails(7, "eth0");
    assert!(advice.contains("put it first"), "{advice}");
    bridge.del("id", Some(netns.path())).ok();
    host.ok(&["detach", "peer"]);
    nothing_is_left(&host, &[&netns]);
}
