//! Two networks with the same subnet: the zone tells their containers apart.

use crate::common::*;
use vswitch_nat::{Endpoint, OwnerId, Published, Realm, Transport, Tuple, View, Zone};

/// The same address and port in two zones; owners 1 and 2.
const ZONES: [Realm; 2] =
    [Realm::Internal(OwnerId(1), Zone(3)), Realm::Internal(OwnerId(2), Zone(4))];

const FAMILIES: [(&str, &str); 2] =
    [("10.99.0.2:4000", "198.51.100.7:777"), ("[fd00:99::2]:4000", "[2001:db8:7::7]:777")];

/// The first packet of a connection, and the answer to its external endpoint.
fn packets(
    transport: Transport,
    src: &str,
    dst: &str,
) -> (View, impl Fn(Endpoint) -> View + use<>) {
    let tuple = match transport {
        Transport::Echo => {
            Tuple { dst: Endpoint { port: 4000, ..endpoint(dst) }, ..tuple(transport, src, dst) }
        }
        _ => tuple(transport, src, dst),
    };
    let part = move |flags, ack| (transport == Transport::Tcp).then(|| segment(flags, 1, ack, 0));
    let answer = move |external: Endpoint| {
        let port = if transport == Transport::Echo { external.port } else { tuple.dst.port };
        let remote = Endpoint { port, ..tuple.dst };
        let back = Tuple { src: remote, dst: external, ..tuple };
        view_of(back, part(SYN_ACK, 2), false)
    };
    (view_of(tuple, part(SYN, 0), true), answer)
}

#[test]
fn the_same_endpoint_in_two_zones_has_two_connections() {
    for (src, dst) in FAMILIES {
        for transport in [Transport::Tcp, Transport::Udp, Transport::Echo] {
            let mut nat = Lab::new();
            let (first, answer) = packets(transport, src, dst);
            let external = ZONES.map(|from| nat.edit(from, &first).0.src);
            assert_ne!(external[0], external[1], "{transport:?}");
            for (zone, external) in ZONES.into_iter().zip(external) {
                let (edit, to) = nat.edit(Realm::External, &answer(external));
                assert_eq!((edit.dst, to), (endpoint(src), zone), "{transport:?}");
                assert_eq!(nat.edit(zone, &first).0.src, external, "the mapping stays");
            }
            let zones: Vec<_> = nat.nat.rows().map(|row| (row.owner, row.zone)).collect();
            assert_eq!(zones, [(OwnerId(1), Zone(3)), (OwnerId(2), Zone(4))]);
            nat.nat.remove_owner(OwnerId(1));
            let (edit, to) = nat.edit(Realm::External, &answer(external[1]));
            assert_eq!((edit.dst, to), (endpoint(src), ZONES[1]));
            assert_eq!((nat.nat.len(), nat.nat.mappings()), (1, 1));
        }
    }
}

/// Port 8001 leads to the container of the first zone, 8002 to that of the second.
fn both_published() -> Lab {
    let at = |port, owner: u32, zone| Published {
        zone: Zone(zone),
        to_v6: Some("fd00:99::2".parse().expect("an address")),
        ..published(Transport::Udp, port..=port, A, 4000, owner)
    };
    let mut policy = policy();
    policy.published = vec![at(8001, 1, 3), at(8002, 2, 4)];
    Lab::with(policy)
}

#[test]
fn published_endpoints_that_overlap_are_reached_apart() {
    for ((own, remote), host) in FAMILIES.into_iter().zip(["192.0.2.1", "[2001:db8::1]"]) {
        let mut nat = both_published();
        for (zone, port) in ZONES.into_iter().zip([8001, 8002]) {
            let external = format!("{host}:{port}");
            let (edit, to) = nat.edit(Realm::External, &udp(remote, &external));
            assert_eq!((edit.dst, to), (endpoint(own), zone));
            // Answers, and what the endpoint sends to others, leave by its own published port.
            assert_eq!(nat.edit(zone, &udp(own, remote)).0.src, endpoint(&external));
            let other = remote.replace("777", "778");
            assert_eq!(nat.edit(zone, &udp(own, &other)).0.src, endpoint(&external));
        }
    }
}

/// A hairpin from one zone to the other, between containers with the same address and port.
#[test]
fn a_hairpin_crosses_zones() {
    let (own, mut nat) = ("10.99.0.2:4000", both_published());
    let (edit, to) = nat.edit(ZONES[0], &udp(own, "192.0.2.1:8002"));
    assert_eq!((edit.src, edit.dst, to), (endpoint("192.0.2.1:8001"), endpoint(own), ZONES[1]));
    let (edit, to) = nat.edit(ZONES[1], &udp(own, "192.0.2.1:8001"));
    assert_eq!((edit.src, edit.dst, to), (endpoint("192.0.2.1:8002"), endpoint(own), ZONES[0]));
    assert_eq!(nat.nat.len(), 1, "both directions of one connection");
    // From another port, which has a mapping.
    let (edit, to) = nat.edit(ZONES[0], &udp("10.99.0.2:4001", "192.0.2.1:8002"));
    assert_eq!((edit.dst, to), (endpoint(own), ZONES[1]));
    let back = nat.edit(ZONES[1], &udp(own, &edit.src.to_string()));
    assert_eq!((back.0.dst, back.1), (endpoint("10.99.0.2:4001"), ZONES[0]));
}

/// An ICMP error from inside finds the connection of its own zone.
#[test]
fn an_error_is_about_a_packet_of_its_zone() {
    let (src, dst) = FAMILIES[0];
    let mut nat = Lab::new();
    let external = ZONES.map(|from| nat.edit(from, &udp(src, dst)).0.src);
    for (zone, external) in ZONES.into_iter().zip(external) {
        nat.edit(Realm::External, &udp(dst, &external.to_string()));
        let about = tuple(Transport::Udp, dst, src);
        let (edit, to) = nat.edit(zone, &error("10.99.0.2", ip("198.51.100.7"), about, None));
        assert_eq!(to, Realm::External);
        assert_eq!(edit.quoted.map(|(_, dst)| dst), Some(external));
    }
}
