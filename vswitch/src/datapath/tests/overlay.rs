//! Overlay networks: two and three switches joined by tunnel ports in memory.

mod ecn;
mod flood;
mod gso;
mod host;
mod nodes;
mod path;
mod refused;
mod traffic;

use fastpath::limits::VNET_LEN;
use wire::MacAddr;

use self::nodes::{Nodes, PORTS, VNI, mac};
use super::sim::frame;
use crate::datapath::*;

#[test]
fn a_frame_for_another_node_arrives_there_and_nowhere_else() {
    for is_ipv6 in [false, true] {
        let mut nodes = Nodes::with_underlay(3, is_ipv6);
        let sent = frame(mac(1, 2), mac(0, 0), b"across");
        nodes.inject(0, 0, sent.clone());
        nodes.run();
        assert_eq!(nodes.sent(1, 2), [sent]);
        assert_eq!(nodes.counts(), [[0; PORTS as usize]; 3]);
        assert_eq!(nodes.carried.len(), 1);
        let (_, header, payload) = &nodes.carried[0];
        assert_eq!(header.peer, nodes.address(1));
        assert_eq!(payload[..8], [8, 0, 0, 0, 0xab, 0xcd, 0xef, 0]);
        let traffic = |node: usize, vtep| nodes.sims[node].stats().vteps()[vtep];
        let (tx, rx) = (traffic(0, 1), traffic(1, 0));
        assert_eq!((tx.tx_frames, tx.tx_bytes, rx.rx_frames, rx.rx_bytes), (1, 20, 1, 20));
        nodes.check();
    }
}

#[test]
fn a_registrys_endpoints_are_not_learnt_and_those_of_static_peers_are() {
    let mut nodes = Nodes::new(2);
    let stranger = MacAddr([2, 9, 9, 9, 9, 9]);
    nodes.inject(0, 0, frame(mac(1, 0), stranger, b"I am behind port 0"));
    nodes.run();
    nodes.counts();
    nodes.inject(1, 0, frame(stranger, mac(1, 0), b"unknown: flooded"));
    nodes.run();
    assert_eq!(nodes.counts(), [[1, 0, 0], [0, 1, 1]]);
    let mut nodes = Nodes::learning(3);
    nodes.inject(0, 0, frame(MacAddr::BROADCAST, stranger, b"I am behind port 0"));
    nodes.run();
    assert_eq!(nodes.counts(), [[0, 1, 1], [1, 1, 1], [1, 1, 1]]);
    nodes.inject(1, 0, frame(stranger, mac(1, 0), b"known"));
    nodes.run();
    assert_eq!(nodes.counts(), [[1, 0, 0], [0; 3], [0; 3]]);
    nodes.check();
}

#[test]
fn what_was_learnt_of_a_vtep_goes_with_it() {
    let mut nodes = Nodes::learning(2);
    nodes.inject(0, 0, frame(MacAddr::BROADCAST, mac(0, 0), b"here"));
    nodes.run();
    let learnt =
        |nodes: &mut Nodes| nodes.sims[1].state().fdb.entries_of(Destination::tunnel(VtepIndex(0)));
    assert_eq!(learnt(&mut nodes), 1);
    nodes.vteps(1, |_, conf| conf.mtu = 1400);
    nodes.inject(1, 0, frame(mac(1, 1), mac(1, 0), b"any"));
    nodes.run();
    assert_eq!(learnt(&mut nodes), 1, "the same VTEP");
    nodes.vteps(1, |_, conf| conf.address.set_ip([192, 0, 2, 77].into()));
    nodes.inject(1, 0, frame(mac(1, 1), mac(1, 0), b"any"));
    nodes.run();
    assert_eq!(learnt(&mut nodes), 0, "another one");
    assert_eq!(nodes.sims[1].stats().vteps()[0], Default::default(), "its counters begin anew");
    nodes.check();
}

#[test]
fn an_entry_of_a_vtep_that_left_the_network_is_no_destination() {
    let mut nodes = Nodes::learning(2);
    nodes.inject(0, 0, frame(MacAddr::BROADCAST, mac(0, 0), b"here"));
    nodes.run();
    nodes.counts();
    nodes.overlay(1, |overlay| overlay.vteps.clear());
    nodes.inject(1, 0, frame(mac(0, 0), mac(1, 0), b"to whom?"));
    nodes.run();
    assert_eq!(nodes.counts(), [[0; 3], [0, 1, 1]]);
    nodes.check();
}

#[test]
fn an_endpoint_that_moves_is_found_at_once() {
    let mut nodes = Nodes::new(3);
    nodes.overlay(2, |overlay| {
        overlay.remotes.insert(Remote { mac: mac(0, 1), vtep: VtepIndex(1) });
    });
    nodes.inject(2, 0, frame(mac(0, 1), mac(2, 0), b"where are you now"));
    nodes.run();
    assert_eq!(nodes.carried[0].1.peer, nodes.address(1));
    nodes.check();
}

#[test]
fn networks_are_told_apart_by_their_vni() {
    let mut sim = super::sim::Sim::with_networks(&[0, 0, 1, 1]);
    let peer = "192.0.2.9:4789".parse().expect("an address");
    let vtep = VtepConf { address: peer, mtu: 1450, is_learning: true };
    let tunnel = sim.open_tunnel(vec![Some(vtep)]);
    sim.differ(|index, network| {
        let vni = wire::vxlan::Vni::new(7 + u32::from(index)).expect("24 bits");
        let (vteps, remotes) = (vec![VtepIndex(0)], RemoteTable::default());
        network.overlay = Some(NetworkOverlay { vni, vteps, remotes });
    });
    for (vni, reached) in [(7, [1, 1, 0, 0, 0]), (8, [0, 0, 1, 1, 0])] {
        let vni = wire::vxlan::Vni::new(vni).expect("24 bits");
        let packet = nodes::vxlan(vni, &frame(MacAddr::BROADCAST, mac(9, 9), b"all"));
        let header = fastpath::datagram::Header { peer, segment: 0, socket: 0, tos: 0 };
        sim.inject(tunnel, nodes::datagram(header, &packet));
        sim.run();
        assert_eq!(sim.sent_counts(), reached);
    }
    sim.inject(2, frame(mac(9, 9), super::sim::mac(2), b"learnt in both"));
    sim.run();
    let sent = sim.sent(tunnel);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0][24..32], [8, 0, 0, 0, 0, 0, 8, 0]);
    sim.check();
}

#[test]
fn a_flow_leaves_by_one_socket_and_flows_by_many() {
    let mut nodes = Nodes::new(2);
    for port in 0..64 {
        let datagram = traffic::udp((0, 0), (1, 0), 40_000 + port, b"x");
        nodes.inject(0, 0, datagram.clone());
        nodes.inject(0, 0, datagram);
    }
    nodes.run();
    let sockets: Vec<u16> = nodes.carried.iter().map(|(_, header, _)| header.socket).collect();
    assert!(sockets.chunks(2).all(|pair| pair[0] == pair[1]), "one flow, one socket");
    let distinct: std::collections::BTreeSet<u16> = sockets.iter().map(|it| it % 16).collect();
    assert!(distinct.len() >= 12, "16 sockets of 64 flows: {distinct:?}");
    nodes.check();
}

#[test]
fn a_partial_checksum_is_completed_on_the_way_out() {
    for is_ipv6 in [false, true] {
        let mut nodes = Nodes::new(2);
        let whole = traffic::tcp((0, 0), (1, 0), is_ipv6, b"a few bytes");
        let partial = traffic::partial(&whole);
        assert_ne!(partial, whole);
        nodes.inject(0, 0, partial);
        nodes.run();
        let got = nodes.sent(1, 0);
        assert_eq!(got[0][VNET_LEN..], whole[VNET_LEN..]);
        assert_eq!(nodes.carried[0].2[8..], whole[VNET_LEN..]);
        nodes.check();
    }
}

#[test]
fn several_datagrams_in_one_buffer_are_as_many_frames() {
    let mut nodes = Nodes::new(2);
    nodes.faults.joined = true;
    let sent: Vec<_> = (0..9u8).map(|n| frame(mac(1, 0), mac(0, 0), &[n; 70])).collect();
    for frame in &sent {
        nodes.inject(0, 0, frame.clone());
    }
    nodes.run();
    assert_eq!(nodes.sent(1, 0), sent, "in their order");
    assert_eq!(nodes.sims[1].stats().vteps()[0].rx_frames, 9);
    nodes.check();
}
