//! The kernel's VXLAN device as a peer: with an address of its own, and with a bridge and a container behind it.

use std::net::IpAddr;

use testkit::{Netns, join, wait_for};

use super::SOON;
use super::sites::{Family, address, balanced, drops, give_address};
use crate::harness::{Container, Host};
use crate::transfer::transfer;

/// A switch at address 1, whose network `blue` has the peer 2; and the host that is that peer.
#[track_caller]
fn beside_kernel(family: Family) -> (Host, Container, Netns) {
    let (mut host, peer) = (Host::new(), Netns::new("kernel"));
    join(host.netns(), "ul", &peer, "ul");
    give_address(host.netns(), family, 1);
    give_address(&peer, family, 2);
    host.up(&["--underlay", &family.address(1).to_string()]);
    let mut create = vec!["network", "create", "--overlay", "--vni", "42"];
    create.extend(["--subnet", "10.50.0.0/16", "--subnet", "fd00:50::/64"]);
    create.extend(["--ip-range", "10.50.1.0/24", "--ip-range", "fd00:50::1:0/112", "blue"]);
    host.ok(&create);
    host.ok(&["network", "peer", "add", "blue", &family.address(2).to_string()]);
    let a = host.container_with("a", &["--network", "blue"]);
    (host, a, peer)
}

/// `ip link add` of the kernel's device.
fn vxlan(family: Family, more: &str) -> String {
    let local = family.address(2);
    format!("ip link add vx type vxlan id 42 local {local} dstport 4789 {more}")
}

/// Packets and streams in both directions, opened by either side.
#[track_caller]
fn reach_each_other(a: &Container, b: &Netns, b4: IpAddr, b6: IpAddr) {
    // The kernel asks first for one family, the switch's container for the other.
    b.ping_soon(a.v4(), SOON);
    a.ping_soon(b6, SOON);
    a.ping(b4);
    b.ping(a.v6());
    transfer(a, b, b4, 8);
    transfer(b, a, a.v4(), 8);
    transfer(a, b, b6, 8);
    transfer(b, a, a.v6(), 8);
}

/// Receives eight datagrams at `ADDR 7000`; prints their lengths and whether all is as sent.
const RECEIVE_DATAGRAMS: &str = "\
import socket, sys
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 7000))
s.settimeout(20)
got = []
while len(got) < 8:
    got.append(s.recv(65535))
print([len(it) for it in got], b''.join(got) == bytes(range(250)) * 30)
";

/// Sends 7,500 bytes to `ADDR 7000` in datagrams of 1,000 with one call (`UDP_SEGMENT`, as QUIC does).
const SEND_SEGMENTED: &str = "\
import socket, sys
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_UDP, 103, 1000)
s.sendto(bytes(range(250)) * 30, (sys.argv[1], 7000))
";

/// The veth of the underlay takes the datagrams whole, as one UDP GSO frame.
#[track_caller]
fn datagrams_of_one_send(from: &Netns, to: &Netns, address: IpAddr) {
    let address = address.to_string();
    let receiver = to.spawn(&["python3", "-c", RECEIVE_DATAGRAMS, &address]);
    wait_for("the receiver has its socket", SOON, || {
        !to.ok(&["ss", "-Hlun", "sport", "=", "7000"]).is_empty()
    });
    from.ok(&["python3", "-c", SEND_SEGMENTED, &address]);
    let got = receiver.finish(SOON * 3).ok();
    assert!(got.contains("[1000, 1000, 1000, 1000, 1000, 1000, 1000, 500] True"), "{got}");
}

/// The recipe of the help: a device with one remote and an address.
#[track_caller]
fn device_with_an_address(family: Family) {
    let (host, a, peer) = beside_kernel(family);
    let remote = family.address(1);
    peer.run_lines(&[
        &vxlan(family, &format!("remote {remote}")),
        "ip addr add 10.50.0.2/16 dev vx",
        "ip addr add fd00:50::2/64 dev vx nodad",
        "ip link set vx up",
    ]);
    reach_each_other(&a, &peer, address("10.50.0.2"), address("fd00:50::2"));
    let learnt = host.ok(&["fdb", "--filter", &format!("port={}", family.endpoint(2))]);
    assert!(learnt.contains(&peer.mac("vx")), "{learnt}");
    balanced(&host);
}

#[test]
fn a_device_with_an_address_over_ipv4() {
    device_with_an_address(Family::V4);
}

#[test]
fn a_device_with_an_address_over_ipv6() {
    device_with_an_address(Family::V6);
}

/// A bridge with a container behind it: floods go by a static entry, and the bridge learns.
#[track_caller]
fn bridge_with_a_container(family: Family) {
    let (host, a, peer) = beside_kernel(family);
    let remote = family.address(1);
    let b = Netns::new("b");
    join(&peer, "veth", &b, "eth0");
    peer.run_lines(&[
        "ip link add br42 type bridge",
        &vxlan(family, "nolearning"),
        &format!("bridge fdb append 00:00:00:00:00:00 dev vx dst {remote}"),
        &format!("ip link set vx master br42 mtu {}", family.mtu()),
        "ip link set veth master br42",
        "ip link set br42 up",
        "ip link set vx up",
    ]);
    b.run_lines(&[
        &format!("ip link set eth0 mtu {}", family.mtu()),
        "ip addr add 10.50.0.3/16 dev eth0",
        "ip addr add fd00:50::3/64 dev eth0 nodad",
    ]);
    reach_each_other(&a, &b, address("10.50.0.3"), address("fd00:50::3"));
    datagrams_of_one_send(&b, &a, a.v4());
    datagrams_of_one_send(&b, &a, a.v6());
    // Nothing of the gateway: the container behind the kernel does not reach it.
    assert!(!b.exec(&["ping", "-n", "-c1", "-W1", "10.50.0.1"]).status.success());
    assert!(drops(&host, "tunnel-gateway") > 0, "{:#?}", host.stats().drops);
    a.ping(a.gateway());
    balanced(&host);
}

#[test]
fn a_bridge_with_a_container_over_ipv4() {
    bridge_with_a_container(Family::V4);
}

#[test]
fn a_bridge_with_a_container_over_ipv6() {
    bridge_with_a_container(Family::V6);
}
