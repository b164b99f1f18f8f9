use std::time::Duration;

use fastpath::PortIndex;
use wire::MacAddr;

use super::*;
use crate::datapath::{FdbQuota, HostConfig, Key, NetworkConf, NetworkIndex, PortConf, PortKind};

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const NETWORK: NetworkIndex = NetworkIndex(0);

fn snapshot() -> Snapshot {
    let ageing = Duration::from_secs(300);
    let network = NetworkConf {
        host_config: HostConfig::default(),
        mtu: 1500,
        ageing,
        fdb_entries_max: 100,
        statics: Vec::new(),
        neighbours: Vec::new(),
        router: None,
        mac: MAC,
        snooping: true,
        service: None,
        overlay: None,
    };
    let conf = PortConf::new(NETWORK, PortKind::Container, MAC);
    Snapshot::compile(vec![network], [PortIndex(1), PortIndex(2)].map(|port| (port, conf.clone())))
}

fn seen_on(port: u16) -> Learnt {
    Learnt { key: Key::new(NETWORK, 0, MAC), destination: PortIndex(port).into() }
}

/// A worker that has learnt these rows.
fn told<const N: usize>(rows: [(Learnt, u32); N]) -> State {
    let mut state = State::new(1, true);
    state.fdb_sync.extend(rows);
    state
}

#[test]
fn every_other_worker_hears_and_the_teller_does_not() {
    let mut workers = FdbSync::mesh(3);
    workers[0].broadcast(&mut told([(seen_on(1), 10)]));
    let known = workers.iter_mut().map(|fdb_sync| {
        let mut state = State::new(1, true);
        fdb_sync.drain(&snapshot(), &mut state);
        state.fdb.lookup(seen_on(1).key, 10, 300)
    });
    assert_eq!(
        known.collect::<Vec<_>>(),
        [None, Some(PortIndex(1).into()), Some(PortIndex(1).into())]
    );
    assert!(!FdbSync::mesh(1)[0].has_peers());
}

#[test]
fn old_news_does_not_replace_what_is_newer() {
    let mut workers = FdbSync::mesh(2);
    let mut state = State::new(1, true);
    workers[0].broadcast(&mut told([(seen_on(1), 10)]));
    state.fdb.learn(seen_on(2), 20, 300, FdbQuota::ALL);
    workers[1].drain(&snapshot(), &mut state);
    assert_eq!(state.fdb.lookup(seen_on(1).key, 20, 300), Some(PortIndex(2).into()));
    workers[0].broadcast(&mut told([(seen_on(1), 30)]));
    workers[1].drain(&snapshot(), &mut state);
    assert_eq!(state.fdb.lookup(seen_on(1).key, 30, 300), Some(PortIndex(1).into()));
}

#[test]
fn a_port_that_is_gone_is_not_learnt_again() {
    let mut workers = FdbSync::mesh(2);
    let mut state = State::new(1, true);
    workers[0].broadcast(&mut told([(seen_on(7), 10)]));
    workers[1].drain(&snapshot(), &mut state);
    assert!(state.fdb.is_empty());
}

#[test]
fn who_listens_to_a_group_is_news_too() {
    let mut workers = FdbSync::mesh(2);
    let mut state = State::new(1, true);
    let key = Key::new(NETWORK, 0, MacAddr([1, 0, 0x5e, 1, 2, 3]));
    workers[0].broadcast(&mut told([(Learnt { key, destination: PortIndex(1).into() }, 270)]));
    workers[1].drain(&snapshot(), &mut state);
    assert_eq!((state.groups.len(), state.fdb.is_empty()), (1, true));
}

#[test]
fn what_does_not_fit_is_counted() {
    let mut workers = FdbSync::mesh(2);
    for _ in 0..FDB_SYNC_ROWS + 5 {
        workers[0].broadcast(&mut told([(seen_on(1), 10)]));
    }
    assert_eq!(workers[0].drops(), 5);
}
