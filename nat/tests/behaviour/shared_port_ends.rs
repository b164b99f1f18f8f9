//! Connections that share ports end: their late data, the rest of their tuples, and the count of ports.

use std::ops::RangeInclusive;

use crate::common::*;
use vswitch_nat::{Endpoint, NatDrop, OwnerId, Realm, Translation, Transport, View};

/// A has seven of eight ports to [`WEB`]; B shares one of them to another port of the same host.
const PORTS: RangeInclusive<u16> = 20_000..=20_007;
const SHARE: u16 = 7;

/// The addresses of three containers, and three services of one host.
const FAMILIES: [[&str; 6]; 2] = [
    [A, B, "10.99.0.4", "198.51.100.7:80", "198.51.100.7:443", "198.51.100.7:444"],
    [
        "[fd00:99::2]",
        "[fd00:99::3]",
        "[fd00:99::4]",
        "[2001:db8:f::7]:80",
        "[2001:db8:f::7]:443",
        "[2001:db8:f::7]:444",
    ],
];
const WEB: &str = FAMILIES[0][3];
const OTHER: &str = FAMILIES[0][4];

fn lab_of(ports: RangeInclusive<u16>) -> Lab {
    let mut policy = policy();
    policy.ports = ports;
    Lab::with(policy)
}

fn syn(src: &str, dst: &str) -> View {
    tcp(src, dst, segment(SYN, 1000, 0, 0))
}

/// An established connection of an owner; where it appears from.
#[track_caller]
fn establish_of(nat: &mut Lab, owner: u32, src: &str, dst: &str) -> Endpoint {
    let external = nat.edit(internal(owner), &syn(src, dst)).0.src;
    nat.edit(Realm::External, &tcp(dst, &external.to_string(), segment(SYN_ACK, 5000, 1001, 0)));
    nat.edit(internal(owner), &tcp(src, dst, segment(ACK, 1001, 5001, 0)));
    external
}

/// A stream of datagrams.
#[track_caller]
fn stream_of(nat: &mut Lab, owner: u32, src: &str, dst: &str) -> Endpoint {
    let external = nat.edit(internal(owner), &udp(src, dst)).0.src;
    nat.edit(Realm::External, &udp(dst, &external.to_string()));
    nat.edit(internal(owner), &udp(src, dst));
    external
}

/// Owner 1 has all ports that it may have.
fn fill(nat: &mut Lab, transport: Transport, a: &str, web: &str) {
    for port in 1..=SHARE {
        let client = format!("{a}:{port}");
        match transport {
            Transport::Tcp => establish_of(nat, 1, &client, web),
            _ => stream_of(nat, 1, &client, web),
        };
    }
}

#[test]
fn late_data_of_an_ended_sharer_reaches_no_other_container() {
    for [a, b, _, web, other, third] in FAMILIES {
        let mut nat = lab_of(PORTS);
        fill(&mut nat, Transport::Tcp, a, web);
        let seen = establish_of(&mut nat, 2, &format!("{b}:1"), other).to_string();
        assert_eq!(nat.nat.shared(), 1);
        for is_ended in [false, true] {
            if is_ended {
                nat.nat.remove_owner(OwnerId(2));
                assert_eq!(nat.nat.shared(), 0);
            }
            let from = if is_ended { other } else { third };
            let late = tcp(from, &seen, segment(ACK, 5001, 1001, 10));
            assert_eq!(nat.send(Realm::External, &late), Err(NatDrop::Unsolicited), "{from}");
            let opening = tcp(from, &seen, segment(SYN, 7000, 0, 0));
            assert_eq!(nat.send(Realm::External, &opening), Err(NatDrop::Unsolicited), "{from}");
        }
        // The mapping's own connection goes on.
        let (_, to) = nat.edit(Realm::External, &tcp(web, &seen, segment(ACK, 5001, 1001, 10)));
        assert_eq!(to, internal(1));
    }
}

#[test]
fn late_datagrams_of_an_ended_sharer_reach_no_other_container() {
    for [a, b, c, web, other, _] in FAMILIES {
        let mut nat = lab_of(PORTS);
        fill(&mut nat, Transport::Udp, a, web);
        // The last port, which nobody shares yet.
        let alone = stream_of(&mut nat, 3, &format!("{c}:1"), web);
        let seen = stream_of(&mut nat, 2, &format!("{b}:1"), other);
        assert_eq!(nat.nat.shared(), 1);
        nat.nat.flush(|row| row.owner == OwnerId(2));
        let late = udp(other, &seen.to_string());
        assert_eq!(nat.send(Realm::External, &late), Err(NatDrop::Unsolicited));
        let (_, to) = nat.edit(Realm::External, &udp(web, &seen.to_string()));
        assert_eq!(to, internal(if seen == alone { 3 } else { 1 }));
    }
}

/// The filter is as before where a port has never been shared.
#[test]
fn another_port_of_a_known_host_reaches_a_mapping_of_its_own() {
    for [a, _, _, web, other, _] in FAMILIES {
        let mut nat = lab_of(20_000..=20_100);
        let seen = nat.establish(&format!("{a}:1"), web).to_string();
        assert_eq!(nat.back(&syn(other, &seen)), endpoint(&format!("{a}:1")));
    }
}

/// A port that all have left is whole again.
#[test]
fn a_port_that_has_rested_is_filtered_by_address_again() {
    let mut nat = lab_of(20_000..=20_000);
    nat.establish("10.99.0.2:1", WEB);
    let seen = establish_of(&mut nat, 2, "10.99.0.3:1", OTHER).to_string();
    assert_eq!(nat.send(Realm::External, &syn("198.51.100.7:9", &seen)), Err(NatDrop::Unsolicited));
    nat.nat.flush(|_| true);
    nat.wait_s(300);
    nat.establish("10.99.0.2:1", WEB);
    assert_eq!(nat.back(&syn("198.51.100.7:9", &seen)), endpoint("10.99.0.2:1"));
}

/// The destination still has the connection that ended here: the tuple is no other container's.
#[test]
fn a_shared_tuple_rests_after_its_connection() {
    for [a, b, c, web, other, _] in FAMILIES {
        for is_detached in [false, true] {
            let mut nat = lab_of(PORTS);
            fill(&mut nat, Transport::Tcp, a, web);
            let before: Vec<_> = (1..=7)
                .map(|port| establish_of(&mut nat, 2 + port % 2 * 3, &format!("{b}:{port}"), other))
                .collect();
            assert_eq!(nat.nat.shared(), 7);
            if is_detached {
                nat.nat.remove_owner(OwnerId(2));
                nat.nat.remove_owner(OwnerId(5));
            } else {
                nat.nat.flush(|row| row.owner != OwnerId(1));
            }
            let alone = nat.edit(internal(3), &syn(&format!("{c}:1"), other)).0.src;
            assert!(!before.contains(&alone), "{alone} of {before:?}");
            // Nor do the endpoints of the mappings get them.
            let own = nat.send(internal(1), &syn(&format!("{a}:1"), other));
            assert_eq!(own, Err(NatDrop::PortsExhausted));
            nat.wait_s(250);
            let again = nat.edit(internal(3), &syn(&format!("{c}:2"), other)).0.src;
            assert!(before.contains(&again), "after its rest");
        }
    }
}

/// The same where the mapping's own connection has ended, and the mapping has another.
#[test]
fn a_mapped_tuple_rests_too() {
    let mut nat = lab_of(20_000..=20_003);
    let mut seen = Vec::new();
    for port in 1..=3 {
        let client = format!("{A}:{port}");
        seen.push(nat.establish(&client, WEB));
        assert_eq!(nat.establish(&client, OTHER), seen[port - 1]);
    }
    nat.nat.flush(|row| row.original.dst == endpoint(OTHER));
    let other = nat.edit(internal(2), &syn("10.99.0.3:1", OTHER)).0.src;
    assert!(!seen.contains(&other), "{other} of {seen:?}");
    let refused = nat.send(internal(3), &syn("10.99.0.4:1", OTHER));
    assert_eq!((refused, nat.nat.shared()), (Err(NatDrop::PortsExhausted), 0));
}

/// An owner may cut the rest of its own connections short.
#[test]
fn an_owner_has_its_own_tuples_at_rest() {
    let mut nat = lab_of(PORTS);
    fill(&mut nat, Transport::Tcp, A, WEB);
    for port in 1..=6 {
        establish_of(&mut nat, 2, &format!("{B}:{port}"), OTHER);
    }
    nat.nat.flush(|row| row.owner == OwnerId(2));
    for port in 11..=14 {
        establish_of(&mut nat, 2, &format!("{B}:{port}"), OTHER);
    }
    assert_eq!((nat.nat.counters().connections_no_port, nat.nat.shared()), (0, 3));
}

/// A container whose mappings end while others share their ports has no more ports than before.
#[test]
fn a_port_counts_for_its_owner_until_it_is_free() {
    let mut nat = lab_of(PORTS);
    fill(&mut nat, Transport::Udp, A, WEB);
    // The last port, then one that is shared on each.
    stream_of(&mut nat, 2, &format!("{B}:1"), WEB);
    for port in 2..=8 {
        stream_of(&mut nat, 2 + port % 2, &format!("{B}:{port}"), OTHER);
    }
    assert_eq!((nat.nat.mappings(), nat.nat.shared()), (8, 7));
    nat.nat.flush(|row| row.original.src == endpoint(&format!("{B}:1")));
    nat.nat.flush(|row| row.owner == OwnerId(1));
    assert_eq!(nat.nat.mappings(), 0);
    let used = nat.nat.shared();
    // The port that is free is not for the one that has the others.
    stream_of(&mut nat, 1, &format!("{A}:1"), "198.51.100.9:53");
    assert_eq!((nat.nat.mappings(), nat.nat.shared()), (0, used + 1));
    stream_of(&mut nat, 3, "10.99.0.4:1", WEB);
    assert_eq!(nat.nat.mappings(), 1);
    // In the end nothing counts.
    nat.nat.flush(|_| true);
    nat.wait_s(300);
    fill(&mut nat, Transport::Udp, A, WEB);
    assert_eq!((nat.nat.mappings(), nat.nat.shared()), (SHARE.into(), 0));
}

/// An unanswered connection whose port others share does not yield: that would free nothing.
#[test]
fn an_unanswered_connection_on_a_shared_port_is_not_evicted_for_it() {
    let mut nat = lab_of(PORTS);
    for port in 1..=SHARE {
        nat.out(&udp(&format!("{A}:{port}"), WEB));
    }
    stream_of(&mut nat, 2, &format!("{B}:1"), WEB);
    for port in 2..=9 {
        stream_of(&mut nat, 2 + port % 2, &format!("{B}:{port}"), OTHER);
    }
    assert_eq!(nat.nat.shared(), 8, "a sharer on every port");
    for port in 21..=25 {
        nat.out(&udp(&format!("{A}:{port}"), "198.51.100.9:53"));
    }
    assert_eq!(nat.nat.counters().connections_evicted, 0);
    assert_eq!(nat.nat.rows().filter(|row| row.original.dst == endpoint(WEB)).count(), 8);
}

/// No port that a publication names at whatever address is allocated or shared.
#[test]
fn a_port_that_is_published_at_another_address_is_nobodys() {
    let mut policy = policy();
    policy.ports = PORTS;
    let mut elsewhere = published(Transport::Tcp, 20_002..=20_006, A, 1, 1);
    elsewhere.address = Some(ip("::1"));
    policy.published = vec![elsewhere];
    let mut nat = Lab::with(policy);
    for [a, _, _, web, other, _] in FAMILIES {
        for owner in 1..=9 {
            for dst in [web, other] {
                let client = format!("{a}:{owner}");
                let Ok(Translation::Edit { edit, .. }) =
                    nat.send(internal(owner), &syn(&client, dst))
                else {
                    continue;
                };
                let is_free = [20_000, 20_001, 20_007].contains(&edit.src.port);
                assert!(is_free, "{} is published", edit.src);
            }
        }
    }
    assert_eq!(nat.nat.mappings(), 6);
    // The published ports are TCP's.
    let udp_port = |owner| nat.edit(internal(owner), &udp(&format!("{A}:{owner}"), WEB)).0.src.port;
    let mut used: Vec<u16> = (1..=8).map(udp_port).collect();
    used.sort_unstable();
    assert_eq!(used, PORTS.collect::<Vec<_>>());
}

/// The endpoint of a mapping that is taken towards a destination waits for a port like any other.
#[test]
fn a_port_beside_a_mapping_is_awaited_and_counts() {
    let mut policy = policy();
    policy.quota = u32::MAX;
    let mut nat = Lab::claiming(policy);
    nat.nat.claim_blocks(Transport::Udp, &[20_000], 200);
    for port in 1..=64 {
        stream_of(&mut nat, 1, &format!("{A}:{port}"), WEB);
    }
    nat.nat.set_obtainable_blocks(Transport::Udp, 1);
    let taken = stream_of(&mut nat, 7, "10.99.0.7:1", OTHER);
    assert_eq!(nat.nat.shared(), 1);
    let row =
        nat.nat.rows().find(|row| row.reply.dst == taken && row.original.dst == endpoint(WEB));
    let (owner, client) =
        row.map(|row| (row.owner.0, row.original.src.to_string())).expect("a mapping");
    nat.nat.set_obtainable_blocks(Transport::Udp, 9);
    let sent = nat.send(internal(owner), &udp(&client, OTHER));
    assert_eq!(sent, Err(NatDrop::PortAwaited));
    nat.nat.claim_blocks(Transport::Udp, &[20_064], 9);
    let seen = stream_of(&mut nat, owner, &client, OTHER);
    assert!((20_064..20_128).contains(&seen.port), "{seen} is free");
}
