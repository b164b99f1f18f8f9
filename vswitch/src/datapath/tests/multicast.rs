//! Multicast snooping: who gets frames for a group.

use std::time::Duration;

use fastpath::limits::VNET_LEN;
use wire::MacAddr;

use super::sim::{Sim, frame, mac};
use crate::datapath::*;
use frames::*;

mod frames;

pub(super) use frames::random;

const PORTS: u16 = 5;
const GROUP: [u8; 4] = [239, 1, 2, 3];

/// A switch that has been up for a while.
fn sim() -> Sim {
    let mut sim = Sim::new(PORTS);
    sim.snoop();
    sim.query();
    sim.pass(Duration::from_secs(30));
    sim.sent_counts();
    sim
}

fn counts(sim: &mut Sim, frame: Vec<u8>) -> Vec<usize> {
    sim.inject(0, frame);
    sim.run();
    sim.sent_counts()
}

#[test]
fn a_group_goes_to_who_listens_and_to_routers() {
    let mut sim = sim();
    assert_eq!(counts(&mut sim, data(0, GROUP)), [0; 5]);
    assert_eq!(sim.drops(0, DropReason::NoListener), 1);
    sim.inject(2, report(2));
    sim.inject(3, mld_report(3, 9));
    sim.run();
    assert_eq!(sim.sent_counts(), [0; 5], "reports are for routers");
    assert_eq!(counts(&mut sim, data(0, GROUP)), [0, 0, 1, 0, 0]);
    assert_eq!(counts(&mut sim, data(0, [239, 1, 2, 4])), [0; 5]);
    assert_eq!(counts(&mut sim, data6(0, 5, 9)), [0, 0, 0, 1, 0]);
    sim.inject(4, query(4));
    sim.run();
    assert_eq!(sim.sent_counts(), [1, 1, 1, 1, 0], "all are asked");
    assert_eq!(counts(&mut sim, data(0, GROUP)), [0, 0, 1, 0, 1]);
    assert_eq!(counts(&mut sim, data(0, [239, 1, 2, 4])), [0, 0, 0, 0, 1]);
    assert_eq!(counts(&mut sim, report(0)), [0, 0, 0, 0, 1]);
    assert_eq!(counts(&mut sim, igmp(0, [224, 0, 0, 2], 0x17, GROUP)), [0, 0, 0, 0, 1]);
    sim.check();
}

/// A group whose MAC address is that of all systems, under which routers are remembered.
#[test]
fn nobody_becomes_a_router_by_listening() {
    let mut sim = sim();
    let alias = [239, 128, 0, 1];
    sim.inject(2, igmp(2, alias, 0x16, alias));
    sim.run();
    assert_eq!(counts(&mut sim, data(0, GROUP)), [0; 5]);
    sim.check();
}

#[test]
fn what_is_of_the_link_reaches_everybody() {
    let mut sim = sim();
    for bytes in [
        data(0, [224, 0, 0, 251]),
        data6(0, 2, 0xfb),
        data6(0, 1, 1),
        frame(MacAddr([1, 0, 0x0c, 0, 0, 1]), mac(0), &[1; 46]),
        frame(MacAddr::BROADCAST, mac(0), &[]),
    ] {
        assert_eq!(counts(&mut sim, bytes), [0, 1, 1, 1, 1]);
    }
    sim.check();
}

#[test]
fn who_is_silent_for_too_long_no_longer_listens() {
    let mut sim = sim();
    sim.inject(2, report(2));
    sim.run();
    for (seconds, expected) in [(260, [0, 0, 1, 0, 0]), (125, [0; 5])] {
        sim.pass(Duration::from_secs(seconds));
        sim.query();
        sim.sent_counts();
        assert_eq!(counts(&mut sim, data(0, GROUP)), expected);
    }
    sim.check();
}

#[test]
fn the_switch_asks_where_no_router_does() {
    let mut sim = Sim::new(PORTS);
    sim.snoop();
    sim.set(4, |conf| conf.vlans = PortVlans::trunk([10], Some(0)));
    sim.set(3, |conf| conf.vlans = PortVlans::access(10));
    sim.query();
    // IGMP and MLD, on the untagged domain and on VLAN 10, where the trunk is too.
    assert_eq!(sim.sent_counts(), [2, 2, 2, 2, 4]);
    sim.query();
    assert_eq!(sim.sent_counts(), [0; 5], "not twice");
    sim.pass(Duration::from_secs(125));
    sim.query();
    assert_eq!(sim.sent_counts(), [2, 2, 2, 2, 4]);
    // A router asks on the untagged domain.
    sim.pass(Duration::from_secs(100));
    sim.inject(1, query(1));
    sim.run();
    sim.sent_counts();
    sim.pass(Duration::from_secs(25));
    sim.query();
    assert_eq!(sim.sent_counts(), [0, 0, 0, 2, 2]);
    // It is silent for good.
    sim.pass(Duration::from_secs(250));
    sim.query();
    assert_eq!(sim.sent_counts(), [2, 2, 2, 2, 4]);
    sim.check();
}

#[test]
fn vlans_listen_for_themselves_and_tags_are_as_they_should_be() {
    let mut sim = Sim::new(4);
    sim.snoop();
    for (port, vlans) in [
        (0, PortVlans::access(10)),
        (1, PortVlans::access(10)),
        (2, PortVlans::access(20)),
        (3, PortVlans::trunk([10, 20], None)),
    ] {
        sim.set(port, |conf| conf.vlans = vlans);
    }
    sim.query();
    sim.pass(Duration::from_secs(30));
    sim.sent_counts();
    let tagged = |bytes| tagged(bytes, 10);
    sim.inject(1, report(1));
    sim.inject(2, report(2));
    sim.inject(3, tagged(report(3)));
    sim.run();
    sim.sent_counts();
    sim.inject(0, data(0, GROUP));
    sim.run();
    assert_eq!(sim.sent(1), [data(0, GROUP)]);
    assert_eq!(sim.sent(2), Vec::<Vec<u8>>::new());
    assert_eq!(sim.sent(3), [tagged(data(0, GROUP))]);
    sim.check();
}

#[test]
fn at_first_and_without_snooping_groups_are_flooded() {
    let mut sim = Sim::new(PORTS);
    assert_eq!(counts(&mut sim, data(0, GROUP)), [0, 1, 1, 1, 1]);
    sim.query();
    assert_eq!(sim.sent_counts(), [0; 5], "nor is anybody asked");
    sim.snoop();
    assert_eq!(counts(&mut sim, data(0, GROUP)), [0, 1, 1, 1, 1]);
    sim.query();
    assert_eq!(sim.sent_counts(), [2; 5]);
    sim.pass(Duration::from_secs(20));
    assert_eq!(counts(&mut sim, data(0, GROUP)), [0, 1, 1, 1, 1]);
    sim.pass(Duration::from_secs(1));
    assert_eq!(counts(&mut sim, data(0, GROUP)), [0; 5]);
    sim.check();
}

/// Port 2 listens; it leaves. What the switch asks, and who gets the group's frames when.
#[test]
fn who_leaves_is_asked_and_then_gets_nothing() {
    let leaves = [
        (report(2), leave(2)),
        (report(2), igmp_v3(2, 3, [GROUP].into_iter())),
        (igmp_v3(2, 5, [GROUP].into_iter()), igmp_v3(2, 6, [GROUP].into_iter())),
    ];
    for (join, leave) in leaves {
        let mut sim = sim();
        assert_eq!(counts(&mut sim, leave.clone()), [0; 5]);
        sim.query();
        assert_eq!(sim.sent_counts(), [0; 5], "it did not listen: nobody is asked");
        sim.inject(2, join);
        sim.inject(2, leave);
        sim.run();
        sim.query();
        assert_eq!(sim.sent_counts(), [0, 0, 1, 0, 0], "the port alone is asked");
        sim.query();
        assert_eq!(sim.sent_counts(), [0; 5]);
        for asked in [1, 0] {
            sim.pass(Duration::from_secs(1));
            sim.query();
            assert_eq!(sim.sent_counts(), [0, 0, asked, 0, 0], "twice, a second apart");
            assert_eq!(counts(&mut sim, data(0, GROUP)), [0, 0, 1, 0, 0], "it may answer");
        }
        sim.pass(Duration::from_secs(1));
        sim.query();
        assert_eq!(counts(&mut sim, data(0, GROUP)), [0; 5]);
        sim.check();
    }
}

/// Another station on the port, or another group of the same MAC address.
#[test]
fn who_answers_still_listens() {
    let mut sim = sim();
    for (join, leave, of_group) in [
        (report(2), leave(2), data(0, GROUP)),
        (mld_report(2, 9), mld_record(2, 3, 9), data6(0, 5, 9)),
    ] {
        sim.inject(2, join.clone());
        sim.inject(2, leave);
        sim.run();
        sim.query();
        let asked = sim.sent(2);
        assert_eq!(asked.len(), 1);
        let kind = if of_group[VNET_LEN] == 1 { 0x08 } else { 0x86 };
        assert_eq!(asked[0][VNET_LEN + 12], kind, "in its family");
        sim.inject(2, join);
        sim.run();
        sim.pass(Duration::from_secs(100));
        sim.query();
        sim.sent_counts();
        assert_eq!(counts(&mut sim, of_group), [0, 0, 1, 0, 0]);
    }
    sim.check();
}

#[test]
fn a_trunk_is_asked_on_the_vlan_that_was_left_and_a_router_is_not() {
    let mut sim = sim();
    sim.set(1, |conf| conf.vlans = PortVlans::trunk([10], None));
    sim.set(2, |conf| conf.vlans = PortVlans::access(10));
    sim.query();
    sim.sent_counts();
    sim.inject(1, tagged(report(1), 10));
    sim.inject(1, tagged(leave(1), 10));
    sim.run();
    sim.query();
    let asked = sim.sent(1);
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0][VNET_LEN + 12..VNET_LEN + 16], [0x81, 0, 0, 10]);
    sim.pass(Duration::from_secs(5));
    sim.query();
    sim.inject(1, tagged(report(1), 10));
    sim.inject(1, tagged(query(1), 10));
    sim.inject(1, tagged(leave(1), 10));
    sim.run();
    sim.sent_counts();
    sim.query();
    assert_eq!(sim.sent_counts(), [0; 5], "to a router goes all in any case");
    sim.check();
}

#[test]
fn a_vlan_that_ports_come_to_is_asked_at_once_and_flooded_until_it_has_answered() {
    let mut sim = sim();
    for port in [0, 1, 2] {
        sim.set(port, |conf| conf.vlans = PortVlans::access(10));
    }
    sim.query();
    assert_eq!(sim.sent_counts(), [2, 2, 2, 0, 0], "VLAN 10 is new");
    sim.pass(Duration::from_secs(30));
    assert_eq!(counts(&mut sim, data(0, GROUP)), [0; 5]);
    sim.set(3, |conf| conf.vlans = PortVlans::access(10));
    assert_eq!(counts(&mut sim, data(0, GROUP)), [0, 1, 1, 1, 0]);
    sim.query();
    assert_eq!(sim.sent_counts(), [2, 2, 2, 2, 0]);
    sim.inject(3, report(3));
    sim.run();
    sim.pass(Duration::from_secs(21));
    assert_eq!(counts(&mut sim, data(0, GROUP)), [0, 0, 0, 1, 0]);
    // What is changed of a port beside that is no reason to ask, nor is a new access port.
    sim.set(3, |conf| conf.isolation = Isolation::Promiscuous);
    sim.disable(4);
    sim.set(4, |conf| conf.enabled = true);
    sim.query();
    assert_eq!(sim.sent_counts(), [0; 5]);
    // A trunk that comes may have listeners behind it.
    sim.set(3, |conf| conf.vlans = PortVlans::trunk([10, 20], None));
    sim.query();
    assert_eq!(sim.sent_counts(), [2, 2, 2, 2, 0]);
    sim.check();
}

#[test]
fn a_vlan_of_tagged_ports_is_flooded_for_good_and_a_native_one_is_asked() {
    let mut sim = Sim::new(3);
    sim.snoop();
    for port in [0, 1] {
        sim.set(port, |conf| conf.vlans = PortVlans::trunk([10, 20], Some(5)));
    }
    sim.set(2, |conf| conf.vlans = PortVlans::trunk([5], None));
    sim.query();
    // IGMP and MLD on VLAN 5: native here, tagged there.
    assert_eq!(sim.sent_counts(), [2, 2, 2]);
    sim.inject(1, tagged(report(1), 20));
    sim.inject(1, report(1));
    sim.run();
    sim.sent_counts();
    for _ in 0..4 {
        sim.pass(Duration::from_secs(124));
        sim.query();
        sim.sent_counts();
        assert_eq!(counts(&mut sim, tagged(data(0, GROUP), 20)), [0, 1, 0]);
        assert_eq!(counts(&mut sim, tagged(data(0, [239, 9, 9, 9]), 20)), [0, 1, 0]);
        sim.inject(1, report(1));
        sim.run();
        assert_eq!(counts(&mut sim, data(0, GROUP)), [0, 1, 0]);
        assert_eq!(counts(&mut sim, data(0, [239, 9, 9, 9])), [0; 3]);
    }
    sim.check();
}

/// The groups of an inner domain are not the switch's to know.
#[test]
fn behind_two_tags_reports_say_nothing_and_groups_are_flooded() {
    let mut sim = sim();
    for port in [0, 1, 2] {
        sim.set(port, |conf| conf.vlans = PortVlans::trunk([10], Some(0)));
    }
    sim.set(3, |conf| conf.vlans = PortVlans::access(10));
    sim.query();
    sim.pass(Duration::from_secs(30));
    sim.sent_counts();
    let double = |bytes| tagged(tagged(bytes, 30), 10);
    for bytes in [double(report(0)), double(data(0, GROUP)), double(query(0))] {
        assert_eq!(counts(&mut sim, bytes), [0, 1, 1, 1, 0]);
    }
    // The query made nobody a router, nor the report a listener.
    sim.inject(1, tagged(data(1, GROUP), 10));
    sim.run();
    assert_eq!(sim.sent_counts(), [0; 5]);
    sim.check();
}

#[test]
fn a_report_of_too_many_groups_is_read_in_part() {
    let mut sim = sim();
    let groups = (0..400_u16).map(|n| [239, 7, (n >> 8) as u8, n as u8]);
    let mut report = igmp_v3(2, 4, groups);
    // As one GSO frame, so that it is not too long.
    report[..12].copy_from_slice(&[1, 1, 66, 0, 0xe8, 3, 34, 0, 16, 0, 0, 0]);
    sim.inject(2, report);
    sim.run();
    let groups = &sim.state().groups;
    assert_eq!((groups.len(), groups.counters.mdb_full), (limits::GROUPS_PER_PORT_MAX, 1));
    sim.check();
}

#[test]
fn news_without_room_are_counted_and_without_peers_not_kept() {
    let row = Learnt {
        key: Key::new(NetworkIndex(0), 0, mac(1)),
        destination: fastpath::PortIndex(1).into(),
    };
    let mut state = State::new(1, true);
    let capacity = state.fdb_sync.capacity();
    for _ in 0..limits::FDB_SYNC_ROWS + 3 {
        state.queue_fdb_sync(row, 10);
    }
    assert_eq!((state.fdb_sync.len(), state.fdb_sync_drops), (limits::FDB_SYNC_ROWS, 3));
    assert_eq!(state.fdb_sync.capacity(), capacity, "nothing is allocated for a frame");
    let mut alone = State::new(1, false);
    alone.queue_fdb_sync(row, 10);
    assert_eq!((alone.fdb_sync.len(), alone.fdb_sync_drops), (0, 0));
}

/// Machines behind a port that comes, as after `down` and `up`, may have joined long before.
#[test]
fn an_access_port_that_comes_is_asked_at_once_and_hears_all_until_it_had_time_to_answer() {
    let mut sim = sim();
    sim.forget(3);
    sim.set(3, |_| {});
    for of_group in [data(0, GROUP), data6(0, 5, 9)] {
        sim.run();
        sim.query();
        sim.sent_counts();
        assert_eq!(counts(&mut sim, of_group), [0, 0, 0, 1, 0], "not to others");
    }
    sim.pass(Duration::from_secs(10));
    sim.query();
    sim.sent_counts();
    sim.forget(3);
    sim.set(3, |_| {});
    sim.query();
    let asked: Vec<u8> = sim.sent(3).iter().map(|frame| frame[VNET_LEN + 12]).collect();
    assert_eq!(asked, [0x08, 0x86], "by IGMP and MLD");
    sim.inject(3, report(3));
    sim.run();
    sim.pass(Duration::from_secs(1));
    sim.query();
    assert_eq!(sim.sent_counts(), [0, 0, 0, 2, 0], "a second time");
    sim.pass(Duration::from_secs(3));
    sim.query();
    assert_eq!(counts(&mut sim, data(0, GROUP)), [0, 0, 0, 1, 0], "it has answered");
    assert_eq!(counts(&mut sim, data6(0, 5, 9)), [0; 5], "nobody has");
    sim.check();
}
