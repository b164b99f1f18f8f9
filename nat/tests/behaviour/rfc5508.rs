//! RFC 5508: ICMP.

use crate::common::*;
use vswitch_nat::{Endpoint, NatDrop, Realm, Translation, Transport, Tuple};

const A1: &str = "10.99.0.2:4000";
const R: &str = "198.51.100.7:80";
const ROUTER: &str = "203.0.113.1";

fn external_tuple(transport: Transport, external: Endpoint) -> Tuple {
    Tuple { transport, src: external, dst: endpoint(R) }
}

#[test]
fn req_1_queries_are_mapped_independently_of_whom_they_ask() {
    let mut nat = Lab::new();
    let first = nat.edit(internal(1), &echo(A, "198.51.100.7", 17, true)).0.src;
    let second = nat.edit(internal(1), &echo(A, "203.0.113.9", 17, true)).0.src;
    let third = nat.edit(internal(1), &echo(A, "203.0.113.9", 18, true)).0.src;
    assert_eq!(first, second);
    assert_ne!(first, third);
}

#[test]
fn req_1_identifier_zero_is_an_identifier() {
    let mut nat = Lab::new();
    let external = nat.edit(internal(1), &echo(A, "198.51.100.7", 0, true)).0.src;
    let answer = echo("198.51.100.7", EXTERNAL, external.port, false);
    assert_eq!(nat.back(&answer), Endpoint::new(ip(A), 0));
}

#[test]
fn req_2_a_query_may_take_a_minute() {
    let mut nat = Lab::new();
    let id = nat.edit(internal(1), &echo(A, "198.51.100.7", 17, true)).0.src.port;
    nat.wait_s(60);
    nat.back(&echo("198.51.100.7", EXTERNAL, id, false));
    nat.wait_s(3);
    assert!(nat.nat.is_empty());
}

#[test]
fn a_query_is_not_an_answer() {
    let mut nat = Lab::new();
    let id = nat.edit(internal(1), &echo(A, "198.51.100.7", 17, true)).0.src.port;
    let asked = nat.send(Realm::External, &echo("198.51.100.7", EXTERNAL, id, true));
    assert_eq!(asked, Err(NatDrop::NoConnection));
    let answered = nat.send(internal(1), &echo(A, "198.51.100.7", 18, false));
    assert_eq!(answered, Err(NatDrop::NoConnection));
}

#[test]
fn req_4_an_external_error_reaches_the_sender_of_the_quoted_packet() {
    let mut nat = Lab::new();
    let external = nat.out(&udp(A1, R));
    let view = error(ROUTER, external.address, external_tuple(Transport::Udp, external), None);
    let (edit, to) = nat.edit(Realm::External, &view);
    assert_eq!((edit.src.address, edit.dst.address), (ip(ROUTER), ip(A)));
    assert_eq!(edit.quoted, Some((endpoint(A1), endpoint(R))));
    assert_eq!(to, internal(1));
}

#[test]
fn req_4_an_error_about_an_echo() {
    let mut nat = Lab::new();
    let external = nat.edit(internal(1), &echo(A, "198.51.100.7", 17, true)).0.src;
    let dst = Endpoint::new(ip("198.51.100.7"), external.port);
    let quoted = Tuple { transport: Transport::Echo, src: external, dst };
    let (edit, _) = nat.edit(Realm::External, &error(ROUTER, external.address, quoted, None));
    let internal = Endpoint::new(ip(A), 17);
    assert_eq!(edit.quoted, Some((internal, Endpoint::new(ip("198.51.100.7"), 17))));
}

#[test]
fn req_5_an_internal_error_shows_no_internal_address() {
    let mut nat = Lab::new();
    let external = nat.out(&udp(A1, R));
    nat.back(&udp(R, &external.to_string()));
    let quoted = tuple(Transport::Udp, R, A1);
    for complainer in [A, "10.99.7.7"] {
        let view = error(complainer, ip("198.51.100.7"), quoted, None);
        let (edit, to) = nat.edit(internal(1), &view);
        assert_eq!(edit.src.address, ip(EXTERNAL));
        assert_eq!(edit.dst.address, ip("198.51.100.7"));
        assert_eq!(edit.quoted, Some((endpoint(R), external)));
        assert_eq!(to, Realm::External);
    }
}

#[test]
fn req_5_an_error_of_a_published_container() {
    let mut policy = policy();
    policy.published = vec![published(Transport::Udp, 700..=700, A, 70, 1)];
    let mut nat = Lab::with(policy);
    nat.back(&udp(R, "192.0.2.1:700"));
    let quoted = tuple(Transport::Udp, R, "10.99.0.2:70");
    let (edit, to) = nat.edit(internal(1), &error(A, ip("198.51.100.7"), quoted, None));
    assert_eq!((edit.src.address, to), (ip(EXTERNAL), Realm::External));
    assert_eq!(edit.quoted, Some((endpoint(R), endpoint("192.0.2.1:700"))));
}

#[test]
fn req_6_an_error_ends_nothing_and_refreshes_nothing() {
    let mut nat = Lab::new();
    let external = nat.out(&udp(A1, R));
    for _ in 0..2 {
        nat.wait_s(59);
        let view = error(ROUTER, external.address, external_tuple(Transport::Udp, external), None);
        nat.edit(Realm::External, &view);
        assert_eq!(nat.nat.len(), 1);
    }
    nat.wait_s(5);
    assert!(nat.nat.is_empty());
}

#[test]
fn req_7_errors_cross_a_hairpin() {
    let mut policy = policy();
    policy.published = vec![published(Transport::Udp, 700..=700, B, 70, 2)];
    let mut nat = Lab::with(policy);
    let external = nat.edit(internal(1), &udp(A1, "192.0.2.1:700")).0.src;
    let quoted = Tuple { transport: Transport::Udp, src: external, dst: endpoint("10.99.0.3:70") };
    let (edit, to) = nat.edit(internal(2), &error(B, external.address, quoted, None));
    assert_eq!((edit.src.address, edit.dst.address), (ip(EXTERNAL), ip(A)));
    assert_eq!(edit.quoted, Some((endpoint(A1), endpoint("192.0.2.1:700"))));
    assert_eq!(to, internal(1));
}

#[test]
fn ipv6_errors_take_the_same_paths() {
    let mut nat = Lab::new();
    let (a, r) = ("[fd00:99::2]:4000", "[2001:db8:7::7]:53");
    let external = nat.out(&udp(a, r));
    let quoted = Tuple { transport: Transport::Udp, src: external, dst: endpoint(r) };
    let (edit, _) =
        nat.edit(Realm::External, &error("2001:db8:9::1", external.address, quoted, None));
    assert_eq!(
        (edit.dst.address, edit.quoted),
        (ip("fd00:99::2"), Some((endpoint(a), endpoint(r))))
    );
}

#[test]
fn a_forged_error_is_refused() {
    let mut nat = Lab::new();
    let external = nat.out(&udp(A1, R));
    let forged = [
        // To another peer than we spoke to, from another port.
        Tuple { dst: endpoint("198.51.100.7:81"), ..external_tuple(Transport::Udp, external) },
        Tuple { dst: endpoint("198.51.100.8:80"), ..external_tuple(Transport::Udp, external) },
    ];
    for quoted in forged {
        let sent = nat.send(Realm::External, &error(ROUTER, external.address, quoted, None));
        assert_eq!(sent, Err(NatDrop::ForgedError), "{quoted:?}");
    }
    // About what the inside sees, from outside; and about an answer that never came.
    let sent_tuple = tuple(Transport::Udp, A1, R);
    let sent = nat.send(Realm::External, &error(ROUTER, ip(A), sent_tuple, None));
    assert_eq!(sent, Ok(Translation::NotOurs));
    let answer = tuple(Transport::Udp, R, A1);
    let sent = nat.send(internal(1), &error(A, ip("198.51.100.7"), answer, None));
    assert_eq!(sent, Err(NatDrop::ForgedError));
    nat.back(&udp(R, &external.to_string()));
    let sent = nat.send(internal(2), &error(A, ip("198.51.100.7"), answer, None));
    assert_eq!(sent, Err(NatDrop::ForgedError), "not of this container");
    // Of the host's own traffic.
    let host = tuple(Transport::Udp, "192.0.2.1:4444", R);
    let sent = nat.send(Realm::External, &error(ROUTER, ip(EXTERNAL), host, None));
    assert_eq!(sent, Ok(Translation::NotOurs));
}

#[test]
fn an_error_about_tcp_quotes_what_is_in_flight() {
    let mut nat = Lab::new();
    let external = nat.establish(A1, R);
    nat.out(&tcp(A1, R, segment(ACK, 1001, 5001, 3000)));
    let quoted = external_tuple(Transport::Tcp, external);
    let mut send = |seq| nat.send(Realm::External, &error(ROUTER, external.address, quoted, seq));
    for seq in [Some(1000), Some(4001), Some(0), Some(2_000_000_000), None] {
        assert_eq!(send(seq), Err(NatDrop::ForgedError), "{seq:?}");
    }
    for seq in [1001, 2500, 4000] {
        assert!(send(Some(seq)).is_ok(), "{seq}");
    }
    nat.back(&tcp(R, &external.to_string(), segment(ACK, 5001, 2500, 0)));
    let late = nat.send(Realm::External, &error(ROUTER, external.address, quoted, Some(1001)));
    assert_eq!(late, Err(NatDrop::ForgedError), "it was acknowledged");
    assert_eq!(nat.state(), vswitch_nat::State::Established);
}

#[test]
fn an_error_about_a_syn() {
    let mut nat = Lab::new();
    let external = nat.out(&tcp(A1, R, segment(SYN, 1000, 0, 0)));
    let quoted = external_tuple(Transport::Tcp, external);
    nat.edit(Realm::External, &error(ROUTER, external.address, quoted, Some(1000)));
    assert_eq!(nat.state(), vswitch_nat::State::SynSent);
}
