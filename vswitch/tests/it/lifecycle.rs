//! Up, down, crash and up again. Needs root.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use testkit::{Process, wait_for};

use crate::lab::{Api, DAEMON_ARGS, Lab};

#[test]
fn down_leaves_the_host_as_it_was() {
    let mut lab = Lab::new();
    let a = lab.add_namespace("a");
    let before = lab.host_snapshot();
    let daemon = lab.up("");
    daemon.api.attach(&json!({"name": "a", "netns": {"name": a}}));
    let link = lab.in_namespace("host", &["ip", "address", "show", "br0"]);
    assert!(link.contains("10.99.0.1/16") && link.contains(",UP,LOWER_UP"), "{link}");
    assert_ne!(lab.host_snapshot(), before);
    daemon.down();
    before.assert_same(&lab.host_snapshot());
    assert!(!lab.socket().exists());
    assert!(!lab.in_namespace("a", &["ip", "link"]).contains("eth0"));
}

#[test]
fn signals_end_it_in_the_same_way() {
    let mut lab = Lab::new();
    let before = lab.host_snapshot();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let daemon = lab.up("");
        daemon.signal(signal);
        let (status, log) = daemon.wait();
        assert!(status.success(), "{signal}: {log}");
        before.assert_same(&lab.host_snapshot());
        assert!(!lab.socket().exists());
    }
}

/// What must survive a restart.
fn identity(port: &serde_json::Value) -> Vec<serde_json::Value> {
    ["name", "mac", "ipv4", "ipv6", "ifname"].iter().map(|key| port[key].clone()).collect()
}

#[test]
fn attachments_whose_namespace_lives_come_back_after_down_and_after_a_crash() {
    let mut lab = Lab::new();
    let (a, b) = (lab.add_namespace("a"), lab.add_namespace("b"));
    let mut daemon = lab.up("");
    daemon.api.attach(&json!({"name": "a", "netns": {"name": a}, "ifname": "lan0"}));
    daemon.api.attach(&json!({"name": "b", "netns": {"name": b}}));
    let entry = json!({"mac": "02:00:00:00:00:99", "port": "a"});
    assert_eq!(daemon.api.call("PUT", "/v1/fdb", Some(&entry)).status, 204);
    let before: Vec<_> =
        daemon.api.get("/v1/ports").as_array().unwrap().iter().map(identity).collect();
    let network = daemon.api.get("/v1/networks/br0");
    for crash in [false, true, true] {
        if crash {
            daemon.crash()
        } else {
            daemon.down();
        }
        daemon = lab.up("");
        let after: Vec<_> =
            daemon.api.get("/v1/ports").as_array().unwrap().iter().map(identity).collect();
        assert_eq!(after, before, "{}", daemon.log());
        let again = daemon.api.get("/v1/networks/br0");
        for key in ["gateway_mac", "subnets"] {
            assert_eq!(again[key], network[key]);
        }
        lab.in_namespace("a", &["ping", "-c1", "-W2", before[1][2][0].as_str().unwrap()]);
        lab.in_namespace("a", &["ping", "-c1", "-W2", before[1][3][0].as_str().unwrap()]);
        let fdb = daemon.api.get("/v1/fdb");
        let is_kept = |row: &serde_json::Value| {
            row["mac"] == "02:00:00:00:00:99" && row["static"] == true && row["port"] == "a"
        };
        assert!(fdb.as_array().unwrap().iter().any(is_kept), "{fdb}");
    }
    daemon.down();
}

#[test]
fn attachments_whose_namespace_died_meanwhile_are_dropped() {
    let mut lab = Lab::new();
    let (a, b) = (lab.add_namespace("a"), lab.add_namespace("b"));
    let daemon = lab.up("");
    daemon.api.attach(&json!({"name": "a", "netns": {"name": a}}));
    daemon.api.attach(&json!({"name": "b", "netns": {"name": b}}));
    daemon.down();
    lab.remove_namespace("a");
    // Another namespace of the same name is not the same namespace.
    lab.add_namespace("a");
    let daemon = lab.up("");
    assert_eq!(daemon.api.names(), ["b"]);
    assert!(
        daemon.log().contains("attached: 1, waiting: 0, kept: 0, dropped: 1"),
        "{}",
        daemon.log()
    );
    assert!(!lab.in_namespace("a", &["ip", "link"]).contains("eth0"));
    daemon.down();
}

#[test]
fn a_namespace_is_found_again_by_a_process_when_its_path_is_gone() {
    let mut lab = Lab::new();
    let a = lab.add_namespace("a");
    let daemon = lab.up("");
    let mut sleeper = std::process::Command::new("nsenter");
    sleeper.args([&format!("--net=/run/netns/{a}"), "sleep", "60"]);
    let _sleeper = Process::spawn(&mut sleeper);
    std::thread::sleep(Duration::from_millis(100));
    daemon.api.attach(&json!({"name": "a", "netns": {"name": a}}));
    daemon.crash();
    lab.remove_namespace("a");
    let daemon = lab.up("");
    assert_eq!(daemon.api.names(), ["a"]);
    let path = daemon.api.get("/v1/ports/a")[0]["netns_path"].as_str().unwrap().to_owned();
    assert!(path.starts_with("/proc/"), "{path}");
    daemon.down();
}

#[test]
fn a_document_of_another_boot_brings_nothing_back() {
    let mut lab = Lab::new();
    let a = lab.add_namespace("a");
    let daemon = lab.up("");
    daemon.api.attach(&json!({"name": "a", "netns": {"name": a}}));
    daemon.down();
    let path = lab.state_dir().join("state.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    std::fs::write(&path, text.replace(boot.trim(), "another-boot")).unwrap();
    let daemon = lab.up("");
    assert!(daemon.api.names().is_empty());
    daemon.down();
}

#[test]
fn what_nobody_says_is_kept_and_what_is_said_wins() {
    let mut lab = Lab::new();
    let a = lab.add_namespace("a");
    let daemon = lab.up("subnet = \"10.7.0.0/24\"");
    let port = daemon.api.attach(&json!({"name": "a", "netns": {"name": a}}));
    daemon.down();
    let daemon = lab.up("bridge = \"lab0\"\nmtu = 1400");
    let network = daemon.api.get("/v1/networks/lab0");
    assert_eq!((&network["subnets"][0], &network["mtu"]), (&json!("10.7.0.0/24"), &json!(1400)));
    assert_eq!(daemon.api.get("/v1/ports/a")[0]["ipv4"], port["ipv4"]);
    assert!(lab.in_namespace("a", &["ip", "link", "show", "eth0"]).contains("mtu 1400"));
    daemon.down();
    let daemon = lab.up("subnet = \"10.8.0.0/24\"");
    assert!(daemon.api.names().is_empty(), "its address is not of this subnet");
    daemon.down();
}

#[test]
fn what_is_in_the_way_is_named_and_nothing_changes() {
    let mut lab = Lab::new();
    let ip = |lab: &Lab, command: &[&str]| lab.in_namespace("host", command);
    ip(&lab, &["ip", "link", "add", "dum0", "type", "veth", "peer", "dum1"]);
    ip(&lab, &["ip", "link", "set", "dum0", "up"]);
    ip(&lab, &["ip", "address", "add", "10.7.3.1/24", "dev", "dum0"]);
    ip(&lab, &["ip", "-6", "route", "add", "fd00:7::/48", "dev", "dum0"]);
    ip(&lab, &["ip", "route", "add", "default", "via", "10.7.3.2"]);
    ip(&lab, &["ip", "route", "add", "blackhole", "10.9.0.0/16"]);
    let before = lab.host_snapshot();
    for (settings, parts) in [
        ("bridge = \"dum0\"", &["dum0", "--bridge"][..]),
        ("subnet = \"10.7.0.0/16\"", &["10.7.0.0/16", "10.7.3.0/24", "dum0", "--subnet"]),
        ("subnet = \"10.9.3.0/24\"", &["10.9.3.0/24", "10.9.0.0/16", "none"]),
        ("subnet6 = \"fd00:7:0:1::/64\"", &["fd00:7:0:1::/64", "fd00:7::/48", "dum0"]),
    ] {
        let refusal = lab.try_up(settings).refusal();
        for part in parts {
            assert!(refusal.contains(part), "{settings}: {refusal}");
        }
        before.assert_same(&lab.host_snapshot());
        assert!(!lab.socket().exists());
    }
    lab.up("").down();
}

#[test]
fn a_second_daemon_is_refused_and_does_no_harm() {
    let mut lab = Lab::new();
    let a = lab.add_namespace("a");
    let daemon = lab.up("");
    daemon.api.attach(&json!({"name": "a", "netns": {"name": a}}));
    let refusal = lab.try_up("bridge = \"br1\"").refusal();
    assert!(refusal.contains("vswitch.sock") && refusal.contains("vswitch down"), "{refusal}");
    let other = lab.directory.path().join("other.sock");
    let refusal = lab.try_up(&format!("bridge = \"br1\"\nsocket = {other:?}")).refusal();
    assert!(refusal.contains(&daemon.pid().to_string()), "{refusal}");
    // With a socket, a directory, a name and a subnet of its own it may run beside.
    let state = lab.directory.path().join("other-state");
    let settings = format!(
        "bridge = \"br1\"\nsubnet = \"10.98.0.0/16\"\nsocket = {other:?}\nstate_dir = {state:?}"
    );
    let mut second = lab.try_up(&settings);
    second.api = Api(other.clone());
    wait_for("the second answers", Duration::from_secs(10), || {
        second.api.try_call("GET", "/v1/status", None).is_some()
    });
    assert_eq!(daemon.api.names(), ["a"]);
    second.down();
    assert_eq!(daemon.api.names(), ["a"]);
    daemon.down();
}

#[test]
fn left_overs_do_not_stop_it_and_foreign_files_are_left_alone() {
    let mut lab = Lab::new();
    let daemon = lab.up("");
    daemon.crash();
    assert!(lab.socket().exists());
    let start = Instant::now();
    lab.up("").down();
    println!("up after a crash and down: {:?}", start.elapsed());
    std::fs::write(lab.socket(), "mine").unwrap();
    let refusal = lab.try_up("").refusal();
    assert!(refusal.contains("not a socket"), "{refusal}");
    assert_eq!(std::fs::read_to_string(lab.socket()).unwrap(), "mine");
    std::fs::remove_file(lab.socket()).unwrap();
    for text in ["{", "{\"version\": 99}"] {
        std::fs::write(lab.state_dir().join("state.json"), text).unwrap();
        let refusal = lab.try_up("").refusal();
        assert!(refusal.contains("state.json"), "{refusal}");
        assert_eq!(std::fs::read_to_string(lab.state_dir().join("state.json")).unwrap(), text);
    }
}

#[test]
fn missing_privilege_is_named() {
    let lab = Lab::new();
    let config = lab.directory.path().join("config.toml");
    std::fs::write(
        &config,
        format!("socket = {:?}\nstate_dir = {:?}", lab.socket(), lab.state_dir()),
    )
    .unwrap();
    let program = std::env::current_exe().unwrap();
    let output = std::process::Command::new("setpriv")
        .args(["--bounding-set=-net_admin", "--inh-caps=-net_admin"])
        .arg(program)
        .args(DAEMON_ARGS)
        .env("VSWITCH_TEST_CONFIG", &config)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("FAILED CAP_NET_ADMIN is missing"), "{text}");
    assert!(!lab.state_dir().exists());
}
