//! What does not pass a tunnel, each with its reason.

use fastpath::datagram::Header;
use wire::vxlan::Vni;
use wire::{MacAddr, frames};

use super::nodes::{self, Nodes, VNI, mac, vxlan};
use crate::datapath::tests::sim::frame;
use crate::datapath::*;

/// The gateway's MAC address.
const GATEWAY: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

fn refused(node: usize, from: usize, payload: &[u8], reason: DropReason) {
    let mut nodes = Nodes::new(3);
    let peer = nodes.address(from);
    nodes.inject_datagram(node, peer, payload);
    nodes.run();
    assert_eq!(nodes.drops(node, reason), 1, "{}", reason.name());
    assert_eq!(nodes.counts(), [[0; 3]; 3], "{}", reason.name());
    nodes.check();
}

#[test]
fn each_bad_datagram_has_its_reason() {
    let good = frame(mac(0, 0), mac(1, 0), &[7; 50]);
    let packet = vxlan(VNI, &good);
    let without_flag = [&[0, 0, 0, 0], &packet[4..]].concat();
    let other = vxlan(Vni::new(99).expect("24 bits"), &good);
    let with = |dst, src| vxlan(VNI, &frame(dst, src, &[7; 50]));
    let mut tagged = good.clone();
    tagged[24..26].copy_from_slice(&[0x81, 0]);
    tagged[27] = 5;
    for (from, payload, reason) in [
        (7, packet.clone(), DropReason::TunnelUnknownVtep),
        (7, Vec::new(), DropReason::TunnelUnknownVtep),
        (1, Vec::new(), DropReason::TunnelBadHeader),
        (1, packet[..7].to_vec(), DropReason::TunnelBadHeader),
        (1, without_flag, DropReason::TunnelBadHeader),
        (1, other, DropReason::TunnelUnknownVni),
        (1, packet[..8].to_vec(), DropReason::Truncated),
        (1, packet[..21].to_vec(), DropReason::Truncated),
        (1, vxlan(VNI, &tagged), DropReason::VlanTagged),
        (1, with(GATEWAY, mac(1, 0)), DropReason::TunnelGateway),
        (1, with(mac(0, 0), GATEWAY), DropReason::TunnelGateway),
        (1, with(MacAddr::BROADCAST, GATEWAY), DropReason::TunnelGateway),
        (1, with(mac(0, 0), mac(0, 1)), DropReason::TunnelLocalSource),
        (1, with(MacAddr::BROADCAST, mac(0, 1)), DropReason::TunnelLocalSource),
        (1, with(mac(2, 0), mac(1, 0)), DropReason::TunnelToTunnel),
        (1, with(mac(1, 1), mac(1, 0)), DropReason::TunnelToTunnel),
        (1, with(mac(0, 0), MacAddr::ZERO), DropReason::ZeroSourceMac),
        (1, with(mac(0, 0), MacAddr::BROADCAST), DropReason::BroadcastSourceMac),
        (1, with(MacAddr([1, 0x80, 0xc2, 0, 0, 0]), mac(1, 0)), DropReason::Bpdu),
        (1, vxlan(VNI, &frame(mac(0, 0), mac(1, 0), &[0; 1459])), DropReason::TooBig),
    ] {
        refused(0, from, &payload, reason);
    }
}

#[test]
fn a_reserved_bit_is_ignored() {
    // RFC 7348, section 5.
    let mut nodes = Nodes::new(2);
    let mut packet = vxlan(VNI, &frame(mac(0, 0), mac(1, 0), b"odd"));
    (packet[0], packet[3], packet[7]) = (0xff, 0xff, 0xff);
    let peer = nodes.address(1);
    nodes.inject_datagram(0, peer, &packet);
    nodes.run();
    assert_eq!(nodes.counts()[0], [1, 0, 0]);
    nodes.check();
}

#[test]
fn a_vtep_without_the_network_is_refused() {
    let mut nodes = Nodes::new(3);
    nodes.overlay(0, |overlay| overlay.vteps.retain(|vtep| vtep.0 != 2));
    let peer = nodes.address(2);
    nodes.inject_datagram(0, peer, &vxlan(VNI, &frame(mac(0, 0), mac(2, 0), b"hello")));
    nodes.run();
    assert_eq!(nodes.drops(0, DropReason::TunnelForeignVtep), 1);
    assert_eq!(nodes.counts()[0], [0; 3]);
    nodes.check();
}

#[test]
fn each_of_several_datagrams_in_a_buffer_has_its_own_reason() {
    let mut nodes = Nodes::new(2);
    let good = vxlan(VNI, &frame(mac(0, 0), mac(1, 0), b"1234"));
    let foreign = vxlan(Vni::new(1).expect("24 bits"), &frame(mac(0, 0), mac(1, 0), b"1234"));
    let broken = vec![0; good.len()];
    let tail = &good[..10];
    let payload = [&good[..], &foreign, &broken, &good, tail].concat();
    let header = Header { peer: nodes.address(1), segment: good.len() as u16, socket: 0, tos: 0 };
    let tunnel = nodes.tunnel;
    nodes.sims[0].inject(tunnel, nodes::datagram(header, &payload));
    nodes.run();
    assert_eq!(nodes.counts()[0], [2, 0, 0]);
    let reasons =
        [DropReason::TunnelUnknownVni, DropReason::TunnelBadHeader, DropReason::Truncated];
    assert_eq!(reasons.map(|reason| nodes.drops(0, reason)), [1, 1, 1]);
    nodes.check();
}

#[test]
fn buffers_that_are_used_up_cost_single_datagrams() {
    let mut nodes = Nodes::new(2);
    let good = vxlan(VNI, &frame(mac(0, 0), mac(1, 0), b"1234"));
    let payload = good.repeat(10);
    let header = Header { peer: nodes.address(1), segment: good.len() as u16, socket: 0, tos: 0 };
    let tunnel = nodes.tunnel;
    let hoard = nodes.sims[0].hoard(4);
    nodes.sims[0].inject(tunnel, nodes::datagram(header, &payload));
    nodes.run();
    nodes.sims[0].give_back(hoard);
    assert_eq!(nodes.counts()[0], [4, 0, 0]);
    assert_eq!(nodes.drops(0, DropReason::NoBuffer), 6);
    nodes.check();
}

#[test]
fn the_gateway_does_not_leave() {
    let mut nodes = Nodes::new(2);
    nodes.inject(0, 1, frame(GATEWAY, mac(0, 1), b"to the host, which has no port here"));
    nodes.run();
    assert_eq!(nodes.counts(), [[1, 0, 1], [0; 3]]);
    nodes.inject(0, 0, frame(mac(1, 0), GATEWAY, b"the host"));
    nodes.run();
    assert_eq!(nodes.sims[0].drops(0, DropReason::TunnelGateway), 1);
    nodes.inject(0, 0, frame(MacAddr::BROADCAST, GATEWAY, b"the host"));
    nodes.run();
    assert_eq!(nodes.counts(), [[0, 1, 1], [0; 3]]);
    assert!(nodes.carried.is_empty());
    nodes.check();
}

#[test]
fn nobody_elsewhere_has_the_gateways_address() {
    let (thief, stranger) = (mac(1, 0), nodes::ip(1, 0));
    let reply = wire::arp::Repr::request(mac(0, 0), nodes::ip(0, 0), nodes::GATEWAY).reply(thief);
    let asker = (mac(0, 0), nodes::ip6(0, 0));
    for (claim, is_refused) in [
        (frames::arp(mac(0, 0), &reply).to_vec(), true),
        (frames::gratuitous_arp(thief, nodes::GATEWAY).to_vec(), true),
        (frames::gratuitous_arp(thief, stranger).to_vec(), false),
        (frames::solicited_na(thief, nodes::GATEWAY6, false, asker).to_vec(), true),
        (frames::unsolicited_na(thief, nodes::GATEWAY6).to_vec(), true),
        (frames::unsolicited_na(thief, nodes::ip6(1, 0)).to_vec(), false),
    ] {
        let mut nodes = Nodes::new(2);
        let peer = nodes.address(1);
        nodes.inject_datagram(0, peer, &vxlan(VNI, &[vec![0; 12], claim].concat()));
        nodes.run();
        assert_eq!(nodes.drops(0, DropReason::TunnelGateway), u64::from(is_refused));
        assert_eq!(nodes.counts()[0] == [0; 3], is_refused);
        nodes.check();
    }
}

/// A local endpoint's address, and one that the registry has on another node, claimed by a third one.
#[test]
fn nobody_elsewhere_has_the_address_of_an_endpoint() {
    let thief = MacAddr([2, 9, 9, 9, 9, 9]);
    let arp = |ip| frames::gratuitous_arp(thief, ip).to_vec();
    let nd = |ip| frames::unsolicited_na(thief, ip).to_vec();
    let of_remote = || frame(MacAddr::BROADCAST, mac(2, 0), b"I am elsewhere")[12..].to_vec();
    for (claim, by_node, by_static_peer) in [
        (arp(nodes::ip(0, 1)), true, true),
        (nd(nodes::ip6(0, 1)), true, true),
        // An endpoint that moves announces itself before the registry tells.
        (arp(nodes::ip(2, 0)), false, true),
        (nd(nodes::ip6(2, 0)), false, true),
        (of_remote(), false, true),
        (arp([10, 50, 77, 7].into()), false, false),
    ] {
        for (is_learning, is_refused) in [(false, by_node), (true, by_static_peer)] {
            let mut nodes = Nodes::new(3);
            nodes.vteps(0, |other, conf| conf.is_learning = is_learning && other == 1);
            nodes.sims[0].network(|network| {
                network.neighbours = vec![Neighbour {
                    mac: mac(0, 1),
                    ipv4: Some(nodes::ip(0, 1)),
                    ipv6: Some(nodes::ip6(0, 1)),
                    port: fastpath::PortIndex(1),
                }];
            });
            let peer = nodes.address(1);
            nodes.inject_datagram(0, peer, &vxlan(VNI, &[vec![0; 12], claim.clone()].concat()));
            nodes.run();
            assert_eq!(nodes.drops(0, DropReason::TunnelSpoofed), u64::from(is_refused));
            assert_eq!(nodes.counts()[0] == [0; 3], is_refused, "{claim:x?}");
            nodes.check();
        }
    }
}

#[test]
fn servers_of_other_nodes_do_not_configure_hosts_here() {
    let server = wire::udp::Repr { src_port: 67, dst_port: 68 };
    for (dhcp, refused) in [(true, 1), (false, 0)] {
        let mut nodes = Nodes::new(2);
        nodes.sims[0].network(|network| network.host_config = HostConfig { dhcp, ra: dhcp });
        let peer = nodes.address(1);
        let offer = super::traffic::udp_with((1, 0), (0, 0), server, b"an offer");
        nodes.inject_datagram(0, peer, &vxlan(VNI, &offer));
        nodes.run();
        assert_eq!(nodes.drops(0, DropReason::RogueDhcp), refused);
        assert_eq!(nodes.counts()[0][0] as u64, 1 - refused);
        // Requests of other nodes are not this node's.
        let client = wire::udp::Repr { src_port: 68, dst_port: 67 };
        let mut request = super::traffic::udp_with((1, 0), (0, 0), client, b"a request");
        request[12..18].copy_from_slice(&[0xff; 6]);
        nodes.inject_datagram(0, peer, &vxlan(VNI, &request));
        nodes.run();
        let mut taken = 0;
        nodes.sims[0].state().dhcp.drain(|_, _, _| taken += 1);
        assert_eq!(taken, 0);
        nodes.check();
    }
}

#[test]
fn another_vlan_stays_on_its_node() {
    let mut nodes = Nodes::new(2);
    for port in [0, 1] {
        nodes.sims[0].set(port, |conf| conf.vlans = PortVlans::access(5));
    }
    nodes.inject(0, 0, frame(mac(1, 0), mac(0, 0), b"known elsewhere"));
    nodes.inject(0, 0, frame(MacAddr::BROADCAST, mac(0, 0), b"all"));
    nodes.run();
    assert_eq!(nodes.counts(), [[0, 2, 0], [0; 3]]);
    assert!(nodes.carried.is_empty());
    nodes.check();
}

#[test]
fn an_isolated_port_and_other_nodes_do_not_meet() {
    let mut nodes = Nodes::new(2);
    nodes.sims[0].set(0, |conf| conf.isolation = Isolation::Isolated);
    nodes.inject(0, 0, frame(mac(1, 0), mac(0, 0), b"out"));
    nodes.inject(1, 0, frame(mac(0, 0), mac(1, 0), b"in"));
    nodes.run();
    assert_eq!(nodes.sims[0].drops(0, DropReason::Isolated), 1);
    assert_eq!(nodes.drops(0, DropReason::Isolated), 1);
    assert_eq!(nodes.counts(), [[0; 3]; 2]);
    nodes.inject(0, 0, frame(MacAddr::BROADCAST, mac(0, 0), b"out"));
    nodes.inject(1, 0, frame(MacAddr::BROADCAST, mac(1, 0), b"in"));
    nodes.run();
    assert_eq!(nodes.counts(), [[0, 1, 1], [0, 1, 1]]);
    nodes.check();
}
