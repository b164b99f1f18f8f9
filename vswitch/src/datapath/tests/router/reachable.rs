//! Two networks, of which one may open connections to the other.

use wire::meta::L4;
use wire::tcp::Flags;

use super::fragments::{assemble, fragments};
use super::net::*;
use crate::datapath::tests::sim::mac;
use crate::datapath::*;

/// A container of the second network, which the first one may reach.
const S: u16 = PORTS;
const ALL: u16 = PORTS + 1;

const SECOND: [&str; 2] = ["10.98.0.0/16", "fd00:98::/64"];

fn server(family: Family) -> std::net::IpAddr {
    family.of("10.98.0.9", "fd00:98::9")
}

fn second_gateway(family: Family) -> std::net::IpAddr {
    family.of("10.98.0.1", "fd00:98::1")
}

/// The second network has its own subnets, and knows its container.
fn second(index: u16, network: &mut NetworkConf) {
    let Some(router) = &mut network.router else { return };
    let first = ReachableNetwork {
        index: NetworkIndex(0),
        subnets: router.subnets.clone(),
        gateways: FAMILIES.map(Family::gateway).into(),
        may_open: false,
        by_host: false,
    };
    let second = ReachableNetwork {
        index: NetworkIndex(1),
        subnets: SECOND.map(|it| it.parse().expect("a prefix")).into(),
        gateways: FAMILIES.map(second_gateway).into(),
        may_open: true,
        by_host: false,
    };
    if index == 0 {
        router.reachable = vec![second];
        return;
    }
    (router.subnets, router.gateways, router.reachable) =
        (second.subnets, second.gateways, vec![first]);
    let v4 = "10.98.0.9".parse().expect("an address");
    let v6 = "fd00:98::9".parse().expect("an address");
    network.mtu = 1400;
    network.statics.clear();
    network.neighbours =
        vec![Neighbour { mac: mac(S), ipv4: Some(v4), ipv6: Some(v6), port: PortIndex(S) }];
}

struct Networks(TestNet);

impl Networks {
    fn new() -> Self {
        let mut net = TestNet::with_ports(ALL);
        net.sim.set(S, |conf| conf.network = NetworkIndex(1));
        net.sim.differ(second);
        Self(net)
    }

    /// What leaves, and by which ports, of a frame that comes in on a port.
    fn sent(&mut self, port: u16, frame: Vec<u8>) -> Vec<(u16, Vec<u8>)> {
        let sim = &mut self.0.sim;
        sim.inject(port, frame);
        sim.run();
        let sent = (0..ALL).flat_map(|to| sim.sent(to).into_iter().map(move |frame| (to, frame)));
        let sent = sent.collect();
        self.0.sim.check();
        sent
    }

    /// The one frame that leaves.
    #[track_caller]
    fn one(&mut self, port: u16, frame: Vec<u8>) -> (u16, Seen) {
        let mut sent = self.sent(port, frame);
        assert_eq!(sent.len(), 1, "{sent:?}");
        let (port, frame) = sent.remove(0);
        (port, seen(&frame))
    }

    /// The frame is answered with an ICMP error.
    #[track_caller]
    fn refused(&mut self, port: u16, frame: Vec<u8>) {
        let (to, answer) = self.one(port, frame);
        assert!(to == port && matches!(answer.l4, L4::Icmpv4 | L4::Icmpv6), "{answer:?}");
    }

    fn drops(&self, reason: DropReason) -> u64 {
        (0..ALL).map(|port| self.0.sim.drops(port, reason)).sum()
    }
}

#[test]
pub(super) fn one_network_opens_connections_and_the_other_answers() {
    for family in FAMILIES {
        let mut net = Networks::new();
        let (a, s) = (at(family.container(A), 5000), at(server(family), 80));
        net.refused(S, udp(up(S), s, a, b"unasked"));
        net.refused(S, tcp(up(S), s, a, Flags::SYN, [1, 0]));
        assert_eq!(net.drops(DropReason::NatNotAllowed), 2);
        for (from, to) in [(a, s), (at(family.container(B), 5000), s)] {
            let port = if from == a { A } else { B };
            let (out, ask) = net.one(port, udp(up(port), from, to, b"ask"));
            assert_eq!((out, ask.from, ask.to, ask.hops), (S, from, to, 63));
            assert_eq!((ask.link.dst, ask.payload.as_slice()), (mac(S), b"ask".as_slice()));
            let (out, answer) = net.one(S, udp(up(S), to, from, b"answer"));
            assert_eq!((out, answer.from, answer.to), (port, to, from));
        }
        // Another port of the first network is not asked.
        net.refused(S, udp(up(S), s, at(family.container(A), 5001), b"unasked"));
        let (out, _) = net.one(A, echo(up(A), (a.ip(), s.ip()), true, 7));
        assert_eq!(out, S);
        let (out, _) = net.one(S, echo(up(S), (s.ip(), a.ip()), false, 7));
        assert_eq!(out, A);
        assert_eq!(net.0.sim.connections(), 3);
        assert_eq!(net.0.sim.routed(|counters| counters.routed), 6);
        assert_eq!(net.0.sim.routed(|counters| counters.translated), 0);
    }
}

/// The segment size follows the narrower network, and an oversized packet is answered with its MTU.
#[test]
pub(super) fn a_connection_fits_the_narrower_network() {
    for family in FAMILIES {
        let mut net = Networks::new();
        let (a, s) = (at(family.container(A), 5000), at(server(family), 80));
        let (out, frame) = net.sent(A, tcp(up(A), a, s, Flags::SYN, [1000, 0])).remove(0);
        let mss = u16::from_be_bytes(*frame.last_chunk().expect("an option"));
        let headers = if family == Family::V4 { 40 } else { 60 };
        assert_eq!((out, mss), (S, 1400 - headers));
        net.refused(A, udp(up(A), at(a.ip(), 1), s, &[0; 1400]));
        assert_eq!(net.drops(DropReason::MtuExceeded), 1);
    }
}

/// The other network's gateway is the host's; nobody is at an address that the switch has not given.
#[test]
pub(super) fn only_containers_are_reached() {
    for family in FAMILIES {
        let mut net = Networks::new();
        let a = at(family.container(A), 5000);
        net.refused(A, udp(up(A), a, at(family.of("10.98.0.77", "fd00:98::77"), 80), b"nobody"));
        let spoofed = at(family.of("10.97.0.1", "fd00:97::1"), 5000);
        net.refused(A, udp(up(A), spoofed, at(server(family), 80), b"spoofed"));
        assert_eq!(net.drops(DropReason::SpoofedInternal), 1);
    }
    let mut net = Networks::new();
    let broadcast = at("10.98.255.255".parse().expect("an address"), 80);
    let a = at(Family::V4.container(A), 5000);
    assert!(net.sent(A, udp(up(A), a, broadcast, b"all")).is_empty());
    assert_eq!(net.drops(DropReason::Martian), 1);
}

/// Isolation ends at the network, as it does for published ports.
#[test]
pub(super) fn isolated_ports_are_reached_as_others() {
    let mut net = Networks::new();
    let (a, s) = (at(Family::V4.container(A), 5000), at(server(Family::V4), 80));
    for port in [A, S] {
        net.0.sim.set(port, |conf| conf.isolation = Isolation::Isolated);
    }
    assert_eq!(net.one(A, udp(up(A), a, s, b"ask")).0, S);
    assert_eq!(net.one(S, udp(up(S), s, a, b"answer")).0, A);
}

/// Who has no guard has no address that the switch vouches for: it neither reaches the other network nor is reached.
#[test]
pub(super) fn a_port_without_a_guard_takes_no_part() {
    let mut net = Networks::new();
    let (a, b, s) = (
        at(Family::V4.container(A), 5000),
        at(Family::V4.container(B), 5000),
        at(server(Family::V4), 80),
    );
    // Neither by the address of a neighbour, nor by its own.
    net.refused(A, udp(up(A), b, s, b"as another"));
    net.0.sim.network(|network| network.neighbours.retain(|it| it.port != PortIndex(A)));
    net.refused(A, udp(up(A), a, s, b"unguarded"));
    assert_eq!(net.drops(DropReason::SpoofedInternal), 2);
    net.refused(S, udp(up(S), s, a, b"unasked"));
    assert_eq!((net.drops(DropReason::NatNotAllowed), net.0.sim.connections()), (1, 0));
    assert_eq!(net.one(B, udp(up(B), b, s, b"guarded")).0, S);
}

#[test]
pub(super) fn a_packet_without_hops_left_is_answered() {
    for family in FAMILIES {
        let mut net = Networks::new();
        let (a, s) = (at(family.container(A), 5000), at(server(family), 80));
        net.refused(A, with_hops(udp(up(A), a, s, b"ask"), 1));
        assert_eq!(net.drops(DropReason::HopLimitExceeded), 1);
        assert_eq!(net.0.sim.connections(), 0);
    }
}

#[test]
pub(super) fn fragments_follow_their_head_in_any_order() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let mut net = Networks::new();
        let (a, s) = (at(Family::V4.container(A), 5000), at(server(Family::V4), 80));
        let mut frame = udp(up(A), a, s, &[0x5a; 1300]);
        set_fragment(&mut frame, false);
        let pieces = fragments(&frame, 600);
        let mut came = Vec::new();
        for at in order {
            came.extend(net.sent(A, pieces[at].clone()));
        }
        assert!(came.iter().all(|(port, _)| *port == S), "{came:?}");
        let frames: Vec<_> = came.into_iter().map(|(_, frame)| frame).collect();
        let (whole, _) = assemble(&frames);
        assert_eq!((whole.from, whole.to, whole.payload.len()), (a, s, 1300));
    }
}

/// Connections end with either container, and with the permission none is opened.
#[test]
pub(super) fn connections_end_with_their_containers() {
    for gone in [A, S] {
        let mut net = Networks::new();
        let (a, s) = (at(Family::V4.container(A), 5000), at(server(Family::V4), 80));
        net.one(A, udp(up(A), a, s, b"ask"));
        net.0.sim.forget(gone);
        assert_eq!(net.0.sim.connections(), 0);
        net.refused(S, udp(up(S), s, a, b"late"));
    }
    let mut net = Networks::new();
    let (a, s) = (at(Family::V4.container(A), 5000), at(server(Family::V4), 80));
    net.0.egress = |_| EgressMode::Internal;
    net.0.change(|_| {});
    net.0.sim.differ(|index, network| {
        second(index, network);
        if let Some(router) = &mut network.router {
            router.reachable.clear();
        }
    });
    net.refused(A, udp(up(A), a, s, b"ask"));
    assert_eq!(net.drops(DropReason::NoRoute), 1);
}

/// Where the kernel routes, packets to the other network go to the host's port.
#[test]
pub(super) fn the_kernel_gets_what_it_routes() {
    let mut net = Networks::new();
    net.0.sim.differ(|index, network| {
        second(index, network);
        for peer in network.router.iter_mut().flat_map(|router| &mut router.reachable) {
            peer.by_host = true;
        }
    });
    let (a, s) = (at(Family::V4.container(A), 5000), at(server(Family::V4), 80));
    let (out, ask) = net.one(A, udp(up(A), a, s, b"ask"));
    assert_eq!((out, ask.hops), (HOST, 64));
}
