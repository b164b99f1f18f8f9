//! Multicast snooping: who gets frames for a group.

use std::time::Duration;

use fastpath::limits::VNET_LEN;
use wire::MacAddr;

use super::sim::{Random, Sim, frame, mac};
use crate::datapath::*;

const PORTS: u16 = 5;
const GROUP: [u8; 4] = [239, 1, 2, 3];

/// An IPv4 frame for a group, with a protocol and a payload.
fn ipv4(from: u16, group: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let dst = MacAddr([1, 0, 0x5e, group[1] & 0x7f, group[2], group[3]]);
    let mut bytes = frame(dst, mac(from), &[]);
    bytes[24..26].copy_from_slice(&[8, 0]);
    bytes.extend([0x45, 0, 0, 20 + payload.len() as u8, 0, 0, 0, 0, 1, protocol, 0, 0]);
    bytes.extend([10, 99, 0, from as u8]);
    bytes.extend(group);
    bytes.extend(payload);
    bytes
}

fn data(from: u16, group: [u8; 4]) -> Vec<u8> {
    ipv4(from, group, 253, &[7; 30])
}

fn igmp(from: u16, to: [u8; 4], kind: u8, group: [u8; 4]) -> Vec<u8> {
    ipv4(from, to, 2, &[&[kind, 0, 0, 0][..], &group].concat())
}

fn report(from: u16) -> Vec<u8> {
    igmp(from, GROUP, 0x16, GROUP)
}

fn query(from: u16) -> Vec<u8> {
    igmp(from, [224, 0, 0, 1], 0x11, [0; 4])
}

/// MLDv2, in which a host joins a group.
fn mld_report(from: u16, group: u8) -> Vec<u8> {
    let mut bytes = frame(MacAddr([0x33, 0x33, 0, 0, 0, 0x16]), mac(from), &[]);
    bytes[24..26].copy_from_slice(&[0x86, 0xdd]);
    bytes.extend([0x60, 0, 0, 0, 0, 36, 0, 1]);
    bytes.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, from as u8]);
    bytes.extend([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x16]);
    bytes.extend([58, 0, 5, 2, 0, 0, 1, 0, 143, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0]);
    bytes.extend([0xff, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, group]);
    bytes
}

fn data6(from: u16, scope: u8, group: u8) -> Vec<u8> {
    let mut bytes = frame(MacAddr([0x33, 0x33, 0, 0, 0, group]), mac(from), &[]);
    bytes[24..26].copy_from_slice(&[0x86, 0xdd]);
    bytes.extend([0x60, 0, 0, 0, 0, 0, 59, 1]);
    bytes.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, from as u8]);
    bytes.extend([0xff, 0x10 | scope, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, group]);
    bytes
}

/// Reports, questions and data of a few groups, for the storm.
pub(super) fn random(random: &mut Random, from: u16) -> Vec<u8> {
    let group = [239, 1, 2, random.below(3) as u8];
    match random.below(8) {
        0..=2 => igmp(from, group, 0x16, group),
        3 => query(from),
        _ => data(from, group),
    }
}

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
    sim.query();
    sim.pass(Duration::from_secs(30));
    sim.sent_counts();
    for (port, vlans) in [
        (0, PortVlans::access(10)),
        (1, PortVlans::access(10)),
        (2, PortVlans::access(20)),
        (3, PortVlans::trunk([10, 20], None)),
    ] {
        sim.set(port, |conf| conf.vlans = vlans);
    }
    let tagged = |mut bytes: Vec<u8>| {
        bytes.splice(VNET_LEN + 12..VNET_LEN + 12, [0x81, 0, 0, 10]);
        bytes
    };
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
    sim.pass(Duration::from_secs(30));
    assert_eq!(counts(&mut sim, data(0, GROUP)), [0; 5]);
    sim.check();
}
