//! Bulk TCP arrives whole while the underlay loses datagrams.

use serde_json::Value;
use testkit::Netns;

use super::SOON;
use super::sites::{Family, Sites, balanced};
use crate::transfer::transfer;

/// The bridge between the hosts drops 2 % of what comes from either, and counts it.
const LOSS: &str = "\
add table netdev lossy
add counter netdev lossy p1
add counter netdev lossy p2
add chain netdev lossy p1 { type filter hook ingress device p1 priority 0; }
add chain netdev lossy p2 { type filter hook ingress device p2 priority 0; }
add rule netdev lossy p1 udp dport 4789 numgen random mod 100 < 2 counter name p1 drop
add rule netdev lossy p2 udp dport 4789 numgen random mod 100 < 2 counter name p2 drop";

/// Datagrams that were lost on the way from a host.
#[track_caller]
fn lost(bridge: &Netns, port: &str) -> u64 {
    let text = bridge.ok(&["nft", "-j", "list", "counter", "netdev", "lossy", port]);
    let answer: Value = serde_json::from_str(&text).expect("JSON of nft");
    let mut objects = answer["nftables"].as_array().expect("an array").iter();
    objects.find_map(|it| it["counter"]["packets"].as_u64()).expect("a counter")
}

/// What a loss takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// A veth with all it can do: all datagrams of a system call.
    Whole,
    /// As a NIC without checksum offload: one datagram. GRO joins what is left (over IPv4 it sees the gap), so that the
    /// switch gets runs with gaps.
    Single,
}

/// So many MiB from one host to the other.
#[track_caller]
fn arrives_whole(family: Family, link: Link, args: &[&str], mebibytes: u32) {
    let (mut sites, bridge) = Sites::bridged(family);
    if link == Link::Single {
        for (host, port) in sites.hosts.iter().zip(["p1", "p2"]) {
            bridge.ok(&["ethtool", "-K", port, "tx", "off"]);
            host.netns().ok(&["ethtool", "-K", "ul", "tx", "off", "gro", "on"]);
        }
    }
    sites.start(args);
    let (a, b) = sites.containers();
    a.ping_soon(b.v4(), SOON);
    bridge.ok(&["nft", LOSS]);
    transfer(&a, &b, b.v4(), mebibytes);
    let (of_data, of_acks) = (lost(&bridge, "p1"), lost(&bridge, "p2"));
    // Of 750 datagrams in a MiB, or of 17 and more system calls, with their acknowledgements.
    let least = if link == Link::Single { mebibytes } else { mebibytes / 20 };
    assert!(of_data + of_acks > u64::from(least), "{of_data} and {of_acks} lost");
    let merged: u64 = sites.hosts[1].stats().workers.iter().map(|worker| worker.merged).sum();
    assert!(merged > u64::from(mebibytes) * 100, "{merged} datagrams were joined");
    sites.hosts.iter().for_each(balanced);
}

#[test]
fn a_hundred_mebibytes_over_ipv4_with_loss() {
    arrives_whole(Family::V4, Link::Whole, &[], 100);
}

#[test]
fn a_hundred_mebibytes_over_ipv6_with_loss() {
    arrives_whole(Family::V6, Link::Single, &[], 100);
}

#[test]
fn by_epoll_with_loss() {
    arrives_whole(Family::V6, Link::Single, &["--backend", "epoll"], 20);
    arrives_whole(Family::V4, Link::Whole, &["--backend", "epoll"], 20);
}
