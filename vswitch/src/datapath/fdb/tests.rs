use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::datapath::{NetworkConf, StaticMac};

const NET: NetworkIndex = NetworkIndex(0);
const AGEING_S: u32 = 300;
const MANY: usize = usize::MAX;

fn key(n: u64) -> Key {
    Key::new(NET, 0, MacAddr::from_u64(0x0200_0000_0000 | n))
}

fn learnt(n: u64, port: u16) -> Learnt {
    Learnt { key: key(n), port: PortIndex(port) }
}

fn snapshot(statics: Vec<StaticMac>) -> Snapshot {
    let ageing = Duration::from_secs(AGEING_S.into());
    Snapshot::compile(
        vec![NetworkConf {
            mtu: 1500,
            ageing,
            fdb_entries_max: MANY,
            statics,
            neighbours: Vec::new(),
            mac: MacAddr::ZERO,
            snooping: false,
        }],
        [],
    )
}

#[test]
fn an_address_is_found_until_it_has_aged() {
    let mut fdb = Fdb::new(1);
    assert_eq!(fdb.learn(learnt(1, 7), 1000, AGEING_S, MANY), Outcome::New);
    assert_eq!(fdb.lookup(key(1), 1300, AGEING_S), Some(PortIndex(7)));
    assert_eq!(fdb.lookup(key(1), 1301, AGEING_S), None);
    assert_eq!(fdb.len(), 1, "the sweep takes it out");
    for _ in 0..16 {
        fdb.sweep(1301, &snapshot(Vec::new()));
    }
    assert_eq!(fdb.len(), 0);
}

#[test]
fn a_move_is_told_once() {
    let mut fdb = Fdb::new(1);
    fdb.learn(learnt(1, 7), 10, AGEING_S, MANY);
    assert_eq!(fdb.learn(learnt(1, 7), 10, AGEING_S, MANY), Outcome::Known);
    assert_eq!(fdb.learn(learnt(1, 7), 11, AGEING_S, MANY), Outcome::Refreshed);
    assert_eq!(fdb.learn(learnt(1, 8), 11, AGEING_S, MANY), Outcome::Moved);
    assert_eq!(fdb.learn(learnt(1, 8), 11, AGEING_S, MANY), Outcome::Known);
    assert_eq!(fdb.lookup(key(1), 11, AGEING_S), Some(PortIndex(8)));
    assert_eq!((fdb.held_by(PortIndex(7)), fdb.held_by(PortIndex(8))), (0, 1));
}

#[test]
fn vlans_and_networks_are_apart() {
    let mut fdb = Fdb::new(1);
    let mac = MacAddr::from_u64(0x0200_0000_0001);
    let keys = [
        Key::new(NET, 0, mac),
        Key::new(NET, 5, mac),
        Key::new(NetworkIndex(1), 0, mac),
        Key::new(NetworkIndex(1), 4094, mac),
    ];
    for (port, key) in keys.into_iter().enumerate() {
        fdb.learn(Learnt { key, port: PortIndex(port as u16) }, 1, AGEING_S, MANY);
    }
    for (port, key) in keys.into_iter().enumerate() {
        assert_eq!(fdb.lookup(key, 1, AGEING_S), Some(PortIndex(port as u16)));
        assert_eq!(key.mac(), mac);
    }
    assert_eq!(keys[3].vlan(), 4094);
}

#[test]
fn a_network_at_its_limit_learns_nothing_new_but_keeps_what_it_has() {
    let mut fdb = Fdb::new(1);
    assert_eq!(fdb.learn(learnt(1, 1), 1, AGEING_S, 2), Outcome::New);
    assert_eq!(fdb.learn(learnt(2, 1), 1, AGEING_S, 2), Outcome::New);
    assert_eq!(fdb.learn(learnt(3, 1), 1, AGEING_S, 2), Outcome::Full);
    assert_eq!(fdb.learn(learnt(1, 2), 2, AGEING_S, 2), Outcome::Moved);
    let other = Learnt { key: Key::new(NetworkIndex(1), 0, MacAddr([2; 6])), port: PortIndex(3) };
    assert_eq!(fdb.learn(other, 1, AGEING_S, 2), Outcome::New, "another network has its own share");
}

#[test]
fn a_static_entry_neither_ages_nor_moves_and_goes_with_its_snapshot() {
    let mut fdb = Fdb::new(1);
    let mac = key(1).mac();
    fdb.learn(learnt(1, 9), 1, AGEING_S, MANY);
    let set = StaticMac { mac, vlan: 0, port: PortIndex(4) };
    fdb.set_statics(&snapshot(vec![set]));
    assert_eq!(fdb.learn(learnt(1, 5), 1, AGEING_S, MANY), Outcome::Static);
    assert_eq!(fdb.lookup(key(1), u32::MAX - 1, AGEING_S), Some(PortIndex(4)));
    let rows = fdb.rows(5, &snapshot(vec![set]));
    assert!(rows.len() == 1 && rows[0].is_static && rows[0].age.is_zero());
    fdb.set_statics(&snapshot(Vec::new()));
    assert_eq!(fdb.lookup(key(1), 1, AGEING_S), None);
}

#[test]
fn a_flooder_evicts_itself() {
    let mut fdb = Fdb::new(0x1234_5678_9abc_def0);
    let (quiet, flooder) = (PortIndex(1), PortIndex(2));
    for n in 0..1000 {
        fdb.learn(Learnt { key: key(n), port: quiet }, 1, AGEING_S, MANY);
    }
    for n in 1000..(1000 + 4 * FDB_SLOTS as u64) {
        fdb.learn(Learnt { key: key(n), port: flooder }, 1, AGEING_S, MANY);
    }
    assert!(fdb.len() <= FDB_SLOTS);
    for n in 0..1000 {
        assert_eq!(fdb.lookup(key(n), 1, AGEING_S), Some(quiet), "address {n} was evicted");
    }
}

#[test]
fn a_thousand_addresses_all_fit() {
    for seed in 0..20 {
        let mut fdb = Fdb::new(seed);
        for n in 0..16_384 {
            assert_eq!(fdb.learn(learnt(n, 1), 1, AGEING_S, MANY), Outcome::New);
        }
        assert_eq!(fdb.len(), 16_384);
    }
}

proptest! {
    /// Against a plain map: what was seen last, and when.
    #[test]
    fn behaves_like_a_map(
        seed: u64,
        steps in proptest::collection::vec((0u64..60, 0u16..6, 0u32..40, any::<bool>()), 1..400),
    ) {
        let mut fdb = Fdb::new(seed);
        let mut model: HashMap<u64, (u16, u32)> = HashMap::new();
        let (mut now, ageing) = (1000, 60);
        for (address, port, pause, forget) in steps {
            now += pause / 8;
            if forget && pause == 0 {
                fdb.forget_port(PortIndex(port));
                model.retain(|_, (at, _)| *at != port);
            } else {
                fdb.learn(learnt(address, port), now, ageing, MANY);
                model.insert(address, (port, now));
            }
            for address in 0..60 {
                let fresh = model.get(&address).filter(|(_, seen)| now - seen <= ageing);
                let expected = fresh.map(|(port, _)| PortIndex(*port));
                prop_assert_eq!(fdb.lookup(key(address), now, ageing), expected);
            }
            prop_assert_eq!(fdb.len(), model.len());
        }
    }
}
