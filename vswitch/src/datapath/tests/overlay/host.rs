//! The host as an endpoint of its node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wire::{MacAddr, frames};

use super::nodes::{self, GATEWAY, Nodes, VNI, ip, ip6, mac};
use super::traffic;
use crate::datapath::tests::sim::{self, frame};
use crate::datapath::*;

/// The port of the host, and its addresses on the first node.
const HOST: u16 = 0;
const HOST_MAC: MacAddr = MacAddr([2, 0x77, 0, 0, 0, 1]);
const HOST4: Ipv4Addr = Ipv4Addr::new(10, 50, 0, 250);
const HOST6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x50, 0, 0, 0, 0, 0, 0xfa);

fn gateway() -> MacAddr {
    sim::network().mac
}

/// Two nodes; the first one's host is an endpoint, which the second knows.
fn hosts() -> Nodes {
    let mut nodes = Nodes::new(2);
    let sim = &mut nodes.sims[0];
    sim.set(HOST, |conf| *conf = PortConf::new(NetworkIndex(0), PortKind::Host, gateway()));
    let (key, now_s) = (Key::new(NetworkIndex(0), 0, gateway()), sim.now().seconds());
    let learnt = Learnt { key, destination: fastpath::PortIndex(HOST).into() };
    sim.state().fdb.learn(learnt, now_s, 300, FdbQuota::ALL);
    let addresses = vec![HOST4.into(), HOST6.into()];
    nodes.overlay(0, |overlay| overlay.host = Some(HostEndpoint { mac: HOST_MAC, addresses }));
    nodes.overlay(1, |overlay| {
        overlay.remotes.insert(Remote { mac: HOST_MAC, vtep: VtepIndex(0) });
        overlay.remotes.insert_ip(HOST4.into(), HOST_MAC);
        overlay.remotes.insert_ip(HOST6.into(), HOST_MAC);
    });
    nodes
}

/// A packet with other addresses.
fn between(from: (MacAddr, IpAddr), to: (MacAddr, IpAddr)) -> Vec<u8> {
    traffic::udp_between(from, to, b"hello")
}

#[test]
fn the_host_speaks_from_a_mac_address_of_its_node() {
    let pairs: [(IpAddr, IpAddr); 2] =
        [(HOST4.into(), ip(1, 1).into()), (HOST6.into(), ip6(1, 1).into())];
    for (own, other) in pairs {
        let mut nodes = hosts();
        nodes.inject(0, HOST, between((gateway(), own), (mac(1, 1), other)));
        nodes.run();
        assert_eq!(nodes.sent(1, 1), [between((HOST_MAC, own), (mac(1, 1), other))]);
        nodes.inject(1, 1, between((mac(1, 1), other), (HOST_MAC, own)));
        nodes.run();
        assert_eq!(nodes.sent(0, HOST), [between((mac(1, 1), other), (gateway(), own))]);
        assert_eq!(nodes.counts(), [[0; 3]; 2]);
        nodes.check();
    }
}

#[test]
fn from_the_gateways_address_it_speaks_to_nobody_elsewhere() {
    let mut nodes = hosts();
    nodes.inject(0, HOST, between((gateway(), GATEWAY.into()), (mac(1, 1), ip(1, 1).into())));
    // A container that pretends to be the host.
    nodes.inject(0, 1, between((gateway(), HOST4.into()), (mac(1, 1), ip(1, 1).into())));
    nodes.run();
    let sim = &nodes.sims[0];
    assert_eq!([HOST, 1].map(|port| sim.drops(port, DropReason::TunnelGateway)), [1, 1]);
    assert!(nodes.carried.is_empty());
    nodes.check();
}

#[test]
fn frames_to_its_mac_address_are_for_its_own_addresses_only() {
    let mut nodes = hosts();
    nodes.inject(1, 1, between((mac(1, 1), ip(1, 1).into()), (HOST_MAC, GATEWAY.into())));
    nodes.inject(1, 1, frame(HOST_MAC, mac(1, 1), b"no packet"));
    nodes.run();
    assert_eq!(nodes.drops(0, DropReason::TunnelGateway), 2);
    let peer = nodes.address(1);
    nodes.inject_datagram(0, peer, &nodes::vxlan(VNI, &frame(mac(0, 1), HOST_MAC, b"forged")));
    nodes.run();
    assert_eq!(nodes.drops(0, DropReason::TunnelLocalSource), 1);
    assert_eq!(nodes.counts(), [[0; 3]; 2]);
    nodes.check();
}

#[test]
fn a_node_that_does_not_know_the_host_is_told_its_mac_address() {
    let mut nodes = hosts();
    nodes.overlay(1, |overlay| overlay.remotes = RemoteTable::default());
    let ask = frames::arp_request(mac(1, 1), ip(1, 1), HOST4);
    nodes.inject(1, 1, [&[0; 12], &ask[..]].concat());
    nodes.run();
    let request = wire::arp::Repr::request(mac(1, 1), ip(1, 1), HOST4);
    let got = nodes.sent(1, 1);
    // The asker's node does not know it, so the answer is for an address that is learnt nowhere.
    assert_eq!(got, [[&[0; 12], &frames::arp_reply(&request, HOST_MAC)[..]].concat()]);
    nodes.check();
}
