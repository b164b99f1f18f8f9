//! SNAT addresses by route, and changes of routes and addresses.

use std::sync::Arc;

use crate::common::*;
use vswitch_nat::sources::Candidate;
use vswitch_nat::{Policy, Realm, SourceSet, Sources, Translation, Transport, Zone};

const ONE: &str = "192.0.2.1";
const OTHER: &str = "198.51.100.1";
const ONE6: &str = "2001:db8::1";
const OTHER6: &str = "2001:db8:1::1";

/// A remote whose route changes in these tests, and one whose does not.
const MOVED: &str = "203.0.113.7:443";
const STAYS: &str = "203.0.114.7:443";

fn set(source: &str, held: &[&str]) -> SourceSet {
    let address = ip(source);
    let candidate = Candidate { address, prefix_len: 24, is_temporary: false };
    SourceSet { candidates: vec![candidate], held: held.iter().map(|text| ip(text)).collect() }
}

/// A policy whose default routes have the first address, and the routes to the remotes that change these.
fn by(moved: SourceSet, moved6: SourceSet) -> Policy {
    let sets = vec![set(ONE, &[ONE]), set(ONE6, &[ONE6]), moved, moved6];
    let routes = [("0.0.0.0", 0, 0), ("::", 0, 1), ("203.0.113.0", 24, 2), ("2a00::", 16, 3)];
    let routes = routes.map(|(net, len, set)| (ip(net), len, Some(set)));
    let sources = Arc::new(Sources::new(sets).with_layer(routes));
    let mut policy = policy();
    policy.host_addrs.extend([OTHER, OTHER6].map(ip));
    Policy { sources: vec![(Zone(0), sources)], ..policy }
}

fn before() -> Policy {
    by(set(ONE, &[ONE]), set(ONE6, &[ONE6]))
}

/// Both addresses are of one device.
fn other_source() -> Policy {
    by(set(OTHER, &[ONE, OTHER]), set(OTHER6, &[ONE6, OTHER6]))
}

fn other_device() -> Policy {
    by(set(OTHER, &[OTHER]), set(OTHER6, &[OTHER6]))
}

#[test]
fn each_route_has_its_source() {
    let mut nat = Lab::with(other_device());
    let source = |nat: &mut Lab, to: &str| nat.out(&udp("10.99.0.2:4000", to)).address;
    assert_eq!(source(&mut nat, STAYS), ip(ONE));
    assert_eq!(source(&mut nat, MOVED), ip(OTHER));
    let source6 = |nat: &mut Lab, to: &str| nat.out(&udp("[fd00:99::2]:4000", to)).address;
    assert_eq!(source6(&mut nat, "[2b00::7]:443"), ip(ONE6));
    assert_eq!(source6(&mut nat, "[2a00::7]:443"), ip(OTHER6));
    // Each address has its mapping, which other remotes share.
    assert_eq!(nat.nat.mappings(), 4);
    assert_eq!(source(&mut nat, "203.0.113.9:443"), ip(OTHER));
    assert_eq!(nat.nat.mappings(), 4);
}

#[test]
fn a_route_without_a_source_leads_nowhere() {
    let mut nat = Lab::with(by(SourceSet::default(), SourceSet::default()));
    let refused = nat.send(internal(1), &udp("10.99.0.2:4000", MOVED));
    assert_eq!(refused, Err(vswitch_nat::NatDrop::NoAddress));
}

#[test]
fn udp_gets_a_new_mapping_as_soon_as_its_route_has_another_source() {
    for after in [other_source(), other_device()] {
        let mut nat = Lab::with(before());
        let (moved, stays) = (udp("10.99.0.2:4000", MOVED), udp("10.99.0.2:4000", STAYS));
        let (former, kept) = (nat.out(&moved), nat.out(&stays));
        assert_eq!(former, kept);
        let moved6 = udp("[fd00:99::2]:4000", "[2a00::7]:443");
        assert_eq!(nat.out(&moved6).address, ip(ONE6));
        nat.policy = after;
        assert_eq!(nat.out(&moved).address, ip(OTHER));
        assert_eq!(nat.out(&moved6).address, ip(OTHER6));
        assert_eq!(nat.out(&stays), kept);
        // The former address no longer lets the remote in by this connection.
        let late = nat.send(Realm::External, &udp(MOVED, &former.to_string()));
        assert!(!matches!(late, Ok(Translation::Edit { .. })), "{late:?}");
        nat.wait_s(1);
        assert_eq!(nat.nat.len(), 3);
    }
}

/// A new prefix of the device suits the destination better; the former address has not gone.
#[test]
fn udp_keeps_an_address_that_is_still_a_candidate() {
    let mut nat = Lab::with(before());
    let to = "[2a00::7]:443";
    let (udp6, more) = (udp("[fd00:99::2]:4000", to), udp("[fd00:99::2]:4001", to));
    let former = [nat.out(&udp6), nat.out(&more)];
    let [one, other] = [ONE6, OTHER6].map(|source| set(source, &[ONE6, OTHER6]));
    let mut both = other.clone();
    both.candidates.extend(one.candidates);
    nat.policy = by(set(ONE, &[ONE]), both);
    assert_eq!([nat.out(&udp6), nat.out(&more)], former);
    assert_eq!(nat.out(&udp("[fd00:99::2]:4002", to)).address, ip(OTHER6));
    nat.wait_s(1);
    assert_eq!(nat.out(&udp6), former[0], "the sweep keeps it, too");
    // Deprecated, it is none.
    nat.policy = by(set(ONE, &[ONE]), other);
    assert_eq!(nat.out(&udp6).address, ip(OTHER6));
}

#[test]
fn an_echo_moves_too() {
    let mut nat = Lab::with(before());
    let asked = echo(A, "203.0.113.7", 7, true);
    assert_eq!(nat.out(&asked).address, ip(ONE));
    nat.policy = other_device();
    assert_eq!(nat.out(&asked).address, ip(OTHER));
}

/// A peer that has come in by a mapping is answered by the new route, too.
#[test]
fn a_connection_from_outside_to_a_mapping_moves() {
    let mut nat = Lab::with(before());
    let external = nat.out(&udp("10.99.0.2:4000", MOVED));
    nat.back(&udp("203.0.113.7:9999", &external.to_string()));
    let answer = udp("10.99.0.2:4000", "203.0.113.7:9999");
    assert_eq!(nat.out(&answer), external);
    nat.policy = other_device();
    assert_eq!(nat.out(&answer).address, ip(OTHER));
}

#[test]
fn tcp_goes_on_where_its_address_holds() {
    let mut nat = Lab::with(before());
    let external = nat.establish("10.99.0.2:4000", MOVED);
    let more = tcp("10.99.0.2:4000", MOVED, segment(ACK, 1001, 5001, 100));
    nat.policy = other_source();
    assert_eq!(nat.out(&more), external);
    nat.wait_s(1);
    assert_eq!(nat.out(&more), external);
    // The other device's: nothing would come back.
    nat.policy = other_device();
    let ended = nat.send(internal(1), &more);
    let is_kept = matches!(ended, Ok(Translation::Edit { edit, .. }) if edit.src == external);
    assert!(!is_kept, "{ended:?}");
    assert_eq!(nat.out(&tcp("10.99.0.2:4001", MOVED, segment(SYN, 1, 0, 0))).address, ip(OTHER));
}

#[test]
fn published_ports_and_containers_keep_the_address_that_was_asked() {
    let mut policy = before();
    policy.published = vec![published(Transport::Udp, 8000..=8000, A, 80, 1)];
    let published = policy.published.clone();
    let mut nat = Lab::with(policy);
    nat.back(&udp(MOVED, "192.0.2.1:8000"));
    let (hairpin, _) = nat.edit(internal(2), &udp("10.99.0.3:1", "192.0.2.1:8000"));
    nat.policy = Policy { published, ..other_device() };
    assert_eq!(nat.out(&udp("10.99.0.2:80", MOVED)), endpoint("192.0.2.1:8000"));
    assert_eq!(nat.edit(internal(2), &udp("10.99.0.3:1", "192.0.2.1:8000")).0, hairpin);
    nat.wait_s(1);
    assert_eq!(nat.out(&udp("10.99.0.2:80", MOVED)), endpoint("192.0.2.1:8000"));
    // By another address of the host, from the first packet on.
    nat.back(&udp("203.0.113.8:5", "198.51.100.1:8000"));
    assert_eq!(nat.out(&udp("10.99.0.2:80", "203.0.113.8:5")), endpoint("198.51.100.1:8000"));
}

#[test]
fn with_an_ipv6_address_that_is_gone_for_seconds_its_connections_end() {
    let mut nat = Lab::with(before());
    let (src, dst) = ("[fd00:99::2]:4000", "[2a00::7]:443");
    let external = nat.establish(src, dst);
    let more = tcp(src, dst, segment(ACK, 1001, 5001, 100));
    let is_kept = |nat: &mut Lab| {
        let sent = nat.send(internal(1), &more);
        matches!(sent, Ok(Translation::Edit { edit, .. }) if edit.src == external)
    };
    let mut gone = other_device();
    gone.external_v6 = Some(OTHER6.parse().expect("an address"));
    gone.host_addrs.retain(|address| *address != ip(ONE6));
    let sets = vec![set(ONE, &[ONE]), set(OTHER6, &[OTHER6])];
    let routes = [(ip("0.0.0.0"), 0, Some(0)), (ip("::"), 0, Some(1))];
    gone.sources = vec![(Zone(0), Arc::new(Sources::new(sets).with_layer(routes)))];
    // It comes back in time.
    nat.policy = gone.clone();
    nat.wait_s(1);
    assert!(is_kept(&mut nat));
    nat.policy = before();
    nat.wait_s(60);
    assert!(is_kept(&mut nat));
    nat.policy = gone;
    nat.wait_s(1);
    nat.wait_s(3);
    assert!(is_kept(&mut nat) && nat.nat.has_work());
    nat.wait_s(3);
    assert!(!is_kept(&mut nat));
    assert_eq!(nat.out(&tcp(src, dst, segment(SYN, 9, 0, 0))).address, ip(OTHER6));
    // The mapping goes with the connections.
    nat.wait_s(1);
    assert_eq!((nat.nat.mappings(), nat.nat.has_work()), (1, false));
}
