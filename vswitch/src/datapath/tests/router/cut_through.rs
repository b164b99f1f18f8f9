//! Handshakes that may be cut through: on one network, and by a published port of the host.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;

use vswitch_cutthrough::{Allowed, NetnsCookie, Tuple};
use wire::frames::Link;
use wire::meta::Meta;
use wire::tcp::{self, Flags};

use super::net::*;
use crate::datapath::tests::sim::{mac, with_workers};

const SYN_ACK: Flags = Flags::SYN.with(Flags::ACK);

fn netns(port: u16) -> NetnsCookie {
    NetnsCookie(NonZeroU64::new(1000 + u64::from(port)).expect("not 0"))
}

fn net() -> (TestNet, Arc<Allowed>) {
    let (mut net, allowed) = (TestNet::new(), Arc::new(Allowed::detached(1)));
    for port in [A, B] {
        net.sim.set(port, |conf| conf.cut_through = Some(netns(port)));
    }
    net.sim.set_allowed(Arc::clone(&allowed));
    (net, allowed)
}

/// The id that both ends find, for a client of sequence number 99 and a server of 499.
fn id(allowed: &Allowed, client: [SocketAddr; 2], server: [SocketAddr; 2]) -> Option<u64> {
    let end = |port, [local, remote]: [SocketAddr; 2]| Tuple { netns: netns(port), local, remote };
    let (of_client, is_server) = allowed.find(&end(A, client), [100, 500])?;
    assert!(!is_server);
    let (of_server, is_server) = allowed.find(&end(B, server), [500, 100])?;
    assert!(is_server && of_client == of_server);
    Some(of_client)
}

/// On one network.
fn direct(family: Family) -> ([SocketAddr; 2], Vec<u8>) {
    let [a, b] = [at(family.container(A), 4000), at(family.container(B), 80)];
    ([a, b], tcp(Link::new(mac(B), mac(A)), b, a, SYN_ACK, [499, 100]))
}

#[test]
fn a_syn_ack_on_a_network_allows_both_ends() {
    for family in FAMILIES {
        let (mut net, allowed) = net();
        let ([a, b], frame) = direct(family);
        assert_eq!(id(&allowed, [a, b], [b, a]), None);
        net.sent(A, tcp(Link::new(mac(A), mac(B)), a, b, Flags::SYN, [99, 0]));
        net.sent(B, frame);
        assert!(id(&allowed, [a, b], [b, a]).is_some(), "{family:?}");
    }
}

#[test]
fn no_other_segment_does() {
    for flags in [Flags::SYN, Flags::ACK, SYN_ACK.with(Flags::RST), SYN_ACK.with(Flags::FIN)] {
        let (mut net, allowed) = net();
        let ([a, b], _) = direct(Family::V4);
        net.sent(A, tcp(Link::new(mac(A), mac(B)), a, b, Flags::SYN, [99, 0]));
        net.sent(B, tcp(Link::new(mac(B), mac(A)), b, a, flags, [499, 100]));
        assert_eq!(id(&allowed, [a, b], [b, a]), None, "{flags:?}");
    }
}

#[test]
fn both_ports_must_allow_it() {
    for port in [A, B] {
        let (mut net, allowed) = net();
        net.sim.set(port, |conf| conf.cut_through = None);
        let ([a, b], frame) = direct(Family::V4);
        net.sent(A, tcp(Link::new(mac(A), mac(B)), a, b, Flags::SYN, [99, 0]));
        net.sent(B, frame);
        assert_eq!(id(&allowed, [a, b], [b, a]), None);
    }
}

#[test]
fn a_dropped_syn_ack_allows_nothing() {
    let (mut net, allowed) = net();
    net.sim.set(B, |conf| {
        let own = Family::V4.container(B);
        let std::net::IpAddr::V4(own) = own else { return };
        let (mac, further) = (mac(B), crate::datapath::PortAddresses::NONE);
        conf.guard = Some(crate::datapath::Guard { mac, ipv4: Some(own), ipv6: None, further });
    });
    let ([a, b], _) = direct(Family::V4);
    net.sent(A, tcp(Link::new(mac(A), mac(B)), a, b, Flags::SYN, [99, 0]));
    // Not an address of the container behind B.
    let forged = at("10.99.0.77".parse().expect("an address"), 80);
    net.sent(B, tcp(Link::new(mac(B), mac(A)), forged, a, SYN_ACK, [499, 100]));
    assert_eq!(id(&allowed, [a, forged], [forged, a]), None);
}

/// A published port of the host, from a container: the client sees the host's address, the server the container.
fn by_published_port() {
    for family in FAMILIES {
        let (mut net, allowed) = net();
        let (a, host) = (at(family.container(A), 4000), at(family.outside(), 8080));
        let (to, syn) = net.one(A, tcp(up(A), a, host, Flags::SYN, [99, 0]));
        assert_eq!(to, B, "{family:?}");
        let bytes = &syn[fastpath::limits::VNET_LEN..];
        let meta = Meta::parse(bytes).expect("a frame");
        let segment = tcp::Packet::new_checked(&bytes[meta.l4_offset.into()..]).expect("TCP");
        let client = match family {
            Family::V4 => {
                let packet = wire::ipv4::Packet::new_checked(&bytes[14..]).expect("IPv4");
                packet.src().into()
            }
            Family::V6 => {
                let packet = wire::ipv6::Packet::new_checked(&bytes[14..]).expect("IPv6");
                std::net::IpAddr::from(packet.src())
            }
        };
        let (seen, b) = (at(client, segment.src_port()), at(family.container(B), 80));
        net.one(B, tcp(up(B), b, seen, SYN_ACK, [499, 100]));
        assert!(id(&allowed, [a, host], [b, seen]).is_some(), "{family:?}");
    }
}

#[test]
fn a_translated_handshake_has_each_end_as_its_socket_sees_it() {
    by_published_port();
}

#[test]
fn it_does_so_where_another_worker_translates() {
    for seed in 1..20 {
        with_workers(3, seed, by_published_port);
    }
}
