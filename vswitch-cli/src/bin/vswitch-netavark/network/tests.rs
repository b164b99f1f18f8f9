//! Tests of [`super`].

use serde_json::json;

use super::*;

fn network(more: Value) -> Network {
    let mut text =
        json!({ "name": "blue", "id": "2f25", "driver": "vswitch", "dns_enabled": true });
    for (key, value) in more.as_object().unwrap() {
        text[key] = value.clone();
    }
    serde_json::from_value(text).unwrap()
}

fn refusal(more: Value) -> String {
    request(&network(more), &Options::default()).unwrap_err().told()
}

/// The example of `plugin-API.md`.
#[test]
fn the_documented_network_is_understood() {
    let text = r#"{
        "name": "example1",
        "id": "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9",
        "driver": "mydriver",
        "network_interface": "enp1",
        "subnets": [{ "subnet": "10.0.0.0/16", "gateway": "10.0.0.1" }],
        "ipv6_enabled": false,
        "internal": false,
        "dns_enabled": false,
        "ipam_options": { "driver": "host-local" },
        "options": { "mtu": "1400" }
    }"#;
    let network: Network = serde_json::from_str(text).unwrap();
    let options = Options::parse(&[&network.options]).unwrap();
    let request = request(&network, &options).unwrap();
    assert_eq!(request.subnets, ["10.0.0.0/16".parse().unwrap()]);
    assert_eq!(request.gateways, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
    assert_eq!((request.device.as_deref(), request.mtu), (Some("enp1"), Some(1400)));
    assert_eq!(request.labels[NETWORK_ID], network.id);
    assert_eq!(network.only_family(), Some(Family::Ipv4));
}

#[test]
fn what_the_switch_has_not_is_refused() {
    let dhcp = refusal(json!({ "ipam_options": { "driver": "dhcp" } }));
    assert!(dhcp.contains("blue") && dhcp.contains("dhcp"), "{dhcp}");
    let routes = json!([{ "destination": "10.1.0.0/16", "gateway": "10.0.0.9" }]);
    assert!(refusal(json!({ "routes": routes })).contains("routes"));
    assert!(refusal(json!({ "network_dns_servers": ["9.9.9.9"] })).contains("--dns-upstream"));
    let range = json!({ "start_ip": "10.5.0.7", "end_ip": "10.5.0.9" });
    let subnets = json!([{ "subnet": "10.5.0.0/16", "lease_range": range }]);
    let range = refusal(json!({ "subnets": subnets }));
    assert!(range.contains("10.5.0.7 to 10.5.0.9"), "{range}");
}

#[test]
fn families_are_those_of_the_subnets() {
    let family = |more| network(more).only_family();
    let subnets = |texts: &[&str]| {
        let subnets: Vec<_> = texts.iter().map(|text| json!({ "subnet": text })).collect();
        json!({ "subnets": subnets })
    };
    assert_eq!(family(json!({})), Some(Family::Ipv4));
    assert_eq!(family(json!({ "ipv6_enabled": true })), None);
    assert_eq!(family(subnets(&["fd05::/64"])), Some(Family::Ipv6));
    assert_eq!(family(subnets(&["10.5.0.0/16", "fd05::/64"])), None);
}

#[test]
fn a_range_is_a_prefix() {
    let prefix = |start: &str, end: &str, subnet: &str| {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let range = LeaseRange { start_ip: text(start), end_ip: text(end) };
        range.prefix(subnet.parse().unwrap()).map(|prefix| prefix.to_string())
    };
    let found = |text: &str| Some(text.to_owned());
    assert_eq!(prefix("10.5.1.1", "10.5.1.255", "10.5.0.0/16"), found("10.5.1.0/24"));
    assert_eq!(prefix("10.5.1.0", "10.5.1.254", "10.5.0.0/16"), found("10.5.1.0/24"));
    assert_eq!(prefix("", "", "10.5.0.0/16"), found("10.5.0.0/16"));
    assert_eq!(prefix("fd05::1", "fd05::ffff", "fd05::/64"), found("fd05::/112"));
    assert_eq!(prefix("10.5.1.9", "10.5.1.255", "10.5.0.0/16"), None);
    assert_eq!(prefix("10.6.1.1", "10.6.1.255", "10.5.0.0/16"), None, "outside");
    assert_eq!(prefix("x", "10.5.1.255", "10.5.0.0/16"), None);
}
