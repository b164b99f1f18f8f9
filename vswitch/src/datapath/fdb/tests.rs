use std::collections::HashMap;

use proptest::prelude::*;
use wire::MacAddr;

use super::*;
use crate::datapath::{HostConfig, NetworkConf, PortConf, PortKind, StaticMac};

const NET: NetworkIndex = NetworkIndex(0);
pub(super) const AGEING_S: u32 = 300;
pub(super) const MANY: FdbQuota = FdbQuota::ALL;

/// Two entries a network.
const TWO: FdbQuota = FdbQuota { network: 2, port: usize::MAX };

pub(super) fn key(n: u64) -> Key {
    Key::new(NET, 0, MacAddr::from_u64(0x0200_0000_0000 | n))
}

pub(super) fn learnt(n: u64, port: u16) -> Learnt {
    Learnt { key: key(n), destination: PortIndex(port).into() }
}

fn snapshot(statics: Vec<StaticMac>) -> Snapshot {
    compiled(statics, 0)
}

/// A network with ports from 0 on.
pub(super) fn snapshot_of_ports(ports: u16) -> Snapshot {
    compiled(Vec::new(), ports)
}

fn compiled(statics: Vec<StaticMac>, ports: u16) -> Snapshot {
    let conf = PortConf::new(NET, PortKind::Container, MacAddr([2; 6]));
    let ageing = Duration::from_secs(AGEING_S.into());
    Snapshot::compile(
        vec![NetworkConf {
            host_config: HostConfig::default(),
            mtu: 1500,
            ageing,
            fdb_entries_max: usize::MAX,
            statics,
            neighbours: Vec::new(),
            router: None,
            mac: MacAddr::ZERO,
            snooping: false,
            service: None,
            overlay: None,
        }],
        (0..ports).map(|port| (PortIndex(port), conf.clone())),
    )
}

#[test]
fn an_address_is_found_until_it_has_aged() {
    let mut fdb = Fdb::new(1);
    assert_eq!(fdb.learn(learnt(1, 7), 1000, AGEING_S, MANY), Outcome::New);
    assert_eq!(fdb.lookup(key(1), 1300, AGEING_S), Some(PortIndex(7).into()));
    assert_eq!(fdb.lookup(key(1), 1301, AGEING_S), None);
    assert_eq!(fdb.len(), 1, "the sweep takes it out");
    for _ in 0..16 {
        fdb.sweep(1301, &snapshot(Vec::new()));
    }
    assert_eq!(fdb.len(), 0);
}

#[test]
fn a_static_entry_that_finds_no_room_is_counted() {
    // A table of two buckets, and more addresses than fit into both.
    let mut fdb = Fdb { buckets: vec![Bucket::default(); 2], ..Fdb::new(1) };
    let in_both = |n: &u64| fdb.hash(key(*n)).first != fdb.hash(key(*n)).second;
    let colliding: Vec<u64> = (0..).filter(in_both).take(2 * Bucket::SLOTS + 2).collect();
    let set = |n: u64| StaticMac { mac: key(n).mac(), vlan: 0, port: PortIndex(1) };
    fdb.set_statics(&snapshot(colliding.iter().copied().map(set).collect()));
    assert_eq!((fdb.len(), fdb.counters().fdb_statics_full), (2 * Bucket::SLOTS, 2));
    fdb.set_statics(&snapshot(Vec::new()));
    assert_eq!((fdb.len(), fdb.counters().fdb_statics_full), (0, 2));
}

#[test]
fn a_move_is_told_once() {
    let mut fdb = Fdb::new(1);
    fdb.learn(learnt(1, 7), 10, AGEING_S, MANY);
    assert_eq!(fdb.learn(learnt(1, 7), 10, AGEING_S, MANY), Outcome::Known);
    assert_eq!(fdb.learn(learnt(1, 7), 11, AGEING_S, MANY), Outcome::Refreshed);
    assert_eq!(
        fdb.learn(learnt(1, 8), 11, AGEING_S, MANY),
        Outcome::Moved { from: PortIndex(7).into() }
    );
    assert_eq!(fdb.learn(learnt(1, 8), 11, AGEING_S, MANY), Outcome::Known);
    assert_eq!(fdb.lookup(key(1), 11, AGEING_S), Some(PortIndex(8).into()));
    assert_eq!((fdb.entries_of(PortIndex(7).into()), fdb.entries_of(PortIndex(8).into())), (0, 1));
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
        fdb.learn(Learnt { key, destination: PortIndex(port as u16).into() }, 1, AGEING_S, MANY);
    }
    for (port, key) in keys.into_iter().enumerate() {
        assert_eq!(fdb.lookup(key, 1, AGEING_S), Some(PortIndex(port as u16).into()));
        assert_eq!(key.mac(), mac);
    }
    assert_eq!(keys[3].vlan(), 4094);
}

#[test]
fn a_network_at_its_limit_learns_nothing_new_but_keeps_what_it_has() {
    let mut fdb = Fdb::new(1);
    assert_eq!(fdb.learn(learnt(1, 1), 1, AGEING_S, TWO), Outcome::New);
    assert_eq!(fdb.learn(learnt(2, 1), 1, AGEING_S, TWO), Outcome::New);
    assert_eq!(fdb.learn(learnt(3, 1), 1, AGEING_S, TWO), Outcome::Full);
    assert_eq!(
        fdb.learn(learnt(1, 2), 2, AGEING_S, TWO),
        Outcome::Moved { from: PortIndex(1).into() }
    );
    let other = Learnt {
        key: Key::new(NetworkIndex(1), 0, MacAddr([2; 6])),
        destination: PortIndex(3).into(),
    };
    assert_eq!(
        fdb.learn(other, 1, AGEING_S, TWO),
        Outcome::New,
        "another network has its own share"
    );
}

#[test]
fn a_static_entry_neither_ages_nor_moves_and_goes_with_its_snapshot() {
    let mut fdb = Fdb::new(1);
    let mac = key(1).mac();
    fdb.learn(learnt(1, 9), 1, AGEING_S, MANY);
    let set = StaticMac { mac, vlan: 0, port: PortIndex(4) };
    fdb.set_statics(&snapshot(vec![set]));
    assert_eq!(fdb.learn(learnt(1, 5), 1, AGEING_S, MANY), Outcome::Static);
    assert_eq!(fdb.lookup(key(1), u32::MAX - 1, AGEING_S), Some(PortIndex(4).into()));
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
        fdb.learn(Learnt { key: key(n), destination: quiet.into() }, 1, AGEING_S, MANY);
    }
    for n in 1000..(1000 + 4 * FDB_SLOTS as u64) {
        fdb.learn(Learnt { key: key(n), destination: flooder.into() }, 1, AGEING_S, MANY);
    }
    assert!(fdb.len() <= FDB_SLOTS);
    for n in 0..1000 {
        assert_eq!(fdb.lookup(key(n), 1, AGEING_S), Some(quiet.into()), "address {n} was evicted");
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
                prop_assert_eq!(fdb.lookup(key(address), now, ageing), expected.map(Into::into));
            }
            prop_assert_eq!(fdb.len(), model.len());
        }
    }
}

#[test]
fn a_port_that_has_its_share_learns_no_more_and_takes_nothing_from_others() {
    let mut fdb = Fdb::new(1);
    let two = FdbQuota { network: usize::MAX, port: 2 };
    assert_eq!(fdb.learn(learnt(9, 2), 1, AGEING_S, two), Outcome::New);
    for n in [1, 2] {
        assert_eq!(fdb.learn(learnt(n, 1), 1, AGEING_S, two), Outcome::New);
    }
    assert_eq!(fdb.learn(learnt(3, 1), 1, AGEING_S, two), Outcome::PortFull);
    assert_eq!(fdb.learn(learnt(9, 1), 1, AGEING_S, two), Outcome::PortFull, "a neighbour's");
    assert_eq!(fdb.lookup(key(9), 1, AGEING_S), Some(PortIndex(2).into()));
    assert_eq!(
        fdb.learn(learnt(1, 1), 2, AGEING_S, two),
        Outcome::Refreshed,
        "what it has, it keeps"
    );
    assert_eq!(
        fdb.learn(learnt(2, 2), 2, AGEING_S, two),
        Outcome::Moved { from: PortIndex(1).into() }
    );
    assert_eq!(fdb.learn(learnt(3, 1), 2, AGEING_S, two), Outcome::New, "there is room again");
}

#[test]
fn who_fills_a_network_makes_room_for_those_who_hold_less() {
    let mut fdb = Fdb::new(7);
    let quota = FdbQuota { network: 60_000, port: usize::MAX };
    for n in 0..200_000 {
        fdb.learn(Learnt { key: key(n), destination: PortIndex(1).into() }, 1, AGEING_S, quota);
    }
    assert_eq!(fdb.entries_of(PortIndex(1).into()), 60_000);
    let quiet =
        (1_000_000..1_000_200).map(|n| Learnt { key: key(n), destination: PortIndex(2).into() });
    let learnt = quiet.filter(|&row| fdb.learn(row, 1, AGEING_S, quota) == Outcome::New).count();
    assert_eq!(learnt, 200, "each found an entry of the flooder in its place");
    assert_eq!(fdb.entries_of(PortIndex(1).into()), 60_000 - 200);
}

/// The limits as they are meant, over plain maps: who may learn what.
#[derive(Default)]
struct Model {
    entries: HashMap<(u16, u64), (u16, u32)>,
}

impl Model {
    fn entries_of(&self, port: u16) -> usize {
        self.entries.values().filter(|(at, _)| *at == port).count()
    }

    fn in_network(&self, network: u16) -> usize {
        self.entries.keys().filter(|(at, _)| *at == network).count()
    }
}

proptest! {
    /// Two networks with ports of their own. What the table holds is bounded by every limit at every
    /// step; what was refused is so by a limit that was reached; nobody loses an entry to a port that
    /// holds as many or fewer; what is found is what was seen last.
    #[test]
    fn limits_hold_at_every_step(
        seed: u64,
        port_max in 1usize..20,
        network_max in 1usize..50,
        steps in prop::collection::vec((0u16..2, 0u64..80, 0u16..4, 0u32..3), 1..600),
    ) {
        let quota = FdbQuota { network: network_max, port: port_max };
        let (mut fdb, mut model, mut now) = (Fdb::new(seed), Model::default(), 1000);
        for (network, address, port, pause) in steps {
            now += pause / 2;
            let port = port + 4 * network;
            let key = Key::new(NetworkIndex(network), 0, MacAddr::from_u64(0x0200_0000_0000 | address));
            let outcome = fdb.learn(Learnt { key, destination: PortIndex(port).into() }, now, AGEING_S, quota);
            let known = model.entries.get(&(network, address)).copied();
            let full = model.entries_of(port) >= port_max;
            match outcome {
                Outcome::Known => prop_assert_eq!(known, Some((port, now))),
                Outcome::Refreshed => prop_assert_eq!(known.map(|(at, _)| at), Some(port)),
                Outcome::Moved { from } => {
                    prop_assert!(known.is_some_and(|(at, _)| PortIndex(at) == from.port().unwrap() && at != port) && !full);
                }
                Outcome::New => prop_assert!(known.is_none() && !full),
                Outcome::PortFull => {
                    prop_assert!(full && known.is_none_or(|(at, _)| at != port));
                }
                Outcome::Full => {
                    prop_assert!(known.is_none() && model.in_network(network) >= network_max);
                }
                Outcome::Static => prop_assert!(false, "nothing is static"),
            }
            if matches!(outcome, Outcome::Full | Outcome::PortFull) {
                prop_assert_eq!(fdb.len(), model.entries.len());
                continue;
            }
            let holders: Vec<usize> = (0..8).map(|port| model.entries_of(port)).collect();
            model.entries.insert((network, address), (port, now));
            // Whoever had to go was of a port that held more than the newcomer's, or of its own.
            model.entries.retain(|&(network, address), (at, _)| {
                let key = Key::new(NetworkIndex(network), 0, MacAddr::from_u64(0x0200_0000_0000 | address));
                let stays = fdb.lookup(key, now, AGEING_S).is_some();
                let fair = *at == port || holders[usize::from(*at)] > holders[usize::from(port)];
                assert!(stays || fair, "port {at} lost an entry to port {port}");
                stays
            });
            prop_assert_eq!(fdb.len(), model.entries.len());
            for port in 0..8 {
                prop_assert_eq!(fdb.entries_of(PortIndex(port).into()), model.entries_of(port));
                prop_assert!(model.entries_of(port) <= port_max);
            }
            prop_assert!(model.in_network(network) <= network_max);
        }
    }
}
