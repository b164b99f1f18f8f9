use std::net::IpAddr;

use fastpath::limits::PORTS_MAX;
use vswitch_api::address::AddressRequest;
use vswitch_api::port_settings::PortSettings;
use vswitch_api::port_settings::guard::Guard;

use super::super::{AttachSpec, Lease, Model, NetworkSpec};
use super::{NOW, attach_spec, compiled, model, network, open_network, reserve, spec};
use crate::config::Uplink;
use crate::control::ControlError;
use crate::control::ipam::PoolError;

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn with_further(name: &str, further: &[&str]) -> AttachSpec {
    AttachSpec { further_addresses: addresses(further), ..spec(name) }
}

fn all(lease: &Lease) -> Vec<IpAddr> {
    lease.all_addresses().collect()
}

#[test]
fn pools_choose_none_of_the_addresses_that_the_request_names() {
    let mut model = model();
    let lease = attach_spec(&mut model, with_further("a", &["192.0.2.2", "fd00:1::2"]));
    let expected = addresses(&["192.0.2.3", "fd00:1::3", "192.0.2.2", "fd00:1::2"]);
    assert_eq!(all(&lease), expected);
}

#[test]
fn an_address_is_named_once() {
    let mut model = model();
    let ipv4 = Some([192, 0, 2, 7].into());
    for request in [
        AttachSpec { ipv4, ..with_further("a", &["192.0.2.7"]) },
        with_further("a", &["192.0.2.7", "192.0.2.7"]),
        AttachSpec {
            ipv6: Some("fd00:1::7".parse().unwrap()),
            ..with_further("a", &["192.0.2.7", "fd00:1::7"])
        },
    ] {
        let error = reserve(&mut model, &request).unwrap_err();
        assert!(matches!(&error, ControlError::AddressInUse { owner, .. } if owner == "a"));
    }
}

#[test]
fn a_refusal_releases_all_of_them() {
    let mut model = model();
    let free = ["192.0.2.7", "fd00:1::7"];
    let guard = Guard::Only(addresses(&["192.0.2.99"]));
    let settings = PortSettings { guard, ..PortSettings::default() };
    let named = AttachSpec {
        ipv4: Some([192, 0, 2, 8].into()),
        ipv6: Some("fd00:1::8".parse().unwrap()),
        ..with_further("a", &free)
    };
    let outside = with_further("a", &[free[0], free[1], "198.51.100.7"]);
    for request in [outside, AttachSpec { settings, ..named.clone() }] {
        reserve(&mut model, &request).unwrap_err();
    }
    let lease = reserve(&mut model, &named).unwrap();
    assert_eq!(all(&lease), addresses(&["192.0.2.8", "fd00:1::8", free[0], free[1]]));
}

#[test]
fn a_pool_without_a_free_address_leaves_the_other_as_it_was() {
    let range6 = Some("fd00:1::9/128".parse().unwrap());
    let mut model = Model::new(PORTS_MAX);
    open_network(&mut model, NetworkSpec { range6, ..network("br0", Uplink::None) });
    let lease = attach_spec(&mut model, spec("a"));
    let pool = |model: &Model| format!("{:?}", model[&lease.network].pool4);
    let before = pool(&model);
    let error = reserve(&mut model, &with_further("b", &["192.0.2.7"])).unwrap_err();
    assert!(matches!(error, ControlError::Pool(PoolError::Exhausted { .. })), "{error}");
    assert_eq!(pool(&model), before);
}

#[test]
fn a_reserved_address_stays_reserved_when_the_endpoint_goes() {
    let mut model = model();
    let network = "br0".parse().unwrap();
    let address: IpAddr = "192.0.2.7".parse().unwrap();
    let request = || AddressRequest::Address(address);
    model.reserve_address(&network, request(), NOW).unwrap();
    let lease = attach_spec(&mut model, with_further("a", &["192.0.2.7"]));
    let owner = |model: &Model| model.reserved_addresses(&network).next().unwrap().port;
    assert_eq!(owner(&model).as_deref(), Some("a"));
    let error = reserve(&mut model, &with_further("b", &["192.0.2.7"])).unwrap_err();
    assert!(matches!(&error, ControlError::AddressInUse { owner, .. } if owner == "a"), "{error}");
    model.remove(&lease.key(), NOW);
    assert_eq!(owner(&model), None);
    let error = model.reserve_address(&network, request(), NOW).unwrap_err();
    assert!(error.to_string().ends_with("is in use by a reservation"), "{error}");
    // An attach that fails leaves it reserved, too.
    reserve(&mut model, &with_further("b", &["192.0.2.7", "198.51.100.7"])).unwrap_err();
    assert_eq!(model.document().networks[0].reserved, [address]);
    attach_spec(&mut model, with_further("b", &["192.0.2.7"]));
}

#[test]
fn a_guard_may_be_for_further_addresses_alone() {
    let mut model = model();
    let further = ["192.0.2.7", "192.0.2.8", "fd00:1::7"];
    let only = addresses(&["192.0.2.8", "fd00:1::7"]);
    let settings = PortSettings { guard: Guard::Only(only.clone()), ..PortSettings::default() };
    let lease = attach_spec(&mut model, AttachSpec { settings, ..with_further("a", &further) });
    let port = model.snapshot().port(lease.slot).unwrap().clone();
    assert_eq!(port.addresses.as_slice(), all(&lease));
    let guard = port.guard.unwrap();
    assert_eq!((guard.ipv4, guard.ipv6, guard.further.as_slice()), (None, None, &only[..]));
    let network = compiled(&model, &lease.network);
    let of_it = network.neighbours.iter().filter(|it| it.port == lease.slot);
    let known: Vec<_> =
        of_it.flat_map(|it| [it.ipv4.map(IpAddr::V4), it.ipv6.map(IpAddr::V6)]).flatten().collect();
    assert_eq!(known, only);
    assert_eq!(model.host_neighbours(&lease.key()), only);
}

#[test]
fn the_host_knows_all_addresses() {
    let mut model = model();
    let lease = attach_spec(&mut model, with_further("a", &["192.0.2.7", "fd00:1::7"]));
    assert_eq!(model.host_neighbours(&lease.key()), all(&lease));
}
