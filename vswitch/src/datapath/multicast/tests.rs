use std::collections::BTreeMap;
use std::time::Duration;

use fastpath::PortIndex;
use proptest::prelude::*;
use wire::MacAddr;

use super::*;
use crate::datapath::limits::{GROUP_ROWS_MAX, LAST_MEMBER_QUERIES, LEAVES_MAX, MEMBERSHIP_S};
use crate::datapath::{HostConfig, NetworkConf, NetworkIndex, PortConf, PortKind};

fn key(group: u64) -> Key {
    Key::new(NetworkIndex(0), 0, MacAddr::from_u64(0x0100_5e01_0000 + group))
}

#[test]
fn listeners_of_a_group_are_its_own() {
    let mut groups = Groups::default();
    for (group, port) in [(2, 7), (1, 3), (2, 5), (1, 9)] {
        assert!(groups.join(key(group), PortIndex(port), 10));
    }
    assert_eq!(groups.listeners(key(1)), [PortIndex(3), PortIndex(9)]);
    assert_eq!(groups.listeners(key(2)), [PortIndex(5), PortIndex(7)]);
    assert_eq!(groups.listeners(key(3)), []);
    assert!(!groups.join(key(1), PortIndex(3), 10), "no news within a second");
    assert!(groups.join(key(1), PortIndex(3), 11));
    groups.forget_port(PortIndex(3));
    assert_eq!(groups.listeners(key(1)), [PortIndex(9)]);
}

#[test]
fn rows_age_unless_they_are_refreshed() {
    let mut groups = Groups::default();
    groups.join(key(1), PortIndex(1), 0);
    groups.join(key(1), PortIndex(2), 0);
    groups.join(key(1), PortIndex(2), 100);
    groups.age(MEMBERSHIP_S);
    assert_eq!(groups.len(), 2);
    groups.age(MEMBERSHIP_S + 1);
    assert_eq!(groups.listeners(key(1)), [PortIndex(2)]);
}

#[test]
fn a_port_has_its_share_and_who_has_most_makes_room() {
    let mut groups = Groups::default();
    for group in 0..GROUPS_PER_PORT_MAX as u64 + 50 {
        groups.join(key(group), PortIndex(0), 0);
    }
    assert_eq!((groups.len(), groups.counters.mdb_full), (GROUPS_PER_PORT_MAX, 50));
    // One row of each of many, and the greedy ones fill the rest.
    let mut modest = 0;
    for port in 1..=8_u16 {
        modest += usize::from(groups.join(key(u64::from(port)), PortIndex(port), 0));
    }
    let mut port = 9;
    while groups.len() < GROUP_ROWS_MAX {
        for group in 0..GROUPS_PER_PORT_MAX as u64 {
            groups.join(key(group), PortIndex(port), 0);
        }
        port += 1;
    }
    assert!(groups.join(key(7777), PortIndex(5000), 0));
    assert_eq!(groups.len(), GROUP_ROWS_MAX);
    let held: usize = (1..=8).map(|port| groups.rows_of(PortIndex(port))).sum();
    assert_eq!((held, modest), (8, 8), "nobody modest lost a row");
}

#[test]
fn who_leaves_is_asked_and_ends_unless_somebody_answers() {
    let (port, mut groups) = (PortIndex(1), Groups::default());
    let ends = 100 + LAST_MEMBER_QUERIES * LAST_MEMBER_S;
    groups.join(key(1), port, 90);
    groups.join(key(2), port, 90);
    assert_eq!(groups.leave(key(1), port, 100), Some(ends));
    assert_eq!(groups.leave(key(2), port, 100), Some(ends));
    assert_eq!(groups.leaves.len(), 1, "one question is for all of its groups");
    assert_eq!(groups.leave(key(1), port, 100), None, "no news");
    assert_eq!(groups.leave(key(3), port, 100), None, "it did not listen");
    assert!(groups.join(key(2), port, 101));
    groups.age(ends);
    assert_eq!(groups.len(), 2);
    groups.age(ends + 1);
    assert_eq!((groups.listeners(key(1)), groups.listeners(key(2))), (&[][..], &[port][..]));
}

#[test]
fn too_many_leaves_at_a_time_age() {
    let mut groups = Groups::default();
    for port in 0..LEAVES_MAX as u16 + 3 {
        groups.join(key(1), PortIndex(port), 90);
        groups.leave(key(1), PortIndex(port), 100);
    }
    assert_eq!((groups.leaves.len(), groups.counters.mdb_full), (LEAVES_MAX, 3));
    groups.age(200);
    assert_eq!(groups.len(), 3);
    groups.forget_port(PortIndex(0));
    assert_eq!(groups.leaves.len(), LEAVES_MAX - 1);
}

/// The worker that hears a leave tells the others until when the row holds.
#[test]
fn another_worker_hears_of_a_leave() {
    let network = NetworkConf {
        host_config: HostConfig::default(),
        mtu: 1500,
        ageing: Duration::from_secs(300),
        fdb_entries_max: 100,
        statics: Vec::new(),
        neighbours: Vec::new(),
        mac: MacAddr::ZERO,
        snooping: true,
        router: None,
        service: None,
        overlay: None,
    };
    let conf = PortConf::new(NetworkIndex(0), PortKind::Container, MacAddr::ZERO);
    let snapshot = Snapshot::compile(vec![network], [(PortIndex(1), conf)]);
    let (mut groups, row) =
        (Groups::default(), Learnt { key: key(1), destination: PortIndex(1).into() });
    groups.join_in(&snapshot, row, holds_until(10));
    groups.join_in(&snapshot, row, 22);
    groups.age(22);
    assert_eq!(groups.len(), 1);
    groups.age(23);
    assert_eq!(groups.len(), 0);
}

proptest! {
    /// Against a map, below the limits.
    #[test]
    fn agrees_with_a_map(steps in proptest::collection::vec((0_u8..3, 0_u64..6, 0_u16..6, 0_u32..400), 0..80)) {
        let mut groups = Groups::default();
        let mut model: BTreeMap<(u64, u16), u32> = BTreeMap::new();
        let mut now_s = 0;
        for (step, group, port, later) in steps {
            match step {
                0 => {
                    groups.join(key(group), PortIndex(port), now_s);
                    model.insert((group, port), now_s);
                }
                1 => {
                    groups.forget_port(PortIndex(port));
                    model.retain(|&(_, held), _| held != port);
                }
                _ => {
                    now_s += later;
                    groups.age(now_s);
                    model.retain(|_, seen_s| now_s - *seen_s <= MEMBERSHIP_S);
                }
            }
            for group in 0..6 {
                let expected = model.keys().filter(|row| row.0 == group);
                let expected: Vec<PortIndex> = expected.map(|row| PortIndex(row.1)).collect();
                prop_assert_eq!(groups.listeners(key(group)), expected);
            }
        }
    }
}
