use std::net::{IpAddr, SocketAddr};

use fastpath::PortIndex;
use wire::MacAddr;
use wire::vxlan::Vni;

use super::super::{AttachSpec, Model, NetworkSpec, OverlaySpec, RegisteredSpec, SlotOwner};
use super::{NOW, attach_spec, compiled, key, model, network, open_network, reserve};
use crate::config::Uplink;
use crate::control::limits::PEERS_MAX;
use crate::control::store::Document;
use crate::control::{ControlError, OverlayError};
use crate::datapath::{PortKind, VtepIndex};

const HOST_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x77]);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn peer(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn overlay(vni: u32) -> OverlaySpec {
    OverlaySpec {
        vni: Vni::new(vni).unwrap(),
        host_mac: HOST_MAC,
        host_addresses: Vec::new(),
        mtu: None,
        peers: std::collections::BTreeSet::new(),
        registered: None,
    }
}

pub(crate) fn overlay_network(name: &str, overlay: OverlaySpec) -> NetworkSpec {
    let gateway_mac = overlay.gateway_mac();
    NetworkSpec { overlay: Some(overlay), gateway_mac, mtu: 1450, ..network(name, Uplink::None) }
}

/// The network `blue` as the registry has it.
pub(crate) fn registered_blue() -> NetworkSpec {
    let registered = RegisteredSpec {
        subnets: vec!["10.50.0.0/16".parse().unwrap()],
        options: std::collections::BTreeMap::new(),
        blocks: std::collections::BTreeSet::new(),
    };
    let subnet = "10.50.0.0/16".parse().unwrap();
    let spec = OverlaySpec { registered: Some(registered), ..overlay(42) };
    NetworkSpec { subnet, gateway: [10, 50, 0, 1].into(), ..overlay_network("blue", spec) }
}

/// A model with an underlay, and that network.
pub(crate) fn with_registered_blue() -> Model {
    let mut model = model();
    with_underlay(&mut model, "192.0.2.1:4789");
    open_network(&mut model, registered_blue());
    model
}

/// A model with an underlay, and the overlay network `blue` of VNI 42.
fn with_blue() -> (Model, PortIndex) {
    let mut model = model();
    let slot = with_underlay(&mut model, "192.0.2.1:4789");
    open_network(&mut model, overlay_network("blue", overlay(42)));
    (model, slot)
}

pub(crate) fn with_underlay(model: &mut Model, local: &str) -> PortIndex {
    model.add_tunnel(peer(local), "n1".parse().unwrap(), ("eth0".into(), 1500)).unwrap()
}

fn add(model: &mut Model, network: &str, address: &str) -> Result<(), OverlayError> {
    let own = [ip("192.0.2.1"), ip("198.51.100.1")];
    let added = model.add_peer(&network.parse().unwrap(), peer(address), &own);
    added.map_err(|error| match error {
        ControlError::Overlay(error) => error,
        other => panic!("{other}"),
    })
}

#[test]
fn a_peer_has_one_slot_for_all_networks_and_both_flood_to_it() {
    let (mut model, slot) = with_blue();
    open_network(&mut model, overlay_network("green", overlay(43)));
    add(&mut model, "blue", "192.0.2.2:4789").unwrap();
    add(&mut model, "blue", "192.0.2.3:8472").unwrap();
    add(&mut model, "green", "192.0.2.2:4789").unwrap();
    let snapshot = model.snapshot();
    let port = snapshot.port(slot).unwrap();
    assert_eq!(port.kind, PortKind::Tunnel);
    assert_eq!(model.slot_owner(slot), Some(&SlotOwner::Tunnel));
    assert_eq!(model.label(slot).as_deref(), Some("vswitch.tunnel"));
    let tunnel = snapshot.tunnel().unwrap();
    let vteps: Vec<_> = model.vteps().map(|(index, _)| *vtep(&snapshot, index)).collect();
    assert_eq!(tunnel.port(), slot);
    assert_eq!(
        vteps.iter().map(|it| it.address).collect::<Vec<_>>(),
        [peer("192.0.2.2:4789"), peer("192.0.2.3:8472")]
    );
    assert!(vteps.iter().all(|it| it.mtu == 1450 && it.is_learning));
    let of = |model: &Model, name: &str| {
        let overlay = compiled(model, &name.parse().unwrap()).overlay.clone().unwrap();
        (overlay.vni.get(), overlay.vteps.len())
    };
    assert_eq!((of(&model, "blue"), of(&model, "green")), ((42, 2), (43, 1)));
    let networks = &model.networks_by_vtep()[&peer("192.0.2.2:4789")];
    assert!(networks.iter().eq(["blue", "green"]));
}

/// Whether all slots are vacant.
fn is_empty(snapshot: &crate::datapath::Snapshot) -> bool {
    let tunnel = snapshot.tunnel().unwrap();
    (0..tunnel.slots()).all(|at| tunnel.vtep(VtepIndex(at as u16)).is_none())
}

fn vtep(snapshot: &crate::datapath::Snapshot, index: VtepIndex) -> &crate::datapath::VtepConf {
    snapshot.tunnel().unwrap().vtep(index).unwrap()
}

#[test]
fn what_cannot_be_a_peer_changes_nothing() {
    let (mut model, _) = with_blue();
    add(&mut model, "blue", "192.0.2.2:4789").unwrap();
    let before = model.document();
    let error = |model: &mut Model, network: &str, address: &str| {
        add(model, network, address).unwrap_err().to_string()
    };
    for (address, reason) in [
        ("192.0.2.2:4789", "has the peer 192.0.2.2:4789 already"),
        ("192.0.2.1:4789", "this switch itself"),
        ("198.51.100.1:4789", "this switch itself"),
        ("[2001:db8::1]:4789", "the other family"),
        ("224.0.0.1:4789", "not unicast"),
        ("0.0.0.0:4789", "all addresses"),
        ("192.0.2.9:0", "UDP port"),
    ] {
        let error = error(&mut model, "blue", address);
        assert!(error.contains(reason), "{address}: {error}");
    }
    assert!(error(&mut model, "br0", "192.0.2.9:4789").contains("local network"));
    assert_eq!(model.document(), before);
    assert_eq!(model.vteps().count(), 1);
    // Another switch, or the kernel, at an address of this host.
    add(&mut model, "blue", "198.51.100.1:8472").unwrap();
}

#[test]
fn a_network_has_a_limit_of_peers() {
    let (mut model, _) = with_blue();
    let address = |at: usize| format!("10.{}.{}.1:4789", at / 256, at % 256);
    for at in 0..PEERS_MAX {
        add(&mut model, "blue", &address(at)).unwrap();
    }
    let error = add(&mut model, "blue", &address(PEERS_MAX)).unwrap_err();
    assert!(matches!(error, OverlayError::PeersMax(_)), "{error}");
    let name = "blue".parse().unwrap();
    model.remove_peer(&name, peer(&address(7))).unwrap();
    add(&mut model, "blue", &address(PEERS_MAX)).unwrap();
}

#[test]
fn a_slot_is_unused_after_its_last_network_only() {
    let (mut model, _) = with_blue();
    open_network(&mut model, overlay_network("green", overlay(43)));
    let (blue, green) = ("blue".parse().unwrap(), "green".parse().unwrap());
    let address = peer("192.0.2.2:4789");
    add(&mut model, "blue", "192.0.2.2:4789").unwrap();
    add(&mut model, "green", "192.0.2.2:4789").unwrap();
    assert_eq!(model.remove_peer(&blue, address).unwrap(), None);
    let error = model.remove_peer(&blue, address).unwrap_err().to_string();
    assert_eq!(error, "blue has no peer 192.0.2.2:4789");
    model.remove_network(&green);
    let unused = model.take_unused_vteps();
    assert_eq!((unused.len(), model.vteps().count()), (1, 0));
    assert!(is_empty(&model.snapshot()));
    // It rests until it is freed: another peer gets another slot.
    add(&mut model, "blue", "192.0.2.3:4789").unwrap();
    assert!(model.vteps().all(|(index, _)| index != unused[0]));
    model.free_vtep(unused[0]);
}

#[test]
fn a_vni_belongs_to_one_network() {
    let (mut model, _) = with_blue();
    let error = model.add_network(overlay_network("green", overlay(42))).unwrap_err();
    assert_eq!(error.to_string(), "VNI 42 is that of network blue");
    assert!(model.network_named(&"green".parse().unwrap()).is_none());
    let slots =
        |model: &Model| (0..64).filter(|at| model.slot_owner(PortIndex(*at)).is_some()).count();
    let before = slots(&model);
    let taken = OverlaySpec { host_addresses: vec![ip("192.0.2.1")], ..overlay(43) };
    let error = model.add_network(overlay_network("green", taken)).unwrap_err().to_string();
    assert!(error.contains("is the gateway"), "{error}");
    assert_eq!(slots(&model), before, "the slot of its host port is free again");
}

#[test]
fn the_gateway_is_the_same_on_all_nodes_and_the_host_is_not() {
    let (mut model, _) = with_blue();
    let host = OverlaySpec {
        host_addresses: vec![ip("192.0.2.9"), ip("fd00:1::9")],
        ..overlay(0x0001_0203)
    };
    open_network(&mut model, overlay_network("green", host));
    let green = "green".parse().unwrap();
    let snapshot = model.snapshot();
    let conf = compiled(&model, &green);
    assert_eq!(conf.mac, MacAddr([0x02, 0x76, 0x78, 1, 2, 3]));
    let port = model[&green].host_port.unwrap();
    assert_eq!(snapshot.port(port).unwrap().mac, HOST_MAC);
    let neighbour = |mac| conf.neighbours.iter().filter(move |it| it.mac == mac && it.port == port);
    let gateway = neighbour(conf.mac).next().unwrap();
    assert_eq!(gateway.ipv4, Some("192.0.2.1".parse().unwrap()));
    let own: Vec<_> = neighbour(HOST_MAC).map(|it| (it.ipv4, it.ipv6)).collect();
    assert_eq!(
        own,
        [(Some("192.0.2.9".parse().unwrap()), None), (None, Some("fd00:1::9".parse().unwrap()))]
    );
    // Frames to the gateway's MAC address reach the host, though it is not its interface's.
    assert!(conf.statics.iter().any(|it| it.mac == conf.mac && it.port == port));
    // No container gets the host's addresses, or a MAC address of the host.
    for spec in [
        AttachSpec {
            ipv4: Some("192.0.2.9".parse().unwrap()),
            ..AttachSpec::new(key("a", "green"))
        },
        AttachSpec { mac: Some(HOST_MAC), ..AttachSpec::new(key("a", "green")) },
        AttachSpec { mac: Some(conf.mac), ..AttachSpec::new(key("a", "green")) },
    ] {
        assert!(reserve(&mut model, &spec).is_err());
    }
}

#[test]
fn the_mtu_follows_the_underlay_and_an_asked_for_one_is_the_most() {
    let (mut model, slot) = with_blue();
    let small = OverlaySpec { mtu: Some(1400), ..overlay(43) };
    open_network(&mut model, NetworkSpec { mtu: 1400, ..overlay_network("green", small) });
    add(&mut model, "blue", "192.0.2.2:4789").unwrap();
    let names = |names: Vec<super::NetworkName>| {
        names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let mtus = |model: &Model| {
        let of = |name: &str| model[&name.parse().unwrap()].spec.mtu;
        (of("blue"), of("green"), of("br0"))
    };
    assert_eq!(names(model.set_underlay(Some("eth0".into()), 1600)), "blue");
    assert_eq!(mtus(&model), (1550, 1400, 1500));
    assert_eq!(names(model.set_underlay(Some("eth0".into()), 1400)), "blue green");
    assert_eq!(mtus(&model), (1350, 1350, 1500));
    model.set_underlay(Some("eth0".into()), 1300);
    assert_eq!(mtus(&model), (1280, 1280, 1500), "IPv6 needs that much");
    assert_eq!(names(model.set_underlay(Some("eth0".into()), 9000)), "blue green");
    assert_eq!(mtus(&model), (8950, 1400, 1500));
    assert_eq!(compiled_mtu(&mut model, "blue"), 8950);
    // The path to a peer may be narrower than the device, never wider.
    let index = model.vteps().next().unwrap().0;
    assert_eq!(vtep(&model.snapshot(), index).mtu, 8950);
    assert!(model.set_path_mtu(peer("192.0.2.2:4789"), 1500));
    assert!(!model.set_path_mtu(peer("192.0.2.2:4789"), 1500), "no news");
    assert_eq!(vtep(&model.snapshot(), index).mtu, 1450);
    model.set_path_mtu(peer("192.0.2.2:4789"), 65_536);
    assert_eq!(vtep(&model.snapshot(), index).mtu, 8950);
    assert_eq!(model.tunnel().unwrap().slot, slot);
}

fn compiled_mtu(model: &mut Model, name: &str) -> u32 {
    model.snapshot();
    compiled(model, &name.parse().unwrap()).mtu
}

#[test]
fn ipv6_takes_20_bytes_more() {
    let mut model = model();
    with_underlay(&mut model, "[2001:db8::1]:4789");
    assert_eq!(model.tunnel().unwrap().mtu(), 1430);
}

#[test]
fn the_segments_of_a_gso_frame_leave_in_one_send() {
    for mtu in [1280, 1430, 1450, 8950, 65_486] {
        let spec = NetworkSpec { mtu, ..overlay_network("blue", overlay(1)) };
        let size = spec.gso_max_size().unwrap();
        // The longest payload of the kernel is below the size; IPv4 and IPv6 with timestamps.
        for headers in [52, 72] {
            let segments = size.div_ceil(mtu - headers);
            let bytes = segments * (mtu + 14 + 8);
            assert!(
                segments <= 128 && (bytes <= 65_507 || segments == 1),
                "{mtu}: {segments}, {bytes}"
            );
        }
        assert!(size > 48_000 && size < 65_536, "{mtu}: {size}");
    }
    assert_eq!(network("br0", Uplink::None).gso_max_size(), None);
}

#[test]
fn the_document_has_all_of_an_overlay_and_brings_it_back() {
    let (mut model, _) = with_blue();
    let host =
        OverlaySpec { host_addresses: vec![ip("192.0.2.9")], mtu: Some(1400), ..overlay(43) };
    open_network(&mut model, overlay_network("green", host));
    add(&mut model, "green", "192.0.2.2:4789").unwrap();
    let document = serde_json::to_string(&model.document()).unwrap();
    let read: Document = serde_json::from_str(&document).unwrap();
    let record = &read.networks[2];
    let spec = record.overlay.as_ref().unwrap().spec().unwrap();
    assert_eq!(Some(&spec), model[&"green".parse().unwrap()].spec.overlay.as_ref());
    assert_eq!(read.networks[0].overlay, None, "a local one");
    // Peers of the document have slots before there is an underlay, and without one nothing leaves.
    let mut model = super::model();
    open_network(&mut model, overlay_network("green", spec));
    assert_eq!(model.vteps().count(), 1);
    assert!(model.snapshot().tunnel().is_none());
    assert!(compiled(&model, &"green".parse().unwrap()).overlay.as_ref().unwrap().vteps.is_empty());
    with_underlay(&mut model, "192.0.2.1:4789");
    assert_eq!(model.snapshot().tunnel().unwrap().slots(), 1);
    assert_eq!(
        compiled(&model, &"green".parse().unwrap()).overlay.as_ref().unwrap().vteps.len(),
        1
    );
}

#[test]
fn peers_that_another_underlay_does_not_reach_stay_and_get_nothing() {
    let mut model = model();
    let peers = ["192.0.2.2:4789", "192.0.2.9:4789"].map(peer).into();
    open_network(&mut model, overlay_network("blue", OverlaySpec { peers, ..overlay(42) }));
    with_underlay(&mut model, "192.0.2.9:4789");
    assert_eq!(model.unreachable_peers(), [peer("192.0.2.9:4789")], "this switch now");
    model.snapshot();
    assert_eq!(compiled(&model, &"blue".parse().unwrap()).overlay.as_ref().unwrap().vteps.len(), 1);
    let mut model = super::model();
    let peers = ["192.0.2.2:4789"].map(peer).into();
    open_network(&mut model, overlay_network("blue", OverlaySpec { peers, ..overlay(42) }));
    with_underlay(&mut model, "[2001:db8::1]:4789");
    assert_eq!(model.unreachable_peers().len(), 1, "the other family");
    assert!(is_empty(&model.snapshot()));
    assert_eq!(model.document().networks[1].overlay.as_ref().unwrap().peers.len(), 1);
}

#[test]
fn interfaces_to_resize_are_those_of_the_network() {
    let (mut model, _) = with_blue();
    let lease = attach_spec(&mut model, AttachSpec::new(key("a", "blue")));
    attach_spec(&mut model, super::spec("b"));
    let interfaces = model.interfaces_on(&"blue".parse().unwrap());
    assert_eq!(interfaces.iter().map(|(_, mac, _)| *mac).collect::<Vec<_>>(), [lease.mac]);
    model.remove(&lease.key(), NOW);
}
