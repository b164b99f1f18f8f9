//! Floods, multicast, ARP and ND between nodes.

use std::sync::Arc;

use wire::{MacAddr, frames, membership};

use super::nodes::{GATEWAY, GATEWAY6, Nodes, ip, ip6, mac};
use crate::datapath::tests::sim::frame;
use crate::datapath::*;

const GROUP: MacAddr = MacAddr([1, 0, 0x5e, 1, 2, 3]);

fn ethernet(bytes: &[u8]) -> Vec<u8> {
    [&[0; 12], bytes].concat()
}

#[test]
fn a_flood_reaches_every_node_once() {
    let mut nodes = Nodes::new(3);
    nodes.inject(0, 1, frame(MacAddr::BROADCAST, mac(0, 1), b"all"));
    nodes.run();
    assert_eq!(nodes.counts(), [[1, 0, 1], [1; 3], [1; 3]]);
    assert_eq!(nodes.carried.len(), 2, "never from tunnel to tunnel");
    nodes.check();
}

#[test]
fn storm_control_counts_copies_for_other_nodes() {
    // 129 tokens at once; a frame to 2 nodes costs one, to 150 nodes two.
    for (others, passed) in [(2, 129), (150, 64)] {
        let mut nodes = Nodes::new(2);
        let rate = || Rate::frames(10.try_into().expect("in range"));
        let frames = || Some(Arc::new(TokenBucket::new(rate())));
        let storm = Storm { broadcast: frames(), multicast: frames(), unknown: frames() };
        nodes.sims[0].limit(0, |limits| limits.storm = Some(storm));
        let vtep = |number: u8| VtepConf {
            address: ([198, 18, 0, number], 4789).into(),
            mtu: 1450,
            is_learning: true,
        };
        let tunnel = nodes.tunnel;
        nodes.sims[0].set_vteps(tunnel, (0..others).map(|number| Some(vtep(number))).collect());
        nodes.overlay(0, |overlay| overlay.vteps = (0..others.into()).map(VtepIndex).collect());
        for _ in 0..200 {
            nodes.inject(0, 0, frame(MacAddr::BROADCAST, mac(0, 0), b"storm"));
            nodes.run();
        }
        assert_eq!(nodes.counts()[0], [0, passed, passed], "{others} nodes");
        let dropped = nodes.sims[0].drops(0, DropReason::StormBroadcast) as usize;
        assert_eq!(dropped, 200 - passed, "{others} nodes");
        nodes.check();
    }
}

#[test]
fn a_flood_for_other_nodes_only_is_no_drop() {
    let mut nodes = Nodes::new(3);
    for port in [1, 2] {
        nodes.sims[0].disable(port);
    }
    nodes.inject(0, 0, frame(MacAddr::BROADCAST, mac(0, 0), b"all"));
    nodes.run();
    assert_eq!(nodes.counts(), [[0; 3], [1; 3], [1; 3]]);
    assert_eq!(nodes.sims[0].drops(0, DropReason::NoOtherPort), 0);
    nodes.check();
}

#[test]
fn a_flood_for_which_there_are_no_buffers_is_counted() {
    let mut nodes = Nodes::new(3);
    for left in 1..4 {
        let hoard = nodes.sims[0].hoard(left);
        nodes.inject(0, 0, frame(MacAddr::BROADCAST, mac(0, 0), b"all"));
        nodes.run();
        nodes.sims[0].give_back(hoard);
        assert_eq!(nodes.counts()[0], [0, 1, 1]);
        nodes.check();
    }
    assert!(nodes.sims[0].drops(0, DropReason::NoBuffer) >= 2);
}

#[test]
fn questions_for_endpoints_elsewhere_are_answered_here() {
    let mut nodes = Nodes::new(2);
    let ask = frames::arp_request(mac(0, 0), ip(0, 0), ip(1, 2));
    nodes.inject(0, 0, ethernet(&ask));
    let ask6 = frames::neighbor_solicit(mac(0, 0), ip6(0, 0), ip6(1, 2));
    nodes.inject(0, 0, ethernet(&ask6));
    nodes.run();
    let request = wire::arp::Repr::request(mac(0, 0), ip(0, 0), ip(1, 2));
    let reply = frames::arp_reply(&request, mac(1, 2));
    let advert = frames::solicited_na(mac(1, 2), ip6(1, 2), false, (mac(0, 0), ip6(0, 0)));
    assert_eq!(nodes.sent(0, 0), [ethernet(&reply), ethernet(&advert)]);
    assert!(nodes.carried.is_empty());
    assert_eq!(nodes.counts(), [[0; 3]; 2]);
    nodes.check();
}

#[test]
fn an_isolated_port_gets_no_answer_for_endpoints_elsewhere() {
    let mut nodes = Nodes::new(2);
    nodes.sims[0].set(0, |conf| conf.isolation = Isolation::Isolated);
    nodes.inject(0, 0, ethernet(&frames::arp_request(mac(0, 0), ip(0, 0), ip(1, 2))));
    nodes.run();
    assert_eq!(nodes.counts(), [[0; 3]; 2]);
    assert!(nodes.carried.is_empty());
    nodes.check();
}

/// The first asks, and the registry of its node does not know the other one yet.
#[test]
fn a_question_from_another_node_is_answered_by_the_endpoints_switch() {
    let mut nodes = Nodes::new(3);
    nodes.overlay(0, |overlay| overlay.remotes = RemoteTable::default());
    for port in 0..3 {
        let neighbour = |port| Neighbour {
            mac: mac(1, port),
            ipv4: Some(ip(1, port)),
            ipv6: Some(ip6(1, port)),
            port: fastpath::PortIndex(port),
        };
        nodes.sims[1].neighbours((0..=port).map(neighbour).collect());
    }
    nodes.inject(0, 0, ethernet(&frames::arp_request(mac(0, 0), ip(0, 0), ip(1, 2))));
    nodes.inject(0, 0, ethernet(&frames::neighbor_solicit(mac(0, 0), ip6(0, 0), ip6(1, 2))));
    nodes.run();
    // The third node knows the answer, too, and leaves it to the second.
    assert_eq!(nodes.sent(0, 0).len(), 2);
    assert_eq!(nodes.counts(), [[0, 2, 2], [0; 3], [2; 3]]);
    nodes.check();
}

#[test]
fn nobody_asks_other_nodes_for_the_gateway() {
    let mut nodes = Nodes::new(2);
    let questions = [
        ethernet(&frames::arp_request(mac(0, 0), ip(0, 0), GATEWAY)),
        ethernet(&frames::neighbor_solicit(mac(0, 0), ip6(0, 0), GATEWAY6)),
    ];
    for question in &questions {
        nodes.inject(0, 0, question.clone());
        let peer = nodes.address(0);
        nodes.inject_datagram(1, peer, &super::nodes::vxlan(super::VNI, question));
    }
    nodes.run();
    assert_eq!(nodes.counts(), [[0, 2, 2], [0; 3]]);
    assert!(nodes.carried.is_empty());
    assert_eq!(nodes.drops(1, DropReason::TunnelGateway), 2);
    nodes.check();
}

/// An IGMPv2 report or leave.
fn igmp(node: usize, port: u16, is_leave: bool) -> Vec<u8> {
    let kind = if is_leave { 0x17 } else { 0x16 };
    let mut message = [kind, 0, 0, 0, 239, 1, 2, 3];
    let sum = wire::checksum::checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 1, 2, 0, 0];
    packet.extend(ip(node, port).octets());
    packet.extend([239, 1, 2, 3]);
    let sum = wire::checksum::checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(message);
    let mut bytes = frame(GROUP, mac(node, port), &packet);
    bytes[24..26].copy_from_slice(&[8, 0]);
    bytes
}

/// A datagram for the group.
fn multicast(node: usize, port: u16) -> Vec<u8> {
    let mut bytes = super::traffic::udp((node, port), (0, 0), 5000, b"to the group");
    bytes[12..18].copy_from_slice(&GROUP.0);
    bytes[12 + 30..12 + 34].copy_from_slice(&[239, 1, 2, 3]);
    bytes
}

/// Snooping nodes whose listeners had time to report.
fn snooping(mut nodes: Nodes) -> Nodes {
    for sim in &mut nodes.sims {
        sim.snoop();
        sim.query();
        sim.pass(std::time::Duration::from_secs(30));
    }
    nodes.run();
    nodes.carried.clear();
    nodes.counts();
    nodes
}

#[test]
fn a_switchs_own_queries_stay_on_its_node() {
    let mut nodes = Nodes::new(2);
    for sim in &mut nodes.sims {
        sim.snoop();
        sim.query();
    }
    nodes.run();
    assert_eq!(nodes.counts(), [[2; 3]; 2], "IGMP and MLD, once each");
    assert!(nodes.carried.is_empty());
    nodes.check();
}

#[test]
fn multicast_reaches_other_nodes_while_somebody_listens_there() {
    let mut nodes = snooping(Nodes::new(3));
    nodes.inject(0, 0, multicast(0, 0));
    nodes.run();
    assert_eq!(nodes.counts(), [[0; 3]; 3]);
    assert_eq!(nodes.sims[0].drops(0, DropReason::NoListener), 1);
    // Two of one node listen, and one leaves: the other one still listens.
    nodes.inject(1, 1, igmp(1, 1, false));
    nodes.inject(1, 2, igmp(1, 2, false));
    nodes.run();
    assert_eq!(nodes.counts(), [[0; 3]; 3], "reports are for the switches alone");
    nodes.inject(1, 2, igmp(1, 2, true));
    nodes.run();
    nodes.inject(0, 0, multicast(0, 0));
    nodes.run();
    let counts = nodes.counts();
    assert_eq!(counts[1][1], 1, "{counts:?}");
    assert_eq!((counts[0].clone(), counts[2].clone()), (vec![0; 3], vec![0; 3]));
    // Without a further report the row ages.
    for sim in &mut nodes.sims {
        sim.pass(std::time::Duration::from_secs(261));
        sim.query();
    }
    nodes.run();
    nodes.counts();
    nodes.carried.clear();
    nodes.inject(0, 0, multicast(0, 0));
    nodes.run();
    assert!(nodes.carried.is_empty());
    nodes.check();
}

/// A peer without a registry may have listeners that nobody asks.
#[test]
fn static_peers_get_all_multicast() {
    let mut nodes = snooping(Nodes::learning(2));
    nodes.inject(0, 0, multicast(0, 0));
    nodes.run();
    assert_eq!(nodes.carried.len(), 1);
    nodes.check();
}

#[test]
fn a_router_on_another_node_is_heard() {
    let mut nodes = snooping(Nodes::new(2));
    let query = membership::igmp_query(mac(1, 0), 10, 125);
    nodes.inject(1, 0, ethernet(&query));
    nodes.run();
    assert_eq!(nodes.counts(), [vec![1; 3], vec![0, 1, 1]]);
    nodes.inject(0, 0, multicast(0, 0));
    nodes.run();
    assert_eq!(nodes.counts()[1], [1, 0, 0], "it gets all groups");
    nodes.check();
}
