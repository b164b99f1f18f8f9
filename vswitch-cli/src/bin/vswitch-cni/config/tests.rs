use serde_json::json;

use super::*;

fn settings(fields: Value) -> Outcome<Settings> {
    let mut config = json!({ "cniVersion": "1.0.0", "name": "net", "type": "vswitch-cni" });
    config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Config::parse(config.to_string())?.settings()
}

#[test]
fn standard_fields_are_known() {
    let settings = settings(json!({
        "ipMasq": true, "ipam": {}, "disableCheck": true, "args": { "podman_labels": { "a": "b" },
        "cni": { "labels": [{ "key": "a", "value": "b" }], "ips": ["10.0.0.7/24"] } },
        "capabilities": { "portMappings": true, "aliases": true, "deviceID": false },
        "cni.dev/anything": 1, "dns": { "nameservers": ["10.0.0.1"], "search": ["a.b"] },
        "prevResult": null, "socket": "/run/x.sock",
    }));
    let settings = settings.unwrap();
    assert_eq!(settings.runtime.labels["a"], "b");
    assert_eq!(settings.runtime.ips, ["10.0.0.7".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(settings.dns.search, ["a.b"]);
    assert_eq!(settings.network, None);
}

#[test]
fn others_are_refused_with_key_and_value() {
    for (fields, code, message) in [
        (json!({ "bridge": "cni0" }), 2, "unsupported field bridge: \"cni0\""),
        (json!({ "create": { "subnet": "x" }, "network": "a" }), 2, "create.subnet: \"x\""),
        (json!({ "create": {} }), 7, "create: needs a name in network"),
        (json!({ "create": { "mtu": "x" }, "network": "a" }), 7, "create.mtu: \"x\""),
        (
            json!({ "create": { "subnets": ["10.0.0.0/33"] }, "network": "a" }),
            7,
            "create.subnets: ",
        ),
        (json!({ "network": 7 }), 7, "network: 7"),
        (json!({ "ipam": { "subnet": "10.0.0.0/8" } }), 2, "ipam.subnet: \"10.0.0.0/8\""),
        (json!({ "ipam": { "type": "../x" } }), 7, "ipam.type: \"../x\""),
        (json!({ "capabilities": { "deviceID": true } }), 2, "capabilities.deviceID: true"),
        (json!({ "capabilities": { "ipRanges": true } }), 2, "capabilities.ipRanges"),
        (json!({ "runtimeConfig": { "x": 1 } }), 2, "runtimeConfig.x: 1"),
        (json!({ "runtimeConfig": { "mac": "x" } }), 7, "runtimeConfig.mac: \"x\""),
        (json!({ "runtimeConfig": { "ips": ["x"] } }), 7, "runtimeConfig.ips: \"x\""),
        (json!({ "runtimeConfig": { "aliases": "x" } }), 7, "runtimeConfig.aliases: \"x\""),
        (
            json!({ "runtimeConfig": { "bandwidth": { "egressRate": 7 } } }),
            7,
            "bandwidth.egressRate",
        ),
        (json!({ "dns": { "nameservers": ["x"] } }), 7, "dns.nameservers: "),
        (json!({ "dns": { "servers": [] } }), 2, "dns.servers: []"),
        (json!({ "name": "a b" }), 7, "name is \"a b\""),
        (json!({ "cniVersion": "0.2.0" }), 1, "\"0.2.0\""),
    ] {
        let error = settings(fields.clone()).unwrap_err();
        assert_eq!(error.code.number(), code, "{fields}: {error}");
        assert!(error.message.contains(message), "{error}");
    }
}

#[test]
fn capabilities_become_what_the_switch_knows() {
    let runtime = settings(json!({ "runtimeConfig": {
        "ips": ["10.0.0.7/24", "fd00::7"], "mac": "02:00:00:00:00:07",
        "bandwidth": { "ingressRate": 8_000_000, "ingressBurst": 1, "egressRate": 0 },
        "dns": { "servers": ["10.0.0.1"], "searches": ["a"], "options": ["ndots:5"] },
        "aliases": { "net": ["db", "cache"], "other": ["files"] },
        "portMappings": [{ "hostPort": 80, "containerPort": 80, "protocol": "tcp" }],
    } }));
    let runtime = runtime.unwrap().runtime;
    assert_eq!(runtime.ips.len(), 2);
    assert_eq!(runtime.aliases, ["db", "cache"]);
    assert_eq!(runtime.settings.limits.rate_out.unwrap().to_string(), "8 Mbit/s");
    assert_eq!(runtime.settings.limits.rate_in, None);
    assert_eq!(runtime.dns.options, ["ndots:5"]);
    assert_eq!(runtime.publish[0].ports.to_string(), "80:80/tcp");
}

/// A file that became wrong after ADD must not keep DEL from its work.
#[test]
fn del_and_gc_read_only_what_they_need() {
    let text = json!({
        "cniVersion": "1.1.0", "name": "net", "bridge": "cni0",
        "cni.dev/attachments": [{ "containerID": "a", "ifname": "eth0" }],
    });
    let config = Config::parse(text.to_string()).unwrap();
    let kept = Some(vec![("a".to_owned(), "eth0".to_owned())]);
    assert_eq!(config.valid_attachments, kept);
    // Both are there: the specification's counts.
    let text = json!({
        "cniVersion": "1.1.0", "name": "net", "cni.dev/attachments": [],
        "cni.dev/valid-attachments": [{ "containerID": "a", "ifname": "eth0" }],
    });
    assert_eq!(Config::parse(text.to_string()).unwrap().valid_attachments, kept);
    let text = json!({ "cniVersion": "1.1.0", "name": "net", "cni.dev/valid-attachments": null });
    assert_eq!(Config::parse(text.to_string()).unwrap().valid_attachments, Some(vec![]));
    assert!(config.settings().is_err());
    let text = json!({ "cniVersion": "1.1.0", "name": "net", "cni.dev/valid-attachments": [] });
    assert_eq!(Config::parse(text.to_string()).unwrap().valid_attachments, Some(vec![]));
    for text in ["", "7", "[]"] {
        assert_eq!(Config::parse(text.into()).unwrap_err().code.number(), 6, "{text}");
    }
}
