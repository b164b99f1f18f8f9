//! The MTU of overlay networks follows the underlay's device, and the path to a peer.

use std::net::IpAddr;

use testkit::{Netns, join, wait_for};
use vswitch_api::overlay::Peer;

use super::SOON;
use super::sites::{Family, Sites, balanced};
use crate::harness::Host;
use crate::transfer::transfer;

fn mtu(netns: &Netns, device: &str) -> u64 {
    let text = netns.ok(&["ip", "-j", "-d", "link", "show", device]);
    let link: serde_json::Value = serde_json::from_str(&text).expect("JSON of ip link");
    link[0]["mtu"].as_u64().expect("an MTU")
}

fn gso_max_size(netns: &Netns, device: &str) -> u64 {
    let text = netns.ok(&["ip", "-j", "-d", "link", "show", device]);
    let link: serde_json::Value = serde_json::from_str(&text).expect("JSON of ip link");
    link[0]["gso_max_size"].as_u64().expect("a size")
}

fn mtu_to_peer(host: &Host) -> u32 {
    let peers: Vec<Peer> = serde_json::from_value(host.json(&["peers"])).expect("Peer[]");
    peers[0].mtu
}

/// Sends one echo request of that many bytes, which must not be fragmented.
fn fits(from: &Netns, to: IpAddr, packet: u32) -> bool {
    let data = (packet - if to.is_ipv4() { 28 } else { 48 }).to_string();
    from.exec(&["ping", "-n", "-c1", "-W1", "-M", "do", "-s", &data, &to.to_string()])
        .status
        .success()
}

/// Devices get what the underlay leaves, also later; running containers follow.
#[test]
fn the_device_of_the_underlay_shrinks_and_grows() {
    for (family, most) in [(Family::V4, 1450), (Family::V6, 1430)] {
        let sites = Sites::up(family, &[]);
        let (a, b) = sites.containers();
        let n1 = sites.hosts[0].netns();
        assert_eq!((mtu(&a, "eth0"), mtu(n1, "br-blue")), (most.into(), most.into()));
        assert!(gso_max_size(&a, "eth0") < 62_000 && gso_max_size(n1, "br-blue") < 62_000);
        a.ping_soon(b.v4(), SOON);
        assert!(fits(&a, b.v4(), most) && fits(&b, a.v6(), most));
        for host in &sites.hosts {
            host.netns().ok(&["ip", "link", "set", "ul", "mtu", "1400"]);
        }
        let left = u64::from(most) - 100;
        wait_for("all follow", SOON, || {
            [&*a, &*b].iter().all(|netns| mtu(netns, "eth0") == left) && mtu(n1, "br-blue") == left
        });
        assert_eq!(u64::from(mtu_to_peer(&sites.hosts[0])), left);
        transfer(&a, &b, b.v4(), 4);
        transfer(&b, &a, a.v6(), 4);
        for host in &sites.hosts {
            host.netns().ok(&["ip", "link", "set", "ul", "mtu", "1600"]);
        }
        let left = u64::from(most) + 100;
        wait_for("all follow", SOON, || [&*a, &*b].iter().all(|it| mtu(it, "eth0") == left));
        wait_for("the whole length passes", SOON, || fits(&a, b.v4(), left as u32));
        sites.hosts.iter().for_each(balanced);
    }
}

/// A router in the middle of the underlay has a smaller MTU: the switch learns the path's, tells senders, and streams pass.
#[test]
fn the_path_to_a_peer_is_narrower_than_the_device() {
    let mut hosts = [Host::new(), Host::new()];
    let router = Netns::new("router");
    router.set_sysctl("net/ipv4/ip_forward", "1");
    for (host, number) in hosts.iter().zip(1..) {
        let port = format!("p{number}");
        join(host.netns(), "ul", &router, &port);
        let other = 3 - number;
        router.ok(&["ip", "addr", "add", &format!("198.18.{number}.254/24"), "dev", &port]);
        host.netns().run_lines(&[
            &format!("ip addr add 198.18.{number}.1/24 dev ul"),
            &format!("ip route add 198.18.{other}.0/24 via 198.18.{number}.254"),
        ]);
    }
    router.ok(&["ip", "link", "set", "p2", "mtu", "1400"]);
    for (at, host) in hosts.iter_mut().enumerate() {
        let (number, other) = (at + 1, 2 - at);
        host.up(&["--underlay", &format!("198.18.{number}.1")]);
        let range = format!("10.50.{number}.0/24");
        let create =
            ["--overlay", "--vni", "42", "--subnet", "10.50.0.0/16", "--ip-range", &range, "blue"];
        host.ok(&[&["network", "create"][..], &create].concat());
        host.ok(&["network", "peer", "add", "blue", &format!("198.18.{other}.1")]);
    }
    let [a, b] = [("a", &hosts[0]), ("b", &hosts[1])]
        .map(|(name, host)| host.container_with(name, &["--network", "blue"]));
    a.ping_soon(b.v4(), SOON);
    // The device carries more; the first long packet is lost, and an ICMP error of the router says why.
    assert_eq!(mtu_to_peer(&hosts[0]), 1450);
    fits(&a, b.v4(), 1450);
    wait_for("the path is known", SOON, || {
        fits(&a, b.v4(), 1450);
        mtu_to_peer(&hosts[0]) == 1350
    });
    // Then the switch tells the sender, whose kernel knows the length at once.
    wait_for("the sender is told", SOON, || {
        let told =
            a.exec(&["ping", "-n", "-c1", "-W1", "-M", "do", "-s", "1422", &b.v4().to_string()]);
        told.stdout.contains("mtu") || told.stderr.contains("mtu")
    });
    assert!(fits(&a, b.v4(), 1350));
    transfer(&a, &b, b.v4(), 8);
    transfer(&b, &a, a.v4(), 8);
    hosts.iter().for_each(balanced);
}
