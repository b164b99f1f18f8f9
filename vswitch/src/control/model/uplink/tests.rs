use std::net::Ipv4Addr;
use std::time::Duration;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};

use super::super::tests::{counter, key, model_with_uplink, network, open_network, spec};
use super::super::{AttachSpec, Model, NetworkSpec};
use super::*;
use crate::config::Uplink;
use crate::datapath::{NetworkConf, RouteAction};
use crate::host::limits::HOST_SOURCES_MAX;
use crate::host::uplink::{HostTable, Route, Rules};

const TAP_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
const UPLINK_PORT: PortIndex = PortIndex(1);
const NIC_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 8]);

fn state() -> UplinkState {
    let route = |destination: &str, action| {
        let source = matches!(action, RouteAction::Via { .. }).then_some(0);
        Route { destination: destination.parse().unwrap(), action, source }
    };
    let gateway = Some("192.0.2.254".parse().unwrap());
    let table = HostTable {
        number: 254,
        routes: vec![
            route("0.0.0.0/0", RouteAction::via(gateway)),
            route("198.51.100.0/24", RouteAction::via(None)),
            route("10.0.0.0/8", RouteAction::Elsewhere),
            route("203.0.113.0/24", RouteAction::Unreachable),
        ],
    };
    let link = LinkState {
        up: true,
        device: "eth0".into(),
        ifindex: 2,
        mac: NIC_MAC,
        mtu: 1400,
        tap: Some(TapId { name: "up-br0".into(), ifindex: 9, mac: TAP_MAC }),
        ipv4: Some("198.51.100.1".parse().unwrap()),
        ipv6: None,
        neighbours: vec![("192.0.2.254".parse().unwrap(), MacAddr([2, 0, 0, 0, 0, 7]))],
    };
    UplinkState {
        links: vec![link],
        ipv4: Some("198.51.100.1".parse().unwrap()),
        ipv6: None,
        local: ["198.51.100.1", "10.0.0.1", "2001:db8::1"].map(|ip| ip.parse().unwrap()).to_vec(),
        tables: vec![table],
        rules: Rules::default(),
        sources: vec![source("198.51.100.1")],
        forwarding: [false; 2],
        hints: Vec::new(),
    }
}

/// Adds the uplinks of a state with the ports of their TAPs.
fn add(model: &mut Model, state: UplinkState) {
    model.add_uplink(&"br0".parse().unwrap(), true, state);
    for (device, tap) in model.uplink().unwrap().taps_without_port() {
        model.add_tap(device, tap).unwrap();
    }
}

fn source(address: &str) -> nat::SourceSet {
    let address = address.parse().unwrap();
    let candidate = nat::sources::Candidate { address, prefix_len: 24, is_temporary: false };
    nat::SourceSet { candidates: vec![candidate], held: vec![address] }
}

fn model(publish: &[&str]) -> Model {
    let mut model = model_with_uplink(Uplink::Auto);
    add(&mut model, state());
    let publish = publish.iter().map(|text| Publication {
        ports: text.parse().unwrap(),
        allow_from: vec!["203.0.113.0/24".parse().unwrap()],
    });
    let spec = AttachSpec { publish: publish.collect(), ..spec("web") };
    let lease = model.reserve(&spec, Duration::ZERO, &mut counter()).unwrap();
    model.set_in_snapshot(&lease.key(), true);
    model
}

fn router(model: &mut Model) -> Option<RouterConf> {
    let uplinks = model.uplink_confs();
    model.router(model.network(None).unwrap(), uplinks.as_deref(), Vec::new())
}

fn uplink(model: &mut Model) -> Arc<UplinkConf> {
    match router(model).unwrap().egress {
        EgressMode::Uplink(uplink) => uplink,
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_a_way_nothing_leads_out() {
    for uplink in [Uplink::None, Uplink::Auto] {
        let router = router(&mut model_with_uplink(uplink)).unwrap();
        assert_eq!(router.egress, EgressMode::Internal);
        assert_eq!(*router.local, router.gateways);
    }
    let mut model = model_with_uplink(Uplink::Kernel);
    model.add_uplink(&"br0".parse().unwrap(), false, state());
    assert!(router(&mut model).is_none() && model.snapshot().port(UPLINK_PORT).is_none());
}

#[test]
fn the_host_is_followed() {
    let mut model = model(&[]);
    let router = router(&mut model).unwrap();
    assert_eq!(router.gateways.len(), 2);
    for gateway in &router.gateways {
        assert_eq!(router.local.iter().filter(|local| *local == gateway).count(), 1);
    }
    let uplink = uplink(&mut model);
    let link = &uplink.links[0];
    assert_eq!((link.device_mac, link.tap_mac, link.mtu), (NIC_MAC, TAP_MAC, 1400));
    let table = &uplink.routes.layers().next().unwrap().table;
    let actions: Vec<_> = table.iter().map(|(_, action)| *action).collect();
    assert_eq!(
        actions,
        [
            RouteAction::via(Some("192.0.2.254".parse().unwrap())),
            RouteAction::via(None),
            RouteAction::Elsewhere,
            RouteAction::Unreachable
        ]
    );
    assert!(link.neighbours.get("192.0.2.254".parse().unwrap()).is_some());
    assert_eq!(uplink.policy.source().external_v4.unwrap().to_string(), "198.51.100.1");
    assert_eq!(uplink.policy.source().ports, 20_000..=29_999);
    assert!(model.snapshot().port(UPLINK_PORT).is_some());
}

#[test]
fn containers_leave_the_slot_of_the_uplink_alone() {
    let model = model(&[]);
    assert_eq!(model.label(UPLINK_PORT).as_deref(), Some("br0.uplink"));
    assert_eq!(model.slot_owner(UPLINK_PORT), Some(&SlotOwner::Uplink("eth0".into())));
}

#[test]
fn publications_are_translated_once_the_container_is_shown() {
    let mut model = model(&["8000-8009:80-89/udp", "10.0.0.1:53:53"]);
    let published = uplink(&mut model).policy.source().published.clone();
    assert_eq!(published.len(), 2);
    assert_eq!(published[0].transport, nat::Transport::Udp);
    assert_eq!((published[0].ports.clone(), published[0].to_port), (8000..=8009, 80));
    assert!(published[0].address.is_none() && published[0].to_v4.is_some());
    assert_eq!(published[0].allow_from, [("203.0.113.0".parse().unwrap(), 24)]);
    assert_eq!(published[1].address, Some("10.0.0.1".parse().unwrap()));
    assert!(published[1].to_v4.is_some() && published[1].to_v6.is_none());
    model.set_in_snapshot(&key("web", "br0"), false);
    assert!(uplink(&mut model).policy.source().published.is_empty());
}

#[test]
fn the_policy_has_the_sources_of_routes() {
    let mut model = model(&[]);
    let source_of = |model: &mut Model| {
        let policy = Arc::clone(&uplink(model).policy);
        let destination = "203.0.114.1".parse().unwrap();
        let sources = &policy.source().sources[0].1;
        sources.find(destination, destination).and_then(|set| set.choose(destination))
    };
    assert_eq!(source_of(&mut model), Some("198.51.100.1".parse().unwrap()));
    let before = uplink(&mut model);
    let mut changed = state();
    changed.sources = vec![source("10.0.0.1")];
    model.set_uplink_state(changed.clone());
    assert_eq!(source_of(&mut model), Some("10.0.0.1".parse().unwrap()));
    // Another gateway with the same source is no other policy.
    let policy = Arc::clone(&uplink(&mut model).policy);
    changed.tables[0].routes[0].action = RouteAction::via(Some("192.0.2.253".parse().unwrap()));
    model.set_uplink_state(changed);
    let after = uplink(&mut model);
    assert!(Arc::ptr_eq(&after.policy, &policy) && !Arc::ptr_eq(&after.policy, &before.policy));
}

/// Pending publications stay in the document, and the datapath leaves them out.
#[test]
fn what_the_host_does_not_hand_over_is_not_translated() {
    let mut model = model(&["8000:80", "8001:81"]);
    let (name, ports) = (key("web", "br0"), "8000:80".parse().unwrap());
    let translated = |model: &mut Model| uplink(model).policy.source().published.len();
    model.activate(&name);
    model.mark_pending(&name, &ports, "taken".to_owned());
    model.mark_pending(&name, &ports, "still taken".to_owned());
    assert_eq!((translated(&mut model), model.count_publications()), (1, (1, 1)));
    assert_eq!(model.publications_of(&name).len(), 2);
    // A withdrawal fails, and the publication is restored.
    let taken = model.take_publications(&name, &ports).unwrap();
    assert_eq!(model.count_publications(), (1, 0));
    model.restore_publications(&name, taken);
    let left = model.all_pending();
    assert_eq!((left.len(), left[0].1.reason.as_str()), (1, "still taken"));
    model.mark_active(&name, &ports);
    assert_eq!((translated(&mut model), model.count_publications()), (2, (2, 0)));
    // A new publication is active.
    model.mark_pending(&name, &ports, "taken".to_owned());
    let taken = model.take_publications(&name, &ports).unwrap();
    model.end_closing(&name, &taken);
    model.add_publication(&name, &taken[0], &mut counter()).unwrap();
    assert_eq!((translated(&mut model), model.count_publications()), (2, (2, 0)));
}

#[test]
fn all_addresses_of_a_family_are_one_entry() {
    let entry = |text: &str| {
        let published = uplink(&mut model(&[text])).policy.source().published.clone();
        let [one] = published.as_slice() else { panic!("{published:?}") };
        (one.address.unwrap().to_string(), one.to_v4.is_some(), one.to_v6.is_some())
    };
    assert_eq!(entry("0.0.0.0:80:80"), ("0.0.0.0".to_owned(), true, false));
    assert_eq!(entry("[::]:80:80"), ("::".to_owned(), false, true));
}

#[test]
fn two_networks_share_an_uplink_and_its_policy() {
    let mut model = model(&["8000:80"]);
    let (subnet, gateway) = ("10.98.0.0/24".parse().unwrap(), "10.98.0.1".parse().unwrap());
    let other = NetworkSpec { subnet, gateway, ..network("br1", Uplink::Auto) };
    open_network(&mut model, other);
    open_network(&mut model, network("br2", Uplink::None));
    let spec = AttachSpec {
        publish: vec![Publication { ports: "8001:81".parse().unwrap(), allow_from: Vec::new() }],
        ..AttachSpec::new(key("db", "br1"))
    };
    let lease = model.reserve(&spec, Duration::ZERO, &mut counter()).unwrap();
    model.set_in_snapshot(&lease.key(), true);
    let confs = model.uplink_confs().unwrap();
    let egress = |name: &str| {
        model.router(model.network(Some(name)).unwrap(), Some(&confs), Vec::new()).unwrap().egress
    };
    let conf = Arc::clone(confs.values().next().unwrap());
    let is_shared = |egress| matches!(egress, EgressMode::Uplink(it) if Arc::ptr_eq(&it, &conf));
    assert!(is_shared(egress("br0")) && is_shared(egress("br1")));
    assert_eq!(egress("br2"), EgressMode::Internal);
    assert_eq!(conf.policy.source().published.len(), 2);
    // The addresses of both gateways are the host's; that of an internal network is not.
    let gateways = ["192.0.2.1", "10.98.0.1"].map(|text| text.parse().unwrap());
    assert!(gateways.iter().all(|gateway| conf.policy.source().host_addrs.contains(gateway)));
    assert_eq!(model.count_publications(), (2, 0));
}

type Parts = (Arc<NetworkConf>, Arc<UplinkConfs>, Arc<nat::CompiledPolicy>);

fn parts(model: &mut Model) -> Parts {
    model.snapshot();
    let network = model[&"br0".parse().unwrap()].compiled.fresh().unwrap();
    (network, model.uplink_confs().unwrap(), model.policy.fresh().unwrap())
}

/// Parts that a snapshot shares with the one before.
fn shared(before: &Parts, after: &Parts) -> [bool; 3] {
    let policy = Arc::ptr_eq(&before.2, &after.2);
    [Arc::ptr_eq(&before.0, &after.0), Arc::ptr_eq(&before.1, &after.1), policy]
}

#[test]
fn only_changed_parts_are_compiled_again() {
    let mut model = model(&["8000:80"]);
    let first = parts(&mut model);
    assert_eq!(shared(&first, &parts(&mut model)), [true; 3]);
    // An endpoint without publications.
    let lease = model.reserve(&spec("db"), Duration::ZERO, &mut counter()).unwrap();
    model.set_in_snapshot(&lease.key(), true);
    let second = parts(&mut model);
    assert_eq!(shared(&first, &second), [false, true, true]);
    // A publication more: the routes and source addresses of the host are those from before.
    let former = uplink(&mut model);
    model.activate(&key("web", "br0"));
    let more = Publication { ports: "8001:81".parse().unwrap(), allow_from: Vec::new() };
    model.add_publication(&key("web", "br0"), &more, &mut counter()).unwrap();
    let later = uplink(&mut model);
    let table = |conf: &UplinkConf| Arc::clone(&conf.routes.layers().next().unwrap().table);
    let sources = |conf: &UplinkConf| Arc::clone(&conf.policy.source().sources[0].1);
    assert_eq!(later.policy.source().published.len(), 2);
    assert!(
        Arc::ptr_eq(&table(&former), &table(&later)) && Arc::ptr_eq(&former.links, &later.links)
    );
    assert!(Arc::ptr_eq(&sources(&former), &sources(&later)));
    let second = parts(&mut model);
    // A neighbour of the uplink.
    let mut changed = state();
    changed.links[0].neighbours.clear();
    model.set_uplink_state(changed);
    let third = parts(&mut model);
    assert_eq!(shared(&second, &third), [true, false, true]);
    // An address of the host.
    model.set_uplink_state(UplinkState { local: Vec::new(), ..state() });
    assert_eq!(shared(&third, &parts(&mut model)), [true, false, false]);
}

/// A host with thousands of addresses, all of which a rule names: each has a table of routes.
#[test]
fn a_host_with_many_addresses_has_a_bounded_number_of_tables_and_says_so() {
    let mut model = model(&[]);
    let mut rule = RuleMessage::default();
    rule.header.family = AddressFamily::Inet;
    rule.header.action = RuleAction::ToTable;
    rule.header.table = 254;
    rule.header.src_len = 16;
    rule.attributes = vec![RuleAttribute::Source("198.51.0.0".parse().unwrap())];
    let with = |addresses: u32| {
        let first = u32::from(Ipv4Addr::new(198, 51, 100, 0));
        let local = (first..first + addresses).map(|it| Ipv4Addr::from(it).into()).collect();
        UplinkState { local, rules: Rules::read(std::slice::from_ref(&rule)), ..state() }
    };
    let hints = |model: &Model| crate::control::uplink::hints(model);
    model.set_uplink_state(with(HOST_SOURCES_MAX as u32));
    assert_eq!(uplink(&mut model).by_source.len(), HOST_SOURCES_MAX);
    assert_eq!(hints(&model), Vec::<String>::new());
    model.set_uplink_state(with(5000));
    assert_eq!(uplink(&mut model).by_source.len(), HOST_SOURCES_MAX);
    let hints = hints(&model);
    assert!(matches!(&hints[..], [one] if one.contains("not 198.51.100.64 ")), "{hints:?}");
}

/// Two uplinks: the second has a route, and its TAP comes and goes.
#[test]
fn each_uplink_is_a_port_of_its_own() {
    let mut model = model(&[]);
    let mut two = state();
    let tap = TapId { name: "up2-br0".into(), ifindex: 10, mac: MacAddr([2, 0, 0, 0, 0, 10]) };
    let link = LinkState { device: "eth1".into(), tap: Some(tap), ..two.links[0].clone() };
    two.links.push(link);
    two.tables[0].routes[1].action = RouteAction::Via { link: 1, gateway: None };
    model.set_uplink_state(two.clone());
    // Without a port it is down.
    assert!(!uplink(&mut model).links[1].up);
    for (device, tap) in model.uplink().unwrap().taps_without_port() {
        model.add_tap(device, tap).unwrap();
    }
    let links = Arc::clone(&uplink(&mut model).links);
    assert!(links[1].up && links[0].port != links[1].port);
    assert_eq!(model.uplink().unwrap().device_at(links[1].port), Some("eth1"));
    assert_eq!(model.label(links[1].port).as_deref(), Some("br0.uplink.eth1"));
    // Its TAP is made again, then the device goes.
    two.links[1].tap.as_mut().unwrap().ifindex = 11;
    model.set_uplink_state(two.clone());
    assert_eq!(model.uplink().unwrap().stale_taps(), ["eth1"]);
    let port = model.hide_tap("eth1").unwrap();
    model.release_tap(port);
    assert_eq!(model.uplink().unwrap().taps_without_port().len(), 1);
    model.set_uplink_state(state());
    assert_eq!(uplink(&mut model).links.len(), 1);
    assert!(model.snapshot().port(links[1].port).is_none());
}
