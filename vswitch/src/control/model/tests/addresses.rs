use std::net::{IpAddr, Ipv6Addr};

use vswitch_api::address::{AddressRequest, Family, ReservedAddress};
use vswitch_api::publish::Publication;

use super::super::{AttachSpec, ConfiguredBy, EndpointState, Model, NetworkName};
use super::{NOW, attach, attach_spec, model, reserve, spec};
use crate::control::ControlError;
use crate::control::ipam::{ADDRESS_REUSE_DELAY, PoolError};
use crate::control::limits::{ALIASES_MAX, LABELS_MAX, RESERVATIONS_MAX};

fn bridge() -> NetworkName {
    "br0".parse().unwrap()
}

fn reserve_any(model: &mut Model) -> IpAddr {
    model.reserve_address(&bridge(), AddressRequest::Next(Family::Ipv4), NOW).unwrap()
}

fn v4(address: IpAddr) -> Option<std::net::Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

#[test]
fn a_reserved_address_is_for_an_endpoint_that_asks_for_it() {
    let mut model = model();
    let address = reserve_any(&mut model);
    assert_ne!(IpAddr::from(attach(&mut model, "a").v4()), address);
    let error =
        model.reserve_address(&bridge(), AddressRequest::Address(address), NOW).unwrap_err();
    assert!(error.to_string().ends_with("is in use by a reservation"), "{error}");
    let lease = attach_spec(&mut model, AttachSpec { ipv4: v4(address), ..spec("b") });
    assert_eq!(IpAddr::from(lease.v4()), address);
    let error = reserve(&mut model, &AttachSpec { ipv4: v4(address), ..spec("c") }).unwrap_err();
    assert!(matches!(&error, ControlError::AddressInUse { owner, .. } if owner == "b"), "{error}");
    // It stays reserved when the endpoint goes.
    model.remove(&lease.key(), NOW);
    let error =
        model.reserve_address(&bridge(), AddressRequest::Address(address), NOW).unwrap_err();
    assert!(error.to_string().ends_with("is in use by a reservation"), "{error}");
    assert_eq!(model.document().networks[0].reserved, [address]);
    model.release_address(&bridge(), address, NOW).unwrap();
    let error = model.release_address(&bridge(), address, NOW).unwrap_err();
    assert!(matches!(error, ControlError::NotReserved { .. }), "{error}");
    assert!(model.document().networks[0].reserved.is_empty());
    assert_eq!(
        model
            .reserve_address(&bridge(), AddressRequest::Address(address), ADDRESS_REUSE_DELAY)
            .ok(),
        Some(address)
    );
}

#[test]
fn reservations_are_listed_with_owners_and_bounded() {
    let mut model = model();
    let address = reserve_any(&mut model);
    let outside = AddressRequest::Address("198.18.0.1".parse().unwrap());
    let error = model.reserve_address(&bridge(), outside, NOW).unwrap_err();
    assert!(matches!(error, ControlError::Pool(PoolError::Outside { .. })), "{error}");
    attach_spec(&mut model, AttachSpec { ipv4: v4(address), ..spec("b") });
    let listed: Vec<_> = model.reserved_addresses(&bridge()).collect();
    assert_eq!(listed, [ReservedAddress { address, port: Some("b".to_owned()) }]);
    model.release_address(&bridge(), address, NOW).unwrap();
    model.restore_reservation(&bridge(), address);
    assert_eq!(model.reserved_addresses(&bridge()).collect::<Vec<_>>(), listed);
    for _ in 1..RESERVATIONS_MAX {
        model.reserve_address(&bridge(), AddressRequest::Next(Family::Ipv6), NOW).unwrap();
    }
    let error = model.reserve_address(&bridge(), AddressRequest::Next(Family::Ipv4), NOW);
    assert!(matches!(error, Err(ControlError::ReservationsMax)), "{error:?}");
}

#[test]
fn a_release_leaves_the_address_to_an_endpoint_that_has_it() {
    let mut model = model();
    let address = reserve_any(&mut model);
    let lease = attach_spec(&mut model, AttachSpec { ipv4: v4(address), ..spec("b") });
    model.release_address(&bridge(), address, NOW).unwrap();
    let error = reserve(&mut model, &AttachSpec { ipv4: v4(address), ..spec("c") }).unwrap_err();
    assert!(matches!(error, ControlError::AddressInUse { .. }), "{error}");
    model.remove(&lease.key(), NOW);
    reserve(&mut model, &AttachSpec { ipv4: v4(address), ..spec("c") }).unwrap();
}

#[test]
fn an_attach_that_fails_leaves_a_reservation_alone() {
    let mut model = model();
    let address = reserve_any(&mut model);
    let spec =
        AttachSpec { ipv4: v4(address), ipv6: Some("fd00:2::2".parse().unwrap()), ..spec("b") };
    reserve(&mut model, &spec).unwrap_err();
    assert_eq!(model.document().networks[0].reserved, [address]);
    assert_ne!(reserve_any(&mut model), address);
}

#[test]
fn reservations_survive_a_restart() {
    let mut model = model();
    let address = reserve_any(&mut model);
    let six = model.reserve_address(&bridge(), AddressRequest::Next(Family::Ipv6), NOW).unwrap();
    let record = model.document().networks.remove(0);
    assert_eq!(record.reserved, [address, six]);
    let mut next = super::model();
    next.resume_addresses(&bridge(), (record.next_ipv4, record.next_ipv6), &record.reserved);
    assert_eq!(next.document().networks[0], record);
    let lease = attach_spec(&mut next, AttachSpec { ipv4: v4(address), ..spec("a") });
    assert_eq!(IpAddr::from(lease.v4()), address);
}

#[test]
fn an_endpoint_that_the_runtime_configures_is_bound_without_a_namespace() {
    let mut model = model();
    let spec = AttachSpec { configured_by: ConfiguredBy::Runtime, ..spec("a") };
    let lease = reserve(&mut model, &spec).unwrap();
    let state = |model: &Model| model.endpoints[&lease.key()].state;
    assert_eq!(state(&model), EndpointState::Reserved);
    model.bind(&lease.key(), "vswtap0".to_owned(), None);
    assert_eq!(state(&model), EndpointState::Bound);
    model.set_in_snapshot(&lease.key(), true);
    model.set_persisted(&lease.key(), true);
    assert!(model.activate(&lease.key()));
    assert_eq!(model.active().count(), 1);
    // Its TAP ends with the daemon, so the next one cannot bring it back.
    assert!(model.document().attachments.is_empty());
    model.begin_detach(&lease.key()).unwrap();
    assert_eq!(state(&model), EndpointState::Detaching);
}

fn published(ports: &str) -> Publication {
    Publication { ports: ports.parse().unwrap(), allow_from: Vec::new() }
}

#[test]
fn an_endpoint_of_one_family_has_no_address_of_the_other() {
    let mut model = model();
    for (name, family) in [("a", Family::Ipv4), ("b", Family::Ipv6)] {
        let only = AttachSpec { family: Some(family), ..spec(name) };
        let lease = attach_spec(&mut model, only);
        assert_eq!(lease.ipv4.is_some(), family == Family::Ipv4);
        assert_eq!(lease.ipv6.is_some(), family == Family::Ipv6);
        let stored = model.document().attachments.pop().expect("it is stored");
        assert_eq!(stored.family(), Some(family));
        assert_eq!((stored.ipv4, stored.ipv6), (lease.ipv4, lease.ipv6));
    }
    let records = model.name_records(&bridge());
    assert_eq!((records[0].ipv4.len(), records[0].ipv6.len()), (1, 0));
    assert_eq!((records[1].ipv4.len(), records[1].ipv6.len()), (0, 1));
    let only = |spec: AttachSpec| AttachSpec { family: Some(Family::Ipv4), ..spec };
    let six: Ipv6Addr = "fd00:99::7".parse().unwrap();
    for refused in [
        AttachSpec { ipv6: Some(six), ..spec("c") },
        AttachSpec { further_addresses: vec![six.into()], ..spec("c") },
        AttachSpec { publish: vec![published("[::1]:8080:80")], ..spec("c") },
    ] {
        let error = reserve(&mut model, &only(refused)).unwrap_err();
        assert!(matches!(error, ControlError::OtherFamily { .. }), "{error}");
    }
}

#[test]
fn aliases_and_labels_are_bounded() {
    let mut model = model();
    let aliases = vec!["x".parse().unwrap(); ALIASES_MAX + 1];
    let error = reserve(&mut model, &AttachSpec { aliases, ..spec("a") }).unwrap_err();
    assert!(matches!(error, ControlError::AliasesMax(_)), "{error}");
    let labels = (0..=LABELS_MAX).map(|n| (n.to_string(), String::new())).collect();
    let error = reserve(&mut model, &AttachSpec { labels, ..spec("a") }).unwrap_err();
    assert!(matches!(error, ControlError::LabelsMax(_)), "{error}");
}
