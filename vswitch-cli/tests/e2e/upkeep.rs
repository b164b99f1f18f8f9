//! Parts of the switch on the host that other programs remove are restored, or shown as faults.

use std::time::Duration;

use testkit::{FAR4, FAR6, HOST4, Netns, freeze, thaw, wait_for};
use vswitch_api::port::PortState;

use crate::harness::Host;

/// A second, on a busy machine.
const SOON: Duration = Duration::from_secs(10);

fn setting(netns: &Netns, path: &str) -> String {
    netns.ok(&["cat", path]).trim().to_owned()
}

/// The TAP of the uplink is deleted, then set down: connections in and out come back, and all is counted.
#[test]
fn a_deleted_tap_is_made_again() {
    let (host, remote, a) = Host::with_remote();
    let web = host.container_with("web", &["-p", "8080:80"]);
    let _service = web.serve("tcp", "0.0.0.0".parse().expect("an address"), 80);
    a.ping(FAR4);
    let mac = host.netns().mac("up-br0");
    for take_away in
        [&["ip", "link", "del", "up-br0"][..], &["ip", "link", "set", "up-br0", "down"]]
    {
        let before = host.status().restored;
        host.netns().ok(take_away);
        wait_for("it is there again", SOON, || host.status().restored > before);
        a.ping_soon(FAR4, SOON);
        a.ping_soon(FAR6, SOON);
        assert_eq!(host.netns().mac("up-br0"), mac);
        assert_eq!(remote.far().ask("tcp", HOST4, 8080).0, FAR4);
    }
    assert!(host.log().contains("restored: another program had removed it"), "{}", host.log());
}

/// Addresses, routes and settings of the host's devices; then a container's interface that is moved away.
#[test]
fn parts_are_restored_or_shown() {
    let (host, _remote, a) = Host::with_remote();
    let netns = host.netns();
    let (gateway, gateway6) = (a.gateway().to_string(), a.gateway6().to_string());
    let addresses = || netns.ok(&["ip", "address", "show", "dev", "br0"]);
    let before = addresses();
    let localnet = "/proc/sys/net/ipv4/conf/br0/route_localnet";
    let reserved = "/proc/sys/net/ipv4/ip_local_reserved_ports";
    let (routes, ports) =
        (netns.ok(&["ip", "route", "show", "dev", "br0"]), setting(netns, reserved));
    let scripts = [
        "ip link set br0 down; ip link set br0 up".to_owned(),
        "ip link set br0 down".to_owned(),
        format!("ip address del {gateway}/16 dev br0"),
        format!("ip address del {gateway6}/64 dev br0"),
        "ip route flush dev br0".to_owned(),
        "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6".to_owned(),
        format!("echo 0 > {localnet}; echo > {reserved}"),
    ];
    for script in &scripts {
        netns.ok(&["sh", "-c", script]);
        wait_for(script, SOON, || {
            let now = addresses();
            let has = |address: &str| now.contains(&format!(" {address}/"));
            has(&gateway)
                && has(&gateway6)
                && netns.ok(&["ip", "route", "show", "dev", "br0"]) == routes
                && setting(netns, localnet) == "1"
                && setting(netns, reserved) == ports
        });
        a.ping_soon(a.gateway(), SOON);
        a.ping_soon(a.gateway6(), SOON);
        netns.ping_soon(a.v4(), SOON);
    }
    // A lost route is added alone: what others route by br0 stays.
    let subnet = format!("{}/16", a.gateway().to_string().replace(".0.1", ".0.0"));
    let further = ["ip", "route", "add", "198.18.0.0/15", "via", &a.v4().to_string(), "dev", "br0"];
    netns.ok(&further);
    netns.ok(&["ip", "route", "del", &subnet, "dev", "br0"]);
    let of_br0 = || netns.ok(&["ip", "route", "show", "dev", "br0"]);
    wait_for("the route is there again", SOON, || of_br0().contains(&subnet));
    assert!(of_br0().contains("198.18.0.0/15"), "{}", of_br0());
    assert!(host.status().restored >= 6, "{before}\n{}\n{}", addresses(), host.log());
    assert_eq!(host.status().host_faults, Vec::<String>::new());
    netns.ok(&["ip", "link", "set", "br0", "name", "mine"]);
    wait_for("the fault of br0 is shown", SOON, || host.status().faults == 1);
    assert!(host.ok(&["status"]).contains("br0 is called mine now"), "{}", host.ok(&["status"]));
    assert!(host.ok(&["network", "ls"]).contains("fault"));
    netns.ok(&["ip", "link", "set", "mine", "name", "br0"]);
    wait_for("br0 is in order again", SOON, || host.status().faults == 0);
    let elsewhere = host.namespace("elsewhere");
    a.ok(&["ip", "link", "set", "eth0", "netns", elsewhere.name()]);
    wait_for("the fault is shown", SOON, || host.ls()[0].state == PortState::Fault);
    assert_eq!(host.status().faults, 1);
    assert!(host.ok(&["inspect", "a"]).contains("has left its namespace"));
    elsewhere.ok(&["ip", "link", "set", "eth0", "netns", a.name()]);
    wait_for("it is in order again", SOON, || host.ls()[0].state == PortState::Up);
}

/// A deletion is told by workers and by the kernel, in either order: it is logged once. A move is a fault.
#[test]
fn a_host_port_that_was_deleted_is_told_from_one_that_was_moved() {
    const DELETIONS: usize = 8;
    let host = Host::with_switch();
    let (netns, daemon) = (host.netns(), host.daemon_pid());
    netns.ok(&["ip", "link", "del", "nic0"]);
    wait_for("the uplink is gone", SOON, || host.log().contains("no device that leads out"));
    let warnings = || host.log().matches("WARN").count();
    let before = warnings();
    for n in 0..DELETIONS {
        host.ok(&["network", "create", "blue"]);
        // Both wake at the same time.
        freeze(daemon);
        netns.ok(&["ip", "link", "del", "br-blue"]);
        thaw(daemon);
        wait_for("it is noticed", SOON, || {
            host.log().matches("the host device was deleted").count() == n + 1
        });
        assert!(host.status().host_faults[0].contains("was deleted: remove"));
        host.ok(&["network", "rm", "blue"]);
    }
    host.ok(&["network", "create", "blue"]);
    assert_eq!(host.status().host_faults, Vec::<String>::new());
    assert_eq!(warnings(), before, "{}", host.log());
    let elsewhere = host.namespace("elsewhere");
    netns.ok(&["ip", "link", "set", "br-blue", "netns", elsewhere.name()]);
    wait_for("the fault is shown", SOON, || host.status().faults == 1);
    let faults = host.status().host_faults;
    assert!(faults[0].contains("br-blue was deleted, or moved"), "{faults:?}");
}

/// The same of a container's interface, at which the switch looks each second.
#[test]
fn a_deleted_interface_is_not_called_moved() {
    let host = Host::with_switch();
    let daemon = host.daemon_pid();
    for _ in 0..3 {
        let a = host.container("a");
        freeze(daemon);
        a.ok(&["ip", "link", "del", "eth0"]);
        // The next look is due.
        std::thread::sleep(Duration::from_millis(1100));
        thaw(daemon);
        wait_for("it is detached", SOON, || host.ls().is_empty());
    }
    assert!(!host.log().contains("out of order"), "{}", host.log());
}

/// `--uplink kernel` needs forwarding, whoever switches it off, and who did so has it off in the end, though it was on at
/// the start.
#[test]
fn forwarding_is_switched_on_again() {
    let mut host = Host::new();
    let path = "/proc/sys/net/ipv4/ip_forward";
    host.netns().ok(&["sh", "-c", &format!("echo 1 > {path}")]);
    host.up(&["--uplink", "kernel"]);
    assert_eq!(setting(host.netns(), path), "1");
    host.netns().ok(&["sh", "-c", &format!("echo 0 > {path}")]);
    wait_for("it is on again", SOON, || setting(host.netns(), path) == "1");
    assert!(host.status().restored >= 1);
    host.down();
    assert_eq!(setting(host.netns(), path), "0");
}

/// The neighbour table of a host port that was down for a moment.
#[test]
fn neighbour_entries_are_restored() {
    let host = Host::with_switch_args(&["--uplink", "kernel"]);
    let a = host.container("a");
    let netns = host.netns();
    let permanent = || netns.ok(&["ip", "neigh", "show", "dev", "br0", "nud", "permanent"]);
    let has = || permanent().contains(&a.v4().to_string());
    assert!(has(), "{}", permanent());
    netns.ok(&["sh", "-c", "ip link set br0 down; ip link set br0 up"]);
    wait_for("the entry is there again", SOON, has);
}

/// The daemon does not get to read the kernel's messages, of which there are more than the socket holds.
#[test]
fn what_is_removed_while_messages_are_lost_is_restored() {
    let host = Host::with_switch_args(&["--uplink", "kernel"]);
    let a = host.container("a");
    let netns = host.netns();
    let gateway = a.gateway().to_string();
    let permanent = || netns.ok(&["ip", "neigh", "show", "dev", "br0", "nud", "permanent"]);
    let has_all = || {
        let addresses = netns.ok(&["ip", "address", "show", "dev", "br0"]);
        addresses.contains(&format!(" {gateway}/")) && permanent().contains(&a.v4().to_string())
    };
    // All is read anew, so that the next time without a message is half a minute away.
    netns.ok(&["ip", "address", "del", &format!("{gateway}/16"), "dev", "br0"]);
    wait_for("the address is there again", SOON, has_all);
    netns.ok(&["ip", "link", "add", "flood0", "type", "veth", "peer", "name", "flood1"]);
    let flood: String =
        (0..6000).map(|n| format!("link set flood0 mtu {}\n", 1000 + n % 2)).collect();
    let batch = host.path("flood");
    std::fs::write(&batch, flood).expect("a file");
    freeze(host.daemon_pid());
    netns.ok(&["ip", "-batch", &batch.display().to_string()]);
    netns.ok(&["ip", "link", "set", "br0", "down"]);
    netns.ok(&["ip", "link", "set", "br0", "up"]);
    netns.ok(&["ip", "address", "del", &format!("{gateway}/16"), "dev", "br0"]);
    assert!(!has_all(), "{}", permanent());
    thaw(host.daemon_pid());
    wait_for("all is there again", SOON, has_all);
}
