//! Destinations: what wins over what, and the same as a search through a list.

use crate::datapath::NetworkIndex;
use std::sync::Arc;

use fastpath::PortIndex;
use proptest::prelude::*;

use super::super::conf::{Routes, UplinkNeighbours};
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
        ports: 20_000..=32_767,
        published: Vec::new(),
        quota: 100,
    };
    EgressMode::Uplink(Arc::new(UplinkConf {
        port: PortIndex(1),
        device_mac: mac(1),
        tap_mac: mac(2),
        mtu: 1500,
        up: true,
        routes: Routes::new(routes.iter().map(|&(net, action)| (net.parse().unwrap(), action))),
        neighbours: UplinkNeighbours::new([(GATEWAY.parse().unwrap(), mac(9))]),
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
    RouteAction::Via(Some(gateway.parse().unwrap()))
}

#[test]
fn each_destination_has_its_target() {
    let fib = fib(uplink(&[
        ("0.0.0.0/0", via(GATEWAY)),
        ("192.0.2.0/24", RouteAction::Via(None)),
        ("172.17.0.0/16", RouteAction::Elsewhere),
        ("172.17.5.0/24", via("192.0.2.7")),
        ("198.51.100.0/24", RouteAction::Unreachable),
        ("169.254.169.254/32", via(GATEWAY)),
        ("2001:db8::/32", RouteAction::Via(None)),
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
        ("192.0.2.9", RouteTarget::OnLink),
        ("2001:db8:1::9", RouteTarget::OnLink),
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
    let known = NextHop { address: GATEWAY.parse().unwrap(), mac: Some(mac(9)) };
    assert_eq!(hop("8.8.8.8"), known);
    assert_eq!(hop("172.18.0.1"), known);
    let unknown = NextHop { address: "192.0.2.7".parse().unwrap(), mac: None };
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
        ("203.0.113.0/24", RouteAction::Via(None)),
        ("203.0.113.0/24", RouteAction::Unreachable),
    ]));
    assert_eq!(lookup(&fib, "203.0.113.5"), RouteTarget::OnLink);
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
        let action = |on_link| if on_link { RouteAction::Via(None) } else { RouteAction::Elsewhere };
        let routes: Vec<_> = routes.iter().map(|&(net, link)| (net, action(link))).collect();
        let EgressMode::Uplink(base) = uplink(&[]) else { unreachable!() };
        let conf = UplinkConf { routes: Routes::new(routes.clone()), ..(*base).clone() };
        let fib = fib(EgressMode::Uplink(Arc::new(conf)));
        for (high, low) in asked {
            let address = IpAddr::V4(Ipv4Addr::from(44 << 24 | high << 18 | low));
            let longest = routes.iter().rev().filter(|(net, _)| net.contains(&address))
                .max_by_key(|(net, _)| net.prefix_len());
            let expected = match longest {
                Some((_, RouteAction::Via(None))) => RouteTarget::OnLink,
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
