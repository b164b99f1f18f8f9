//! The description in `docs/openapi.json` against the types that the daemon sends and takes.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};
use vswitch_api::conntrack::{Connection, ConnectionFilter, Flushed, Tuple};
use vswitch_api::error::{ApiError, ErrorCode};
use vswitch_api::fdb::{EntryKey, FdbEntry, StaticEntry};
use vswitch_api::limits::{Component, Limit};
use vswitch_api::network::{Member, Network, NetworkDetail};
use vswitch_api::port::{AttachRequest, NetnsRef, PendingPublication, Port, PortDetail};
use vswitch_api::port_settings::guard::Guard;
use vswitch_api::port_settings::isolation::Isolation;
use vswitch_api::port_settings::limits::{Limits, LimitsChange};
use vswitch_api::port_settings::vlan::VlanMode;
use vswitch_api::port_settings::{PortSettings, SettingsChange};
use vswitch_api::publish::{Publication, PublicationKey};
use vswitch_api::routes;
use vswitch_api::stats::{PortStats, Stats, WorkerStats};
use vswitch_api::status::{Status, UplinkStatus};

use super::api_error;
use crate::control::ControlError;
use crate::host::{HostError, NetnsError};

fn description() -> Value {
    serde_json::from_str(include_str!("../../../docs/openapi.json")).unwrap()
}

fn network() -> Network {
    Network {
        name: "br0".into(),
        subnet: "10.99.0.0/16".parse().unwrap(),
        gateway: "10.99.0.1".parse().unwrap(),
        subnet6: "fd00::/64".parse().unwrap(),
        gateway6: "fd00::1".parse().unwrap(),
        mtu: 1500,
        uplink: "none".into(),
        ports: 1,
    }
}

fn member() -> Member {
    Member {
        name: "a".into(),
        mac: "02:00:00:00:00:02".into(),
        ipv4: "10.99.0.2".parse().unwrap(),
        ipv6: "fd00::2".parse().unwrap(),
    }
}

fn network_detail() -> NetworkDetail {
    NetworkDetail {
        network: network(),
        gateway_mac: "02:00:00:00:00:01".into(),
        ageing_s: 300,
        fdb_entries_max: 1,
        multicast: "snoop".into(),
        fdb_entries: 1,
        members: vec![member()],
    }
}

fn port() -> Port {
    Port {
        name: "a".into(),
        network: "br0".into(),
        ifname: "eth0".into(),
        mac: "02:00:00:00:00:02".into(),
        ipv4: "10.99.0.2".parse().unwrap(),
        ipv6: "fd00::2".parse().unwrap(),
        netns: "pid:7".into(),
        state: "up".into(),
        publish: vec!["8080:80".parse().unwrap()],
        publish_pending: vec![publish_pending()],
        rx_frames: 0,
        tx_frames: 0,
        rx_bytes: 0,
        tx_bytes: 0,
        drops: 0,
    }
}

fn publish_pending() -> PendingPublication {
    PendingPublication { ports: "8080:80".parse().unwrap(), reason: "it is taken".into() }
}

fn port_detail() -> PortDetail {
    PortDetail {
        port: port(),
        prefix_len: 16,
        prefix_len6: 64,
        gateway: "10.99.0.1".parse().unwrap(),
        gateway6: "fd00::1".parse().unwrap(),
        mtu: 1500,
        netns_path: "/run/netns/a".into(),
        offloads: vec!["csum".into()],
        queues: 1,
        blocked_s: 0,
        settings: PortSettings::default(),
        published: vec![publication()],
        drops_by_reason: BTreeMap::new(),
    }
}

fn attach_request(netns: NetnsRef) -> AttachRequest {
    AttachRequest {
        name: "a".into(),
        netns,
        network: Some("br0".into()),
        ipv4: Some("10.99.0.2".parse().unwrap()),
        ipv6: Some("fd00::2".parse().unwrap()),
        mac: Some("02:00:00:00:00:02".into()),
        ifname: Some("eth0".into()),
        settings: settings_change(),
        publish: vec![publication()],
        aliases: Vec::new(),
        labels: std::collections::BTreeMap::new(),
    }
}

fn publication() -> Publication {
    let allow_from = vec!["10.0.0.0/8".parse().unwrap()];
    Publication { ports: "8080:80".parse().unwrap(), allow_from }
}

fn connection() -> Connection {
    let tuple =
        || Tuple { src: "10.99.0.2:5".parse().unwrap(), dst: "[fd00::2]:80".parse().unwrap() };
    Connection {
        protocol: "tcp".into(),
        container: "a".into(),
        original: tuple(),
        translated: tuple(),
        state: "established".into(),
        idle_s: 0,
        bytes: 0,
        frames: 0,
        reply_bytes: 0,
        reply_frames: 0,
    }
}

fn filter() -> ConnectionFilter {
    ConnectionFilter {
        container: Some("a".into()),
        protocol: Some("tcp".into()),
        address: Some("10.99.0.2".parse().unwrap()),
        port: Some(80),
    }
}

fn uplink_status() -> UplinkStatus {
    UplinkStatus {
        mode: "user-space".into(),
        state: "up".into(),
        reason: String::new(),
        device: "eth0".into(),
        mtu: 1500,
        ipv4: Some("192.0.2.1".parse().unwrap()),
        ipv6: Some("2001:db8::1".parse().unwrap()),
        snat_ports: "20000-32767".into(),
        published: 0,
        publish_pending: 0,
        connections: 0,
    }
}

fn settings_change() -> SettingsChange {
    SettingsChange {
        vlan: Some(VlanMode::default()),
        guard: Some(Guard::default()),
        isolation: Some(Isolation::default()),
        limits: limits_change(),
    }
}

fn limits_change() -> LimitsChange {
    let limits = serde_json::to_value(Limits::default()).unwrap();
    serde_json::from_value(limits).unwrap()
}

fn trunk() -> VlanMode {
    serde_json::from_value(json!({"mode": "trunk", "allowed": "10", "native": 10})).unwrap()
}

fn status() -> Status {
    Status {
        version: "0".into(),
        pid: 1,
        backend: "epoll".into(),
        backend_reason: "asked for".into(),
        workers: 1,
        cpus: Vec::new(),
        scheduling: "normal".into(),
        scheduling_reason: "asked for".into(),
        idle: "adaptive".into(),
        uplink: "none".into(),
        bridge: "br0".into(),
        networks: 1,
        ports: 0,
        uptime_s: 0,
        state_dir: "/s".into(),
        uplink_detail: Some(uplink_status()),
    }
}

fn key() -> EntryKey {
    EntryKey { mac: "02:00:00:00:00:02".into(), network: Some("br0".into()), vlan: 0 }
}

fn limit() -> Limit {
    Limit {
        name: "ports".into(),
        component: Component::Port,
        value: 8192,
        unit: "ports".into(),
        on_exceed: "an attach is refused".into(),
        hits: Some(0),
    }
}

/// A value of every type, with nothing absent.
fn samples() -> Vec<(&'static str, Value)> {
    fn sample(name: &'static str, value: impl Serialize) -> (&'static str, Value) {
        (name, serde_json::to_value(value).unwrap())
    }
    let entry = FdbEntry {
        network: "br0".into(),
        vlan: 0,
        mac: "02:00:00:00:00:02".into(),
        port: "a".into(),
        age_s: 0,
        is_static: true,
    };
    vec![
        sample("Status", status()),
        sample("Network", network()),
        sample("NetworkDetail", network_detail()),
        sample("Member", member()),
        sample("AttachRequest", attach_request(NetnsRef::Pid(1))),
        sample("Port", port()),
        sample("PortDetail", port_detail()),
        sample("PendingPublication", publish_pending()),
        sample("PortSettings", PortSettings::default()),
        sample("SettingsChange", settings_change()),
        sample("Limits", Limits::default()),
        sample("LimitsChange", limits_change()),
        sample("Publication", publication()),
        sample("PublicationKey", PublicationKey { ports: publication().ports }),
        sample("Connection", connection()),
        sample("Tuple", connection().original),
        sample("ConnectionFilter", filter()),
        sample("Flushed", Flushed { connections: 1 }),
        sample("UplinkStatus", uplink_status()),
        sample("FdbEntry", entry),
        sample("EntryKey", key()),
        sample("StaticEntry", StaticEntry { key: key(), port: "a".into() }),
        sample("Stats", Stats::default()),
        sample("PortStats", PortStats::default()),
        sample("Limit", limit()),
        sample("WorkerStats", WorkerStats::default()),
        sample("ApiError", ApiError::new(ErrorCode::Internal, "m").with_hint("h")),
    ]
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Whether a value has the JSON type that its schema says.
fn fits(value: &Value, schema: &Value) -> bool {
    match schema["type"].as_str() {
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => !schema["$ref"].is_null(),
    }
}

#[test]
fn every_schema_has_the_properties_of_its_type() {
    let description = description();
    let schemas = &description["components"]["schemas"];
    let mut described = keys(schemas);
    described.remove("NetnsRef");
    described.remove("VlanMode");
    described.retain(|name| !name.ends_with("Ceiling"));
    for (name, value) in samples() {
        assert!(described.remove(name), "{name} is not described");
        let properties = &schemas[name]["properties"];
        assert_eq!(keys(&value), keys(properties), "{name}");
        for (key, value) in value.as_object().unwrap() {
            assert!(fits(value, &properties[key]), "{name}.{key}: {value}");
        }
        for required in schemas[name]["required"].as_array().unwrap() {
            assert!(keys(properties).contains(required.as_str().unwrap()), "{name}: {required}");
        }
    }
    assert!(described.is_empty(), "no sample of {described:?}");
}

#[test]
fn a_namespace_is_named_in_one_of_the_described_ways() {
    let description = description();
    let ways = description["components"]["schemas"]["NetnsRef"]["oneOf"].as_array().unwrap();
    let described: BTreeSet<_> = ways.iter().flat_map(|way| keys(&way["properties"])).collect();
    let samples =
        [NetnsRef::Pid(1), NetnsRef::Path("/run/netns/a".into()), NetnsRef::Name("a".into())]
            .map(|netns| serde_json::to_value(netns).unwrap());
    assert_eq!(samples.iter().flat_map(keys).collect::<BTreeSet<_>>(), described);
}

#[test]
fn the_vlans_of_a_port_are_written_in_one_of_the_described_ways() {
    let description = description();
    let ways = description["components"]["schemas"]["VlanMode"]["oneOf"].as_array().unwrap();
    let untagged = json!({"mode": "trunk", "allowed": "10", "untagged": true});
    let untagged: VlanMode = serde_json::from_value(untagged).unwrap();
    let access: VlanMode = serde_json::from_value(json!({"mode": "access", "id": 7})).unwrap();
    let written = |modes: &[VlanMode]| -> BTreeSet<String> {
        let values = modes.iter().map(|mode| serde_json::to_value(mode).unwrap());
        values
            .flat_map(|value| keys(&value).into_iter().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    };
    for (way, modes) in ways.iter().zip([vec![access], vec![trunk(), untagged]]) {
        let described: BTreeSet<_> =
            keys(&way["properties"]).into_iter().map(str::to_owned).collect();
        assert_eq!(written(&modes), described);
    }
    assert_eq!(ways.len(), 2);
}

#[test]
fn what_is_not_required_may_be_absent() {
    let request: AttachRequest =
        serde_json::from_value(json!({"name": "a", "netns": {"pid": 1}})).unwrap();
    assert_eq!((request.ipv4, request.ifname), (None, None));
    let entry: StaticEntry = serde_json::from_value(json!({"mac": "m", "port": "a"})).unwrap();
    assert_eq!((entry.key.network, entry.key.vlan), (None, 0));
}

#[test]
fn the_paths_are_those_of_the_routes() {
    let described = description();
    let paths = keys(&described["paths"]);
    let routes = [
        routes::STATUS,
        routes::SHUTDOWN,
        routes::NETWORKS,
        routes::NETWORK,
        routes::PORTS,
        routes::PORT,
        routes::PORT_SETTINGS,
        routes::PORT_PUBLISHED,
        routes::CONNTRACK,
        routes::FDB,
        routes::STATS,
        routes::LIMITS,
    ];
    assert_eq!(paths, routes.into_iter().collect());
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(value: &Value, root: &Value) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(target)) = map.get("$ref") {
                    let pointer = target.strip_prefix('#').unwrap();
                    assert!(root.pointer(pointer).is_some(), "{target}");
                }
                map.values().for_each(|value| walk(value, root));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, root)),
            _ => {}
        }
    }
    let description = description();
    walk(&description, &description);
}

#[test]
fn error_codes_are_those_that_are_described() {
    let description = description();
    let schema = &description["components"]["schemas"]["ApiError"]["properties"]["code"]["enum"];
    let codes = [
        ErrorCode::InvalidArgument,
        ErrorCode::NotFound,
        ErrorCode::Conflict,
        ErrorCode::PermissionDenied,
        ErrorCode::LimitReached,
        ErrorCode::Internal,
    ];
    assert_eq!(serde_json::to_value(codes).unwrap(), *schema);
}

#[test]
fn errors_become_answers_of_one_line_with_the_value() {
    let name = "-x".parse::<crate::control::name::Name>().unwrap_err();
    let mac = "02:00".parse::<wire::MacAddr>().unwrap_err();
    for (error, code, part) in [
        (ControlError::Name(name), ErrorCode::InvalidArgument, "-x"),
        (ControlError::Mac(mac), ErrorCode::InvalidArgument, "02:00"),
        (ControlError::NameTaken("web".into()), ErrorCode::Conflict, "web"),
        (ControlError::UnknownPort("web".into()), ErrorCode::NotFound, "web"),
        (ControlError::PortsMax(8191), ErrorCode::LimitReached, "8191"),
        (
            ControlError::Host(HostError::Netns(NetnsError::NoProcess(77))),
            ErrorCode::NotFound,
            "77",
        ),
        (
            ControlError::Host(HostError::Overlap {
                subnet: "10.99.0.0/16".parse().unwrap(),
                route: "10.0.0.0/8".parse().unwrap(),
                device: "tun0".into(),
            }),
            ErrorCode::Conflict,
            "tun0",
        ),
    ] {
        let answer = api_error(&error);
        assert_eq!(answer.code, code, "{answer}");
        assert!(answer.message.contains(part), "{answer}");
        assert!(!answer.message.contains('\n'));
    }
}
