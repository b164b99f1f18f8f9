use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::tests::overlay::{registered_blue, with_registered_blue, with_underlay};
use super::super::tests::{model, open_network};
use super::*;

fn mac(n: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, n])
}

fn at(n: u8) -> IpAddr {
    IpAddr::from([10, 50, 0, n])
}

fn vtep(n: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n], 4789))
}

fn endpoint(n: u8, node: &str, mac: MacAddr) -> Arc<RemoteEndpoint> {
    Arc::new(RemoteEndpoint {
        network: "blue".into(),
        address: at(n),
        node: node.into(),
        mac,
        name: format!("c{n}").into(),
        aliases: Box::default(),
    })
}

/// Where the datapath sends to a MAC address, and the VTEPs that get floods.
fn seen(model: &Model, mac: MacAddr) -> (Option<SocketAddr>, Vec<SocketAddr>) {
    let network = model.network(Some("blue")).unwrap();
    let overlay = model.network_overlay(network).unwrap();
    let address = |vtep: VtepIndex| model.vtep_at(vtep).unwrap().address;
    let floods = overlay.vteps.iter().map(|vtep| address(*vtep)).collect();
    (overlay.remotes.by_mac(mac).map(address), floods)
}

#[test]
fn an_endpoint_is_reached_once_its_node_is_known_whatever_comes_first() {
    for node_first in [true, false] {
        let mut model = with_registered_blue();
        if node_first {
            model.set_node(&"n2".into(), Some(vtep(2)));
        }
        assert!(model.set_remote(endpoint(9, "n2", mac(9))).is_some());
        if !node_first {
            assert_eq!(seen(&model, mac(9)), (None, Vec::new()));
            model.set_node(&"n2".into(), Some(vtep(2)));
        }
        assert_eq!(seen(&model, mac(9)), (Some(vtep(2)), vec![vtep(2)]));
        let blue = model.network(Some("blue")).unwrap();
        let overlay = model.network_overlay(blue).unwrap();
        assert_eq!(overlay.remotes.by_ip(at(9)), Some(mac(9)));
        assert!(model.networks_by_vtep()[&vtep(2)].iter().eq(["blue"]));
        assert_eq!(model.nodes_by_vtep().get(&vtep(2)), Some(&"n2"));
    }
}

#[test]
fn an_endpoint_may_come_before_its_network() {
    let mut model = model();
    with_underlay(&mut model, "192.0.2.1:4789");
    model.set_node(&"n2".into(), Some(vtep(2)));
    assert_eq!(model.set_remote(endpoint(9, "n2", mac(9))), None);
    open_network(&mut model, registered_blue());
    assert_eq!(seen(&model, mac(9)), (Some(vtep(2)), vec![vtep(2)]));
}

#[test]
fn one_that_moves_is_reached_there_and_the_former_node_gets_no_floods() {
    let mut model = with_registered_blue();
    model.set_node(&"n2".into(), Some(vtep(2)));
    model.set_node(&"n3".into(), Some(vtep(3)));
    model.set_remote(endpoint(9, "n2", mac(9)));
    model.set_remote(endpoint(9, "n3", mac(9)));
    assert_eq!(seen(&model, mac(9)), (Some(vtep(3)), vec![vtep(3)]));
    // Of another MAC address: the former one leads nowhere.
    model.set_remote(endpoint(9, "n2", mac(8)));
    assert_eq!(seen(&model, mac(9)).0, None);
    assert_eq!(seen(&model, mac(8)), (Some(vtep(2)), vec![vtep(2)]));
}

#[test]
fn a_container_with_two_addresses_is_reached_until_both_have_gone() {
    let mut model = with_registered_blue();
    model.set_node(&"n2".into(), Some(vtep(2)));
    model.set_remote(endpoint(9, "n2", mac(9)));
    model.set_remote(endpoint(10, "n2", mac(9)));
    model.remove_remote("blue", at(9));
    assert_eq!(seen(&model, mac(9)).0, Some(vtep(2)));
    model.remove_remote("blue", at(10));
    assert_eq!(seen(&model, mac(9)), (None, Vec::new()));
    assert_eq!(model.take_unused_vteps().len(), 1, "its slot is to be freed");
    assert_eq!(model.remove_remote("blue", at(10)), None, "a second time");
}

#[test]
fn a_node_that_moves_takes_its_endpoints_along_and_one_that_goes_is_reached_no_more() {
    let mut model = with_registered_blue();
    model.set_node(&"n2".into(), Some(vtep(2)));
    model.set_remote(endpoint(9, "n2", mac(9)));
    model.set_node(&"n2".into(), Some(vtep(4)));
    assert_eq!(seen(&model, mac(9)), (Some(vtep(4)), vec![vtep(4)]));
    model.set_node(&"n2".into(), None);
    assert_eq!(seen(&model, mac(9)), (None, Vec::new()));
    assert_eq!(model.remotes_on("blue").count(), 1, "its lease has not ended yet");
}

#[test]
fn floods_go_to_a_peer_once_that_is_a_node_too() {
    let mut model = with_registered_blue();
    model.add_peer(&"blue".parse().unwrap(), vtep(2), &[]).unwrap();
    model.set_node(&"n2".into(), Some(vtep(2)));
    model.set_remote(endpoint(9, "n2", mac(9)));
    assert_eq!(seen(&model, mac(9)), (Some(vtep(2)), vec![vtep(2)]));
    model.remove_remote("blue", at(9));
    assert_eq!(seen(&model, mac(9)), (None, vec![vtep(2)]), "it is a static peer still");
}

#[derive(Debug, Clone)]
enum Act {
    Set(u8, u8, u8),
    Remove(u8),
    Node(u8, Option<u8>),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (1..6_u8, 2..5_u8, 1..4_u8).prop_map(|(n, node, mac)| Act::Set(n, node, mac)),
        (1..6_u8).prop_map(Act::Remove),
        (2..5_u8, prop::option::of(2..9_u8)).prop_map(|(node, at)| Act::Node(node, at)),
    ]
}

proptest! {
    /// Whatever the order of changes, the datapath is what the last state of each part makes.
    #[test]
    fn the_last_state_counts(acts in prop::collection::vec(act(), 0..40)) {
        let mut model = with_registered_blue();
        let (mut endpoints, mut nodes) = (BTreeMap::new(), BTreeMap::new());
        for act in acts {
            match act {
                Act::Set(n, node, octet) => {
                    model.set_remote(endpoint(n, &format!("n{node}"), mac(octet)));
                    endpoints.insert(n, (node, octet));
                }
                Act::Remove(n) => {
                    model.remove_remote("blue", at(n));
                    endpoints.remove(&n);
                }
                Act::Node(node, address) => {
                    model.set_node(&format!("n{node}").as_str().into(), address.map(vtep));
                    match address {
                        Some(address) => nodes.insert(node, address),
                        None => nodes.remove(&node),
                    };
                }
            }
        }
        let floods: BTreeSet<_> =
            endpoints.values().filter_map(|(node, _)| nodes.get(node)).map(|at| vtep(*at)).collect();
        for octet in 1..4 {
            // Of several nodes with one MAC address, that of the lowest address.
            let first = endpoints.values().find(|(_, other)| *other == octet);
            let expected = first.and_then(|(node, _)| nodes.get(node)).map(|at| vtep(*at));
            let (reached, flooded) = seen(&model, mac(octet));
            prop_assert_eq!(reached, expected);
            prop_assert_eq!(flooded.iter().copied().collect::<BTreeSet<_>>(), floods.clone());
        }
        let used = model.vteps().map(|(_, vtep)| vtep.address).collect::<BTreeSet<_>>();
        prop_assert_eq!(used, floods);
    }
}
