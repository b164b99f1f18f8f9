//! Questions for addresses that the switch gave out, answered by the switch.

use std::net::{Ipv4Addr, Ipv6Addr};

use fastpath::PortIndex;
use fastpath::limits::VNET_LEN;
use wire::frames::{self, Link};
use wire::ndp::{self, Message};
use wire::vlan::{TAG_LEN, Tag};
use wire::{EtherType, MacAddr, Tci, arp, vlan};

use super::sim::{Sim, mac};
use crate::datapath::*;

const PORTS: u16 = 4;

fn v4(port: u16) -> Ipv4Addr {
    Ipv4Addr::new(10, 99, 1, port as u8)
}

fn v6(port: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, port + 1)
}

/// Ports 0 to 3, whose addresses the switch gave out.
fn sim() -> Sim {
    let mut sim = Sim::new(PORTS);
    sim.neighbours(
        (0..PORTS)
            .map(|port| Neighbour {
                mac: mac(port),
                ipv4: Some(v4(port)),
                ipv6: Some(v6(port)),
                port: PortIndex(port),
            })
            .collect(),
    );
    sim
}

/// With an offload header in front.
fn whole(ethernet: &[u8]) -> Vec<u8> {
    [&[0; VNET_LEN][..], ethernet].concat()
}

fn request(from: u16, target: Ipv4Addr) -> Vec<u8> {
    whole(&frames::arp_request(mac(from), v4(from), target))
}

fn solicit(from: u16, source: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let group = ndp::solicited_node(target);
    let link = Link::new(mac(from), MacAddr::from_ipv6_multicast(group));
    let mut frame = [0; 200];
    let message = Message::NeighborSolicit { target };
    let len = frames::ndp(&mut frame, &link, source, group, &message, &[]).expect("it fits");
    whole(&frame[..len])
}

/// What the ports get of a frame from port 0.
fn sent(sim: &mut Sim, frame: Vec<u8>) -> [Vec<Vec<u8>>; PORTS as usize] {
    sim.inject(0, frame);
    sim.run();
    std::array::from_fn(|port| sim.sent(port as u16))
}

fn counts(sent: &[Vec<Vec<u8>>]) -> Vec<usize> {
    sent.iter().map(Vec::len).collect()
}

#[test]
fn a_question_is_answered_and_nobody_else_hears_it() {
    let mut sim = sim();
    let mut question = request(0, v4(2));
    question.extend([0; 18]);
    let [answer, others @ ..] = sent(&mut sim, question);
    let asked = arp::Repr::request(mac(0), v4(0), v4(2));
    assert_eq!(answer, [whole(&frames::arp_reply(&asked, mac(2)))]);
    assert_eq!(counts(&others), [0, 0, 0]);
    let [answer, others @ ..] = sent(&mut sim, solicit(0, v6(0), v6(3)));
    assert_eq!(answer, [whole(&frames::solicited_na(mac(3), v6(3), false, (mac(0), v6(0))))]);
    assert_eq!(counts(&others), [0, 0, 0]);
    sim.check();
    // The asker is learnt.
    sim.inject(3, super::sim::frame(mac(0), mac(3), &[]));
    sim.run();
    assert_eq!(sim.sent_counts(), [1, 0, 0, 0]);
}

#[test]
fn what_is_not_for_the_switch_to_answer_is_flooded() {
    let probe = arp::Repr::request(mac(0), Ipv4Addr::UNSPECIFIED, v4(2));
    let reply = arp::Repr::request(mac(2), v4(2), v4(0)).reply(mac(0));
    let mut far = solicit(0, v6(0), v6(2));
    far[VNET_LEN + 21] = 64;
    for (what, frame) in [
        ("an ARP probe", whole(&frames::arp(MacAddr::BROADCAST, &probe))),
        ("an announcement", whole(&frames::gratuitous_arp(mac(0), v4(0)))),
        ("a request for its own address", request(0, v4(0))),
        ("a request for somebody unknown", request(0, v4(99))),
        ("a reply", whole(&frames::arp(MacAddr::BROADCAST, &reply))),
        ("duplicate address detection", solicit(0, Ipv6Addr::UNSPECIFIED, v6(2))),
        ("of its own address", solicit(0, Ipv6Addr::UNSPECIFIED, v6(0))),
        ("a solicitation for its own address", solicit(0, v6(0), v6(0))),
        ("a solicitation for somebody unknown", solicit(0, v6(0), v6(99))),
        ("a solicitation from another link", far),
        ("an advertisement", whole(&frames::unsolicited_na(mac(0), v6(0)))),
    ] {
        let mut sim = sim();
        let got = sent(&mut sim, frame.clone());
        assert_eq!(got, [vec![], vec![frame.clone()], vec![frame.clone()], vec![frame]], "{what}");
        sim.check();
    }
}

#[test]
fn a_probe_of_one_neighbour_goes_to_that_one() {
    let mut sim = sim();
    sim.inject(2, super::sim::frame(MacAddr::BROADCAST, mac(2), &[]));
    sim.run();
    sim.sent_counts();
    let mut probe = request(0, v4(2));
    probe[VNET_LEN..VNET_LEN + 6].copy_from_slice(&mac(2).0);
    assert_eq!(counts(&sent(&mut sim, probe)), [0, 0, 1, 0]);
    sim.check();
}

#[test]
fn nobody_is_told_of_a_port_that_it_does_not_reach() {
    let changes: [fn(&mut PortConf); 3] = [
        |conf| conf.vlans = PortVlans::access(10),
        |conf| conf.isolation = Isolation::Isolated,
        |conf| conf.enabled = false,
    ];
    for change in changes {
        let mut sim = sim();
        sim.set(2, change);
        let [answer, first, hidden, _] = sent(&mut sim, request(0, v4(2)));
        assert_eq!((answer.len(), first.len(), hidden.len()), (0, 1, 0));
        let answer = counts(&sent(&mut sim, request(0, v4(1))));
        assert_eq!(answer, [1, 0, 0, 0]);
        sim.check();
    }
}

#[test]
fn a_trunk_is_answered_on_the_vlan_that_it_asked_on() {
    let mut sim = sim();
    sim.set(0, |conf| conf.vlans = PortVlans::trunk([10, 20], None));
    sim.set(2, |conf| conf.vlans = PortVlans::access(10));
    sim.set(3, |conf| conf.vlans = PortVlans::access(20));
    let tagged = |frame: &[u8], vlan| {
        let mut bytes = [&[0; TAG_LEN][..], &frame[VNET_LEN..]].concat();
        let tag = Tag { tpid: EtherType::VLAN, tci: Tci(vlan) };
        assert_eq!(vlan::push(&mut bytes, TAG_LEN, tag), Ok(0));
        whole(&bytes)
    };
    let asked = arp::Repr::request(mac(0), v4(0), v4(2));
    let answer = whole(&frames::arp_reply(&asked, mac(2)));
    let got = sent(&mut sim, tagged(&request(0, v4(2)), 10));
    assert_eq!(got, [vec![tagged(&answer, 10)], vec![], vec![], vec![]]);
    assert_eq!(counts(&sent(&mut sim, tagged(&request(0, v4(2)), 20))), [0, 0, 0, 1]);
    sim.check();
}

/// What is behind a second tag is a customer's own, whatever address it is.
#[test]
fn behind_two_tags_nothing_is_answered() {
    let mut sim = sim();
    sim.set(0, |conf| conf.vlans = PortVlans::trunk([10], None));
    sim.set(2, |conf| conf.vlans = PortVlans::access(10));
    for question in [request(0, v4(2)), solicit(0, v6(0), v6(2))] {
        let mut bytes = question.clone();
        bytes.splice(VNET_LEN + 12..VNET_LEN + 12, [0x81, 0, 0, 10, 0x81, 0, 0, 30]);
        let mut inner = question;
        inner.splice(VNET_LEN + 12..VNET_LEN + 12, [0x81, 0, 0, 30]);
        assert_eq!(sent(&mut sim, bytes), [vec![], vec![], vec![inner], vec![]]);
    }
    sim.check();
}

#[test]
fn on_another_network_the_address_is_somebody_elses() {
    let mut sim = Sim::with_networks(&[0, 0, 1, 1]);
    let row = |port: u16| Neighbour {
        mac: mac(port),
        ipv4: Some(v4(9)),
        ipv6: None,
        port: PortIndex(port),
    };
    sim.neighbours(vec![row(1)]);
    // Port 1 is on network 0: who asks on network 1 does not reach it.
    sim.inject(2, request(2, v4(9)));
    sim.inject(0, request(0, v4(9)));
    sim.run();
    assert_eq!(sim.sent_counts(), [1, 0, 0, 1]);
    sim.check();
}
