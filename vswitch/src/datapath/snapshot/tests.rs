use std::time::Duration;

use wire::MacAddr;

use super::*;
use crate::datapath::{HostConfig, PortVlans, StaticMac};

pub(super) fn network() -> NetworkConf {
    NetworkConf {
        host_config: HostConfig::default(),
        mtu: 1500,
        ageing: Duration::from_secs(300),
        fdb_entries_max: 100,
        statics: Vec::new(),
        neighbours: Vec::new(),
        router: None,
        mac: MacAddr([2; 6]),
        snooping: true,
        service: None,
        overlay: None,
    }
}

fn ports() -> Vec<(PortIndex, PortConf)> {
    let conf = |port: u16| {
        let mac = MacAddr::from_u64(u64::from(port) | 1 << 41);
        PortConf::new(NetworkIndex(0), PortKind::Container, mac)
    };
    (0..3).map(|port| (PortIndex(port), conf(port))).collect()
}

#[test]
fn a_successor_shares_what_did_not_change_and_numbers_what_did() {
    let first = Snapshot::compile(vec![network(), network()], ports());
    let same = first.successor(vec![network(), network()], ports());
    assert_eq!(same.parts(), first.parts());
    assert!(same.networks.iter().zip(&first.networks).all(|(a, b)| Arc::ptr_eq(a, b)));

    let mut with_static = network();
    with_static.statics = vec![StaticMac { mac: MacAddr([2; 6]), vlan: 0, port: PortIndex(1) }];
    let next = first.successor(vec![with_static, network()], ports());
    assert_ne!(next.parts().statics, first.parts().statics);
    assert_eq!(next.parts().vlans, first.parts().vlans);
    assert!(Arc::ptr_eq(&next.networks[0].members, &first.networks[0].members));
    assert!(Arc::ptr_eq(&next.networks[1], &first.networks[1]), "the other network is shared");
}

#[test]
fn a_change_of_a_ports_guard_leaves_vlans_and_static_entries_alone() {
    let first = Snapshot::compile(vec![network()], ports());
    let mut changed = ports();
    changed[1].1.isolation = Isolation::Promiscuous;
    let next = first.successor(vec![network()], changed.clone());
    assert_eq!(next.parts().vlans, first.parts().vlans);
    assert_eq!(next.parts().statics, first.parts().statics);
    assert_ne!(next.parts().routing, first.parts().routing);
    changed[1].1.vlans = PortVlans::access(7);
    let next = first.successor(vec![network()], changed);
    assert_ne!(next.parts().vlans, first.parts().vlans);
    assert!(!Arc::ptr_eq(&next.networks[0], &first.networks[0]));
}

#[test]
fn snapshots_that_were_compiled_apart_have_no_number_in_common() {
    let (one, other) =
        (Snapshot::compile(vec![network()], ports()), Snapshot::compile(vec![network()], ports()));
    assert_ne!(one.parts().vlans, other.parts().vlans);
}
