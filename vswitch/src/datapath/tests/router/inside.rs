//! MAC addresses behind unguarded ports: answers of the world come to who has the address.

use std::net::IpAddr;

use fastpath::limits::VNET_LEN;
use wire::frames::{self, Link};
use wire::meta::Meta;
use wire::tcp::Flags;
use wire::{MacAddr, arp, ipv6, ndp};

use super::net::*;
use super::several::everywhere;
use crate::datapath::tests::sim::mac;

const INNER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 7, 7]);

fn shared(ports: &[u16]) -> TestNet {
    let mut net = TestNet::new();
    for port in ports {
        net.sim.set(*port, |conf| conf.is_shared = true);
    }
    net
}

/// A datagram to the world and its answer: the MAC address that the answer goes to.
#[track_caller]
fn answered(net: &mut TestNet, family: Family, (from, address): (MacAddr, IpAddr)) -> MacAddr {
    let (inner, remote) = (at(address, 5000), at(family.remote(), 53));
    let (port, out) = net.one(A, udp(Link::new(from, GATEWAY_MAC), inner, remote, b"?"));
    assert_eq!(port, UPLINK);
    let (port, back) = net.one(UPLINK, udp(DOWN, remote, seen(&out).from, b"!"));
    let back = seen(&back);
    assert_eq!((port, back.to), (A, inner), "{family:?}");
    back.link.dst
}

#[test]
fn an_answer_goes_to_the_mac_address_that_sent() {
    for family in FAMILIES {
        let mut net = shared(&[A]);
        let others =
            [family.of("10.99.0.77", "fd00:99::77"), family.of("10.99.0.78", "fd00:99::78")];
        for _ in 0..2 {
            assert_eq!(answered(&mut net, family, (mac(A), family.container(A))), mac(A));
            assert_eq!(answered(&mut net, family, (INNER_MAC, others[0])), INNER_MAC);
            // The container forwards for another one.
            assert_eq!(answered(&mut net, family, (mac(A), others[1])), mac(A));
        }
        // The container's own address has moved into a bridge.
        assert_eq!(answered(&mut net, family, (INNER_MAC, family.container(A))), INNER_MAC);
    }
}

/// What the neighbour answers to a question that the switch sent.
fn answer_to(question: &[u8], from: MacAddr) -> Vec<u8> {
    let frame = &question[VNET_LEN..];
    let meta = Meta::parse(frame).unwrap();
    let answer = match arp::Packet::new_checked(meta.l3_bytes(frame)) {
        Ok(request) if meta.l4 != wire::L4::Icmpv6 => {
            frames::arp_reply(&arp::Repr::parse(&request), from).to_vec()
        }
        _ => {
            let source = ipv6::Packet::new_checked(meta.l3_bytes(frame)).unwrap().src();
            let (message, _) = ndp::Message::parse(meta.l4_bytes(frame)).unwrap();
            let ndp::Message::NeighborSolicit { target } = message else { panic!("{message:?}") };
            frames::solicited_na(from, target, false, (GATEWAY_MAC, source)).to_vec()
        }
    };
    [vec![0; VNET_LEN], answer].concat()
}

/// Who has the address of a published port is asked for.
#[test]
fn a_published_port_leads_to_who_says_to_have_its_address() {
    for family in FAMILIES {
        let mut net = shared(&[B]);
        let public = at(family.outside(), 8080);
        let open = |net: &mut TestNet, port: u16| {
            let client = at(family.remote(), port);
            let mut sent = net.sent(UPLINK, tcp(DOWN, client, public, Flags::SYN, [1, 0]));
            std::mem::take(&mut sent[usize::from(B)])
        };
        let mut first = open(&mut net, 40_000);
        assert_eq!(first.len(), 2, "the segment, and a question");
        let is_segment = |frame: &Vec<u8>| frame[VNET_LEN..VNET_LEN + 6] == mac(B).0;
        let question = first.extract_if(.., |frame| !is_segment(frame)).next().unwrap();
        assert_eq!(first.len(), 1, "as long as nobody is known, the container gets it");
        net.sent(B, answer_to(&question, INNER_MAC));
        let later = open(&mut net, 40_001);
        assert_eq!(later.len(), 1);
        let came = seen(&later[0]);
        assert_eq!((came.link.dst, came.to), (INNER_MAC, at(family.container(B), 80)));
    }
}

/// A neighbour's question by the host's address finds the second MAC address, too: its own worker asks.
#[test]
fn a_hairpin_leads_to_who_says_to_have_the_address() {
    for family in FAMILIES {
        let mut net = shared(&[B]);
        let (a, public) = (family.container(A), at(family.outside(), 5353));
        let ask = |net: &mut TestNet, port: u16| {
            let mut sent = net.sent(A, udp(up(A), at(a, port), public, b"?"));
            std::mem::take(&mut sent[usize::from(B)])
        };
        let mut first = ask(&mut net, 40_000);
        assert_eq!(first.len(), 2, "the datagram, and a question");
        let is_datagram = |frame: &Vec<u8>| frame[VNET_LEN..VNET_LEN + 6] == mac(B).0;
        let question = first.extract_if(.., |frame| !is_datagram(frame)).next().unwrap();
        net.sent(B, answer_to(&question, INNER_MAC));
        let later = ask(&mut net, 40_001);
        assert_eq!(later.len(), 1);
        assert_eq!(seen(&later[0]).link.dst, INNER_MAC);
    }
}

#[test]
fn a_guarded_port_has_one_mac_address_and_is_asked_nothing() {
    for family in FAMILIES {
        let mut net = shared(&[]);
        assert_eq!(answered(&mut net, family, (INNER_MAC, family.container(A))), mac(A));
        let (client, public) = (at(family.remote(), 40_000), at(family.outside(), 8080));
        let (port, _) = net.one(UPLINK, tcp(DOWN, client, public, Flags::SYN, [1, 0]));
        assert_eq!(port, B);
    }
}

/// An address that moves is announced to all, as kernels and virtual machines do.
#[test]
fn an_announcement_moves_an_address() {
    for family in FAMILIES {
        let mut net = shared(&[A]);
        let (inner, remote) = (at(family.container(A), 5000), at(family.remote(), 53));
        let (_, out) = net.one(A, udp(up(A), inner, remote, b"?"));
        let announcement = match inner.ip() {
            IpAddr::V4(address) => frames::gratuitous_arp(INNER_MAC, address).to_vec(),
            IpAddr::V6(address) => frames::unsolicited_na(INNER_MAC, address).to_vec(),
        };
        net.sent(A, [vec![0; VNET_LEN], announcement].concat());
        let (_, back) = net.one(UPLINK, udp(DOWN, remote, seen(&out).from, b"!"));
        assert_eq!(seen(&back).link.dst, INNER_MAC, "{family:?}");
    }
}

#[test]
fn several_workers_do_the_same() {
    everywhere(an_answer_goes_to_the_mac_address_that_sent);
    everywhere(a_published_port_leads_to_who_says_to_have_its_address);
    everywhere(a_hairpin_leads_to_who_says_to_have_the_address);
    everywhere(an_announcement_moves_an_address);
}
