//! The host on a network that spans nodes: it has addresses of its own beside the gateway's.

use std::net::{IpAddr, Ipv4Addr};

use fastpath::limits::VNET_LEN;
use wire::{MacAddr, arp, frames};

use super::nodes::{GATEWAY, GATEWAY6, Nodes, VNI, ip, ip6, mac, vxlan};
use super::traffic;
use crate::datapath::*;

/// The gateway's MAC address, and that of the host's interface on the first node.
const GATEWAY_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const HOST_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x77]);

/// The host's own address.
const HOST: Ipv4Addr = Ipv4Addr::new(10, 50, 255, 2);

/// The port of the host.
const PORT: u16 = 2;

/// Nodes of which the first has the host at a port.
fn nodes() -> Nodes {
    let mut nodes = Nodes::new(2);
    let own = [GATEWAY.into(), GATEWAY6.into(), IpAddr::V4(HOST)];
    nodes.sims[0].set(PORT, |conf| {
        conf.kind = PortKind::Host;
        conf.mac = HOST_MAC;
        conf.addresses = PortAddresses::new(own);
    });
    nodes.sims[0].network(|network| {
        let port = fastpath::PortIndex(PORT);
        network.statics.push(StaticMac { mac: GATEWAY_MAC, vlan: 0, port });
    });
    let key = Key::new(NetworkIndex(0), 0, HOST_MAC);
    let learnt = Learnt { key, destination: fastpath::PortIndex(PORT).into() };
    let now_s = nodes.sims[0].now().seconds();
    nodes.sims[0].state().fdb.learn(learnt, now_s, 300, FdbQuota::ALL);
    nodes
}

/// A UDP datagram of the first container of the first node, to this address.
fn datagram(dst: MacAddr, to: Ipv4Addr) -> Vec<u8> {
    from(dst, mac(0, 0), ip(0, 0), to)
}

fn from(dst: MacAddr, src: MacAddr, from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    traffic::udp_between((src, from.into()), (dst, to.into()), b"x")
}

fn destination(frame: &[u8]) -> MacAddr {
    MacAddr(frame[VNET_LEN..][..6].try_into().expect("six bytes"))
}

#[test]
fn what_is_for_the_gateway_reaches_the_interface_of_the_host() {
    let mut nodes = nodes();
    nodes.inject(0, 0, datagram(GATEWAY_MAC, GATEWAY));
    nodes.inject(0, 0, datagram(HOST_MAC, HOST));
    nodes.run();
    let sent = nodes.sent(0, PORT);
    assert_eq!(sent.iter().map(|it| destination(it)).collect::<Vec<_>>(), [HOST_MAC; 2]);
    // The rest of the frame is as it was.
    assert_eq!(sent[0][VNET_LEN + 6..], datagram(GATEWAY_MAC, GATEWAY)[VNET_LEN + 6..]);
    nodes.check();
}

#[test]
fn no_other_node_uses_the_host_as_a_gateway() {
    let mut nodes = nodes();
    let peer = nodes.address(1);
    let world = Ipv4Addr::new(198, 51, 100, 1);
    for (to, is_through) in [(HOST, true), (world, false), (ip(0, 0), false)] {
        let before = nodes.drops(0, DropReason::TunnelGateway);
        let frame = from(HOST_MAC, mac(1, 0), ip(1, 0), to);
        nodes.inject_datagram(0, peer, &vxlan(VNI, &frame));
        nodes.run();
        assert_eq!(nodes.sent(0, PORT).len(), usize::from(is_through), "{to}");
        let dropped = nodes.drops(0, DropReason::TunnelGateway) - before;
        assert_eq!(dropped, u64::from(!is_through), "{to}");
    }
    nodes.check();
}

#[test]
fn the_host_speaks_to_other_nodes_from_its_own_address_only() {
    let mut nodes = nodes();
    nodes.inject(0, PORT, from(mac(1, 0), HOST_MAC, HOST, ip(1, 0)));
    nodes.run();
    assert_eq!(nodes.sent(1, 0).len(), 1);
    nodes.inject(0, PORT, from(mac(1, 0), HOST_MAC, GATEWAY, ip(1, 0)));
    nodes.run();
    assert_eq!(nodes.sent(1, 0).len(), 0, "the answer would go to the gateway of that node");
    assert_eq!(nodes.sims[0].drops(PORT, DropReason::TunnelGateway), 1);
    // To containers of its own node it may be the gateway.
    nodes.inject(0, PORT, from(mac(0, 0), HOST_MAC, GATEWAY, ip(0, 0)));
    nodes.run();
    assert_eq!(nodes.sent(0, 0).len(), 1);
    nodes.check();
}

/// With the offload header of a whole frame.
fn with_header(frame: &[u8]) -> Vec<u8> {
    [&[0; VNET_LEN], frame].concat()
}

/// A question of the host for an address that nobody has.
fn question(sender_ip: Ipv4Addr) -> Vec<u8> {
    let nobody = Ipv4Addr::new(10, 50, 9, 9);
    with_header(&frames::arp_request(HOST_MAC, sender_ip, nobody))
}

#[test]
fn no_node_hears_where_the_gateway_of_another_is() {
    let mut nodes = nodes();
    nodes.inject(0, PORT, question(GATEWAY));
    nodes.run();
    assert_eq!(nodes.counts(), [[1, 1, 0], [0; 3]], "local ports only");
    nodes.inject(0, PORT, question(HOST));
    nodes.run();
    assert_eq!(nodes.counts(), [[1, 1, 0], [1, 1, 1]]);
    // Another node may be none of ours.
    let reply = arp::Repr {
        operation: arp::Operation::REPLY,
        sender_mac: mac(1, 0),
        sender_ip: GATEWAY,
        target_mac: mac(0, 0),
        target_ip: ip(0, 0),
    };
    let peer = nodes.address(1);
    let advert = frames::solicited_na(mac(1, 0), GATEWAY6, true, (mac(0, 0), ip6(0, 0)));
    let announced = frames::arp(mac(0, 0), &reply);
    let asked = frames::neighbor_solicit(mac(1, 0), GATEWAY6, ip6(0, 0));
    for frame in [&announced[..], &advert, &asked] {
        nodes.inject_datagram(0, peer, &vxlan(VNI, &with_header(frame)));
    }
    nodes.run();
    assert_eq!(nodes.counts(), [[0; 3]; 2]);
    assert_eq!(nodes.drops(0, DropReason::TunnelGateway), 3);
    nodes.check();
}
