use super::*;

/// An attachment, as the switch answers.
fn port() -> PortDetail {
    let port = json!({
        "name": "web", "network": "br0", "ifname": "eth0", "mac": "02:00:00:00:00:01",
        "ipv4": ["10.99.0.2", "10.99.0.9"], "ipv6": ["fd00::2"], "netns": "/run/netns/a", "state": "up",
        "publish": [], "publish_pending": [], "rx_frames": 0, "tx_frames": 0, "rx_bytes": 0, "tx_bytes": 0,
        "drops": 0, "subnets": ["10.99.0.0/16", "fd00::/64"], "gateways": ["10.99.0.1", "fd00::1"],
        "is_default_route": true, "resolvers": ["10.99.0.1"], "mtu": 1500, "netns_path": "/run/netns/a",
        "offloads": [], "queues": 1, "blocked_s": 0, "settings": {}, "publications": [],
        "drops_by_reason": {},
    });
    serde_json::from_value(port).unwrap()
}

#[test]
fn each_version_has_its_form() {
    let result = CniResult::of(&port(), "/run/netns/a", Dns::default(), CniResult::default());
    let newest = result.json(Version::V1_1_0);
    assert_eq!(newest["cniVersion"], "1.1.0");
    let interface = json!({
        "name": "eth0", "mac": "02:00:00:00:00:01", "mtu": 1500, "sandbox": "/run/netns/a"
    });
    assert_eq!(newest["interfaces"], json!([interface]));
    let address = json!({ "interface": 0, "address": "10.99.0.2/16", "gateway": "10.99.0.1" });
    assert_eq!(newest["ips"][0], address);
    assert_eq!(newest["ips"][2]["address"], "fd00::2/64");
    let routes = json!([
        { "dst": "0.0.0.0/0", "gw": "10.99.0.1" }, { "dst": "::/0", "gw": "fd00::1" }
    ]);
    assert_eq!(newest["routes"], routes);
    assert_eq!(newest["dns"], json!({ "nameservers": ["10.99.0.1"] }));
    assert_eq!(result.json(Version::V1_0_0)["interfaces"][0].get("mtu"), None);
    let old = result.json(Version::V0_4_0);
    assert_eq!((&old["ips"][0]["version"], &old["ips"][2]["version"]), (&json!("4"), &json!("6")));
}

#[test]
fn null_stands_for_nothing() {
    let text = json!({ "interfaces": null, "ips": null, "routes": null, "dns": null });
    assert_eq!(CniResult::read(text, "prevResult").unwrap(), CniResult::default());
}

/// Behind another plugin: its part stays, unknown fields too, and ours has the next index.
#[test]
fn a_result_goes_behind_the_one_before() {
    let before = json!({
        "cniVersion": "0.4.0",
        "interfaces": [{ "name": "lo", "sandbox": "/run/netns/a", "pciID": "x" }],
        "ips": [{ "version": "4", "interface": 0, "address": "127.0.0.1/8" }],
        "dns": { "nameservers": ["192.0.2.53"] },
    });
    let before = CniResult::read(before, "prevResult").unwrap();
    let dns = Dns { search: vec!["a.b".into()], ..Dns::default() };
    let result = CniResult::of(&port(), "/run/netns/a", dns, before).json(Version::V1_0_0);
    assert_eq!(result["interfaces"][0]["pciID"], "x");
    assert_eq!(result["ips"][0], json!({ "interface": 0, "address": "127.0.0.1/8" }));
    assert_eq!(result["ips"][1]["interface"], 1);
    assert_eq!(result["dns"], json!({ "nameservers": ["192.0.2.53"], "search": ["a.b"] }));
    assert_eq!(CniResult::read(json!({ "ips": 7 }), "prevResult").unwrap_err().code.number(), 6);
}
