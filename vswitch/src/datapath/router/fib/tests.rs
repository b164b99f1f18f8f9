//! Destinations: what wins over what, and the same as a search through a list.

use std::sync::Arc;

use fastpath::PortIndex;
use proptest::prelude::*;

use super::super::conf::{Neighbours, Routes};
use super::*;

const GATEWAY: &str = "192.0.2.254";

fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, last])
}

fn uplink(routes: &[(&str, RouteAction)]) -> Beyond {
    let policy = nat::Policy {
        external_v4: None,
        external_v6: None,
        host_addrs: Vec::new(),
        ports: 20_000..=32_767,
        published: Vec::new(),
        quota: 100,
    };
    Beyond::Uplink(Arc::new(UplinkConf {
        port: PortIndex(1),
        device_mac: mac(1),
        tap_mac: mac(2),
        mtu: 1500,
        up: true,
        routes: Routes::new(routes.iter().map(|&(net, action)| (net.parse().unwrap(), action))),
        neighbours: Neighbours::new([(GATEWAY.parse().unwrap(), mac(9))]),
        policy: Arc::new(policy),
    }))
}

fn table(beyond: Beyond) -> Table {
    Table::new(&RouterConf {
        gateway_mac: mac(7),
        gateways: vec!["10.99.0.1".parse().unwrap(), "fd00:99::1".parse().unwrap()],
        subnets: vec!["10.99.0.0/16".parse().unwrap(), "fd00:99::/64".parse().unwrap()],
        local: ["192.0.2.1", "127.0.0.1", "::1", "2001:db8::1"].map(|a| a.parse().unwrap()).into(),
        beyond,
    })
}

fn way(table: &Table, address: &str) -> Way {
    table.way(address.parse().unwrap())
}

fn via(gateway: &str) -> RouteAction {
    RouteAction::Via(Some(gateway.parse().unwrap()))
}

#[test]
fn each_destination_has_its_way() {
    let table = table(uplink(&[
        ("0.0.0.0/0", via(GATEWAY)),
        ("192.0.2.0/24", RouteAction::Via(None)),
        ("172.17.0.0/16", RouteAction::Elsewhere),
        ("172.17.5.0/24", via("192.0.2.7")),
        ("198.51.100.0/24", RouteAction::Unreachable),
        ("169.254.169.254/32", via(GATEWAY)),
        ("2001:db8::/32", RouteAction::Via(None)),
    ]));
    for (address, expected) in [
        ("10.99.0.1", Way::Host),
        ("192.0.2.1", Way::Host),
        ("2001:db8::1", Way::Host),
        ("fe80::ff:fe00:7", Way::Host),
        ("10.99.3.4", Way::Subnet),
        ("fd00:99::3", Way::Subnet),
        ("10.99.0.0", Way::Martian),
        ("10.99.255.255", Way::Martian),
        ("127.0.0.1", Way::Martian),
        ("::1", Way::Martian),
        ("::", Way::Martian),
        ("0.0.0.0", Way::Martian),
        ("224.0.0.9", Way::Martian),
        ("255.255.255.255", Way::Martian),
        ("169.254.169.254", Way::Martian),
        ("fe80::1", Way::Martian),
        ("ff02::1", Way::Martian),
        ("::ffff:192.0.2.9", Way::Martian),
        ("192.0.2.9", Way::OnLink),
        ("2001:db8:1::9", Way::OnLink),
        ("172.17.0.2", Way::Nowhere),
        ("198.51.100.1", Way::Nowhere),
        ("2a00::1", Way::Nowhere),
    ] {
        assert_eq!(way(&table, address), expected, "{address}");
    }
    let hop = |address| match way(&table, address) {
        Way::Hop(hop) => table.hop(hop),
        other => panic!("{address}: {other:?}"),
    };
    let known = Hop { address: GATEWAY.parse().unwrap(), mac: Some(mac(9)) };
    assert_eq!(hop("8.8.8.8"), known);
    assert_eq!(hop("172.18.0.1"), known);
    let unknown = Hop { address: "192.0.2.7".parse().unwrap(), mac: None };
    assert_eq!(hop("172.17.5.255"), unknown);
}

#[test]
fn an_ipv6_route_is_none_of_ipv4() {
    let table = table(uplink(&[("::/0", via("2001:db8::fe"))]));
    assert!(matches!(way(&table, "2a00::1"), Way::Hop(_)));
    assert_eq!(way(&table, "8.8.8.8"), Way::Nowhere);
}

#[test]
fn an_internal_network_leads_nowhere_and_the_kernel_gets_the_rest() {
    let internal = table(Beyond::Internal);
    assert_eq!(way(&internal, "8.8.8.8"), Way::Nowhere);
    assert_eq!(way(&internal, "192.0.2.1"), Way::Host);
    let kernel = table(Beyond::Kernel);
    assert_eq!(way(&kernel, "8.8.8.8"), Way::Host);
    assert_eq!(way(&kernel, "127.0.0.2"), Way::Martian);
    assert_eq!(way(&kernel, "10.99.1.1"), Way::Subnet);
}

#[test]
fn of_two_routes_alike_the_first_counts() {
    let table = table(uplink(&[
        ("203.0.113.0/24", RouteAction::Via(None)),
        ("203.0.113.0/24", RouteAction::Unreachable),
    ]));
    assert_eq!(way(&table, "203.0.113.5"), Way::OnLink);
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
        let Beyond::Uplink(base) = uplink(&[]) else { unreachable!() };
        let conf = UplinkConf { routes: Routes::new(routes.clone()), ..(*base).clone() };
        let table = table(Beyond::Uplink(Arc::new(conf)));
        for (high, low) in asked {
            let address = IpAddr::V4(Ipv4Addr::from(44 << 24 | high << 18 | low));
            let longest = routes.iter().rev().filter(|(net, _)| net.contains(&address))
                .max_by_key(|(net, _)| net.prefix_len());
            let expected = match longest {
                Some((_, RouteAction::Via(None))) => Way::OnLink,
                _ => Way::Nowhere,
            };
            prop_assert_eq!(table.way(address), expected);
        }
    }
}
