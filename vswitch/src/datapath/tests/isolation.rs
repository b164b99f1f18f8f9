//! Isolation: whom a port reaches, by unicast and by flood.

use fastpath::PortIndex;
use wire::MacAddr;

use super::sim::{Sim, frame, mac};
use crate::datapath::*;

/// The host at 0, two isolated, two ordinary, and a promiscuous port.
const KINDS: [Isolation; 6] = [
    Isolation::Promiscuous,
    Isolation::Isolated,
    Isolation::Isolated,
    Isolation::None,
    Isolation::None,
    Isolation::Promiscuous,
];

fn sim() -> Sim {
    let mut sim = Sim::new(6);
    for (port, kind) in (0..).zip(KINDS) {
        sim.set(port, |conf| conf.isolation = kind);
    }
    sim
}

fn reached(from: usize) -> [usize; 6] {
    let isolated = |port: usize| KINDS[port] == Isolation::Isolated;
    let promiscuous = |port: usize| KINDS[port] == Isolation::Promiscuous;
    std::array::from_fn(|to| {
        let open = !isolated(from) && !isolated(to) || promiscuous(from) || promiscuous(to);
        usize::from(from != to && open)
    })
}

#[test]
fn a_flood_reaches_who_may_be_reached() {
    for from in 0..6 {
        let mut sim = sim();
        sim.inject(from, frame(MacAddr::BROADCAST, mac(from), &[]));
        sim.run();
        assert_eq!(sim.sent_counts(), reached(usize::from(from)), "from {from}");
        sim.check();
    }
    assert_eq!(reached(1), [1, 0, 0, 0, 0, 1]);
    assert_eq!(reached(3), [1, 0, 0, 0, 1, 1]);
}

#[test]
fn so_does_unicast_and_the_rest_is_counted() {
    let mut sim = sim();
    for port in 0..6 {
        sim.inject(port, frame(MacAddr::BROADCAST, mac(port), &[]));
    }
    sim.run();
    sim.sent_counts();
    for from in 0..6 {
        let before = sim.drops(from, DropReason::Isolated);
        for to in (0..6).filter(|&to| to != from) {
            sim.inject(from, frame(mac(to), mac(from), &[]));
        }
        sim.run();
        let expected = reached(usize::from(from));
        assert_eq!(sim.sent_counts(), expected, "from {from}");
        let dropped = 5 - expected.iter().sum::<usize>() as u64;
        assert_eq!(sim.drops(from, DropReason::Isolated) - before, dropped, "from {from}");
    }
    sim.check();
}

#[test]
fn the_hosts_port_is_promiscuous_without_being_told() {
    let host = PortConf::new(NetworkIndex(0), PortKind::Host, mac(0));
    let mut container = PortConf::new(NetworkIndex(0), PortKind::Container, mac(1));
    container.isolation = Isolation::Isolated;
    let ports = [(PortIndex(0), host), (PortIndex(1), container)];
    let snapshot = Snapshot::compile(vec![super::sim::network()], ports);
    assert!(snapshot.may_talk(PortIndex(0), PortIndex(1)));
    assert!(!snapshot.may_talk(PortIndex(1), PortIndex(1)));
}
