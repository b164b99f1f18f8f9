//! Queries to the gateway, and their answers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use fastpath::PortIndex;
use fastpath::limits::VNET_LEN;
use proptest::prelude::*;
use wire::frames::{self, Link};
use wire::meta::{L4, Meta};
use wire::tcp::Flags;
use wire::vlan::{self, TAG_LEN, Tag, Tci};
use wire::{EtherType, MacAddr, arp, checksum, vnet};

use super::net::*;
use crate::datapath::tests::sim::mac;
use crate::datapath::*;

mod direct;
mod refused;

/// The service port, and a container on a network of its own with the same subnet as the others.
const SERVICE: u16 = PORTS;
const OTHER: u16 = PORTS + 1;
const ALL: u16 = PORTS + 2;

const SERVICE_MAC: MacAddr = MacAddr([2, 0, 0, 0, 1, 4]);

/// The link of the server's frames.
const FROM_SERVER: Link = Link::new(SERVICE_MAC, SERVICE_MAC);

struct Service(TestNet);

impl Service {
    /// Containers A, B, and one with A's addresses on another network.
    fn new() -> Self {
        let mut net = TestNet::with_ports(ALL);
        net.sim.set(SERVICE, |conf| *conf = PortConf::service(SERVICE_MAC));
        for (port, like) in [(A, A), (B, B), (OTHER, A)] {
            let own = FAMILIES.map(|family| family.container(like));
            net.sim.set(port, |conf| conf.addresses = PortAddresses::new(own));
        }
        net.sim.set(OTHER, |conf| conf.network = NetworkIndex(1));
        let mut service = Self(net);
        service.conf(|_| {});
        service
    }

    /// Changes the service of every network.
    fn conf(&mut self, change: impl FnOnce(&mut ServiceConf)) {
        let gateways = FAMILIES.map(Family::gateway).into();
        let mut conf = ServiceConf { vlan: 0, gateways, has_host_port: true };
        change(&mut conf);
        self.0.sim.network(|network| network.service = Some(conf));
    }

    fn sent(&mut self, port: u16, frame: Vec<u8>) -> Vec<(u16, Vec<u8>)> {
        let sim = &mut self.0.sim;
        sim.inject(port, frame);
        sim.run();
        let mut sent = Vec::new();
        for port in 0..ALL {
            sent.extend(sim.sent(port).into_iter().map(|frame| (port, frame)));
        }
        sim.check();
        sent
    }

    #[track_caller]
    fn one(&mut self, port: u16, frame: Vec<u8>) -> (u16, Vec<u8>) {
        let mut sent = self.sent(port, frame);
        assert_eq!(sent.len(), 1, "{:?}", sent.iter().map(|(port, _)| port).collect::<Vec<_>>());
        sent.remove(0)
    }

    /// A frame that is dropped at its port.
    #[track_caller]
    fn refused(&mut self, port: u16, frame: Vec<u8>, reason: DropReason) {
        let before = self.0.sim.drops(port, reason);
        assert_eq!(self.sent(port, frame), [], "{reason:?}");
        assert_eq!(self.0.sim.drops(port, reason), before + 1, "{reason:?}");
    }
}

fn server(family: Family) -> SocketAddr {
    let address = if family == Family::V4 { IpAddr::V4(SERVER_V4) } else { SERVER_V6.into() };
    at(address, 53)
}

fn client(port: u16, family: Family) -> IpAddr {
    let own = if family == Family::V4 { 0 } else { 1 };
    let client = ServiceClient { port: PortIndex(port), gateway: own, own };
    client.address(server(family).ip()).expect("an address")
}

fn query(port: u16, family: Family) -> Vec<u8> {
    let like = if port == OTHER { A } else { port };
    let (own, gateway) = (at(family.container(like), 5000), at(family.gateway(), 53));
    udp(up(port), own, gateway, b"name?")
}

fn answer(port: u16, family: Family) -> Vec<u8> {
    udp(FROM_SERVER, server(family), at(client(port, family), 5000), b"address")
}

fn tagged(frame: Vec<u8>, vid: u16) -> Vec<u8> {
    let mut ethernet = [&[0; TAG_LEN][..], &frame[VNET_LEN..]].concat();
    vlan::push(&mut ethernet, TAG_LEN, Tag { tpid: EtherType::VLAN, tci: Tci(vid) }).expect("room");
    [&frame[..VNET_LEN], &ethernet].concat()
}

#[test]
pub(super) fn a_query_reaches_the_server_and_its_answer_the_container() {
    for family in FAMILIES {
        let mut net = Service::new();
        for port in [A, B, OTHER] {
            let (to, frame) = net.one(port, query(port, family));
            let seen_by_server = seen(&frame);
            assert_eq!(to, SERVICE, "{family:?}");
            assert_eq!(seen_by_server.link.dst, SERVICE_MAC);
            assert_eq!(seen_by_server.from, at(client(port, family), 5000));
            assert_eq!(seen_by_server.to, server(family));
            assert_eq!(seen_by_server.payload, b"name?");
            let known = ServiceClient::of(seen_by_server.from.ip()).expect("a client");
            assert_eq!(known.port, PortIndex(port));

            let (to, frame) = net.one(SERVICE, answer(port, family));
            let back = seen(&frame);
            assert_eq!(to, port, "{family:?}");
            assert_eq!(back.link, Link::new(GATEWAY_MAC, mac(port)));
            assert_eq!(back.from, at(family.gateway(), 53));
            let own = family.container(if port == OTHER { A } else { port });
            assert_eq!((back.to, back.payload), (at(own, 5000), b"address".to_vec()));
        }
    }
}

#[test]
pub(super) fn tcp_does_as_well_whole_where_it_is_gso() {
    for family in FAMILIES {
        let mut net = Service::new();
        let (own, gateway) = (at(family.container(A), 5000), at(family.gateway(), 53));
        let asked = at(client(A, family), 5000);
        let (to, frame) = net.one(A, tcp(up(A), own, gateway, Flags::SYN, [1000, 0]));
        let out = seen(&frame);
        assert_eq!((to, out.from, out.to, out.l4), (SERVICE, asked, server(family), L4::Tcp));
        for (link, from, to, port, leaves) in
            [(up(A), own, gateway, A, SERVICE), (FROM_SERVER, server(family), asked, SERVICE, A)]
        {
            let frame = gso(family, tcp(link, from, to, Flags::ACK, [1001, 7001]));
            let (by, out) = net.one(port, frame.clone());
            assert_eq!((by, out.len()), (leaves, frame.len()), "{family:?}");
            assert_eq!(out[..VNET_LEN], frame[..VNET_LEN], "the offload header stays");
            // What the kernel, or a device, makes of it.
            let mut whole = out[VNET_LEN..].to_vec();
            let header = vnet::Header::parse(&out).expect("a header");
            checksum::complete_partial(&mut whole, header.csum_start, header.csum_offset)
                .expect("a field");
            seen(&[&[0; VNET_LEN][..], &whole].concat());
        }
    }
}

/// A long frame of what begins like this, as a kernel gives it: with the sum of its pseudo-header.
fn gso(family: Family, mut frame: Vec<u8>) -> Vec<u8> {
    let is_v4 = family == Family::V4;
    let start = (frame.len() - VNET_LEN - 20) as u16;
    frame.resize(VNET_LEN + 14 + 60_000, 0x5a);
    let length = if is_v4 { 60_000 } else { 60_000 - 40_u16 };
    let at = VNET_LEN + 14 + if is_v4 { 2 } else { 4 };
    frame[at..at + 2].copy_from_slice(&length.to_be_bytes());
    let header = vnet::Header {
        flags: vnet::Flags::NEEDS_CSUM,
        gso_type: if is_v4 { vnet::GsoType::TcpV4 } else { vnet::GsoType::TcpV6 },
        hdr_len: start + 20,
        gso_size: 1220,
        csum_start: start,
        csum_offset: 16,
        ..vnet::Header::default()
    };
    frame[..VNET_LEN].copy_from_slice(&header.to_bytes());
    let mut frame = with_hops(frame, 64);
    let (field, meta) =
        (VNET_LEN + usize::from(start) + 16, Meta::parse(&frame[VNET_LEN..]).expect("a frame"));
    let packet = meta.l3_bytes(&frame[VNET_LEN..]);
    let len = meta.l3_len - u32::from(meta.l4_offset - meta.l3_offset);
    let pseudo = if is_v4 {
        let ip = wire::ipv4::Packet::new_checked(packet).expect("IPv4");
        ip.pseudo_header()
    } else {
        let ip = wire::ipv6::Packet::new_checked(packet).expect("IPv6");
        ip.pseudo_header(wire::Protocol::TCP, len)
    };
    frame[field..field + 2].copy_from_slice(&pseudo.to_be_bytes());
    frame
}

/// The frame with a partial checksum, as a container's kernel gives it, and where its datagram begins.
fn partial(mut frame: Vec<u8>) -> (Vec<u8>, u16) {
    let start = Meta::parse(&frame[VNET_LEN..]).expect("a frame").l4_offset;
    let header = vnet::Header {
        flags: vnet::Flags::NEEDS_CSUM,
        csum_start: start,
        csum_offset: 6,
        ..vnet::Header::default()
    };
    // A complete checksum is the complement of two sums: of the pseudo-header, and of the datagram.
    let at = VNET_LEN + usize::from(start);
    let complete = u16::from_be_bytes([frame[at + 6], frame[at + 7]]);
    frame[at + 6..at + 8].fill(0);
    let pseudo = checksum::add(!complete, !checksum::sum(&frame[at..]));
    frame[at + 6..at + 8].copy_from_slice(&pseudo.to_be_bytes());
    frame[..VNET_LEN].copy_from_slice(&header.to_bytes());
    (frame, start)
}

#[test]
fn a_partial_checksum_stays_partial() {
    for family in FAMILIES {
        let mut net = Service::new();
        for (port, frame) in [(A, query(A, family)), (SERVICE, answer(A, family))] {
            let (frame, start) = partial(frame);
            let (_, mut out) = net.one(port, frame.clone());
            assert_eq!(out[..VNET_LEN], frame[..VNET_LEN], "{family:?}");
            checksum::complete_partial(&mut out[VNET_LEN..], start, 6).expect("a field");
            out[0] = 0;
            seen(&out);
        }
    }
}

#[test]
pub(super) fn all_but_port_53_of_the_gateway_goes_its_usual_way() {
    for family in FAMILIES {
        let mut net = Service::new();
        let (own, gateway) = (at(family.container(A), 5000), family.gateway());
        for frame in [
            udp(up(A), own, at(gateway, 54), b"x"),
            tcp(up(A), own, at(gateway, 80), Flags::SYN, [1, 0]),
            udp(up(A), own, at(family.outside(), 53), b"the host's other address"),
            echo(up(A), (own.ip(), gateway), true, 53),
        ] {
            assert_eq!(net.one(A, frame.clone()), (HOST, frame));
        }
        let remote = udp(up(A), own, at(family.remote(), 53), b"x");
        assert_eq!(net.one(A, remote).0, UPLINK);
        let neighbour = udp(up(A), own, at(family.container(B), 53), b"x");
        assert_eq!(net.one(A, neighbour).0, B);
        // Another MAC address than the gateway's is none of the service's business.
        let beside = udp(Link::new(mac(A), mac(B)), own, at(gateway, 53), b"x");
        assert!(net.sent(A, beside).iter().all(|(port, _)| *port != SERVICE));
    }
}

#[test]
fn without_the_service_queries_go_to_the_host() {
    for family in FAMILIES {
        let mut net = Service::new();
        net.0.sim.network(|network| network.service = None);
        assert_eq!(net.one(A, query(A, family)).0, HOST);
        net.refused(SERVICE, answer(A, family), DropReason::ServiceNoClient);
        let mut net = Service::new();
        net.0.sim.disable(SERVICE);
        assert_eq!(net.one(A, query(A, family)).0, HOST);
    }
}

#[test]
pub(super) fn a_network_that_the_kernel_routes_or_without_uplink_has_it_too() {
    for family in FAMILIES {
        let mut net = Service::new();
        net.0.egress = |_| EgressMode::Internal;
        net.0.change(|_| {});
        assert_eq!(net.one(A, query(A, family)).0, SERVICE);
        assert_eq!(net.one(SERVICE, answer(A, family)).0, A);
        net.0.sim.network(|network| network.router = None);
        assert_eq!(net.one(A, query(A, family)).0, SERVICE);
        assert_eq!(net.one(SERVICE, answer(A, family)).0, A);
        net.refused(SERVICE, query(A, family), DropReason::ServiceUnexpected);
    }
}

#[test]
pub(super) fn the_gateway_is_on_the_hosts_vlan() {
    for family in FAMILIES {
        let mut net = Service::new();
        net.0.sim.set(HOST, |conf| conf.vlans = PortVlans::access(10));
        net.0.sim.set(A, |conf| conf.vlans = PortVlans::trunk([10, 20], None));
        net.0.sim.set(B, |conf| conf.vlans = PortVlans::access(10));
        net.conf(|conf| conf.vlan = 10);
        let (to, frame) = net.one(A, tagged(query(A, family), 10));
        assert_eq!((to, seen(&frame).from.ip()), (SERVICE, client(A, family)), "without a tag");
        let (to, frame) = net.one(SERVICE, answer(A, family));
        let meta = Meta::parse(&frame[VNET_LEN..]).expect("a frame");
        assert_eq!((to, meta.outer.map(Tci::vid)), (A, Some(10)));
        assert_eq!(seen(&frame).to.ip(), family.container(A));
        // An access port on that VLAN has no tag.
        let (to, frame) = net.one(B, query(B, family));
        assert_eq!((to, seen(&frame).from.ip()), (SERVICE, client(B, family)));
        let (to, frame) = net.one(SERVICE, answer(B, family));
        assert_eq!((to, seen(&frame).link), (B, Link::new(GATEWAY_MAC, mac(B))));
        // The other VLAN, and the untagged domain, have no gateway.
        net.0.sim.set(B, |conf| conf.vlans = PortVlans::access(20));
        let sent = net.sent(A, tagged(query(A, family), 20));
        assert!(sent.iter().all(|(port, _)| *port == B), "{sent:?}");
        net.refused(SERVICE, answer(B, family), DropReason::ServiceNoClient);
        net.0.sim.set(B, |conf| conf.vlans = PortVlans::access(0));
        let sent = net.sent(B, query(B, family));
        assert!(sent.iter().all(|(port, _)| *port != SERVICE), "{sent:?}");
    }
}

#[test]
fn a_priority_tag_is_removed() {
    let mut net = Service::new();
    let (to, frame) = net.one(A, tagged(query(A, Family::V4), 0));
    assert_eq!((to, seen(&frame).from.ip()), (SERVICE, client(A, Family::V4)));
}

#[test]
fn a_network_without_a_host_port_has_a_gateway_for_queries_only() {
    let mut net = Service::new();
    net.0.sim.set(HOST, |conf| conf.enabled = false);
    net.0.sim.network(|network| {
        network.statics = Vec::new();
        network.neighbours = Vec::new();
    });
    net.0.egress = |_| EgressMode::Internal;
    net.0.change(|_| {});
    net.conf(|conf| conf.has_host_port = false);
    let target = Ipv4Addr::new(10, 99, 0, 1);
    let own = Ipv4Addr::new(10, 99, 0, A as u8);
    let question = arp::Repr::request(mac(A), own, target);
    let question = frames::arp(MacAddr::BROADCAST, &question);
    let question = [&[0; VNET_LEN][..], &question].concat();
    let (to, reply) = net.one(A, question.clone());
    let packet = arp::Packet::new_checked(&reply[VNET_LEN + 14..]).expect("ARP");
    let reply = arp::Repr::parse(&packet);
    assert_eq!((to, reply.sender_mac, reply.sender_ip), (A, GATEWAY_MAC, target));
    let [own6, target6] = ["fd00:99::2", "fd00:99::1"].map(|it| it.parse().expect("an address"));
    let solicit = frames::neighbor_solicit(mac(A), own6, target6);
    let (to, advert) = net.one(A, [&[0; VNET_LEN][..], &solicit].concat());
    let advert = Meta::parse(&advert[VNET_LEN..]).expect("a frame");
    assert_eq!((to, advert.src, advert.l4), (A, GATEWAY_MAC, L4::Icmpv6));
    for family in FAMILIES {
        assert_eq!(net.one(A, query(A, family)).0, SERVICE);
        assert_eq!(net.one(SERVICE, answer(A, family)).0, A);
        let ping = echo(up(A), (family.container(A), family.gateway()), true, 7);
        net.refused(A, ping.clone(), DropReason::NoHostPort);
        net.0.sim.network(|network| network.router = None);
        net.refused(A, ping, DropReason::NoHostPort);
        net.0.change(|_| {});
    }
    // Nobody on another VLAN gets an answer.
    net.0.sim.set(A, |conf| conf.vlans = PortVlans::access(20));
    assert!(net.sent(A, question).iter().all(|(port, _)| *port != A));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is asked from wherever: the server sees the client, the container gets its own address back, and all
    /// checksums are right. With several workers, whichever reads the frames.
    #[test]
    fn what_is_diverted_comes_back(
        payload in proptest::collection::vec(any::<u8>(), 0..600),
        port in any::<u16>(),
        workers in 1_usize..4,
        seed in any::<u64>(),
        is_v4 in any::<bool>(),
        without_checksum in any::<bool>(),
    ) {
        let family = if is_v4 { Family::V4 } else { Family::V6 };
        crate::datapath::tests::sim::with_workers(workers, seed, || {
            let mut net = Service::new();
            let own = at(family.container(A), port);
            let mut frame = udp(up(A), own, at(family.gateway(), 53), &payload);
            if without_checksum && is_v4 {
                frame[VNET_LEN + 40..VNET_LEN + 42].fill(0);
                let (to, out) = net.one(A, frame);
                assert_eq!((to, &out[VNET_LEN + 40..VNET_LEN + 42]), (SERVICE, &[0, 0][..]));
                return;
            }
            let (to, frame) = net.one(A, frame);
            let asked = seen(&frame);
            assert_eq!((to, asked.from), (SERVICE, at(client(A, family), port)));
            assert_eq!((asked.to, &asked.payload), (server(family), &payload));
            let back = udp(FROM_SERVER, asked.to, asked.from, &payload);
            let (to, frame) = net.one(SERVICE, back);
            let back = seen(&frame);
            assert_eq!((to, back.from, back.to), (A, at(family.gateway(), 53), own));
            assert_eq!(back.payload, payload);
        });
    }
}
