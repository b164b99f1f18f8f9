//! TCP connections whose state was lost: a segment with ACK picks one up, and the receiver's kernel answers.

use crate::common::*;
use vswitch_nat::{NatDrop, Realm, State, Transport};

const CLIENT: &str = "10.99.0.2:4000";
const SERVER: &str = "198.51.100.7:80";
const PEER: &str = "198.51.100.7:5555";
const PUBLIC: &str = "192.0.2.1:8080";
const INSIDE: &str = "10.99.0.2:80";

fn publishing() -> Lab {
    let mut policy = policy();
    policy.published = vec![published(Transport::Tcp, 8080..=8080, A, 80, 1)];
    Lab::with(policy)
}

/// From inside: the peer's kernel resets what it does not know, and the container hears it.
#[test]
fn a_lost_connection_of_a_container_gets_a_mapping_and_the_peers_reset() {
    for fin in [false, true] {
        let mut nat = Lab::new();
        nat.establish(CLIENT, SERVER);
        nat.nat.flush(|_| true);
        let flags = if fin { FIN_ACK } else { ACK };
        let external = nat.out(&tcp(CLIENT, SERVER, segment(flags, 1001, 5001, 10))).to_string();
        assert_eq!(nat.state(), State::PickedUp);
        let stranger = tcp(SERVER, &external, segment(RST, 9_999_999, 0, 0));
        nat.send(Realm::External, &stranger).ok();
        assert_eq!(nat.state(), State::PickedUp, "a guess ends nothing");
        let reset = tcp(SERVER, &external, segment(RST, 5001, 0, 0));
        assert_eq!(nat.back(&reset), endpoint(CLIENT));
        assert_eq!(nat.state(), State::Reset);
    }
}

/// To a published port: the container's kernel goes on with it, whoever speaks first, or resets it.
#[test]
fn a_lost_connection_to_a_published_port_goes_on() {
    let mut nat = publishing();
    assert_eq!(nat.back(&tcp(PEER, PUBLIC, segment(ACK, 700, 900, 20))), endpoint(INSIDE));
    assert_eq!(nat.state(), State::PickedUp);
    // Windows of before were scaled; by how much, nobody knows here.
    let answer = tcp(INSIDE, PEER, segment(ACK, 900, 720, 60_000));
    assert_eq!(nat.out(&answer), endpoint(PUBLIC));
    assert_eq!(nat.state(), State::Established);
    nat.out(&tcp(INSIDE, PEER, segment(ACK, 60_900, 720, 60_000)));
    nat.back(&tcp(PEER, PUBLIC, segment(ACK, 720, 120_900, 0)));
    nat.wait_s(7_000);
    assert_eq!(nat.nat.len(), 1);
    nat.nat.flush(|_| true);
    assert_eq!(nat.out(&tcp(INSIDE, PEER, segment(ACK, 120_900, 720, 5))), endpoint(PUBLIC));
    nat.back(&tcp(PEER, PUBLIC, segment(ACK, 720, 120_905, 0)));
    assert_eq!(nat.state(), State::Established);
    nat.nat.flush(|_| true);
    nat.back(&tcp(PEER, PUBLIC, segment(ACK, 720, 120_905, 1)));
    assert_eq!(nat.out(&tcp(INSIDE, PEER, segment(RST, 120_905, 0, 0))), endpoint(PUBLIC));
    assert_eq!(nat.state(), State::Reset);
}

#[test]
fn entries_of_a_scan_live_a_minute_and_yield_to_the_quota() {
    let mut nat = publishing();
    nat.policy.quota = 100;
    nat.back(&tcp(PEER, PUBLIC, segment(SYN, 1, 0, 0)));
    nat.out(&tcp(INSIDE, PEER, segment(SYN_ACK, 1, 2, 0)));
    nat.back(&tcp(PEER, PUBLIC, segment(ACK, 2, 2, 0)));
    for port in 1..=1_000 {
        nat.back(&tcp(&format!("203.0.113.9:{port}"), PUBLIC, segment(ACK, 7, 7, 0)));
    }
    assert_eq!(nat.nat.len(), 100);
    nat.wait_s(59);
    assert_eq!(nat.nat.len(), 100);
    nat.wait_s(3);
    assert_eq!(nat.state(), State::Established, "that in use is left");
}

#[test]
fn a_new_syn_begins_anew_and_other_segments_pick_nothing_up() {
    let mut nat = publishing();
    nat.back(&tcp(PEER, PUBLIC, segment(ACK, 700, 900, 20)));
    nat.back(&tcp(PEER, PUBLIC, segment(SYN, 4_000_000, 0, 0)));
    assert_eq!(nat.state(), State::SynSent);
    let other = "203.0.113.9:1";
    for flags in [RST, RST_ACK, SYN_ACK, FIN] {
        let stray = tcp(other, PUBLIC, segment(flags, 7, 7, 0));
        assert_eq!(nat.send(Realm::External, &stray), Err(NatDrop::NoConnection), "{flags:?}");
    }
    let stray = tcp(other, "192.0.2.1:25000", segment(ACK, 7, 7, 0));
    assert_eq!(nat.send(Realm::External, &stray), Ok(vswitch_nat::Translation::NotOurs));
    assert_eq!(nat.nat.len(), 1);
}

/// A container that speaks to another's published port by the host's address.
#[test]
fn a_lost_hairpin_is_picked_up_at_the_server() {
    let mut policy = policy();
    policy.published = vec![published(Transport::Tcp, 8080..=8080, B, 80, 2)];
    let mut nat = Lab::with(policy);
    let (edit, to) = nat.edit(internal(1), &tcp(CLIENT, PUBLIC, segment(ACK, 5, 7, 1)));
    assert_eq!((edit.dst, to), (endpoint("10.99.0.3:80"), internal(2)));
    let reset = tcp("10.99.0.3:80", &edit.src.to_string(), segment(RST, 7, 0, 0));
    assert_eq!(nat.edit(internal(2), &reset).0.dst, endpoint(CLIENT));
    assert_eq!(nat.state(), State::Reset);
}
