//! A host with nothing but the kernel's VXLAN, which a node of a registry has as a static peer.

use testkit::{Etcd, Netns, join, wait_for};

use super::SOON;
use super::faults::{forged, send_datagram};
use super::sites::{Family, Sites, address, balanced, give_address};
use crate::harness::Host;
use crate::transfer::transfer;

/// Number of the registry's address on the underlay.
const REGISTRY: u8 = 9;

/// Number of the address of the kernel's host.
const KERNEL: u8 = 3;

/// A third host on the underlay: its VXLAN device `vx` is in `blue`, and floods to these.
#[track_caller]
fn kernel(underlay: &Netns, family: Family) -> Netns {
    let kernel = Netns::new("kernel");
    join(&kernel, "ul", underlay, "p3");
    underlay.ok(&["ip", "link", "set", "p3", "master", "mid"]);
    give_address(&kernel, family, KERNEL);
    kernel.run_lines(&[
        &format!("ip link add vx type vxlan id 42 local {} dstport 4789", family.address(KERNEL)),
        "ip addr add 10.50.255.200/16 dev vx",
        "ip addr add fd00:50::ff:200/64 dev vx nodad",
        "ip link set vx up",
    ]);
    kernel
}

/// The kernel floods to that host, too, which has it as a peer.
#[track_caller]
fn are_peers(host: &Host, kernel: &Netns, family: Family, number: u8) {
    host.ok(&["network", "peer", "add", "blue", &family.address(KERNEL).to_string()]);
    let to = family.address(number).to_string();
    kernel.ok(&["bridge", "fdb", "append", "00:00:00:00:00:00", "dev", "vx", "dst", &to]);
}

fn fdb_has(host: &Host, mac: &str) -> bool {
    host.ok(&["fdb"]).contains(mac)
}

/// What a static peer sends is learnt, and what a node sends is not: the registry describes it.
#[track_caller]
fn a_third_host(family: Family) {
    let (mut sites, underlay) = Sites::bridged(family);
    let mut give = vec!["ip", "addr", "add"];
    let net = family.net(REGISTRY);
    give.extend([net.as_str(), "dev", "mid"]);
    give.extend((family == Family::V6).then_some("nodad"));
    underlay.ok(&give);
    let etcd = Etcd::inside(&underlay, family.address(REGISTRY));
    sites.start_switches(&["--registry", &format!("etcd://{}", etcd.address())]);
    let create = ["network", "create", "blue", "--overlay", "--vni", "42"];
    let subnets = ["--subnet", "10.50.0.0/16", "--subnet", "fd00:50::/64"];
    let [n1, n2] = &sites.hosts;
    n1.ok(&[&create[..], &subnets].concat());
    wait_for("blue is on n2", SOON, || {
        n2.vswitch(&["network", "inspect", "blue"]).status.success()
    });
    let (a, b) = sites.containers();
    a.ping_soon(b.v4(), SOON);
    let kernel = kernel(&underlay, family);
    let [v4, v6] = ["10.50.255.200", "fd00:50::ff:200"].map(address);
    // A peer of the first node alone: nothing goes from tunnel to tunnel.
    are_peers(n1, &kernel, family, 1);
    kernel.ping_soon(a.v4(), SOON);
    a.ping_soon(v6, SOON);
    transfer(&a, &kernel, v4, 4);
    transfer(&kernel, &a, a.v6(), 4);
    let reaches = |from: &Netns| from.exec(&["ping", "-n", "-c1", "-W1", &v4.to_string()]);
    assert!(!reaches(&b).status.success(), "n2 has no such peer");
    let peers = n1.json(&["peers"]);
    let peer = |number| {
        let rows = peers.as_array().expect("rows").iter();
        let at = family.endpoint(number).to_string();
        rows.clone().find(|row| row["address"] == at).expect("a peer").clone()
    };
    assert_eq!((&peer(KERNEL)["learning"], &peer(2)["learning"]), (&true.into(), &false.into()));
    assert!(fdb_has(n1, &kernel.mac("vx")) && !fdb_has(n2, &kernel.mac("vx")));
    // A node sends from an address that the registry does not know; so does the static peer.
    send_datagram(n2.netns(), family, 2, &forged("08", 42));
    a.ping(b.v6());
    assert!(!fdb_has(n1, "02:00:00:00:aa:aa"));
    send_datagram(&kernel, family, KERNEL, &forged("08", 42));
    wait_for("a peer's is learnt", SOON, || fdb_has(n1, "02:00:00:00:aa:aa"));
    // A peer of both.
    are_peers(n2, &kernel, family, 2);
    b.ping_soon(v4, SOON);
    kernel.ping_soon(b.v6(), SOON);
    transfer(&b, &kernel, v6, 4);
    a.ping(b.v4());
    a.ping(v4);
    sites.hosts.iter().for_each(balanced);
}

#[test]
fn a_third_host_of_the_kernel_over_ipv4() {
    a_third_host(Family::V4);
}

#[test]
fn a_third_host_of_the_kernel_over_ipv6() {
    a_third_host(Family::V6);
}
