use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use vswitch_api::address::{AddressRequest, Family};

use super::super::{AttachSpec, Model, NetworkName, NetworkSpec, PoolSubnet};
use super::overlay::{overlay, overlay_network, with_underlay};
use super::{NOW, attach_spec, key, model, network, open_network, reserve};
use crate::config::Uplink;
use crate::control::ControlError;
use crate::control::ipam::ADDRESS_REUSE_DELAY;
use crate::control::limits::{POOL_SETUP_MAX, RESERVATIONS_MAX};

const LATER: Duration = ADDRESS_REUSE_DELAY;

fn subnet(model: &Model) -> (PoolSubnet, IpNet) {
    // That of the network which the tests create.
    let subnet = network("blue", Uplink::None).subnet;
    assert!(model.pools().next().is_none());
    (PoolSubnet::V4(subnet, None), subnet.net().into())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn blue() -> NetworkName {
    "blue".parse().unwrap()
}

fn reserved(model: &Model) -> Vec<IpAddr> {
    model.reserved_addresses(&blue()).map(|it| it.address).collect()
}

#[test]
fn addresses_of_a_pool_are_reserved_in_its_network() {
    let mut model = model();
    let (pool, net) = subnet(&model);
    model.add_pool(pool, NOW).unwrap();
    let gateway = network("blue", Uplink::None).gateway;
    assert_eq!(model.take_address(net, Some(gateway.into()), NOW).unwrap(), IpAddr::from(gateway));
    let first = model.take_address(net, None, NOW).unwrap();
    open_network(&mut model, network("blue", Uplink::None));
    assert_eq!(reserved(&model), [first], "the gateway is no container's in any case");
    let second = model.take_address(net, None, NOW).unwrap();
    assert_eq!(reserved(&model), [first, second]);
    // Nobody gets it unasked; who asks for it is the engine's container.
    let blue_spec = || AttachSpec::new(key("a", "blue"));
    let lease = attach_spec(&mut model, blue_spec());
    assert!(![first, second].contains(&lease.v4().into()));
    let IpAddr::V4(named) = first else { unreachable!() };
    let other = AttachSpec { ipv4: Some(named), ..AttachSpec::new(key("b", "blue")) };
    reserve(&mut model, &other).unwrap();
    // The pool passes the address that the attachment has.
    let third = model.take_address(net, None, NOW).unwrap();
    assert!(!model.reserved_addresses(&blue()).any(|it| it.address == IpAddr::from(lease.v4())));
    assert_ne!(third, IpAddr::from(lease.v4()));
    let error = model.take_address(net, Some(lease.v4().into()), NOW).unwrap_err();
    assert_eq!(error.to_string(), format!("address {} is in use by a", lease.v4()));
    model.return_address(net, third, NOW).unwrap();
    model.return_address(net, second, NOW).unwrap();
    assert_eq!(reserved(&model), [first]);
    let error = model.return_address(net, second, NOW).unwrap_err();
    assert_eq!(error.to_string(), format!("address {second} of the pool {net} is not taken"));
}

#[test]
fn a_pool_outlives_its_network_until_it_is_released() {
    let mut model = model();
    let (pool, net) = subnet(&model);
    model.add_pool(pool, NOW).unwrap();
    open_network(&mut model, network("blue", Uplink::None));
    let address = model.take_address(net, None, NOW).unwrap();
    let error = model.add_pool(pool, NOW).unwrap_err();
    assert_eq!(error.to_string(), format!("subnet {net} overlaps that of network blue"));
    model.remove_network(&blue());
    model.return_address(net, address, NOW).unwrap();
    model.remove_pool(net).unwrap();
    let error = model.remove_pool(net).unwrap_err();
    assert_eq!(error.to_string(), format!("there is no address pool {net}"));
}

#[test]
fn a_pool_that_its_client_lost_may_be_taken_again() {
    let mut model = model();
    let (pool, net) = subnet(&model);
    let gateway = IpAddr::from(network("blue", Uplink::None).gateway);
    model.add_pool(pool, NOW).unwrap();
    model.take_gateway(net, gateway, NOW).unwrap();
    // Its client asks again, and so does another one, which has to wait.
    assert_eq!(model.take_gateway(net, gateway, NOW).unwrap(), gateway);
    let error = model.add_pool(pool, NOW).unwrap_err();
    assert!(error.to_string().contains("overlaps the address pool"), "{error}");
    model.add_pool(pool, POOL_SETUP_MAX).unwrap();
    assert_eq!(model.pools().count(), 1);
    // Docker's own drivers make no network of ours: their containers' addresses keep the pool.
    model.take_gateway(net, gateway, POOL_SETUP_MAX).unwrap();
    let first = model.take_address(net, None, POOL_SETUP_MAX).unwrap();
    model.add_pool(pool, 10 * POOL_SETUP_MAX).unwrap_err();
    model.return_address(net, first, NOW).unwrap();
    model.add_pool(pool, 10 * POOL_SETUP_MAX).unwrap();
}

#[test]
fn a_limit_ends_the_search_for_an_address() {
    let mut model = model();
    open_network(&mut model, network("blue", Uplink::None));
    let small = PoolSubnet::V6("fd00:7::/64".parse().unwrap(), None);
    model.add_pool(small, NOW).unwrap();
    let net = small.net();
    for _ in 0..RESERVATIONS_MAX {
        model.take_address(net, None, NOW).unwrap();
    }
    let error = model.take_address(net, None, NOW).unwrap_err();
    assert!(matches!(error, ControlError::ReservationsMax), "{error}");
}

#[test]
fn a_range_is_where_addresses_come_from() {
    let mut model = model();
    let range = "10.99.7.0/30".parse().unwrap();
    model.add_pool(PoolSubnet::V4("10.99.7.0/24".parse().unwrap(), Some(range)), NOW).unwrap();
    let pool: IpNet = "10.99.7.0/24".parse().unwrap();
    let mut taken = Vec::new();
    while let Ok(address) = model.take_address(pool, None, NOW) {
        taken.push(address);
    }
    assert_eq!(taken, ["10.99.7.1", "10.99.7.2", "10.99.7.3"].map(ip));
    model.take_address(pool, Some(ip("10.99.7.99")), NOW).unwrap();
    model.return_address(pool, ip("10.99.7.2"), NOW).unwrap();
    model.take_address(pool, None, NOW).unwrap_err();
    assert_eq!(model.take_address(pool, None, NOW + LATER).unwrap(), ip("10.99.7.2"));
}

#[test]
fn pools_survive_a_restart() {
    let mut former = model();
    let (pool, net) = subnet(&former);
    former.add_pool(pool, NOW).unwrap();
    open_network(&mut former, network("blue", Uplink::None));
    let address = former.take_address(net, None, NOW).unwrap();
    let record = former.document().pools.remove(0);
    assert_eq!((record.network.as_deref(), &record.taken[..]), (Some("blue"), &[address][..]));
    let blue_record = former.document().networks.remove(1);
    let mut next = model();
    open_network(&mut next, network("blue", Uplink::None));
    let cursors = (blue_record.next_ipv4, blue_record.next_ipv6);
    next.resume_addresses(&blue(), cursors, &blue_record.reserved);
    next.restore_pool(pool, &record);
    assert_eq!(next.document().pools, [record]);
    next.return_address(net, address, NOW).unwrap();
    assert!(reserved(&next).is_empty());
}

#[test]
fn an_overlay_network_gives_the_addresses_of_its_pool() {
    let mut model = model();
    let (pool, net) = subnet(&model);
    with_underlay(&mut model, "192.0.2.1:4789");
    let range = Some("192.0.2.64/26".parse().unwrap());
    open_network(&mut model, NetworkSpec { range, ..overlay_network("blue", overlay(42)) });
    // Docker takes the pool of a network that is there, or comes just now, and its gateway.
    model.remove_network(&blue());
    model.add_pool(pool, NOW).unwrap();
    open_network(&mut model, NetworkSpec { range, ..overlay_network("blue", overlay(42)) });
    let gateway = IpAddr::from(network("blue", Uplink::None).gateway);
    model.take_gateway(net, gateway, NOW).unwrap();
    let aux = model.take_address(net, Some(ip("192.0.2.9")), NOW).unwrap();
    assert_eq!(model.overlay_of_pool(net), None, "Docker's network is not there yet");
    model.bind_pools(&blue());
    assert_eq!(model.overlay_of_pool(net), Some(&blue()));
    assert_eq!((model.taken_of(&blue()), reserved(&model)), (vec![aux], vec![aux]));
    let take = |model: &mut Model, request| model.take_of_overlay(net, request, NOW);
    let first = take(&mut model, AddressRequest::Next(Family::Ipv4)).unwrap();
    assert_eq!(first, ip("192.0.2.64"), "the first one of the range that is this host's");
    let lease = attach_spec(&mut model, AttachSpec::new(key("a", "blue")));
    assert_eq!(IpAddr::from(lease.v4()), ip("192.0.2.65"));
    let named = AddressRequest::Address(lease.v4().into());
    let error = take(&mut model, named).unwrap_err();
    assert_eq!(error.to_string(), format!("address {} is in use by a", lease.v4()));
    // Docker removes its network, then its pool.
    model.release_pools(&blue(), NOW);
    assert_eq!((model.overlay_of_pool(net), reserved(&model)), (None, Vec::new()));
    model.remove_pool(net).unwrap();
    assert_eq!(
        take(&mut model, named).unwrap_err().to_string(),
        format!("there is no address pool {net}")
    );
}
