//! What is refused changes nothing: values, addresses, frames of strangers.

use std::time::Duration;

use testkit::{Netns, Snapshot, join, wait_for};

use super::SOON;
use super::sites::{Family, Sites, address, drops, give_address};
use crate::harness::Host;

/// Sends one datagram: `SOURCE TO PORT HEX`.
const SEND_DATAGRAM: &str = "\
import socket, sys
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 0))
s.sendto(bytes.fromhex(sys.argv[4]), (sys.argv[2], int(sys.argv[3])))
";

/// A host without a switch, with the address 1 on `ul`; and the other end.
fn host() -> (Host, Netns) {
    let (host, other) = (Host::new(), Netns::new("other"));
    join(host.netns(), "ul", &other, "ul");
    give_address(host.netns(), Family::V4, 1);
    (host, other)
}

/// `up` refuses an underlay that is not the host's, and a port that is taken; it leaves nothing.
#[test]
fn an_underlay_that_cannot_be_had_is_named() {
    let (mut host, _other) = host();
    let before = Snapshot::take(host.netns());
    let up = |host: &Host, args: &[&str], code: i32, value: &str| {
        let up = [&["up", "--bridge", "br0", "--detach"], args].concat();
        host.fails(&up, &[code], value);
    };
    up(
        &host,
        &["--underlay", "198.18.7.9"],
        1,
        "198.18.7.9 cannot be the underlay: it is no address of this host",
    );
    for (value, reason) in [
        ("eth0", "'eth0'"),
        ("0.0.0.0", "'0.0.0.0'"),
        ("224.0.0.1", "not unicast"),
        ("fe80::1", "link-local"),
    ] {
        up(&host, &["--underlay", value], 2, reason);
    }
    up(&host, &["--underlay", "198.18.7.1", "--node", "a/b"], 2, "a/b");
    up(&host, &["--underlay", "198.18.7.1", "--vxlan-port", "0"], 2, "'0'");
    let taken = host.netns().serve("udp", address("198.18.7.1"), 4789);
    up(&host, &["--underlay", "198.18.7.1"], 1, "198.18.7.1:4789");
    drop(taken);
    // The kernel's VXLAN device has the port, too.
    host.netns().run_lines(&[
        "ip link add vx type vxlan id 9 local 198.18.7.1 remote 198.18.7.2 dstport 4789",
        "ip link set vx up",
    ]);
    up(&host, &["--underlay", "198.18.7.1"], 1, "198.18.7.1:4789");
    host.up(&["--underlay", "198.18.7.1", "--vxlan-port", "4790"]);
    assert_eq!(host.status().underlay.expect("an underlay").address.port(), 4790);
    host.down();
    host.netns().ok(&["ip", "link", "del", "vx"]);
    before.assert_same(&Snapshot::take(host.netns()));
}

/// Requests for overlay networks and peers that cannot be met.
#[test]
fn networks_and_peers_that_cannot_be_are_named_and_change_nothing() {
    let (mut host, _other) = host();
    let create = |args: &[&'static str]| {
        let mut all = vec!["network", "create", "--overlay"];
        all.extend(args);
        all
    };
    host.up(&[]);
    host.fails(&create(&["--vni", "42", "blue"]), &[1], "the switch has no underlay");
    host.down();
    host.up(&["--underlay", "198.18.7.1"]);
    host.ok(&create(&["--vni", "42", "--subnet", "10.50.0.0/16", "blue"]));
    let before = (host.json(&["network", "ls"]), Snapshot::take(host.netns()));
    host.fails(&create(&["green"]), &[2], "--vni");
    for vni in ["0", "16777216", "x"] {
        host.fails(&["network", "create", "--overlay", "--vni", vni, "green"], &[2], vni);
    }
    host.fails(&["network", "create", "--vni", "43", "green"], &[2], "--overlay");
    host.fails(&create(&["--vni", "42", "green"]), &[1], "VNI 42 is that of network blue");
    host.fails(
        &create(&["--vni", "43", "--mtu", "1451", "green"]),
        &[2],
        "ul carries 1450 at most",
    );
    let subnet = ["--vni", "43", "--subnet", "10.51.0.0/16"];
    for (own, reason) in [
        (&["--host-ip", "10.52.0.9"][..], "10.52.0.9 cannot be the host's address"),
        (&["--host-ip", "10.51.0.1"], "is the gateway"),
        (&["--host-ip", "10.51.0.8", "--host-ip", "10.51.0.9"], "10.51.0.9 is a second address"),
    ] {
        host.fails(&create(&[&subnet, own, &["green"]].concat()), &[2], reason);
    }
    let add = |network: &'static str, peer: &'static str, code: i32, value: &str| {
        host.fails(&["network", "peer", "add", network, peer], &[code], value);
    };
    add("br0", "198.18.7.2", 2, "br0 is a local network");
    add("red", "198.18.7.2", 1, "red");
    add("blue", "198.18.7.1", 2, "198.18.7.1:4789 cannot be a peer: it is this switch itself");
    add("blue", "192.0.2.1", 2, "192.0.2.1:4789 cannot be a peer: it is this switch itself");
    add("blue", "2001:db8::9", 2, "the other family");
    add("blue", "224.0.0.1", 2, "not unicast");
    add("blue", "n2", 2, "'n2'");
    add("blue", "198.18.7.2:0", 2, "198.18.7.2:0");
    host.fails(
        &["network", "peer", "rm", "blue", "198.18.7.2"],
        &[1],
        "blue has no peer 198.18.7.2:4789",
    );
    assert_eq!((host.json(&["network", "ls"]), Snapshot::take(host.netns())), before);
    host.ok(&["network", "peer", "add", "blue", "198.18.7.2"]);
    add("blue", "198.18.7.2:4789", 1, "blue has the peer 198.18.7.2:4789 already");
    // An underlay that leaves too little for IPv6.
    host.netns().ok(&["ip", "link", "set", "ul", "mtu", "1300"]);
    wait_for("the MTU is followed", SOON, || host.status().faults > 0);
    host.fails(&create(&["--vni", "43", "green"]), &[1], "leaves 1250 for an overlay network");
    let fault = host.status().host_faults.join(" ");
    assert!(fault.contains("ul has MTU 1300, which leaves 1250"), "{fault}");
    host.netns().ok(&["ip", "link", "set", "ul", "mtu", "1500"]);
    wait_for("the fault ends", SOON, || host.status().faults == 0);
}

/// Sends a payload to the VXLAN port of the first host, from an address of the family.
#[track_caller]
pub(super) fn send_datagram(from: &Netns, family: Family, number: u8, payload: &str) {
    let [source, to] = [number, 1].map(|number| family.address(number).to_string());
    from.ok(&["python3", "-c", SEND_DATAGRAM, &source, &to, "4789", payload]);
}

/// VXLAN header with a VNI, and an ARP request of a stranger, `02:00:00:00:aa:aa`, for `10.50.1.2`.
pub(super) fn forged(flags: &str, vni: u32) -> String {
    let ethernet = "ffffffffffff02000000aaaa0806";
    let arp = "000108000604000102000000aaaa0a3202630000000000000a320102";
    format!("{flags}000000{:06x}00{ethernet}{arp}", vni)
}

/// Frames of a stranger, of another VNI, without a VNI, and too short ones are counted drops, whoever sends them.
#[track_caller]
fn are_counted_drops(family: Family) {
    let sites = Sites::up(family, &[]);
    let (a, b) = sites.containers();
    a.ping_soon(b.v4(), SOON);
    let [n1, n2] = &sites.hosts;
    give_address(n2.netns(), family, 66);
    let send = |from: u8, payload: &str| send_datagram(n2.netns(), family, from, payload);
    for (reason, from, payload) in [
        ("tunnel-unknown-vtep", 66, forged("08", 42)),
        ("tunnel-unknown-vni", 2, forged("08", 43)),
        ("tunnel-bad-header", 2, forged("00", 42)),
        ("tunnel-bad-header", 2, "0800".to_owned()),
    ] {
        let before = drops(n1, reason);
        send(from, &payload);
        wait_for(&format!("{reason}: {payload}"), SOON, || drops(n1, reason) == before + 1);
    }
    // A VTEP that has another network only.
    n1.ok(&["network", "create", "--overlay", "--vni", "43", "--internal", "green"]);
    send(2, &forged("08", 43));
    wait_for("tunnel-foreign-vtep", SOON, || drops(n1, "tunnel-foreign-vtep") == 1);
    // The gateway is each node's own: nobody sends as it.
    let gateway = forged("08", 42).replace("02000000aaaa", "02767800002a");
    send(2, &gateway);
    wait_for("tunnel-gateway", SOON, || drops(n1, "tunnel-gateway") > 0);
    // The stranger has learnt nothing, and is no neighbour of anybody.
    assert!(!n1.ok(&["fdb"]).contains("02:00:00:00:aa:aa"));
    std::thread::sleep(Duration::from_millis(100));
    a.ping(b.v4());
    super::sites::balanced(n1);
}

#[test]
fn forged_frames_over_ipv4_are_counted_drops() {
    are_counted_drops(Family::V4);
}

#[test]
fn forged_frames_over_ipv6_are_counted_drops() {
    are_counted_drops(Family::V6);
}

/// What the kernel refuses to send to a peer was not sent to it.
#[test]
fn a_peer_without_a_route_shows_drops_and_nothing_sent() {
    for backend in ["io_uring", "epoll"] {
        let (mut host, _other) = host();
        host.netns().ok(&["ip", "route", "add", "unreachable", "203.0.113.0/24"]);
        host.up(&["--underlay", "198.18.7.1", "--backend", backend]);
        host.ok(&[
            "network",
            "create",
            "--overlay",
            "--vni",
            "42",
            "--subnet",
            "10.50.0.0/16",
            "blue",
        ]);
        host.ok(&["network", "peer", "add", "blue", "203.0.113.9"]);
        let a = host.container_with("a", &["--network", "blue"]);
        assert!(!a.exec(&["ping", "-n", "-c1", "-W1", "10.50.77.77"]).status.success());
        wait_for("the peer has drops", SOON, || {
            let peers = host.json(&["peers"]);
            let peer = &peers.as_array().expect("rows")[0];
            peer["drops"].as_u64().expect("a count") > 0 && peer["tx_frames"] == 0
        });
        assert!(drops(&host, "tx-unreachable") > 0, "{:#?}", host.stats().drops);
        host.balanced();
    }
}
