//! Requests of hosts that configure themselves: consumed for control, and flooded to nobody.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use fastpath::PortIndex;
use fastpath::limits::VNET_LEN;
use wire::frames::{self, Link};
use wire::ndp::{self, Message};
use wire::{MacAddr, Protocol, ip, ipv4, ipv6, udp};

use super::sim::{Sim, mac};
use crate::datapath::limits::{DHCP_REQUESTS_PER_PORT, DHCP_ROUND_REQUESTS};
use crate::datapath::*;

const PORTS: u16 = 3;
const GATEWAY: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 7);

fn sim(host_config: HostConfig) -> Sim {
    let mut sim = Sim::new(PORTS);
    sim.network(|network| network.host_config = host_config);
    sim
}

fn both() -> Sim {
    sim(HostConfig { dhcp: true, ra: true })
}

/// With an offload header in front.
fn whole(ethernet: &[u8]) -> Vec<u8> {
    [&[0; VNET_LEN][..], ethernet].concat()
}

fn datagram(dst: MacAddr, ip: ip::Repr, [src_port, dst_port]: [u16; 2]) -> Vec<u8> {
    let mut frame = [0; 400];
    let link = Link::new(mac(0), dst);
    let udp = udp::Repr { src_port, dst_port };
    let len = frames::udp(&mut frame, &link, &ip, &udp, b"a message").expect("it fits");
    whole(&frame[..len])
}

fn v4(dst: MacAddr, ports: [u16; 2]) -> Vec<u8> {
    let ip = ipv4::Repr::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, Protocol::UDP);
    datagram(dst, ip::Repr::V4(ip), ports)
}

fn v6(ports: [u16; 2]) -> Vec<u8> {
    let ip = ipv6::Repr::new(LINK_LOCAL, SERVERS, Protocol::UDP);
    datagram(MacAddr::from_ipv6_multicast(SERVERS), ip::Repr::V6(ip), ports)
}

fn nd(message: Message, group: Ipv6Addr) -> Vec<u8> {
    let link = Link::new(mac(0), MacAddr::from_ipv6_multicast(group));
    let mut frame = [0; 200];
    let len = frames::ndp(&mut frame, &link, LINK_LOCAL, group, &message, &[]).expect("it fits");
    whole(&frame[..len])
}

fn solicit() -> Vec<u8> {
    nd(Message::RouterSolicit, ndp::ALL_ROUTERS)
}

fn advert() -> Vec<u8> {
    let (hop_limit, flags, lifetime_s, reachable_ms, retrans_ms) = (64, 0, 1800, 0, 0);
    let advert = Message::RouterAdvert { hop_limit, flags, lifetime_s, reachable_ms, retrans_ms };
    nd(advert, ndp::ALL_NODES)
}

fn requests() -> [(&'static str, Vec<u8>); 4] {
    [
        ("a DHCPv4 broadcast", v4(MacAddr::BROADCAST, [68, 67])),
        ("a DHCPv4 renewal", v4(GATEWAY, [68, 67])),
        ("a DHCPv6 request", v6([546, 547])),
        ("a router solicitation", solicit()),
    ]
}

/// What control would get.
fn taken(sim: &mut Sim) -> Vec<(PortIndex, Vec<u8>)> {
    let mut taken = Vec::new();
    sim.state().dhcp.drain(|port, frame, _| taken.push((port, frame.to_vec())));
    taken
}

#[test]
fn control_gets_each_request_and_no_port_does() {
    for (what, frame) in requests() {
        let mut sim = both();
        sim.inject(0, frame.clone());
        sim.run();
        assert_eq!(taken(&mut sim), [(PortIndex(0), frame[VNET_LEN..].to_vec())], "{what}");
        assert_eq!(taken(&mut sim), [], "{what}: once");
        assert_eq!(sim.sent_counts(), [0, 0, 0], "{what}");
        assert_eq!(sim.stats().counters.consumed, 1, "{what}");
        // The asker is learnt.
        sim.inject(2, super::sim::frame(mac(0), mac(2), &[]));
        sim.run();
        assert_eq!(sim.sent_counts(), [1, 0, 0], "{what}");
        sim.check();
    }
}

#[test]
fn where_nothing_is_served_all_is_flooded_as_before() {
    let servers = [("a server", v4(MacAddr::BROADCAST, [67, 68])), ("a router", advert())];
    for (what, frame) in requests().into_iter().chain(servers) {
        let mut sim = sim(HostConfig::NONE);
        sim.inject(0, frame);
        sim.run();
        assert_eq!(sim.sent_counts(), [0, 1, 1], "{what}");
        sim.check();
    }
}

#[test]
fn each_of_the_two_is_served_without_the_other() {
    let mut dhcp = sim(HostConfig { dhcp: true, ra: false });
    let mut ra = sim(HostConfig { dhcp: false, ra: true });
    for (frame, counts) in [(v6([546, 547]), [0, 2]), (solicit(), [2, 0])] {
        for (sim, count) in [&mut dhcp, &mut ra].into_iter().zip(counts) {
            sim.inject(0, frame.clone());
            sim.run();
            assert_eq!(sim.sent_counts().iter().sum::<usize>(), count);
        }
    }
}

#[test]
fn servers_and_routers_behind_a_container_are_dropped_and_the_hosts_are_not() {
    for (frame, reason) in [
        (v4(MacAddr::BROADCAST, [67, 68]), DropReason::RogueDhcp),
        (v4(mac(1), [67, 68]), DropReason::RogueDhcp),
        (v6([547, 546]), DropReason::RogueDhcp),
        (advert(), DropReason::RogueRouter),
    ] {
        let mut sim = both();
        sim.inject(0, frame.clone());
        sim.run();
        assert_eq!((sim.drops(0, reason), sim.sent_counts()), (1, vec![0, 0, 0]));
        sim.set(0, |conf| conf.kind = PortKind::Host);
        sim.inject(0, frame);
        sim.run();
        assert_eq!(sim.sent_counts(), [0, 1, 1]);
        sim.check();
    }
}

#[test]
fn frames_for_others_pass() {
    let mut to_neighbour = solicit();
    to_neighbour[VNET_LEN..VNET_LEN + 6].copy_from_slice(&mac(1).0);
    for (what, frame) in [
        ("DHCP to a neighbour", v4(mac(1), [68, 67])),
        ("a datagram to a client's port", v4(MacAddr::BROADCAST, [53, 68])),
        ("a solicitation of a neighbour", to_neighbour),
        ("an answer of mDNS", v6([5353, 5353])),
    ] {
        let mut sim = both();
        sim.inject(0, frame);
        sim.run();
        assert_eq!(sim.sent_counts(), [0, 1, 1], "{what}");
        assert_eq!(taken(&mut sim), [], "{what}");
        sim.check();
    }
}

#[test]
fn vlans_of_a_trunk_are_the_endpoints_own() {
    let mut sim = both();
    sim.set(0, |conf| conf.vlans = PortVlans::trunk([10], Some(0)));
    sim.set(1, |conf| conf.vlans = PortVlans::access(10));
    let mut tagged = v4(MacAddr::BROADCAST, [68, 67]);
    tagged.splice(VNET_LEN + 12..VNET_LEN + 12, [0x81, 0, 0, 10]);
    sim.inject(0, tagged);
    sim.inject(0, v4(MacAddr::BROADCAST, [68, 67]));
    sim.run();
    assert_eq!(sim.sent_counts(), [0, 1, 0], "the VLAN has a server of its own, perhaps");
    assert_eq!(taken(&mut sim).len(), 1, "the native VLAN is the network's");
    sim.check();
}

#[test]
fn a_port_that_asks_too_often_is_dropped_until_the_next_second() {
    let mut sim = both();
    let ask = |sim: &mut Sim, port| {
        sim.inject(port, v4(MacAddr::BROADCAST, [68, 67]));
        sim.run();
        taken(sim).len()
    };
    let asked = DHCP_REQUESTS_PER_PORT + 5;
    let heard: usize = (0..asked).map(|_| ask(&mut sim, 0)).sum();
    assert_eq!(heard, DHCP_REQUESTS_PER_PORT as usize);
    assert_eq!(sim.drops(0, DropReason::DhcpLimit), 5);
    assert_eq!(ask(&mut sim, 1), 1, "another port has its own limit");
    sim.pass(Duration::from_secs(1));
    assert_eq!(ask(&mut sim, 0), 1);
    sim.check();
}

#[test]
fn a_round_takes_a_bounded_number() {
    let ports = DHCP_ROUND_REQUESTS as u16 + 3;
    let mut sim = Sim::new(ports);
    sim.network(|network| network.host_config = HostConfig { dhcp: true, ra: false });
    // Control takes nothing: as in one round.
    for port in 0..ports {
        sim.inject(port, v4(MacAddr::BROADCAST, [68, 67]));
        sim.run();
    }
    assert_eq!(taken(&mut sim).len(), DHCP_ROUND_REQUESTS);
    let dropped: u64 = (0..ports).map(|port| sim.drops(port, DropReason::DhcpLimit)).sum();
    assert_eq!(dropped, 3);
    sim.check();
}

#[test]
fn what_another_stage_has_dropped_is_not_taken() {
    let mut sim = both();
    sim.set(0, |conf| {
        conf.guard =
            Some(Guard { mac: mac(1), ipv4: None, ipv6: None, further: PortAddresses::NONE })
    });
    sim.inject(0, v4(MacAddr::BROADCAST, [68, 67]));
    sim.run();
    assert_eq!((sim.drops(0, DropReason::SpoofedMac), taken(&mut sim)), (1, vec![]));
    sim.check();
}
