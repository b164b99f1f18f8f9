//! Attach and detach in real namespaces. Needs root.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::{Process, wait_for};

use crate::lab::Lab;

#[test]
fn two_containers_and_the_host_reach_each_other() {
    let mut lab = Lab::new();
    let (a, b) = (lab.add_namespace("a"), lab.add_namespace("b"));
    let daemon = lab.up("");
    let start = Instant::now();
    let port_a = daemon.api.attach(&json!({"name": "a", "netns": {"name": a}}));
    println!("first attach took {:?}", start.elapsed());
    let port_b =
        daemon.api.attach(&json!({"name": "b", "netns": {"path": format!("/run/netns/{b}")}}));
    assert_eq!(port_a["ifname"], "eth0");
    assert_eq!(port_a["netns"], json!(a));
    for (from, to) in [("a", &port_b), ("b", &port_a), ("host", &port_a)] {
        for key in ["ipv4", "ipv6"] {
            let to = to[key][0].as_str().unwrap();
            lab.in_namespace(from, &["ping", "-c1", "-W2", to]);
        }
    }
    for gateway in port_a["gateways"].as_array().unwrap() {
        lab.in_namespace("a", &["ping", "-c1", "-W2", gateway.as_str().unwrap()]);
    }
    assert_eq!(daemon.api.names(), ["a", "b"]);
    let fdb = daemon.api.get("/v1/fdb");
    assert!(
        fdb.as_array().unwrap().iter().any(|row| row["port"] == "a" && row["mac"] == port_a["mac"])
    );
    assert_eq!(daemon.api.detach("a").status, 204);
    assert_eq!(daemon.api.detach("a").code(), "not-found");
    assert!(!lab.in_namespace("a", &["ip", "link"]).contains("eth0"));
    assert_eq!(daemon.api.names(), ["b"]);
    wait_for("a is forgotten", Duration::from_secs(1), || {
        !daemon.api.get("/v1/fdb").to_string().contains(port_a["mac"].as_str().unwrap())
    });
    daemon.down();
}

#[test]
fn an_attach_can_choose_everything() {
    let mut lab = Lab::new();
    let a = lab.add_namespace("a");
    let daemon = lab.up("subnet = \"10.7.0.0/24\"\nsubnet6 = \"fd00:7::/64\"\nmtu = 9000");
    let port = daemon.api.attach(&json!({
        "name": "Web", "netns": {"name": a}, "network": "br0", "ipv4": "10.7.0.77",
        "ipv6": "fd00:7::77", "mac": "02:aa:bb:cc:dd:EE", "ifname": "lan7"
    }));
    assert_eq!(port["name"], "Web");
    assert_eq!(port["mac"], "02:aa:bb:cc:dd:ee");
    // Each offload that the kernel grants has a word of the API.
    let offloads = port["offloads"].as_array().expect("an array");
    assert!(!offloads.is_empty() && !offloads.contains(&json!("unknown")), "{port}");
    let link = lab.in_namespace("a", &["ip", "-d", "link", "show", "lan7"]);
    assert!(link.contains("02:aa:bb:cc:dd:ee") && link.contains("mtu 9000"), "{link}");
    let addresses = lab.in_namespace("a", &["ip", "address", "show", "lan7"]);
    assert!(addresses.contains("10.7.0.77/24") && addresses.contains("fd00:7::77/64"));
    assert!(!addresses.contains("tentative"), "{addresses}");
    // Global and link-local: nothing that was not set.
    assert_eq!(addresses.matches("inet6").count(), 2, "{addresses}");
    assert!(lab.in_namespace("a", &["ip", "route"]).contains("default via 10.7.0.1 dev lan7"));
    assert!(
        lab.in_namespace("a", &["ip", "-6", "route"]).contains("default via fd00:7::1 dev lan7")
    );
    assert!(lab.in_namespace("a", &["ip", "link", "show", "lo"]).contains("LOOPBACK,UP"));
    for (namespace, device) in [("a", "lan7"), ("host", "br0")] {
        let key = format!("net.ipv6.conf.{device}.accept_ra");
        assert_eq!(lab.in_namespace(namespace, &["sysctl", "-n", &key]), "0\n");
    }
    assert_eq!(daemon.api.get("/v1/ports/Web")[0]["netns_path"], format!("/run/netns/{a}"));
    daemon.down();
}

#[test]
fn a_second_attachment_gets_the_next_name_and_leaves_the_default_route() {
    let mut lab = Lab::new();
    let a = lab.add_namespace("a");
    let daemon = lab.up("");
    let first = daemon.api.attach(&json!({"name": "one", "netns": {"name": a}}));
    let second = daemon.api.attach(&json!({"name": "two", "netns": {"name": a}}));
    assert_eq!((&first["ifname"], &second["ifname"]), (&json!("eth0"), &json!("eth1")));
    let routes = lab.in_namespace("a", &["ip", "route", "show", "default"]);
    assert!(routes.contains("eth0") && !routes.contains("eth1"), "{routes}");
    daemon.down();
}

/// Each refusal has its code, and leaves no trace: neither in the list, nor in the namespace, nor in
/// the host's, nor in the document.
#[test]
fn bad_requests_are_refused_and_change_nothing() {
    let mut lab = Lab::new();
    let (a, b) = (lab.add_namespace("a"), lab.add_namespace("b"));
    let daemon = lab.up("subnet = \"10.7.0.0/24\"\nsubnet6 = \"fd00:7::/64\"");
    let mac = "02:00:00:00:00:07";
    daemon.api.attach(
        &json!({"name": "a", "netns": {"name": a}, "ipv4": "10.7.0.9", "ipv6": "fd00:7::9", "mac": mac}),
    );
    lab.in_namespace("b", &["ip", "tuntap", "add", "taken", "mode", "tap"]);
    let picture = |lab: &Lab| {
        let state = std::fs::read_to_string(lab.state_dir().join("state.json")).unwrap();
        let links = |name| lab.in_namespace(name, &["ip", "-o", "link"]);
        (state, links("b"), links("host"))
    };
    let before = picture(&lab);
    let own = daemon.pid();
    let mount_namespace = format!("/proc/{own}/ns/mnt");
    let base = json!({"name": "b", "netns": {"name": b}});
    for (change, code, part) in [
        (json!({"name": "a"}), "conflict", "a"),
        (json!({"name": "br0"}), "conflict", "br0"),
        (json!({"name": "-b"}), "invalid-argument", "-b"),
        (json!({"name": ""}), "invalid-argument", ""),
        (json!({"network": "br7"}), "not-found", "br7"),
        (json!({"ipv4": "10.7.0.9"}), "conflict", "10.7.0.9"),
        (json!({"ipv4": "10.8.0.9"}), "invalid-argument", "10.8.0.9"),
        (json!({"ipv4": "10.7.0.1"}), "invalid-argument", "gateway"),
        (json!({"ipv4": "10.7.0.0"}), "invalid-argument", "network"),
        (json!({"ipv4": "10.7.0.255"}), "invalid-argument", "broadcast"),
        (json!({"ipv6": "fd00:7::9"}), "conflict", "fd00:7::9"),
        (json!({"ipv6": "fd00:8::9"}), "invalid-argument", "fd00:8::9"),
        (json!({"mac": "02:00"}), "invalid-argument", "02:00"),
        (json!({"mac": "03:00:00:00:00:01"}), "invalid-argument", "03:00:00:00:00:01"),
        (json!({"mac": "ff:ff:ff:ff:ff:ff"}), "invalid-argument", "broadcast"),
        (json!({"mac": "00:00:00:00:00:00"}), "invalid-argument", "zero"),
        (json!({"mac": mac}), "conflict", mac),
        (json!({"ifname": "taken"}), "conflict", "taken"),
        (json!({"ifname": "sixteen-bytes-xx"}), "invalid-argument", "sixteen"),
        (json!({"ifname": "eth%d"}), "invalid-argument", "eth%d"),
        (json!({"netns": {"name": "vs-no-such"}}), "not-found", "vs-no-such"),
        (json!({"netns": {"name": "../x"}}), "invalid-argument", "../x"),
        (json!({"netns": {"pid": u32::MAX}}), "not-found", "4294967295"),
        (json!({"netns": {"pid": 0}}), "not-found", "0"),
        (json!({"netns": {"pid": own}}), "invalid-argument", "own"),
        (json!({"netns": {"path": "/no/such"}}), "not-found", "/no/such"),
        (json!({"netns": {"path": "ns/net"}}), "invalid-argument", "ns/net"),
        (json!({"netns": {"path": "/proc/1/status"}}), "invalid-argument", "/proc/1/status"),
        (json!({"netns": {"path": mount_namespace}}), "invalid-argument", "/ns/mnt"),
        (json!({"colour": "red"}), "invalid-argument", "colour"),
    ] {
        let mut request = base.clone();
        request.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = daemon.api.attach_refused(&request);
        assert_eq!(answer.code(), code, "{request}: {answer:?}");
        assert!(answer.message().contains(part), "{request}: {answer:?}");
    }
    assert_eq!(daemon.api.names(), ["a"]);
    assert_eq!(picture(&lab), before);
    // What was refused left nothing reserved.
    let port = daemon.api.attach(&base);
    assert_eq!(port["ipv4"][0], "10.7.0.2");
    daemon.down();
}

#[test]
fn a_process_that_exits_during_the_attach_is_refused_or_cleaned_up() {
    let mut lab = Lab::new();
    let daemon = lab.up("");
    for round in 0..20 {
        let mut child =
            std::process::Command::new("unshare").args(["--net", "sleep", "60"]).spawn().unwrap();
        let pid = child.id();
        // Until it has its own namespace.
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        let path = format!("/proc/{pid}/ns/net");
        wait_for("it unshares", Duration::from_secs(5), || {
            std::fs::read_link(&path).is_ok_and(|link| link != own)
        });
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(2 * round));
            child.kill().unwrap();
            child.wait().unwrap();
        });
        let request = json!({"name": format!("late-{round}"), "netns": {"pid": pid}});
        let answer = daemon.api.call("POST", "/v1/ports", Some(&request));
        killer.join().unwrap();
        if answer.status != 201 {
            assert_eq!(answer.code(), "not-found", "{answer:?}");
        }
        wait_for("it is forgotten", Duration::from_secs(1), || daemon.api.names().is_empty());
    }
    assert!(!lab.in_namespace("host", &["ip", "link"]).contains("vswtap"));
    daemon.down();
}

#[test]
fn a_container_that_dies_takes_its_port_with_it_within_a_second() {
    let mut lab = Lab::new();
    let daemon = lab.up("subnet = \"10.7.0.0/24\"");
    let netns = format!("--net=/run/netns/{}", lab.add_namespace("b"));
    let mut sleeper = std::process::Command::new("unshare");
    let container = Process::spawn(sleeper.args(["--net", "sleep", "60"]));
    let pid = container.pid();
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    wait_for("it unshares", Duration::from_secs(5), || {
        std::fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|link| link != own)
    });
    let request = json!({"name": "a", "netns": {"pid": pid}, "ipv4": "10.7.0.50"});
    daemon.api.attach(&request);
    daemon
        .api
        .attach(&json!({"name": "b", "netns": {"path": netns.strip_prefix("--net=").unwrap()}}));
    drop(container);
    wait_for("a is gone", Duration::from_secs(1), || daemon.api.names() == ["b"]);
    let state = lab.state_dir().join("state.json");
    wait_for("the document forgets it", Duration::from_secs(1), || {
        !std::fs::read_to_string(&state).unwrap().contains("10.7.0.50")
    });
    // Its address is free for who asks for it, and an interface that is deleted counts as gone too.
    lab.in_namespace("b", &["ip", "link", "delete", "eth0"]);
    wait_for("b is gone", Duration::from_secs(1), || daemon.api.names().is_empty());
    let b = lab.netns("b").name();
    daemon.api.attach(&json!({"name": "a", "netns": {"name": b}, "ipv4": "10.7.0.50"}));
    // Nothing of ours keeps a namespace alive that nobody is in.
    lab.remove_namespace("b");
    wait_for("a is gone", Duration::from_secs(1), || daemon.api.names().is_empty());
    daemon.down();
}

#[test]
fn what_a_lost_port_had_can_be_had_at_once() {
    let mut lab = Lab::new();
    let a = lab.add_namespace("a");
    let daemon = lab.up("subnet = \"10.7.0.0/24\"");
    let mac = "02:00:00:00:00:07";
    let request = json!({"name": "a", "netns": {"name": a}, "ipv4": "10.7.0.50", "mac": mac});
    daemon.api.attach(&request);
    for _ in 0..20 {
        lab.in_namespace("a", &["ip", "link", "delete", "eth0"]);
        // Without the pauses of `eventually`.
        let start = Instant::now();
        while !daemon.api.names().is_empty() {
            assert!(start.elapsed() < Duration::from_secs(1), "a is not gone within a second");
        }
        daemon.api.attach(&request);
    }
    for _ in 0..20 {
        let api = daemon.api.clone();
        let detach = std::thread::spawn(move || api.detach("a").status);
        while daemon.api.names() == ["a"] {}
        daemon.api.attach(&request);
        assert_eq!(detach.join().unwrap(), 204);
    }
    daemon.down();
}

#[test]
fn neighbours_hear_at_once_of_a_new_mac_address() {
    let mut lab = Lab::new();
    let (a, b) = (lab.add_namespace("a"), lab.add_namespace("b"));
    let daemon = lab.up("subnet = \"10.7.0.0/24\"\nsubnet6 = \"fd00:7::/64\"");
    daemon.api.attach(&json!({"name": "a", "netns": {"name": a}}));
    let request =
        json!({"name": "b", "netns": {"name": b}, "ipv4": "10.7.0.9", "ipv6": "fd00:7::9"});
    let first = daemon.api.attach(&request);
    let ping = |lab: &Lab| {
        for address in ["10.7.0.9", "fd00:7::9"] {
            lab.in_namespace("a", &["ping", "-c1", "-W1", address]);
        }
    };
    ping(&lab);
    // Linux does not believe a second answer within a second (arp(7), locktime).
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(daemon.api.detach("b").status, 204);
    let second = daemon.api.attach(&request);
    assert_ne!(first["mac"], second["mac"]);
    ping(&lab);
    daemon.down();
}

#[test]
fn attaches_overlap_and_are_quick_with_200_ports() {
    const PORTS: usize = 200;
    let mut lab = Lab::new();
    let names: Vec<_> = (0..PORTS).map(|n| lab.add_namespace(&format!("n{n}"))).collect();
    let last = lab.add_namespace("last");
    let daemon = lab.up("");
    let start = Instant::now();
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (api, names) = (daemon.api.clone(), names.clone());
            std::thread::spawn(move || {
                for (n, name) in names.iter().enumerate().filter(|(n, _)| n % 4 == thread) {
                    api.attach(&json!({"name": format!("n{n}"), "netns": {"name": name}}));
                }
            })
        })
        .collect();
    let mut slowest_read = Duration::ZERO;
    while threads.iter().any(|thread| !thread.is_finished()) {
        let asked = Instant::now();
        daemon.api.get("/v1/ports");
        slowest_read = slowest_read.max(asked.elapsed());
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    println!("{PORTS} attaches by 4 clients: {:?}; slowest read {slowest_read:?}", start.elapsed());
    assert_eq!(daemon.api.names().len(), PORTS);
    let ports = daemon.api.get("/v1/ports");
    for key in ["mac", "ipv4", "ipv6"] {
        let unique: std::collections::BTreeSet<_> =
            ports.as_array().unwrap().iter().map(|port| port[key].to_string()).collect();
        assert_eq!(unique.len(), PORTS, "{key}");
    }
    let mut times = Vec::new();
    for _ in 0..10 {
        let asked = Instant::now();
        daemon.api.attach(&json!({"name": "last", "netns": {"name": last}}));
        times.push(asked.elapsed());
        let asked = Instant::now();
        assert_eq!(daemon.api.detach("last").status, 204);
        println!("attach {:?}, detach {:?}", times.last().unwrap(), asked.elapsed());
    }
    times.sort();
    println!("median attach with {PORTS} ports: {:?}", times[times.len() / 2]);
    let asked = Instant::now();
    daemon.down();
    println!("down with {PORTS} ports: {:?}", asked.elapsed());
}

/// The ring's table of files is as long as that limit.
#[test]
fn ports_come_and_go_for_ever_with_few_open_files() {
    const OPEN_FILES_MAX: usize = 48;
    let mut lab = Lab::new();
    let names: Vec<_> = (0..OPEN_FILES_MAX).map(|n| lab.add_namespace(&format!("n{n}"))).collect();
    lab.open_files_max = Some(OPEN_FILES_MAX);
    let daemon = lab.up("");
    let request = |n: usize| json!({"name": format!("n{n}"), "netns": {"name": names[n]}});
    for _ in 0..2 * OPEN_FILES_MAX {
        daemon.api.attach(&request(0));
        assert_eq!(daemon.api.detach("n0").status, 204);
    }
    let mut answers =
        (0..OPEN_FILES_MAX).map(|n| daemon.api.call("POST", "/v1/ports", Some(&request(n))));
    let refused = answers.find(|answer| answer.status != 201).expect("a refusal");
    let ports = daemon.api.names().len();
    assert_eq!(refused.code(), "limit-reached", "{refused:?}");
    assert!(refused.message().contains(&format!("{ports} ports")), "{refused:?}");
    assert!(refused.message().contains("limit of open files"), "{refused:?}");
    // Who goes makes room again, once the connections of former requests are closed, too.
    assert_eq!(daemon.api.detach("n0").status, 204);
    wait_for("room for a port", Duration::from_secs(5), || {
        daemon.api.call("POST", "/v1/ports", Some(&request(0))).status == 201
    });
    daemon.down();
}

#[test]
fn two_workers_have_two_queues_and_no_queue_discipline() {
    let mut lab = Lab::new();
    let (a, b) = (lab.add_namespace("a"), lab.add_namespace("b"));
    let daemon = lab.up("workers = 2");
    let port = daemon.api.attach(&json!({"name": "a", "netns": {"name": a}}));
    assert_eq!(port["queues"], 2);
    let other = daemon.api.attach(&json!({"name": "b", "netns": {"name": b}}));
    for (namespace, device) in [("a", "eth0"), ("host", "br0")] {
        let link = lab.in_namespace(namespace, &["ip", "link", "show", device]);
        assert!(link.contains("qdisc noqueue"), "{link}");
    }
    for key in ["ipv4", "ipv6"] {
        lab.in_namespace("a", &["ping", "-c2", "-i0.2", "-W2", other[key][0].as_str().unwrap()]);
    }
    daemon.down();
}

/// Prints what it measured; what must hold is that nothing is lost.
#[test]
fn traffic_goes_on_while_others_come_and_go() {
    let mut lab = Lab::new();
    let names: Vec<_> = ["a", "b", "c"].iter().map(|name| lab.add_namespace(name)).collect();
    let daemon = lab.up("");
    daemon.api.attach(&json!({"name": "a", "netns": {"name": names[0]}}));
    let b = daemon.api.attach(&json!({"name": "b", "netns": {"name": names[1]}}));
    let address = b["ipv4"][0].as_str().unwrap();
    let ping = |lab: &Lab| lab.in_namespace("a", &["ping", "-q", "-c500", "-i0.004", address]);
    println!("alone: {}", ping(&lab));
    let mut beside = String::new();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                daemon.api.attach(&json!({"name": "c", "netns": {"name": names[2]}}));
                daemon.api.detach("c");
            }
        });
        beside = ping(&lab);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    println!("beside attaches and detaches: {beside}");
    assert!(beside.contains(" 0% packet loss"), "{beside}");
    daemon.down();
}
