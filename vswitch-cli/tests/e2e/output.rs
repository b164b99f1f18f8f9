//! `--format json`: the keys that scripts rely on (docs/api.md), and tables for people.

use serde_json::Value;

use crate::harness::Host;

const PORT_KEYS: [&str; 13] = [
    "name",
    "network",
    "ifname",
    "mac",
    "ipv4",
    "ipv6",
    "netns",
    "publish",
    "rx_frames",
    "tx_frames",
    "rx_bytes",
    "tx_bytes",
    "drops",
];

/// The value is an object that has at least these keys.
#[track_caller]
fn assert_keys(value: &Value, keys: &[&str]) {
    let object = value.as_object().unwrap_or_else(|| panic!("no object: {value}"));
    for key in keys {
        assert!(object.contains_key(*key), "no {key} in {value:#}");
    }
}

#[test]
fn ls_and_inspect() {
    let host = Host::with_switch();
    assert_eq!(host.json(&["ls"]), Value::Array(vec![]));
    let (a, b) = (host.container("a"), host.container("b"));
    a.ping(b.v4());
    let ls = host.json(&["ls"]);
    assert_eq!(ls.as_array().map(Vec::len), Some(2));
    assert_keys(&ls[0], &PORT_KEYS);
    assert_eq!(ls[0]["name"], "a");
    assert_eq!(ls[0]["network"], "br0");
    assert_eq!(ls[0]["ifname"], "eth0");
    assert!(ls[0]["rx_frames"].as_u64() >= Some(3), "three echo requests: {ls:#}");
    assert!(ls[1]["tx_bytes"].as_u64() >= Some(3 * 98), "{ls:#}");

    let details = host.json(&["inspect", "a"]);
    assert_eq!(details.as_array().map(Vec::len), Some(1), "one network");
    let detail = &details[0];
    assert_keys(detail, &PORT_KEYS);
    assert_keys(detail, &["subnets", "gateways", "mtu", "netns_path", "offloads", "queues"]);
    assert_keys(detail, &["settings", "publications", "drops_by_reason"]);
}

#[test]
fn status() {
    let host = Host::with_switch();
    let _a = host.container("a");
    let status = host.json(&["status"]);
    let keys = ["version", "backend", "backend_reason", "workers", "uplinks", "networks", "ports"];
    assert_keys(&status, &keys);
    assert_keys(
        &status,
        &["uptime_s", "pid", "idle", "idle_state", "idle_reason", "bridge", "state_dir"],
    );
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["pid"], host.daemon_pid());
    assert_eq!((&status["networks"], &status["ports"]), (&1.into(), &1.into()));
    assert_eq!(status["uplinks"][0]["name"], "nic0");
    assert_eq!(status["bridge"], "br0");
    assert_eq!(status["idle"], "adaptive");
    assert_eq!(status["scheduling"], "batch");
    assert!(["spinning", "sleeping"].contains(&status["idle_state"].as_str().expect("a word")));
}

#[test]
fn workers_are_bound_to_processors() {
    let host = Host::with_switch_args(&["--cpus", "1"]);
    assert_eq!(host.json(&["status"])["cpus"], serde_json::json!([1]));
    let allowed = |thread: std::fs::DirEntry| {
        let status = std::fs::read_to_string(thread.path().join("status")).expect("status");
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        (field("Name:") == Some("vswitch-w0"))
            .then(|| field("Cpus_allowed_list:").expect("affinity").to_owned())
    };
    let threads = std::fs::read_dir(format!("/proc/{}/task", host.daemon_pid())).expect("threads");
    let found: Vec<_> = threads.filter_map(|thread| allowed(thread.expect("thread"))).collect();
    assert_eq!(found, ["1"]);
}

#[test]
fn fdb() {
    let host = Host::with_switch();
    let (a, b) = (host.container("a"), host.container("b"));
    a.ping(b.v4());
    let fdb = host.json(&["fdb"]);
    let rows = fdb.as_array().expect("an array");
    for row in rows {
        assert_keys(row, &["network", "vlan", "mac", "port", "age_s", "static"]);
    }
    for container in [&a, &b] {
        let port = &container.detail().port;
        let row = rows.iter().find(|row| row["mac"] == port.mac.to_string());
        let row = row.unwrap_or_else(|| panic!("no {} in {fdb:#}", port.mac));
        assert_eq!(row["port"], *port.name);
        assert_eq!((&row["network"], &row["vlan"]), (&"br0".into(), &0.into()));
        assert_eq!(row["static"], false);
    }
}

#[test]
fn stats_obey_the_conservation_law() {
    let host = Host::with_switch();
    let (a, b) = (host.container("a"), host.container("b"));
    a.ping(b.v4());
    let stats = host.json(&["stats"]);
    assert_keys(&stats, &["ports", "workers", "drops"]);
    let ports =
        ["name", "rx_frames", "tx_frames", "rx_bytes", "tx_bytes", "drops", "drops_by_reason"];
    assert_keys(&stats["ports"][0], &ports);
    assert_eq!(stats["ports"][0]["name"], "br0", "the host's port comes first: {stats:#}");
    for worker in host.stats().workers {
        let entered = worker.received + worker.generated + worker.flood_copies + worker.segmented;
        let left =
            worker.sent + worker.dropped + worker.consumed + worker.merged + worker.in_flight;
        assert_eq!(entered + worker.handoff_received, left + worker.handed_off, "{worker:#?}");
        assert!(worker.received >= 6, "{worker:#?}");
    }
}

#[test]
fn networks() {
    let host = Host::with_switch_args(&["--subnet", "10.77.0.0/24", "--subnet6", "fd77::/64"]);
    let a = host.container("a");
    let networks = host.json(&["network", "ls"]);
    let keys = ["name", "subnets", "gateways", "mtu", "uplinks", "ports"];
    assert_keys(&networks[0], &keys);
    let network = host.json(&["network", "inspect", "br0"]);
    assert_keys(&network, &keys);
    assert_keys(
        &network,
        &["gateway_mac", "ageing_s", "fdb_entries_max", "fdb_entries", "members"],
    );
    assert_eq!(network["subnets"], serde_json::json!(["10.77.0.0/24", "fd77::/64"]));
    assert_eq!(network["gateways"], serde_json::json!(["10.77.0.1", "fd77::1"]));
    assert_eq!(network["ageing_s"], 300);
    assert_eq!(network["members"][0]["name"], "a");
    assert_eq!(network["members"][0]["ipv6"][0], a.v6().to_string());
}

#[test]
fn tables_show_what_json_says() {
    let host = Host::with_switch();
    let a = host.container("a");
    for (command, shown) in [
        (&["ls"][..], a.detail().port.ipv4[0].to_string().as_str()),
        (&["ls", "-o", "wide"], a.detail().port.mac.to_string().as_str()),
        (&["inspect", "a"], "eth0"),
        (&["status"], "br0"),
        (&["network", "ls"], "10.99.0.0/16"),
        (&["network", "inspect", "br0"], "10.99.0.1"),
        (&["stats"], "br0"),
    ] {
        let text = host.ok(command);
        assert!(text.contains(shown), "{command:?} does not show {shown}:\n{text}");
        assert!(!text.contains('{'), "{command:?} is no table:\n{text}");
    }
}
