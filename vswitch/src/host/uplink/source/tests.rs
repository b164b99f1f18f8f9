use std::net::Ipv4Addr;

use netlink_packet_route::address::AddressScope;

use super::*;

const LO: u32 = 1;
const NIC: u32 = 2;
const OTHER: u32 = 3;
const BRIDGE: u32 = 9;

const GLOBAL: u8 = 0;
const HOST: u8 = 254;

const DEPRECATED: AddressHeaderFlags = AddressHeaderFlags::Deprecated;
/// Of IPv4; of IPv6 the flag of temporary addresses.
const SECONDARY: AddressHeaderFlags = AddressHeaderFlags::Secondary;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A message of the kernel.
fn address(
    device: u32,
    net: &str,
    scope: u8,
    flags: impl Into<Option<AddressHeaderFlags>>,
) -> AddressMessage {
    let net: IpNet = net.parse().unwrap();
    let mut message = AddressMessage::default();
    message.header.index = device;
    message.header.prefix_len = net.prefix_len();
    message.header.scope = AddressScope::from(scope);
    message.header.flags = flags.into().unwrap_or(AddressHeaderFlags::empty());
    message.attributes.push(AddressAttribute::Address(net.addr()));
    if net.addr().is_ipv4() {
        message.attributes.push(AddressAttribute::Local(net.addr()));
    }
    message
}

fn global(device: u32, net: &str) -> AddressMessage {
    address(device, net, GLOBAL, None)
}

fn key(is_v6: bool, gateway: &str, wished: &str) -> RouteKey {
    let maybe = |text: &str| (!text.is_empty()).then(|| ip(text));
    RouteKey { is_v6, device: NIC, gateway: maybe(gateway), scope: GLOBAL, wished: maybe(wished) }
}

fn table(addresses: &[AddressMessage]) -> SourceTable {
    SourceTable::new(addresses, &[])
}

/// The candidates of a route, as text.
fn candidates(addresses: &[AddressMessage], key: RouteKey) -> Vec<String> {
    let set = table(addresses).set(key);
    set.candidates.iter().map(|it| it.address.to_string()).collect()
}

fn one4(addresses: &[AddressMessage], gateway: &str, wished: &str) -> String {
    candidates(addresses, key(false, gateway, wished)).concat()
}

fn several() -> [AddressMessage; 6] {
    [
        address(LO, "127.0.0.1/8", HOST, None),
        global(NIC, "10.20.0.1/24"),
        global(NIC, "192.0.2.1/24"),
        global(NIC, "198.51.100.1/24"),
        address(NIC, "192.0.2.7/24", GLOBAL, SECONDARY),
        global(OTHER, "203.0.113.1/24"),
    ]
}

/// Case 3: the next hop's subnet, then the first primary address; `src` before all.
#[test]
fn ipv4_takes_the_address_in_the_subnet_of_the_next_hop() {
    for (gateway, wished, source) in [
        ("192.0.2.9", "", "192.0.2.1"),
        ("198.51.100.9", "", "198.51.100.1"),
        ("", "", "10.20.0.1"),
        ("172.16.0.1", "", "10.20.0.1"),
        ("192.0.2.9", "192.0.2.7", "192.0.2.7"),
        ("192.0.2.9", "203.0.113.1", "203.0.113.1"),
        // `src` that is no address of the host, or no longer.
        ("192.0.2.9", "192.0.2.77", "192.0.2.1"),
    ] {
        assert_eq!(one4(&several(), gateway, wished), source, "{gateway} {wished}");
    }
}

#[test]
fn ipv4_takes_an_address_that_reaches_as_far_as_the_route() {
    let addresses = [
        address(NIC, "10.0.0.1/24", SCOPE_LINK, None),
        address(BRIDGE, "10.99.0.1/24", SCOPE_LINK, None),
        global(OTHER, "203.0.113.1/24"),
    ];
    assert_eq!(one4(&addresses, "10.0.0.9", ""), "203.0.113.1");
    let on_link = RouteKey { scope: SCOPE_LINK, ..key(false, "", "") };
    assert_eq!(candidates(&addresses, on_link), ["10.0.0.1"]);
    assert!(candidates(&addresses[..2], key(false, "10.0.0.9", "")).is_empty(), "not the bridge's");
    assert!(candidates(&addresses[1..2], on_link).is_empty(), "not the bridge's");
}

/// Case 11: the address is on `lo`.
#[test]
fn a_device_without_addresses_uses_those_of_lo() {
    let addresses = [
        address(LO, "127.0.0.1/8", HOST, None),
        global(LO, "203.0.113.7/32"),
        global(OTHER, "192.0.2.1/24"),
        global(LO, "2001:db8::7/128"),
    ];
    assert_eq!(one4(&addresses, "192.0.2.9", "203.0.113.7"), "203.0.113.7");
    assert_eq!(one4(&addresses, "192.0.2.9", ""), "203.0.113.7", "`lo` is the first device");
    assert_eq!(candidates(&addresses, key(true, "fe80::1", "2001:db8::7")), ["2001:db8::7"]);
    assert_eq!(candidates(&addresses, key(true, "fe80::1", "")), ["2001:db8::7"]);
    let held = table(&addresses).set(key(false, "192.0.2.9", "")).held;
    assert_eq!(held, [ip("203.0.113.7")]);
}

/// `ip address add 10.0.0.1 peer 10.0.0.2/32`: the next hop is the peer.
#[test]
fn a_point_to_point_address_is_near_its_peer() {
    let mut peer = global(NIC, "10.0.0.2/32");
    peer.attributes[1] = AddressAttribute::Local(Ipv4Addr::new(10, 0, 0, 1).into());
    let addresses = [global(NIC, "192.0.2.1/24"), peer];
    assert_eq!(one4(&addresses, "10.0.0.2", ""), "10.0.0.1");
}

/// Case 12, and rule 3: a deprecated address is better than none, or than one of another device.
#[test]
fn ipv6_takes_a_deprecated_address_of_the_device_only_without_another() {
    let old = address(NIC, "2001:db8::1/64", GLOBAL, DEPRECATED);
    let lasting = global(NIC, "2001:db8::2/64");
    let bridge = address(BRIDGE, "fd00::1/64", GLOBAL, DEPRECATED);
    let docker = global(OTHER, "fd11::1/64");
    let route = key(true, "fe80::1", "");
    let found = |addresses: &[&AddressMessage]| {
        let all: Vec<_> = addresses.iter().map(|&one| one.clone()).collect();
        candidates(&all, route)
    };
    assert_eq!(found(&[&old, &lasting, &bridge]), ["2001:db8::2"]);
    assert_eq!(found(&[&old, &bridge, &docker]), ["2001:db8::1"]);
    assert_eq!(found(&[&bridge, &docker]), ["fd11::1"]);
    assert!(found(&[&bridge]).is_empty(), "a bridge's address is never the source");
    // Named by the route all the same.
    assert_eq!(candidates(&[old, lasting], key(true, "", "2001:db8::1")), ["2001:db8::1"]);
}

#[test]
fn ipv6_leaves_out_addresses_that_are_not_usable() {
    use AddressHeaderFlags as F;
    let addresses = [
        address(NIC, "fe80::1/64", SCOPE_LINK, None),
        address(NIC, "2001:db8::1/64", GLOBAL, F::Tentative),
        address(NIC, "2001:db8::2/64", GLOBAL, F::Dadfailed | F::Permanent),
        address(NIC, "2001:db8::3/64", GLOBAL, SECONDARY),
        address(LO, "::1/128", HOST, None),
    ];
    assert_eq!(candidates(&addresses, key(true, "fe80::9", "2001:db8::1")), ["2001:db8::3"]);
    let set = table(&addresses).set(key(true, "fe80::9", ""));
    assert!(set.candidates[0].is_temporary);
    assert_eq!(set.held, [ip("2001:db8::3")]);
}

/// Of equal IPv6 addresses the kernel lists the newest first.
#[test]
fn an_ipv6_address_in_use_stays_before_its_equals() {
    let old = [global(NIC, "2001:db8::1/64")];
    let both = [global(NIC, "2001:db8::2/64"), global(NIC, "2001:db8::1/64")];
    let route = key(true, "fe80::1", "");
    let first = table(&old).set(route);
    let second = SourceTable::new(&both, &[first]).set(route);
    let third = SourceTable::new(&both, std::slice::from_ref(&second)).set(route);
    for set in [second, third] {
        assert_eq!(set.choose(ip("2001:db8:9::1")), Some(ip("2001:db8::1")));
    }
}

#[test]
fn routes_with_the_same_sources_share_a_set() {
    let mut table = table(&several());
    let numbers = ["192.0.2.9", "192.0.2.10", "198.51.100.9", "192.0.2.9"]
        .map(|gateway| table.number(key(false, gateway, "")));
    assert_eq!(numbers, [Some(0), Some(0), Some(1), Some(0)]);
    assert_eq!(table.into_sets().len(), 2);
}
