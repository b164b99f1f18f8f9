use std::net::IpAddr;

use fastpath::PortIndex;
use vswitch_api::port_settings::vlan::{Domain, VlanMode};
use wire::MacAddr;

use super::super::{Model, SlotOwner};
use super::{attach, model, model_with_slots, network, open_network, reserve, spec};
use crate::config::Uplink;
use crate::control::ControlError;
use crate::datapath::{NetworkIndex, PortKind, ServiceConf, Snapshot};

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 53]);

fn addresses(snapshot: &Snapshot, slot: PortIndex) -> Vec<IpAddr> {
    snapshot.port(slot).map(|port| port.addresses.as_slice().to_vec()).unwrap_or_default()
}

#[test]
fn the_service_port_belongs_to_no_network_and_has_a_name() {
    let mut model = model();
    let slot = model.add_service(MAC).unwrap();
    let lease = attach(&mut model, "a");
    let snapshot = model.snapshot();
    let port = snapshot.port(slot).unwrap();
    assert_eq!((port.kind, port.mac, port.network), (PortKind::Service, MAC, NetworkIndex::NONE));
    assert_eq!(model.slot_owner(slot), Some(&SlotOwner::Service));
    assert_eq!(model.label(slot).as_deref(), Some("vswitch.service"));
    assert_eq!(model.network_in_slot(slot), None);
    assert_eq!(addresses(&snapshot, lease.slot), [IpAddr::from(lease.v4()), lease.v6().into()]);
    // It is no attachment, and takes the slot of one.
    assert_eq!(model.active().count(), 1);
    let mut model = model_with_slots(2);
    model.add_service(MAC).unwrap();
    let error = reserve(&mut model, &spec("a")).unwrap_err();
    assert!(matches!(error, ControlError::PortsMax(0)), "{error}");
}

fn service_of(model: &Model, network: &str) -> Option<ServiceConf> {
    let network = model.network(Some(network)).unwrap();
    model.service(network)
}

#[test]
fn every_network_has_the_service_at_its_gateway_on_the_hosts_vlan() {
    let mut model = model();
    open_network(&mut model, network("br1", Uplink::Auto));
    assert_eq!(service_of(&model, "br0"), None, "before there is a service port");
    model.add_service(MAC).unwrap();
    let gateways = vec!["192.0.2.1".parse().unwrap(), "fd00:1::1".parse().unwrap()];
    let all = Some(ServiceConf { vlan: 0, gateways, has_host_port: true });
    assert_eq!((service_of(&model, "br0"), service_of(&model, "br1")), (all.clone(), all.clone()));
    let mut settings = model.settings("br1").unwrap().clone();
    settings.vlan = VlanMode::Access(Domain::Vlan(7.try_into().unwrap()));
    model.set_port_settings("br1", settings).unwrap();
    let all = all.map(|conf| ServiceConf { vlan: 7, ..conf });
    assert_eq!(service_of(&model, "br1"), all);
}
