//! Queries that a worker answers itself.

use std::sync::Arc;

use super::*;
use crate::datapath::limits::DIRECT_ANSWER_MAX;
use crate::datapath::tests::sim::with_workers;

/// Knows the answer to one query, which names the port that asks.
#[derive(Debug)]
struct OneName;

impl NameService for OneName {
    fn answer(&self, port: PortIndex, query: &[u8], answer: &mut [u8]) -> Option<usize> {
        let text = format!("port {}", port.0).into_bytes();
        answer[..text.len()].copy_from_slice(&text);
        match query {
            b"known?" => Some(text.len()),
            b"long?" => Some(answer.len()),
            _ => None,
        }
    }
}

fn with_names() -> Service {
    let mut net = Service::new();
    net.0.sim.set_names(Arc::new(OneName));
    net
}

fn asks(port: u16, family: Family, query: &[u8]) -> Vec<u8> {
    let like = if port == OTHER { A } else { port };
    let own = at(family.container(like), 5000);
    partial(udp(up(port), own, at(family.gateway(), 53), query)).0
}

#[track_caller]
fn is_answered(net: &mut Service, port: u16, family: Family) {
    let (to, frame) = net.one(port, asks(port, family, b"known?"));
    let back = seen(&frame);
    assert_eq!((to, back.link), (port, Link::new(GATEWAY_MAC, mac(port))), "{family:?}");
    assert_eq!(back.from, at(family.gateway(), 53));
    let own = family.container(if port == OTHER { A } else { port });
    assert_eq!((back.to, back.l4, back.hops), (at(own, 5000), L4::Udp, 64));
    assert_eq!(back.payload, format!("port {port}").into_bytes());
}

#[test]
fn a_known_name_comes_back_from_the_worker() {
    for workers in 1..4 {
        with_workers(workers, 7, || {
            for family in FAMILIES {
                let mut net = with_names();
                for port in [A, B, OTHER] {
                    is_answered(&mut net, port, family);
                }
                let (to, frame) = net.one(A, asks(A, family, b"long?"));
                assert_eq!((to, seen(&frame).payload.len()), (A, DIRECT_ANSWER_MAX));
            }
        });
    }
}

#[test]
fn so_it_does_without_uplink_without_router_and_without_host_port() {
    for family in FAMILIES {
        let mut net = with_names();
        net.0.egress = |_| EgressMode::Internal;
        net.0.change(|_| {});
        is_answered(&mut net, A, family);
        net.0.sim.network(|network| network.router = None);
        is_answered(&mut net, A, family);
        net.conf(|conf| conf.has_host_port = false);
        is_answered(&mut net, A, family);
    }
}

#[test]
fn an_access_port_on_the_hosts_vlan_is_answered_a_trunk_by_the_server() {
    for family in FAMILIES {
        let mut net = with_names();
        net.0.sim.set(HOST, |conf| conf.vlans = PortVlans::access(10));
        net.0.sim.set(A, |conf| conf.vlans = PortVlans::trunk([10, 20], None));
        net.0.sim.set(B, |conf| conf.vlans = PortVlans::access(10));
        net.conf(|conf| conf.vlan = 10);
        is_answered(&mut net, B, family);
        let mut frame = tagged(asks(A, family, b"known?"), 10);
        frame[6] += TAG_LEN as u8;
        assert_eq!(net.one(A, frame).0, SERVICE);
        net.0.sim.set(B, |conf| conf.vlans = PortVlans::access(20));
        assert!(net.sent(B, asks(B, family, b"known?")).iter().all(|(port, _)| *port != B));
    }
}

#[test]
fn everything_else_goes_to_the_server() {
    for family in FAMILIES {
        let mut net = with_names();
        assert_eq!(net.one(A, asks(A, family, b"unknown?")).0, SERVICE);
        // Nobody has vouched for these bytes yet.
        let own = at(family.container(A), 5000);
        let complete = udp(up(A), own, at(family.gateway(), 53), b"known?");
        assert_eq!(net.one(A, complete).0, SERVICE);
        let mut several = asks(A, family, b"known?");
        (several[1], several[4]) = (vnet::GsoType::UdpL4 as u8, 3);
        assert_eq!(net.one(A, several).0, SERVICE);
        let by_tcp = tcp(up(A), own, at(family.gateway(), 53), Flags::SYN, [1, 0]);
        assert_eq!(net.one(A, by_tcp).0, SERVICE);
        net.0.sim.network(|network| network.service = None);
        assert_eq!(net.one(A, asks(A, family, b"known?")).0, HOST);
    }
}

#[test]
fn a_forged_source_and_fragments_are_refused_all_the_same() {
    for family in FAMILIES {
        let mut net = with_names();
        for forged in [family.container(B), family.remote(), family.gateway()] {
            let frame = udp(up(A), at(forged, 5000), at(family.gateway(), 53), b"known?");
            net.refused(A, partial(frame).0, DropReason::ServiceForeignSource);
        }
    }
    let mut net = with_names();
    let mut first = asks(A, Family::V4, b"known?");
    let mut ip = wire::ipv4::Packet::new_checked(&mut first[VNET_LEN + 14..]).expect("IPv4");
    ip.set_fragment(false, true, 0);
    ip.fill_checksum();
    net.refused(A, first, DropReason::ServiceFragment);
}
