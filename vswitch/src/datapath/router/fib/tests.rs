//! Destinations: what wins over what, and the same as a search through a list.

use crate::datapath::NetworkIndex;
use std::sync::Arc;

use fastpath::PortIndex;
use proptest::prelude::*;

use super::super::conf::{Routes, UplinkConf, UplinkNeighbours};
use super::*;

/// Addresses of the host, one in the subnet of the network.
const LOCAL: [&str; 5] = ["192.0.2.1", "127.0.0.1", "::1", "2001:db8::1", "10.99.7.7"];

const GATEWAY: &str = "192.0.2.254";

fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, last])
}

fn uplink(routes: &[(&str, RouteAction)]) -> EgressMode {
    let policy = nat::Policy {
        external_v4: None,
        external_v6: None,
        sources: Vec::new(),
        host_addrs: Vec::new(),
        ports: 20_000..=29_999,
        published: Vec::new(),
        quota: 100,
    };
    EgressMode::Uplink(Arc::new(UplinkConf {
        links: Arc::new(vec![UplinkLink {
            port: PortIndex(1),
            device_mac: mac(1),
            tap_mac: mac(2),
            mtu: 1500,
            up: true,
            neighbours: UplinkNeighbours::new([(GATEWAY.parse().unwrap(), mac(9))]),
        }]),
        by_container: Vec::new(),
        by_source: Vec::new(),
        routes: Routes::new(routes.iter().map(|&(net, action)| (net.parse().unwrap(), action))),
        policy: nat::CompiledPolicy::compile(policy, None),
    }))
}

fn peer(subnet: &str, gateway: &str) -> ReachableNetwork {
    ReachableNetwork {
        index: NetworkIndex(1),
        subnets: vec![subnet.parse().unwrap()],
        gateways: vec![gateway.parse().unwrap()],
        may_open: true,
        by_host: false,
    }
}

fn fib(egress: EgressMode) -> Fib {
    let conf = RouterConf {
        gateway_mac: mac(7),
        gateways: vec!["10.99.0.1".parse().unwrap(), "fd00:99::1".parse().unwrap()],
        subnets: vec!["10.99.0.0/16".parse().unwrap(), "fd00:99::/64".parse().unwrap()],
        local: Arc::new(LOCAL.iter().map(|address| address.parse().unwrap()).collect()),
        reachable: vec![peer("10.98.0.0/24", "10.98.0.1")],
        egress,
    };
    Fib::new(&conf, Arc::new(OuterFib::new(&conf)))
}

fn lookup(fib: &Fib, address: &str) -> RouteTarget {
    fib.lookup(address.parse().unwrap())
}

fn via(gateway: &str) -> RouteAction {
    RouteAction::via(Some(gateway.parse().unwrap()))
}

#[test]
fn each_destination_has_its_target() {
    let fib = fib(uplink(&[
        ("0.0.0.0/0", via(GATEWAY)),
        ("192.0.2.0/24", RouteAction::via(None)),
        ("172.17.0.0/16", RouteAction::Elsewhere),
        ("172.17.5.0/24", via("192.0.2.7")),
        ("198.51.100.0/24", RouteAction::Unreachable),
        ("169.254.169.254/32", via(GATEWAY)),
        ("2001:db8::/32", RouteAction::via(None)),
    ]));
    for (address, expected) in [
        ("10.99.0.1", RouteTarget::Host),
        ("192.0.2.1", RouteTarget::Host),
        ("2001:db8::1", RouteTarget::Host),
        ("fe80::ff:fe00:7", RouteTarget::Host),
        ("10.99.7.7", RouteTarget::Host),
        ("10.99.3.4", RouteTarget::Subnet),
        ("fd00:99::3", RouteTarget::Subnet),
        ("10.99.0.0", RouteTarget::Martian),
        ("10.99.255.255", RouteTarget::Martian),
        ("127.0.0.1", RouteTarget::Martian),
        ("::1", RouteTarget::Martian),
        ("::", RouteTarget::Martian),
        ("0.0.0.0", RouteTarget::Martian),
        ("224.0.0.9", RouteTarget::Martian),
        ("255.255.255.255", RouteTarget::Martian),
        ("169.254.169.254", RouteTarget::Martian),
        ("fe80::1", RouteTarget::Martian),
        ("ff02::1", RouteTarget::Martian),
        ("::ffff:192.0.2.9", RouteTarget::Martian),
        ("192.0.2.9", RouteTarget::OnLink(0)),
        ("2001:db8:1::9", RouteTarget::OnLink(0)),
        ("172.17.0.2", RouteTarget::Unreachable),
        ("198.51.100.1", RouteTarget::Unreachable),
        ("2a00::1", RouteTarget::Unreachable),
    ] {
        assert_eq!(lookup(&fib, address), expected, "{address}");
    }
    let hop = |address| match lookup(&fib, address) {
        RouteTarget::NextHop(hop) => fib.next_hop(hop),
        other => panic!("{address}: {other:?}"),
    };
    let known = NextHop { link: 0, address: GATEWAY.parse().unwrap(), mac: Some(mac(9)) };
    assert_eq!(hop("8.8.8.8"), known);
    assert_eq!(hop("172.18.0.1"), known);
    let unknown = NextHop { link: 0, address: "192.0.2.7".parse().unwrap(), mac: None };
    assert_eq!(hop("172.17.5.255"), unknown);
}

#[test]
fn an_ipv6_route_is_none_of_ipv4() {
    let fib = fib(uplink(&[("::/0", via("2001:db8::fe"))]));
    assert!(matches!(lookup(&fib, "2a00::1"), RouteTarget::NextHop(_)));
    assert_eq!(lookup(&fib, "8.8.8.8"), RouteTarget::Unreachable);
}

#[test]
fn an_internal_network_leads_nowhere_and_the_kernel_gets_the_rest() {
    let internal = fib(EgressMode::Internal);
    assert_eq!(lookup(&internal, "8.8.8.8"), RouteTarget::Unreachable);
    assert_eq!(lookup(&internal, "192.0.2.1"), RouteTarget::Host);
    let kernel = fib(EgressMode::Kernel);
    assert_eq!(lookup(&kernel, "8.8.8.8"), RouteTarget::Host);
    assert_eq!(lookup(&kernel, "127.0.0.2"), RouteTarget::Martian);
    assert_eq!(lookup(&kernel, "10.99.1.1"), RouteTarget::Subnet);
}

#[test]
fn of_two_routes_alike_the_first_counts() {
    let fib = fib(uplink(&[
        ("203.0.113.0/24", RouteAction::via(None)),
        ("203.0.113.0/24", RouteAction::Unreachable),
    ]));
    assert_eq!(lookup(&fib, "203.0.113.5"), RouteTarget::OnLink(0));
}

/// Few bits, so that prefixes meet: 44.0.0.0/8 and longer.
fn net() -> impl Strategy<Value = IpNet> {
    (0..64_u32, 8..=32_u8).prop_map(|(bits, len)| {
        let address = Ipv4Addr::from(44 << 24 | bits << 18 | bits);
        IpNet::new(address.into(), len).expect("a length").trunc()
    })
}

proptest! {
    #[test]
    fn it_finds_what_a_list_finds(
        routes in prop::collection::vec((net(), any::<bool>()), 0..20),
        asked in prop::collection::vec((0..64_u32, 0..64_u32), 20),
    ) {
        let action = |on_link| if on_link { RouteAction::via(None) } else { RouteAction::Elsewhere };
        let routes: Vec<_> = routes.iter().map(|&(net, link)| (net, action(link))).collect();
        let EgressMode::Uplink(base) = uplink(&[]) else { unreachable!() };
        let conf = UplinkConf { routes: Routes::new(routes.clone()), ..(*base).clone() };
        let fib = fib(EgressMode::Uplink(Arc::new(conf)));
        for (high, low) in asked {
            let address = IpAddr::V4(Ipv4Addr::from(44 << 24 | high << 18 | low));
            let longest = routes.iter().rev().filter(|(net, _)| net.contains(&address))
                .max_by_key(|(net, _)| net.prefix_len());
            let expected = match longest {
                Some((_, RouteAction::Via { .. })) => RouteTarget::OnLink(0),
                _ => RouteTarget::Unreachable,
            };
            prop_assert_eq!(fib.lookup(address), expected);
        }
    }
}

#[test]
fn another_network_is_a_peer_but_its_gateway_is_the_hosts() {
    let fib = fib(EgressMode::Internal);
    assert_eq!(lookup(&fib, "10.98.0.2"), RouteTarget::Network(0));
    assert_eq!(lookup(&fib, "10.98.0.254"), RouteTarget::Network(0));
    // Internal networks have no way to another gateway.
    assert_eq!(lookup(&fib, "10.98.0.1"), RouteTarget::Unreachable);
    for not_a_host in ["10.98.0.0", "10.98.0.255"] {
        assert_eq!(lookup(&fib, not_a_host), RouteTarget::Martian);
    }
    assert_eq!(lookup(&fib, "10.98.1.2"), RouteTarget::Unreachable);
}

fn link(port: u16, neighbour: u8) -> UplinkLink {
    UplinkLink {
        port: PortIndex(port),
        device_mac: mac(1),
        tap_mac: mac(2),
        mtu: 1500,
        up: true,
        neighbours: UplinkNeighbours::new([(GATEWAY.parse().unwrap(), mac(neighbour))]),
    }
}

fn layer(scope: &str, len_min: u8, routes: &[(&str, RouteAction)]) -> RouteLayer {
    let table = routes.iter().map(|&(net, action)| (net.parse().unwrap(), action)).collect();
    RouteLayer { scope: scope.parse().unwrap(), is_outside: false, len_min, table: Arc::new(table) }
}

/// Tables in the order of rules: the first one with a route decides, however short the prefix.
fn layered(layers: Vec<RouteLayer>, by_source: Vec<(IpAddr, Routes)>) -> Fib {
    let EgressMode::Uplink(base) = uplink(&[]) else { unreachable!() };
    let links = Arc::new(vec![link(1, 9), link(2, 10)]);
    let routes = Routes::layered(layers);
    let conf = UplinkConf { links, routes, by_source, ..(*base).clone() };
    fib(EgressMode::Uplink(Arc::new(conf)))
}

fn by(link: u8) -> RouteAction {
    RouteAction::Via { link, gateway: Some(GATEWAY.parse().unwrap()) }
}

#[test]
fn the_first_table_with_a_route_decides() {
    let main = [("0.0.0.0/0", by(0)), ("192.0.2.0/24", RouteAction::via(None))];
    let main6 = [("::/0", by(0))];
    let fib = layered(
        vec![
            layer("198.51.100.0/24", 0, &[("0.0.0.0/0", by(1))]),
            layer("0.0.0.0/0", 1, &[("0.0.0.0/0", by(1)), ("203.0.113.0/24", by(1))]),
            layer("0.0.0.0/0", 0, &[("44.0.0.0/8", by(1)), ("44.1.0.0/16", RouteAction::Throw)]),
            layer("0.0.0.0/0", 0, &main),
            layer("::/0", 0, &main6),
        ],
        Vec::new(),
    );
    let link_of = |address: &str| match lookup(&fib, address) {
        RouteTarget::NextHop(hop) => Some(fib.next_hop(hop)),
        RouteTarget::OnLink(link) => {
            Some(NextHop { link, address: address.parse().unwrap(), mac: None })
        }
        _ => None,
    };
    let link = |address: &str| link_of(address).map(|hop| hop.link);
    for (address, expected) in [
        ("198.51.100.7", Some(1)),
        ("198.51.101.7", Some(0)),
        // The default route of the second table is suppressed.
        ("203.0.113.9", Some(1)),
        ("203.0.114.9", Some(0)),
        ("44.2.0.1", Some(1)),
        ("44.1.0.1", Some(0)),
        ("192.0.2.9", Some(0)),
        ("2001:db9::1", Some(0)),
    ] {
        assert_eq!(link(address), expected, "{address}");
    }
    // The same gateway on two links has two MAC addresses.
    let macs = ["198.51.100.7", "198.51.101.7"].map(|it| link_of(it).and_then(|hop| hop.mac));
    assert_eq!(macs, [Some(mac(10)), Some(mac(9))]);
    // A rule for all others.
    let mut others = layer("198.51.100.0/24", 0, &[("0.0.0.0/0", by(1))]);
    others.is_outside = true;
    let fib = layered(vec![others, layer("0.0.0.0/0", 0, &main)], Vec::new());
    let link = |address: &str| match lookup(&fib, address) {
        RouteTarget::NextHop(hop) => fib.next_hop(hop).link,
        other => panic!("{address}: {other:?}"),
    };
    assert_eq!((link("198.51.100.7"), link("198.51.99.7")), (0, 1));
    assert_eq!(lookup(&fib, "2001:db9::1"), RouteTarget::Unreachable, "a rule of IPv4");
}

#[test]
fn a_source_that_a_rule_names_has_its_own_routes() {
    let main = layer("0.0.0.0/0", 0, &[("0.0.0.0/0", by(0))]);
    let second = layer("0.0.0.0/0", 0, &[("0.0.0.0/0", by(1))]);
    let named: IpAddr = "198.51.100.1".parse().unwrap();
    let routes = Routes::layered(vec![second, main.clone()]);
    let fib = layered(vec![main], vec![(named, routes)]);
    let outer = fib.outer();
    let to = "203.0.113.9".parse().unwrap();
    assert!(outer.has_sources());
    assert_eq!(outer.lookup_from(named, to).and_then(|(_, hop)| hop).map(|hop| hop.link), Some(1));
    assert_eq!(outer.lookup_from("192.0.2.1".parse().unwrap(), to), None);
}

#[test]
fn containers_that_a_rule_names_have_their_own_routes() {
    let main = layer("0.0.0.0/0", 0, &[("0.0.0.0/0", by(0))]);
    let second = layer("0.0.0.0/0", 0, &[("198.18.0.0/15", by(1))]);
    let narrow = Routes::layered(vec![second.clone(), main.clone()]);
    let narrower = Routes::layered(vec![main.clone()]);
    let EgressMode::Uplink(base) = uplink(&[]) else { unreachable!() };
    let fib = fib(EgressMode::Uplink(Arc::new(UplinkConf {
        links: Arc::new(vec![link(1, 9), link(2, 10)]),
        routes: Routes::layered(vec![main]),
        by_container: vec![
            ("10.99.0.5/32".parse().unwrap(), narrower),
            ("10.99.0.0/28".parse().unwrap(), narrow),
        ],
        ..(*base).clone()
    })));
    let link = |container: &str, to: &str| match fib
        .lookup_for(container.parse().unwrap(), to.parse().unwrap())
    {
        RouteTarget::NextHop(hop) => fib.next_hop(hop).link,
        other => panic!("{container} to {to}: {other:?}"),
    };
    for (container, to, expected) in [
        ("10.99.0.2", "198.18.0.1", 1),
        ("10.99.0.2", "203.0.113.9", 0),
        ("10.99.0.5", "198.18.0.1", 0),
        ("10.99.0.77", "198.18.0.1", 0),
    ] {
        assert_eq!(link(container, to), expected, "{container} to {to}");
    }
}
