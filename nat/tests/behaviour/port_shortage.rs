//! Where SNAT ports are short: each owner's share of a pool, and which connections yield theirs.

use std::ops::RangeInclusive;

use crate::common::*;
use vswitch_nat::{NatDrop, Realm, Translation, Transport};

const R: &str = "198.51.100.7:53";
const WEB: &str = "198.51.100.7:80";

/// Of ten ports of a pool, an owner has eight.
const PORTS: RangeInclusive<u16> = 20_000..=20_009;
const SHARE: u16 = 8;

/// A translator with ten ports; port 80 of the container is published for both transports.
fn lab() -> Lab {
    let mut policy = policy();
    policy.ports = PORTS;
    policy.published =
        [Transport::Tcp, Transport::Udp].map(|it| published(it, 80..=80, A, 80, 1)).to_vec();
    Lab::with(policy)
}

fn from(port: u16) -> String {
    format!("{A}:{port}")
}

fn from_v6(port: u16) -> String {
    format!("[fd00:99::2]:{port}")
}

/// An outgoing TCP connection, closed by both.
fn close(nat: &mut Lab, client: &str, server: &str) {
    let external = nat.establish(client, server).to_string();
    nat.out(&tcp(client, server, segment(FIN_ACK, 1001, 5001, 0)));
    nat.back(&tcp(server, &external, segment(FIN_ACK, 5001, 1002, 0)));
    nat.out(&tcp(client, server, segment(ACK, 1002, 5002, 0)));
}

/// A DNS question and its answer.
fn ask(nat: &mut Lab, client: &str, server: &str) {
    let external = nat.out(&udp(client, server)).to_string();
    nat.back(&udp(server, &external));
}

/// A connection of an outside client to the published port, reset by the server.
fn serve(nat: &mut Lab, port: u16) {
    let (client, server) = (format!("203.0.113.9:{port}"), from(80));
    nat.back(&tcp(&client, "192.0.2.1:80", segment(SYN, 7000, 0, 0)));
    nat.out(&tcp(&server, &client, segment(RST_ACK, 0, 7001, 0)));
}

#[test]
fn one_owner_cannot_take_all_ports() {
    let mut nat = lab();
    for port in 1..=SHARE {
        nat.establish(&from(port), WEB);
    }
    let refused = nat.send(internal(1), &tcp(&from(81), WEB, segment(SYN, 1, 0, 0)));
    assert_eq!(refused, Err(NatDrop::PortsExhausted));
    assert_eq!(nat.nat.counters().connections_no_port, 1);
    nat.edit(internal(2), &tcp("10.99.0.3:1", R, segment(SYN, 1, 0, 0)));
    nat.out(&tcp(&from(SHARE), "198.51.100.9:80", segment(SYN, 1, 0, 0)));
}

#[test]
fn each_pool_is_shared_by_itself() {
    let mut nat = lab();
    for port in 1..=SHARE {
        nat.establish(&from(port), WEB);
        nat.establish(&from_v6(port), "[2001:db8:f::7]:80");
        nat.out(&udp(&from(port), R));
        nat.out(&udp(&from_v6(port), "[2001:db8:f::7]:53"));
    }
    assert_eq!((nat.nat.counters().connections_evicted, nat.nat.len()), (0, 4 * SHARE as usize));
}

#[test]
fn the_oldest_that_is_over_gives_its_port() {
    let mut nat = lab();
    for port in 1001..=2000 {
        close(&mut nat, &from(port), WEB);
    }
    assert_eq!(nat.nat.len(), SHARE as usize);
    assert_eq!(nat.nat.counters().connections_evicted, 992);
}

#[test]
fn closed_connections_to_a_published_port_hide_no_port_and_stay() {
    let mut nat = lab();
    for port in 1..=600 {
        serve(&mut nat, port);
    }
    for port in 1001..=1100 {
        close(&mut nat, &from(port), WEB);
    }
    let counters = nat.nat.counters();
    assert_eq!(counters.connections_no_port, 0);
    assert_eq!((counters.connections_evicted, nat.nat.len()), (92, 608));
}

#[test]
fn closed_connections_of_other_pools_hide_no_port_and_stay() {
    let mut nat = lab();
    for port in 1..=SHARE {
        close(&mut nat, &from(port), WEB);
        close(&mut nat, &from_v6(port), "[2001:db8:f::7]:80");
    }
    for port in 1001..=1100 {
        ask(&mut nat, &from(port), R);
        ask(&mut nat, &from_v6(port), "[2001:db8:f::7]:53");
    }
    let counters = nat.nat.counters();
    assert_eq!(counters.connections_no_port, 0);
    assert_eq!((counters.connections_evicted, nat.nat.len()), (2 * 92, 4 * SHARE as usize));
}

#[test]
fn a_flood_of_opening_connections_to_a_published_port_hides_no_port() {
    let mut nat = lab();
    for port in 1..=600 {
        nat.back(&tcp(&format!("203.0.113.9:{port}"), "192.0.2.1:80", segment(SYN, 7000, 0, 0)));
        nat.back(&udp(&format!("203.0.113.9:{port}"), "192.0.2.1:80"));
    }
    for port in 1001..=1100 {
        nat.out(&tcp(&from(port), WEB, segment(SYN, 1000, 0, 0)));
        nat.out(&udp(&from(port), R));
    }
    let counters = nat.nat.counters();
    assert_eq!(counters.connections_no_port, 0);
    assert_eq!((counters.connections_evicted, nat.nat.len()), (2 * 92, 1200 + 2 * SHARE as usize));
}

/// With a quota too, the oldest goes, whatever list it is in.
#[test]
fn the_quota_evicts_the_oldest_of_all_lists() {
    let mut nat = lab();
    nat.policy.quota = 3;
    for (step, port) in (1..=4).enumerate() {
        if step % 2 == 0 {
            serve(&mut nat, port);
        } else {
            ask(&mut nat, &from(port), R);
        }
        nat.wait_s(1);
    }
    let transports: Vec<_> = nat.nat.rows().map(|row| row.original.transport).collect();
    assert_eq!(transports.iter().filter(|it| **it == Transport::Udp).count(), 2);
    serve(&mut nat, 5);
    let transports: Vec<_> = nat.nat.rows().map(|row| row.original.transport).collect();
    assert_eq!(transports.iter().filter(|it| **it == Transport::Udp).count(), 1);
}

/// An inbound connection is the last user of a mapping: when it is over, it gives the port.
#[test]
fn an_inbound_connection_to_a_mapping_gives_its_port() {
    let mut nat = lab();
    nat.policy.quota = SHARE as u32 + 1;
    let external = nat.out(&tcp(&from(1), WEB, segment(SYN, 1000, 0, 0))).to_string();
    let peer = "198.51.100.7:81";
    nat.back(&tcp(peer, &external, segment(SYN, 7000, 0, 0)));
    nat.out(&tcp(&from(1), peer, segment(RST_ACK, 0, 7001, 0)));
    for port in 2..=SHARE {
        nat.establish(&from(port), WEB);
    }
    // The first has not been answered and yields to the quota; its mapping has one user left.
    nat.nat.flush(|row| row.original.dst.port == 80 && row.original.src.port == 1);
    nat.out(&tcp(&from(9), WEB, segment(SYN, 1000, 0, 0)));
    assert_eq!(nat.send(Realm::External, &udp(peer, &external)), Ok(Translation::NotOurs));
}

/// One owner in four pools leaves a fifth of all mappings to others.
#[test]
fn one_owner_cannot_take_all_mappings() {
    let mut policy = policy();
    (policy.ports, policy.quota) = (1024..=65_535, u32::MAX);
    let mut nat = Lab::sized(policy, 1 << 18);
    let mappings_max = 1 << 17;
    for port in 1..=50_000 {
        nat.out(&udp(&from(port), R));
        nat.out(&tcp(&from(port), WEB, segment(SYN, 1000, 0, 0)));
        nat.out(&udp(&from_v6(port), "[2001:db8:f::7]:53"));
    }
    let counters = nat.nat.counters();
    assert_eq!(counters.connections_no_port, 0, "its own oldest yield");
    assert_eq!(nat.nat.len(), (mappings_max * 4_usize).div_ceil(5));
    for port in 1..=1000 {
        nat.edit(internal(2), &udp(&format!("{B}:{port}"), R));
    }
}
