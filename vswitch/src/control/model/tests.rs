use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fastpath::PortIndex;
use fastpath::limits::PORTS_MAX;
use proptest::prelude::*;
use vswitch_api::port::NetnsRef;
use vswitch_api::port_settings::guard::Guard;
use vswitch_api::port_settings::isolation::Isolation;
use vswitch_api::port_settings::{PortSettings, SettingsChange};
use wire::MacAddr;

use super::{AttachSpec, EndpointKey, Lease, Model, NetworkName, NetworkSpec, Owner, local_mac};
use crate::config::{Multicast, SnatPorts, Uplink};
use crate::control::ControlError;
use crate::control::store::NetnsRecord;
use crate::datapath::{HostConfig, NetworkConf, PortKind, PortVlans};
use crate::host::netns::NetnsId;

mod addresses;
mod further_addresses;
mod networks;
pub(crate) mod overlay;
mod pools;
mod service;

const NOW: Duration = Duration::ZERO;
const GATEWAY_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

/// The slot of the first network's host port.
pub(crate) const HOST_PORT: PortIndex = PortIndex(0);

/// A model with one network.
pub(crate) fn model_with_uplink(uplink: Uplink) -> Model {
    let mut model = Model::new(PORTS_MAX);
    open_network(&mut model, network("br0", uplink));
    model
}

pub(crate) fn model() -> Model {
    model_with_slots(PORTS_MAX)
}

pub(crate) fn model_with_slots(slots: usize) -> Model {
    let mut model = Model::new(slots);
    open_network(&mut model, network("br0", Uplink::None));
    model
}

/// Adds a network, as a plan does.
pub(crate) fn open_network(model: &mut Model, spec: NetworkSpec) {
    let name = spec.name.clone();
    model.add_network(spec).unwrap();
    model.set_network_in_snapshot(&name, true);
    model.set_network_persisted(&name, true);
    model.activate_network(&name);
}

pub(crate) fn network(name: &str, uplink: Uplink) -> NetworkSpec {
    NetworkSpec {
        name: name.parse().unwrap(),
        device: Some(name.parse().unwrap()),
        subnet: "192.0.2.0/24".parse().unwrap(),
        subnet6: "fd00:1::/64".parse().unwrap(),
        gateway: "192.0.2.1".parse().unwrap(),
        gateway6: "fd00:1::1".parse().unwrap(),
        range: None,
        range6: None,
        gateway_mac: GATEWAY_MAC,
        mtu: 1500,
        ageing: Duration::from_secs(300),
        fdb_entries_max: 1024,
        internal: uplink == Uplink::None,
        uplink,
        snat_ports: SnatPorts::default(),
        multicast: Multicast::Snoop,
        host_config: HostConfig::NONE,
        isolated_ports: false,
        cut_through: None,
        overlay: None,
        reachable_from: std::collections::BTreeSet::new(),
        labels: std::collections::BTreeMap::new(),
        port_settings: vswitch_api::port_settings::SettingsChange::default(),
        host_settings: PortSettings::of_host(),
    }
}

pub(crate) fn key(name: &str, network: &str) -> EndpointKey {
    EndpointKey { name: name.parse().unwrap(), network: network.parse().unwrap() }
}

pub(crate) fn spec(name: &str) -> AttachSpec {
    AttachSpec::new(key(name, "br0"))
}

pub(crate) fn netns(ino: u64) -> NetnsRecord {
    NetnsRecord {
        reference: NetnsRef::Pid(1),
        path: PathBuf::from("/proc/1/ns/net"),
        id: NetnsId { dev: 4, ino },
        cookie: Some(6),
        boot_id: "b".into(),
    }
}

/// Counts up, in place of random numbers.
pub(crate) fn counter() -> impl FnMut() -> Result<u64, ControlError> {
    let mut last = 0;
    move || {
        last += 1;
        Ok(last)
    }
}

pub(crate) fn reserve(model: &mut Model, spec: &AttachSpec) -> Result<Lease, ControlError> {
    model.reserve(spec, NOW, &mut counter())
}

/// An active endpoint.
pub(crate) fn attach(model: &mut Model, name: &str) -> Lease {
    attach_spec(model, spec(name))
}

pub(crate) fn attach_spec(model: &mut Model, spec: AttachSpec) -> Lease {
    let lease = reserve(model, &spec).unwrap();
    // A name is one container, in one namespace.
    let same = model.namespace_of(&lease.name).map(|netns| netns.id.ino);
    let (key, ino) = (lease.key(), same.unwrap_or(lease.slot.get() as u64));
    model.bind_netns(&key, &netns(ino), None, &[]).unwrap();
    model.set_in_snapshot(&key, true);
    model.set_persisted(&key, true);
    assert!(model.activate(&key));
    lease
}

/// A network as the last snapshot has it.
fn compiled(model: &Model, network: &NetworkName) -> Arc<NetworkConf> {
    model[network].compiled.fresh().unwrap()
}

#[test]
fn generated_mac_addresses_are_local_unicast_and_unique() {
    let mut model = model();
    let first = reserve(&mut model, &spec("a")).unwrap();
    // The counter starts again, so its first number is taken.
    let second = reserve(&mut model, &spec("b")).unwrap();
    assert_ne!(first.mac, second.mac);
    for mac in [first.mac, second.mac, local_mac(u64::MAX), local_mac(0)] {
        assert!(mac.is_unicast() && mac.is_local(), "{mac}");
    }
}

#[test]
fn taken_things_are_refused_with_their_owner() {
    let mut model = model();
    let a = attach(&mut model, "a");
    let error = reserve(&mut model, &spec("a")).unwrap_err();
    assert!(matches!(error, ControlError::NameTaken(_)), "{error}");
    let error = reserve(&mut model, &spec("br0")).unwrap_err();
    assert!(matches!(error, ControlError::NameOfBridge(_)), "{error}");
    for mac in [a.mac, GATEWAY_MAC] {
        let error = reserve(&mut model, &AttachSpec { mac: Some(mac), ..spec("b") }).unwrap_err();
        assert!(matches!(error, ControlError::MacInUse { .. }), "{error}");
    }
    let error = reserve(&mut model, &AttachSpec { ipv4: Some(a.v4()), ..spec("b") }).unwrap_err();
    assert_eq!(error.to_string(), format!("address {} is in use by a", a.v4()));
    let error = reserve(&mut model, &AttachSpec { ipv6: Some(a.v6()), ..spec("b") }).unwrap_err();
    assert!(matches!(error, ControlError::AddressInUse { address: IpAddr::V6(_), .. }), "{error}");
}

#[test]
fn a_refusal_changes_nothing() {
    let mut model = model();
    attach(&mut model, "a");
    let before = format!("{model:?}");
    let (ipv4, ipv6) = (Some([192, 0, 2, 50].into()), Some("fd00:2::2".parse().unwrap()));
    let outside = AttachSpec { ipv4, ipv6, ..spec("b") };
    // The IPv4 address is allocated before the IPv6 one is refused.
    reserve(&mut model, &outside).unwrap_err();
    let lease = reserve(&mut model, &spec("b")).unwrap();
    model.remove(&lease.key(), NOW);
    let after = format!("{model:?}");
    let without_cursors = |text: &str| {
        let cut = |text: &str, key: &str| {
            text.split(key)
                .map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned())
                .collect::<Vec<_>>()
                .join(key)
        };
        cut(&cut(text, "next: "), "next_slot: ")
    };
    assert_eq!(without_cursors(&before), without_cursors(&after));
}

#[test]
fn the_snapshot_has_the_host_and_what_is_published() {
    let mut model = model();
    let a = attach(&mut model, "a");
    let b = reserve(&mut model, &spec("b")).unwrap();
    let snapshot = model.snapshot();
    assert_eq!(snapshot.port(HOST_PORT).unwrap().kind, PortKind::Host);
    assert_eq!(snapshot.port(HOST_PORT).unwrap().mac, GATEWAY_MAC);
    assert_eq!(snapshot.port(a.slot).unwrap().mac, a.mac);
    assert!(snapshot.port(b.slot).is_none());
    model.set_in_snapshot(&a.key(), false);
    assert!(model.snapshot().port(a.slot).is_none());
}

#[test]
fn only_what_is_saved_and_settled_survives() {
    let mut model = model();
    attach(&mut model, "a");
    let b = reserve(&mut model, &spec("b")).unwrap();
    model.set_persisted(&b.key(), true);
    let names: Vec<_> = model.attachments().into_iter().map(|kept| kept.name.to_string()).collect();
    assert_eq!(names, ["a"]);
}

#[test]
fn interfaces_inside_get_the_first_free_number() {
    let mut model = model();
    for name in ["a", "b", "c", "d"] {
        reserve(&mut model, &spec(name)).unwrap();
    }
    let mut place = |name: &str, ino, spec: Option<&str>, present: &[&str]| {
        let present: Vec<_> = present.iter().map(ToString::to_string).collect();
        model.bind_netns(&key(name, "br0"), &netns(ino), spec, &present)
    };
    assert_eq!(place("a", 1, None, &["lo", "eth1"]).unwrap(), "eth0");
    // Endpoints that are being attached in the namespace count, too.
    assert_eq!(place("b", 1, None, &["lo", "eth1"]).unwrap(), "eth2");
    assert_eq!(place("c", 2, None, &["lo"]).unwrap(), "eth0");
    assert_eq!(place("d", 1, Some("lan0"), &["lo"]).unwrap(), "lan0");
    for (ifname, present) in [("eth0", "lo"), ("lan1", "lan1")] {
        let error = place("d", 1, Some(ifname), &[present]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the namespace already has an interface {ifname}; choose another with --ifname"
            )
        );
    }
}

#[test]
fn a_port_is_taken_away_by_one_only() {
    let mut model = model();
    let a = attach(&mut model, "a");
    let b = reserve(&mut model, &spec("b")).unwrap();
    let error = model.begin_detach(&b.key()).unwrap_err();
    assert_eq!(error.to_string(), "b is being attached");
    model.begin_detach(&a.key()).unwrap();
    let error = model.begin_detach(&a.key()).unwrap_err();
    assert_eq!(error.to_string(), "a is being detached");
    assert!(model.begin_detach_lost(a.slot).is_none());
    assert_eq!(model.active().count(), 0);
    model.remove(&a.key(), NOW);
    assert!(matches!(model.begin_detach(&a.key()), Err(ControlError::UnknownPort(_))));
}

#[test]
fn an_interface_lost_during_the_attach_is_noticed_at_its_end() {
    let mut model = model();
    let a = reserve(&mut model, &spec("a")).unwrap();
    assert!(model.begin_detach_lost(a.slot).is_none());
    assert!(!model.activate(&a.key()));
    assert_eq!(model.begin_detach_lost(a.slot), Some(a));
}

#[test]
fn slots_are_not_used_again_soon() {
    let mut model = model();
    let a = attach(&mut model, "a");
    model.remove(&a.key(), NOW);
    let b = attach(&mut model, "b");
    assert_ne!(a.slot, b.slot);
    assert!(model.begin_detach_lost(a.slot).is_none());
    assert_eq!(model.label(b.slot).as_deref(), Some("b"));
    assert_eq!(model.label(HOST_PORT).as_deref(), Some("br0"));
    assert_eq!(model.label(PortIndex(99)).as_deref(), None);
}

#[test]
fn slots_are_those_that_the_workers_have() {
    let mut model = model_with_slots(4);
    let slots: Vec<_> = ["a", "b", "c"].map(|name| attach(&mut model, name).slot.get()).into();
    assert_eq!(slots, [1, 2, 3]);
    let error = reserve(&mut model, &spec("d")).unwrap_err();
    assert!(matches!(error, ControlError::PortsMax(3)), "{error}");
    assert!(error.to_string().contains("3 ports") && error.to_string().contains("open files"));
    model.remove(&key("b", "br0"), NOW);
    assert_eq!(attach(&mut model, "d").slot, PortIndex(2));
    let error = reserve(&mut model_with_slots(1), &spec("a")).unwrap_err();
    assert!(matches!(error, ControlError::PortsMax(0)), "{error}");
    let full = ControlError::PortsMax(PORTS_MAX - 1).to_string();
    assert!(full.contains("8191 ports") && full.contains("PORTS_MAX"), "{full}");
}

#[test]
fn static_entries_go_with_their_port() {
    let mut model = model();
    let a = attach(&mut model, "a");
    let (net, key) = (&a.network, (MacAddr([2, 9, 9, 9, 9, 9]), 0));
    let nobody = Owner::Endpoint("nobody".parse().unwrap());
    assert!(matches!(model.set_static(net, key, nobody), Err(ControlError::UnknownPort(_))));
    model.set_static(net, key, Owner::Endpoint(a.name.clone())).unwrap();
    model.set_static(net, (key.0, 7), Owner::Host).unwrap();
    model.snapshot();
    assert_eq!(compiled(&model, net).statics.len(), 2);
    model.remove(&a.key(), NOW);
    let statics = model[net].statics();
    let left: Vec<_> = statics.map(|(&(_, vlan), owner)| (vlan, owner.clone())).collect();
    assert_eq!(left, [(7, Owner::Host)]);
    assert_eq!(model.remove_static(net, (key.0, 7)).unwrap(), Owner::Host);
    let error = model.remove_static(net, (key.0, 7)).unwrap_err();
    assert!(matches!(error, ControlError::NoStatic { .. }), "{error}");
}

proptest! {
    /// After any attaches and detaches, no two ports share a name, address or slot.
    #[test]
    fn nothing_is_ever_shared(acts in proptest::collection::vec((0_u8..20, any::<bool>()), 0..200)) {
        let mut model = model();
        let mut random = counter();
        let mut held: std::collections::BTreeMap<u8, Lease> = Default::default();
        for (step, (who, come)) in acts.into_iter().enumerate() {
            let now = Duration::from_secs(10 * step as u64);
            if come {
                let lease = model.reserve(&spec(&format!("p{who}")), now, &mut random);
                prop_assert_eq!(lease.is_ok(), !held.contains_key(&who));
                if let Ok(lease) = lease {
                    for other in held.values() {
                        prop_assert!(other.v4() != lease.v4() && other.v6() != lease.v6());
                        prop_assert!(other.mac != lease.mac && other.slot != lease.slot);
                    }
                    prop_assert!(lease.slot != HOST_PORT && lease.mac != GATEWAY_MAC);
                    model.set_in_snapshot(&lease.key(), true);
                    held.insert(who, lease);
                }
            } else if let Some(lease) = held.remove(&who) {
                model.remove(&lease.key(), now);
            }
        }
    }
}

#[test]
fn a_policy_is_changed_seen_and_compiled() {
    let mut model = model();
    let change: SettingsChange =
        serde_json::from_value(serde_json::json!({"vlan": {"mode": "access", "id": 10}})).unwrap();
    assert!(matches!(model.change_settings("a", &change), Err(ControlError::UnknownPort(_))));
    let lease = attach(&mut model, "a");
    let (former, settings) = model.change_settings("a", &change).unwrap();
    assert!(former.is_default());
    assert_eq!(settings.vlan.to_string(), "access 10");
    assert_eq!(model.settings("a").unwrap(), &settings);
    assert_eq!(model.attachments()[0].settings, settings);
    assert_eq!(model.snapshot().port(lease.slot).unwrap().vlans, PortVlans::access(10));
    // The bridge's name means the host port.
    assert_eq!(model.snapshot().port(HOST_PORT).unwrap().vlans, PortVlans::access(0));
    model.change_settings("br0", &change).unwrap();
    assert_eq!(model.snapshot().port(HOST_PORT).unwrap().vlans, PortVlans::access(10));
}

#[test]
fn a_guard_is_for_addresses_of_its_port() {
    let mut model = model();
    let foreign = "192.0.2.77".parse::<Guard>().unwrap();
    let request = AttachSpec {
        settings: PortSettings { guard: foreign.clone(), ..PortSettings::default() },
        ..spec("a")
    };
    let error = reserve(&mut model, &request).unwrap_err();
    assert!(matches!(error, ControlError::GuardAddress { .. }), "{error}");
    // The failure released the addresses: the next attach gets the first ones.
    let lease = attach(&mut model, "a");
    let guard = |model: &mut Model| model.snapshot().port(lease.slot).unwrap().guard.clone();
    assert_eq!(
        guard(&mut model).map(|guard| (guard.ipv4, guard.ipv6)),
        Some((Some(lease.v4()), Some(lease.v6())))
    );
    let set = |model: &mut Model, guard| {
        model.change_settings(
            "a",
            &SettingsChange { guard: Some(guard), ..SettingsChange::default() },
        )
    };
    let error = set(&mut model, foreign).unwrap_err();
    assert!(error.to_string().contains("192.0.2.77"), "{error}");
    assert!(model.settings("a").unwrap().is_default());
    set(&mut model, Guard::Only(vec![lease.v6().into()])).unwrap();
    assert_eq!(
        guard(&mut model).map(|guard| (guard.ipv4, guard.ipv6)),
        Some((None, Some(lease.v6())))
    );
    set(&mut model, Guard::Off).unwrap();
    assert_eq!(guard(&mut model), None);
}

#[test]
fn the_host_has_no_guard_and_is_reached_by_all() {
    let mut model = model();
    for change in [
        SettingsChange { guard: Some(Guard::On), ..SettingsChange::default() },
        SettingsChange { isolation: Some(Isolation::Isolated), ..SettingsChange::default() },
    ] {
        let error = model.change_settings("br0", &change).unwrap_err();
        assert!(matches!(error, ControlError::HostSettings { .. }), "{error}");
    }
    assert!(model.settings("br0").unwrap().is_of_host());
}

#[test]
fn the_host_knows_addresses_that_the_switch_answers_for_on_its_own_vlan() {
    let mut model = model();
    let (a, b) = (attach(&mut model, "a"), attach(&mut model, "b"));
    let both = |lease: &Lease| [IpAddr::from(lease.v4()), lease.v6().into()];
    assert_eq!(model.host_neighbours(&a.key()), both(&a));
    let guard = |guard| SettingsChange { guard: Some(guard), ..SettingsChange::default() };
    model.change_settings("a", &guard(Guard::Only(vec![a.v6().into()]))).unwrap();
    assert_eq!(model.host_neighbours(&a.key()), [IpAddr::from(a.v6())]);
    model.change_settings("a", &guard(Guard::Off)).unwrap();
    let known = model.host_neighbours(&a.key());
    assert!(known.is_empty(), "its container may have another MAC address: {known:?}");
    let vlan = |id: u16| -> SettingsChange {
        serde_json::from_value(serde_json::json!({"vlan": {"mode": "access", "id": id}})).unwrap()
    };
    model.change_settings("b", &vlan(10)).unwrap();
    assert!(model.host_neighbours(&b.key()).is_empty());
    model.change_settings("br0", &vlan(10)).unwrap();
    assert_eq!(model.host_neighbours(&b.key()), both(&b));
    let concerned = |name| model.leases_of(name).len();
    assert_eq!((concerned("br0"), concerned("b"), concerned("c")), (2, 1, 0));
    model.set_in_snapshot(&b.key(), false);
    assert!(model.host_neighbours(&b.key()).is_empty());
}
