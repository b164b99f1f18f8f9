use wire::MacAddr;

use super::super::tests::network;
use super::*;
use crate::datapath::router::{Router, UplinkConf};
use crate::datapath::{EgressMode, NetworkConf, RouterConf, Routes, UplinkNeighbours};

fn link(port: u16) -> UplinkLink {
    UplinkLink {
        port: PortIndex(port),
        device_mac: MacAddr([4; 6]),
        tap_mac: MacAddr([6; 6]),
        mtu: 1500,
        up: true,
        neighbours: UplinkNeighbours::new(Vec::new()),
    }
}

fn uplinks(links: &Arc<Vec<UplinkLink>>) -> EgressMode {
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
        links: Arc::clone(links),
        by_container: Vec::new(),
        by_source: Vec::new(),
        routes: Routes::new(Vec::new()),
        policy: nat::CompiledPolicy::compile(policy, None),
    }))
}

fn with_router(subnets: &[&str], egress: EgressMode) -> NetworkConf {
    let router = RouterConf {
        gateway_mac: MacAddr([2; 6]),
        gateways: Vec::new(),
        subnets: subnets.iter().map(|subnet| subnet.parse().unwrap()).collect(),
        local: Arc::default(),
        reachable: Vec::new(),
        egress,
    };
    NetworkConf { router: Some(router), ..network() }
}

/// What each frame looked for: all networks, one after another.
fn by_scan(snapshot: &Snapshot, port: PortIndex) -> impl Iterator<Item = &Router> {
    let routers = snapshot.networks.iter().filter_map(|network| network.router.as_deref());
    routers.filter(move |router| has_port(router, port))
}

fn compiled(networks: Vec<NetworkConf>) -> Snapshot {
    Snapshot::compile(networks, [])
}

#[test]
fn the_index_finds_what_a_scan_of_all_networks_finds() {
    let both = Arc::new(vec![link(7), link(3)]);
    let second = Arc::new(vec![UplinkLink { mtu: 9000, ..link(3) }, link(5)]);
    let snapshot = compiled(vec![
        with_router(&["10.9.0.0/16", "fd09::/64"], EgressMode::Internal),
        with_router(&["10.1.0.0/16", "fd01::/64"], uplinks(&both)),
        network(),
        // Within another one's, next to it, and the end of all addresses.
        with_router(&["10.1.4.0/24", "fd01:0:0:1::/64"], uplinks(&both)),
        with_router(&["10.2.0.0/16", "ffff::/16"], uplinks(&second)),
        with_router(&["255.255.255.0/24", "10.0.0.0/32"], uplinks(&second)),
    ]);
    let addresses = [
        "10.9.0.1",
        "fd09::1",
        "10.0.0.0",
        "10.0.0.1",
        "10.1.0.0",
        "10.1.4.255",
        "10.1.5.0",
        "10.1.255.255",
        "10.2.0.0",
        "10.3.0.0",
        "9.255.255.255",
        "255.255.255.255",
        "0.0.0.0",
        "fd00:ffff::",
        "fd01::",
        "fd01::ffff:ffff:ffff:ffff",
        "fd01:0:0:1::7",
        "fd01:0:0:2::",
        "::ffff:10.1.0.1",
        "::",
        "ffff:ffff::1",
    ];
    for port in (0..9).map(PortIndex) {
        let first = by_scan(&snapshot, port).find_map(Router::uplink);
        let first = first.and_then(|it| it.links.iter().find(|link| link.port == port));
        assert_eq!(snapshot.uplink_of(port), first, "{port:?}");
        for address in addresses.map(|it| it.parse::<IpAddr>().unwrap()) {
            let is_behind = by_scan(&snapshot, port)
                .any(|router| router.subnets().iter().any(|subnet| subnet.contains(&address)));
            assert_eq!(snapshot.is_behind(port, address), is_behind, "{port:?} {address}");
        }
    }
    let networks = snapshot.uplink_ports.0.iter().map(|it| Arc::as_ptr(&it.subnets));
    // Those of 3, 5 and 7: three groups of networks.
    assert_eq!(networks.collect::<std::collections::HashSet<_>>().len(), 3);
}

#[test]
fn ranges_that_touch_or_lie_within_others_are_found() {
    for ranges in [vec![], vec![(5, 9)], vec![(0, 0), (3, 9), (4, 5), (9, 12), (20, u8::MAX)]] {
        let index = Ranges::new(ranges.clone());
        for address in 0..=u8::MAX {
            let is_in = ranges.iter().any(|(first, last)| (*first..=*last).contains(&address));
            assert_eq!(index.contains(address), is_in, "{address} {ranges:?}");
        }
    }
}

#[test]
fn a_snapshot_with_other_ports_shares_the_index_and_one_with_other_uplinks_has_its_own() {
    let [one, other] = [3, 4].map(|port| uplinks(&Arc::new(vec![link(port)])));
    let with_uplink = |egress: &EgressMode| with_router(&["10.1.0.0/16"], egress.clone());
    let first = compiled(vec![with_uplink(&one), network()]);
    let changed = NetworkConf { mtu: 1400, ..network() };
    let same = first.successor(vec![with_uplink(&one), changed], []);
    assert!(Arc::ptr_eq(&same.uplink_ports, &first.uplink_ports));
    let moved = same.successor(vec![with_uplink(&other), network()], []);
    assert_eq!([3, 4].map(|it| moved.uplink_of(PortIndex(it)).is_some()), [false, true]);
    let gone = moved.successor(vec![network(), network()], []);
    assert!(gone.uplink_of(PortIndex(4)).is_none());
}
