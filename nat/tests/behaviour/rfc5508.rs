//! RFC 5508: ICMP.

use crate::common::*;
use vswitch_nat::{Endpoint, Refusal, Side, Translation, Transport, Tuple};

const A1: &str = "10.99.0.2:4000";
const R: &str = "198.51.100.7:80";
const ROUTER: &str = "203.0.113.1";

fn outer_tuple(transport: Transport, outer: Endpoint) -> Tuple {
    Tuple { transport, src: outer, dst: endpoint(R) }
}

#[test]
fn req_1_queries_are_mapped_independently_of_whom_they_ask() {
    let mut nat = Lab::new();
    let first = nat.edit(inside(1), &echo(A, "198.51.100.7", 17, true)).0.src;
    let second = nat.edit(inside(1), &echo(A, "203.0.113.9", 17, true)).0.src;
    let third = nat.edit(inside(1), &echo(A, "203.0.113.9", 18, true)).0.src;
    assert_eq!(first, second);
    assert_ne!(first, third);
}

#[test]
fn req_1_identifier_zero_is_an_identifier() {
    let mut nat = Lab::new();
    let outer = nat.edit(inside(1), &echo(A, "198.51.100.7", 0, true)).0.src;
    let answer = echo("198.51.100.7", OUTSIDE, outer.port, false);
    assert_eq!(nat.back(&answer), Endpoint::new(ip(A), 0));
}

#[test]
fn req_2_a_query_may_take_a_minute() {
    let mut nat = Lab::new();
    let id = nat.edit(inside(1), &echo(A, "198.51.100.7", 17, true)).0.src.port;
    nat.wait_s(60);
    nat.back(&echo("198.51.100.7", OUTSIDE, id, false));
    nat.wait_s(3);
    assert!(nat.nat.is_empty());
}

#[test]
fn a_query_is_not_an_answer() {
    let mut nat = Lab::new();
    let id = nat.edit(inside(1), &echo(A, "198.51.100.7", 17, true)).0.src.port;
    let asked = nat.send(Side::Outside, &echo("198.51.100.7", OUTSIDE, id, true));
    assert_eq!(asked, Err(Refusal::NoConnection));
    let answered = nat.send(inside(1), &echo(A, "198.51.100.7", 18, false));
    assert_eq!(answered, Err(Refusal::NoConnection));
}

#[test]
fn req_4_an_error_from_outside_reaches_who_sent_what_it_quotes() {
    let mut nat = Lab::new();
    let outer = nat.out(&udp(A1, R));
    let view = error(ROUTER, outer.address, outer_tuple(Transport::Udp, outer), None);
    let (edit, to) = nat.edit(Side::Outside, &view);
    assert_eq!((edit.src.address, edit.dst.address), (ip(ROUTER), ip(A)));
    assert_eq!(edit.quoted, Some((endpoint(A1), endpoint(R))));
    assert_eq!(to, inside(1));
}

#[test]
fn req_4_an_error_about_an_echo() {
    let mut nat = Lab::new();
    let outer = nat.edit(inside(1), &echo(A, "198.51.100.7", 17, true)).0.src;
    let dst = Endpoint::new(ip("198.51.100.7"), outer.port);
    let quoted = Tuple { transport: Transport::Echo, src: outer, dst };
    let (edit, _) = nat.edit(Side::Outside, &error(ROUTER, outer.address, quoted, None));
    let inner = Endpoint::new(ip(A), 17);
    assert_eq!(edit.quoted, Some((inner, Endpoint::new(ip("198.51.100.7"), 17))));
}

#[test]
fn req_5_an_error_from_inside_shows_no_inner_address() {
    let mut nat = Lab::new();
    let outer = nat.out(&udp(A1, R));
    nat.back(&udp(R, &outer.to_string()));
    let quoted = tuple(Transport::Udp, R, A1);
    for complainer in [A, "10.99.7.7"] {
        let view = error(complainer, ip("198.51.100.7"), quoted, None);
        let (edit, to) = nat.edit(inside(1), &view);
        assert_eq!(edit.src.address, ip(OUTSIDE));
        assert_eq!(edit.dst.address, ip("198.51.100.7"));
        assert_eq!(edit.quoted, Some((endpoint(R), outer)));
        assert_eq!(to, Side::Outside);
    }
}

#[test]
fn req_5_an_error_of_a_published_container() {
    let mut policy = policy();
    policy.published = vec![published(Transport::Udp, 700..=700, A, 70, 1)];
    let mut nat = Lab::with(policy);
    nat.back(&udp(R, "192.0.2.1:700"));
    let quoted = tuple(Transport::Udp, R, "10.99.0.2:70");
    let (edit, to) = nat.edit(inside(1), &error(A, ip("198.51.100.7"), quoted, None));
    assert_eq!((edit.src.address, to), (ip(OUTSIDE), Side::Outside));
    assert_eq!(edit.quoted, Some((endpoint(R), endpoint("192.0.2.1:700"))));
}

#[test]
fn req_6_an_error_ends_nothing_and_refreshes_nothing() {
    let mut nat = Lab::new();
    let outer = nat.out(&udp(A1, R));
    for _ in 0..2 {
        nat.wait_s(59);
        let view = error(ROUTER, outer.address, outer_tuple(Transport::Udp, outer), None);
        nat.edit(Side::Outside, &view);
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
    let outer = nat.edit(inside(1), &udp(A1, "192.0.2.1:700")).0.src;
    let quoted = Tuple { transport: Transport::Udp, src: outer, dst: endpoint("10.99.0.3:70") };
    let (edit, to) = nat.edit(inside(2), &error(B, outer.address, quoted, None));
    assert_eq!((edit.src.address, edit.dst.address), (ip(OUTSIDE), ip(A)));
    assert_eq!(edit.quoted, Some((endpoint(A1), endpoint("192.0.2.1:700"))));
    assert_eq!(to, inside(1));
}

#[test]
fn ipv6_errors_go_the_same_ways() {
    let mut nat = Lab::new();
    let (a, r) = ("[fd00:99::2]:4000", "[2001:db8:7::7]:53");
    let outer = nat.out(&udp(a, r));
    let quoted = Tuple { transport: Transport::Udp, src: outer, dst: endpoint(r) };
    let (edit, _) = nat.edit(Side::Outside, &error("2001:db8:9::1", outer.address, quoted, None));
    assert_eq!(
        (edit.dst.address, edit.quoted),
        (ip("fd00:99::2"), Some((endpoint(a), endpoint(r))))
    );
}

#[test]
fn a_forged_error_is_refused() {
    let mut nat = Lab::new();
    let outer = nat.out(&udp(A1, R));
    let forged = [
        // To another peer than we spoke to, from another port.
        Tuple { dst: endpoint("198.51.100.7:81"), ..outer_tuple(Transport::Udp, outer) },
        Tuple { dst: endpoint("198.51.100.8:80"), ..outer_tuple(Transport::Udp, outer) },
    ];
    for quoted in forged {
        let sent = nat.send(Side::Outside, &error(ROUTER, outer.address, quoted, None));
        assert_eq!(sent, Err(Refusal::ForgedError), "{quoted:?}");
    }
    // About what the inside sees, from outside; and about an answer that never came.
    let inner = tuple(Transport::Udp, A1, R);
    let sent = nat.send(Side::Outside, &error(ROUTER, ip(A), inner, None));
    assert_eq!(sent, Ok(Translation::NotOurs));
    let answer = tuple(Transport::Udp, R, A1);
    let sent = nat.send(inside(1), &error(A, ip("198.51.100.7"), answer, None));
    assert_eq!(sent, Err(Refusal::ForgedError));
    nat.back(&udp(R, &outer.to_string()));
    let sent = nat.send(inside(2), &error(A, ip("198.51.100.7"), answer, None));
    assert_eq!(sent, Err(Refusal::ForgedError), "not of this container");
    // Of the host's own traffic.
    let host = tuple(Transport::Udp, "192.0.2.1:4444", R);
    let sent = nat.send(Side::Outside, &error(ROUTER, ip(OUTSIDE), host, None));
    assert_eq!(sent, Ok(Translation::NotOurs));
}

#[test]
fn an_error_about_tcp_quotes_what_is_in_flight() {
    let mut nat = Lab::new();
    let outer = nat.establish(A1, R);
    nat.out(&tcp(A1, R, segment(ACK, 1001, 5001, 3000)));
    let quoted = outer_tuple(Transport::Tcp, outer);
    let mut send = |seq| nat.send(Side::Outside, &error(ROUTER, outer.address, quoted, seq));
    for seq in [Some(1000), Some(4001), Some(0), Some(2_000_000_000), None] {
        assert_eq!(send(seq), Err(Refusal::ForgedError), "{seq:?}");
    }
    for seq in [1001, 2500, 4000] {
        assert!(send(Some(seq)).is_ok(), "{seq}");
    }
    nat.back(&tcp(R, &outer.to_string(), segment(ACK, 5001, 2500, 0)));
    let late = nat.send(Side::Outside, &error(ROUTER, outer.address, quoted, Some(1001)));
    assert_eq!(late, Err(Refusal::ForgedError), "it was acknowledged");
    assert_eq!(nat.state(), "established");
}

#[test]
fn an_error_about_a_syn() {
    let mut nat = Lab::new();
    let outer = nat.out(&tcp(A1, R, segment(SYN, 1000, 0, 0)));
    let quoted = outer_tuple(Transport::Tcp, outer);
    nat.edit(Side::Outside, &error(ROUTER, outer.address, quoted, Some(1000)));
    assert_eq!(nat.state(), "syn-sent");
}
