//! As many connections at once as a host with many busy containers has: 200,000, from 20 containers to 8 remotes.

use std::collections::HashSet;

use crate::common::*;
use vswitch_nat::{Endpoint, Nat, NatConfig, OwnerId, Realm, Transport, View, Zone};

const OWNERS: u32 = 20;
const EACH: u32 = 10_000;
const REMOTES: u32 = 8;

/// Connection `n` of an owner: to each destination in turn.
fn opening(owner: u32, n: u32, remote_ports: u32) -> (Realm, View) {
    let src =
        Endpoint::new([10, 99, 0, 2 + owner as u8].into(), 1_024 + (n * 7_919 % 60_000) as u16);
    let destination = n % (REMOTES * remote_ports);
    let remote = [198, 51, 100, 1 + (destination % REMOTES) as u8].into();
    let dst = Endpoint::new(remote, 443 + (destination / REMOTES) as u16);
    let tuple = vswitch_nat::Tuple { transport: Transport::Tcp, src, dst };
    let from = Realm::Internal(OwnerId(owner), Zone(0));
    (from, view_of(tuple, Some(segment(SYN, 1000, 0, 0)), false))
}

/// All connections, with so many claimed blocks. All are open, all answers come to who asked, and no two connections
/// have the same tuple.
fn open_all(blocks: u16, remote_ports: u32) -> Lab {
    let mut policy = policy();
    (policy.ports, policy.quota) = (1_024..=65_535, 1 << 18);
    let nat = Nat::new(NatConfig { capacity: 1 << 18, seed: 0x5eed }).with_claimed_blocks();
    let mut nat = Lab::around(nat, policy);
    let firsts: Vec<u16> = (0..blocks).map(|block| 1_024 + 64 * block).collect();
    nat.nat.claim_blocks(Transport::Tcp, &firsts, blocks.into());
    let mut tuples = HashSet::new();
    for n in 0..EACH {
        for owner in 0..OWNERS {
            let (from, view) = opening(owner, n, remote_ports);
            let edit = nat.edit(from, &view).0;
            assert!(tuples.insert((edit.src, edit.dst)), "{edit:?} is of two connections");
        }
    }
    for n in 0..EACH {
        for owner in 0..OWNERS {
            let (from, view) = opening(owner, n, remote_ports);
            let (edit, _) = nat.edit(from, &view);
            let answer =
                tcp(&edit.dst.to_string(), &edit.src.to_string(), segment(SYN_ACK, 5000, 1001, 0));
            let (back, to) = nat.edit(Realm::External, &answer);
            assert_eq!((back.dst.address, to), (view.src, from));
        }
    }
    assert_eq!((tuples.len(), nat.nat.len()), ((OWNERS * EACH) as usize, tuples.len()));
    assert_eq!(nat.nat.counters().connections_no_port, 0);
    nat
}

/// 64 destinations: 8 addresses with 8 ports each. 4,096 ports suffice.
#[test]
fn two_hundred_thousand_connections_work_with_few_ports() {
    let nat = open_all(64, 8);
    assert!(
        nat.nat.mappings() < 4_096 && nat.nat.shared() > 190_000,
        "{} shared",
        nat.nat.shared()
    );
}

/// 8 destinations need 25,000 ports, since no two connections to one of them have the same.
#[test]
fn two_hundred_thousand_connections_to_eight_destinations_work() {
    let nat = open_all(450, 1);
    assert!(nat.nat.shared() > 100_000, "{} shared", nat.nat.shared());
}
