use std::net::IpAddr;

use fastpath::PortIndex;
use wire::MacAddr;

use super::super::{AttachSpec, Model, Owner, SlotOwner};
use super::{NOW, attach, attach_spec, compiled, key, model, network, open_network, reserve, spec};
use crate::config::Uplink;
use crate::control::ControlError;
use crate::datapath::{NetworkIndex, PortKind};

/// Two internal networks with the same subnets.
fn two_networks() -> Model {
    let mut model = model();
    open_network(&mut model, network("br1", Uplink::None));
    model
}

fn spec_on(name: &str, network: &str) -> AttachSpec {
    AttachSpec::new(key(name, network))
}

#[test]
fn addresses_come_from_pools_of_their_own() {
    let mut model = two_networks();
    let mac = Some(MacAddr([2, 0, 0, 0, 0, 9]));
    let one = attach_spec(&mut model, AttachSpec { mac, ..spec("a") });
    let two = attach_spec(&mut model, AttachSpec { mac, ..spec_on("b", "br1") });
    assert_eq!((one.v4(), one.v6()), (two.v4(), two.v6()));
    assert_ne!(one.slot, two.slot);
    // Each pool has its own next address.
    let error = reserve(&mut model, &AttachSpec { ipv4: Some(two.v4()), ..spec_on("c", "br1") });
    assert!(matches!(error, Err(ControlError::AddressInUse { owner, .. }) if owner == "b"));
    // A MAC address is unique in its network only.
    let error = reserve(&mut model, &AttachSpec { mac, ..spec_on("c", "br1") });
    assert!(matches!(error, Err(ControlError::MacInUse { owner, .. }) if owner == "b"));
}

#[test]
fn a_snapshot_has_both_networks_with_ports_and_entries_apart() {
    let mut model = two_networks();
    let one = attach(&mut model, "a");
    let two = attach_spec(&mut model, spec_on("a", "br1"));
    let entry = (MacAddr([2, 9, 9, 9, 9, 9]), 0);
    model.set_static(&one.network, entry, Owner::Endpoint(one.name.clone())).unwrap();
    model.set_static(&two.network, entry, Owner::Host).unwrap();
    let snapshot = model.snapshot();
    let network_of = |slot| snapshot.port(slot).map(|port| (port.network, port.kind));
    assert_eq!(network_of(one.slot), Some((NetworkIndex(0), PortKind::Container)));
    assert_eq!(network_of(two.slot), Some((NetworkIndex(1), PortKind::Container)));
    let host = model[&two.network].host_port.unwrap();
    assert_eq!(network_of(PortIndex(0)), Some((NetworkIndex(0), PortKind::Host)));
    assert_eq!(network_of(host), Some((NetworkIndex(1), PortKind::Host)));
    assert_eq!(model.label(host).as_deref(), Some("br1"));
    let statics = |network| compiled(&model, network).statics[0].port;
    assert_eq!((statics(&one.network), statics(&two.network)), (one.slot, host));
    let neighbours = |network| compiled(&model, network).neighbours.len();
    assert_eq!((neighbours(&one.network), neighbours(&two.network)), (3, 3));
}

#[test]
fn a_name_is_unique_in_its_network_and_one_container() {
    let mut model = two_networks();
    let one = attach(&mut model, "a");
    let two = attach_spec(&mut model, spec_on("a", "br1"));
    assert!(matches!(reserve(&mut model, &spec("a")), Err(ControlError::NameTaken(_))));
    let error = model.find("a").unwrap_err().to_string();
    assert!(error.contains("write a@") && error.contains(" or a@"), "{error}");
    assert_eq!(model.find("a@br1").unwrap(), two.key());
    assert_eq!(model.find_all("a").unwrap(), [one.key(), two.key()]);
    assert!(matches!(model.find("a@br2"), Err(ControlError::UnknownPort(_))));
    let third = key("c", "br1");
    reserve(&mut model, &AttachSpec::new(third.clone())).unwrap();
    attach(&mut model, "c");
    let elsewhere = model.bind_netns(&third, &super::netns(77), None, &[]);
    assert!(matches!(elsewhere, Err(ControlError::NameTaken(_))));
    model.remove(&one.key(), NOW);
    assert_eq!(model.find("a").unwrap(), two.key());
    assert_eq!(model.slot_owner(two.slot), Some(&SlotOwner::Endpoint(two.key())));
}

#[test]
fn a_network_is_removed_only_empty_and_nobody_joins_it_meanwhile() {
    let mut model = two_networks();
    let lease = attach_spec(&mut model, spec_on("a", "br1"));
    let name = lease.network.clone();
    assert!(model.begin_remove_network(&name, false).is_err(), "it has an endpoint");
    model.remove(&lease.key(), NOW);
    model.begin_remove_network(&name, false).unwrap();
    let joining = reserve(&mut model, &spec_on("b", "br1"));
    assert!(matches!(joining, Err(ControlError::UnknownNetwork(_))), "{joining:?}");
    assert!(matches!(model.begin_remove_network(&name, false), Err(ControlError::Busy(..))));
    model.remove_network(&name);
    assert!(model.networks().all(|network| network.spec.name != name));
}

#[test]
fn labels_of_ports_are_nobodys_names() {
    let mut model = two_networks();
    for name in ["br0", "br1", "br0.uplink", "br1.uplink"] {
        let error = reserve(&mut model, &spec(name)).unwrap_err();
        assert!(matches!(error, ControlError::NameOfBridge(_)), "{error}");
    }
    attach(&mut model, "br2.uplink");
    let error = model.add_network(network("br2", Uplink::None)).unwrap_err();
    assert!(matches!(error, ControlError::NameTaken(_)), "{error}");
    let error = model.add_network(network("br1", Uplink::None)).unwrap_err();
    assert!(matches!(error, ControlError::NetworkExists(_)), "{error}");
}

#[test]
fn the_configured_network_comes_first_whatever_the_names() {
    let mut model = model();
    open_network(&mut model, network("aaa0", Uplink::None));
    assert_eq!(model.document().devices().collect::<Vec<_>>(), ["br0", "aaa0"]);
    assert_eq!(model.network(None).unwrap().spec.name.as_str(), "br0");
}

#[test]
fn the_document_has_all_networks() {
    let mut model = two_networks();
    attach(&mut model, "a");
    let aliases = vec!["db".parse().unwrap()];
    let labels = [("app".to_owned(), "shop".to_owned())].into();
    attach_spec(&mut model, AttachSpec { aliases, labels, ..spec_on("b", "br1") });
    model.set_static(&"br1".parse().unwrap(), (MacAddr([2; 6]), 0), Owner::Host).unwrap();
    let document = model.document();
    assert_eq!(document.devices().collect::<Vec<_>>(), ["br0", "br1"]);
    let attached: Vec<_> = document.attachments.iter().map(|it| it.network.as_str()).collect();
    assert_eq!(attached, ["br0", "br1"]);
    let stored = &document.attachments[1];
    assert_eq!((stored.aliases[0].as_str(), stored.labels["app"].as_str()), ("db", "shop"));
    assert_eq!((document.statics.len(), document.statics[0].network.as_str()), (1, "br1"));
    let text = serde_json::to_string(&document).unwrap();
    assert_eq!(serde_json::from_str::<crate::control::store::Document>(&text).unwrap(), document);
}

#[test]
fn settings_go_by_the_name_of_the_network_or_the_endpoint() {
    let mut model = two_networks();
    let lease = attach_spec(&mut model, spec_on("b", "br1"));
    assert_eq!(model.slot_of("br1").unwrap(), (model[&lease.network].host_port.unwrap(), true));
    assert_eq!(model.slot_of("b").unwrap(), (lease.slot, false));
    assert_eq!(model.leases_of("br1"), std::slice::from_ref(&lease));
    assert!(model.leases_of("br0").is_empty());
    let known = model.host_neighbours(&lease.key());
    assert_eq!(known, [IpAddr::from(lease.v4()), lease.v6().into()]);
}
