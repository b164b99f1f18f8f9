//! RFC 5382: TCP.

use crate::common::*;
use vswitch_nat::{NatDrop, OwnerId, Realm, Translation, Transport};
use wire::tcp::Flags;

const A1: &str = "10.99.0.2:4000";
const R: &str = "198.51.100.7:80";

#[test]
fn req_1_mapping_is_endpoint_independent() {
    let mut nat = Lab::new();
    let first = nat.out(&tcp(A1, R, segment(SYN, 1, 0, 0)));
    assert_eq!(nat.out(&tcp(A1, "203.0.113.9:80", segment(SYN, 1, 0, 0))), first);
}

#[test]
fn req_2_simultaneous_open() {
    let mut nat = Lab::new();
    let external = nat.out(&tcp(A1, R, segment(SYN, 1000, 0, 0))).to_string();
    nat.back(&tcp(R, &external, segment(SYN, 5000, 0, 0)));
    assert_eq!(nat.state(), vswitch_nat::State::SynReceived);
    nat.out(&tcp(A1, R, segment(SYN_ACK, 1000, 5001, 0)));
    nat.back(&tcp(R, &external, segment(SYN_ACK, 5000, 1001, 0)));
    assert_eq!(nat.state(), vswitch_nat::State::Established);
}

#[test]
fn req_2_simultaneous_open_when_the_peers_syn_comes_first() {
    let mut nat = Lab::new();
    let external = nat.out(&tcp(A1, "198.51.100.7:999", segment(SYN, 1, 0, 0))).to_string();
    let early = tcp("203.0.113.9:80", &external, segment(SYN, 5000, 0, 0));
    assert_eq!(nat.send(Realm::External, &early), Err(NatDrop::Unsolicited));
    nat.out(&tcp(A1, "203.0.113.9:80", segment(SYN, 1000, 0, 0)));
    nat.back(&early);
}

#[test]
fn req_3_filtering_is_address_dependent() {
    let mut nat = Lab::new();
    let external = nat.establish(A1, R).to_string();
    nat.back(&tcp("198.51.100.7:81", &external, segment(SYN, 1, 0, 0)));
    let stranger = tcp("198.51.100.8:80", &external, segment(SYN, 1, 0, 0));
    assert_eq!(nat.send(Realm::External, &stranger), Err(NatDrop::Unsolicited));
}

#[test]
fn req_4_an_unsolicited_syn_gets_no_answer_and_makes_nothing() {
    let mut nat = Lab::new();
    let external = nat.establish(A1, R).to_string();
    let syn = tcp("203.0.113.9:80", &external, segment(SYN, 1, 0, 0));
    for _ in 0..3 {
        assert_eq!(nat.send(Realm::External, &syn), Err(NatDrop::Unsolicited));
        nat.wait_s(7);
    }
    assert_eq!(nat.nat.len(), 1);
}

#[test]
fn req_5_an_established_connection_may_be_silent_for_two_hours_and_four_minutes() {
    let mut nat = Lab::new();
    let external = nat.establish(A1, R).to_string();
    for _ in 0..2 {
        nat.wait_s(2 * 3600 + 4 * 60);
        nat.back(&tcp(R, &external, segment(ACK, 5001, 1001, 0)));
    }
    assert_eq!(nat.state(), vswitch_nat::State::Established);
    nat.wait_s(2 * 3600 + 4 * 60 + 3);
    assert!(nat.nat.is_empty());
}

#[test]
fn req_5_half_closed_is_established() {
    let mut nat = Lab::new();
    let external = nat.establish(A1, R).to_string();
    nat.back(&tcp(R, &external, segment(FIN_ACK, 5001, 1001, 0)));
    nat.wait_s(2 * 3600);
    assert_eq!(nat.state(), vswitch_nat::State::HalfClosed);
    nat.out(&tcp(A1, R, segment(ACK, 1001, 5002, 500)));
}

#[test]
fn req_5_opening_and_closing_take_four_minutes_at_most() {
    let mut nat = Lab::new();
    let external = nat.out(&tcp(A1, R, segment(SYN, 1000, 0, 0))).to_string();
    nat.wait_s(240);
    assert_eq!(nat.state(), vswitch_nat::State::SynSent);
    nat.back(&tcp(R, &external, segment(SYN_ACK, 5000, 1001, 0)));
    nat.wait_s(240);
    assert_eq!(nat.state(), vswitch_nat::State::SynReceived);
    nat.out(&tcp(A1, R, segment(ACK, 1001, 5001, 0)));
    nat.out(&tcp(A1, R, segment(FIN_ACK, 1001, 5001, 0)));
    nat.back(&tcp(R, &external, segment(FIN_ACK, 5001, 1002, 0)));
    nat.wait_s(240);
    assert_eq!(nat.state(), vswitch_nat::State::Closing);
    nat.wait_s(3);
    assert!(nat.nat.is_empty());
}

#[test]
fn req_7_all_the_same_for_echoes_and_datagrams_beside_it() {
    let mut nat = Lab::new();
    let tcp_outer = nat.establish(A1, R);
    let udp_outer = nat.out(&udp(A1, R));
    assert_eq!(nat.nat.mappings(), 2, "transports have ports of their own");
    nat.back(&udp(R, &udp_outer.to_string()));
    nat.back(&tcp(R, &tcp_outer.to_string(), segment(ACK, 5001, 1001, 10)));
}

#[test]
fn req_8_hairpinning() {
    let mut policy = policy();
    policy.published = vec![published(Transport::Tcp, 80..=80, B, 8080, 2)];
    let mut nat = Lab::with(policy);
    let (edit, to) = nat.edit(internal(1), &tcp(A1, "192.0.2.1:80", segment(SYN, 1000, 0, 0)));
    assert_eq!((edit.dst, to), (endpoint("10.99.0.3:8080"), internal(2)));
    let external = edit.src;
    assert_eq!(external.address, ip(EXTERNAL));
    let answer = tcp("10.99.0.3:8080", &external.to_string(), segment(SYN_ACK, 5000, 1001, 0));
    let (edit, to) = nat.edit(internal(2), &answer);
    assert_eq!((edit.src, edit.dst), (endpoint("192.0.2.1:80"), endpoint(A1)));
    assert_eq!(to, internal(1));
    nat.edit(internal(1), &tcp(A1, "192.0.2.1:80", segment(ACK, 1001, 5001, 0)));
    assert_eq!(nat.state(), vswitch_nat::State::Established);
    assert_eq!(nat.nat.counters().connections_hairpinned, 1);
}

/// Simultaneous open (REQ-2) of two that know each other's external endpoint only.
#[test]
fn req_8_two_that_open_to_each_others_external_endpoint_meet() {
    let mut nat = Lab::new();
    let other = "10.99.0.3:5000";
    let a = nat.establish(A1, R).to_string();
    let b = nat.edit(internal(2), &tcp(other, R, segment(SYN, 1, 0, 0))).0.src.to_string();
    let first = nat.send(internal(1), &tcp(A1, &b, segment(SYN, 100, 0, 0)));
    assert_eq!(first, Err(NatDrop::Unsolicited));
    let (edit, to) = nat.edit(internal(2), &tcp(other, &a, segment(SYN, 200, 0, 0)));
    assert_eq!((edit.src, edit.dst, to), (endpoint(&b), endpoint(A1), internal(1)));
    nat.edit(internal(1), &tcp(A1, &b, segment(SYN_ACK, 100, 201, 0)));
    nat.edit(internal(2), &tcp(other, &a, segment(SYN_ACK, 200, 101, 0)));
    nat.edit(internal(1), &tcp(A1, &b, segment(ACK, 101, 201, 0)));
    nat.edit(internal(2), &tcp(other, &a, segment(ACK, 201, 101, 0)));
    let rows: Vec<_> = nat.nat.rows().filter(|row| row.owner == OwnerId(2)).collect();
    assert!(rows.iter().any(|row| row.state == vswitch_nat::State::Established), "{rows:?}");
}

/// A segment that begins nothing is no pinhole.
#[test]
fn req_8_what_does_not_open_makes_nobody_reachable() {
    let mut nat = Lab::new();
    let other = "10.99.0.3:5000";
    let a = nat.establish(A1, R).to_string();
    let b = nat.edit(internal(2), &tcp(other, R, segment(SYN, 1, 0, 0))).0.src.to_string();
    assert!(nat.send(internal(1), &tcp(A1, &b, segment(ACK, 100, 1, 0))).is_err());
    let opening = nat.send(internal(2), &tcp(other, &a, segment(SYN, 200, 0, 0)));
    assert_eq!(opening, Err(NatDrop::Unsolicited));
}

#[test]
fn req_10_a_reset_out_of_window_does_nothing() {
    let mut nat = Lab::new();
    let external = nat.establish(A1, R).to_string();
    for seq in [5001 - 200_000_i64, 5001 + 64_001, 5001 + (1 << 30), 0] {
        let forged = tcp(R, &external, segment(RST, seq as u32, 0, 0));
        let refused = if seq == 0 { continue } else { nat.send(Realm::External, &forged) };
        assert_eq!(refused, Err(NatDrop::OutOfWindow), "{seq}");
    }
    assert_eq!(nat.state(), vswitch_nat::State::Established);
}

/// The receiver challenges it (RFC 5961 section 3.2), so it passes, and ends nothing here.
#[test]
fn rfc_5961_a_reset_in_the_window_but_not_at_its_beginning_does_nothing() {
    let mut nat = Lab::new();
    let external = nat.establish(A1, R).to_string();
    nat.back(&tcp(R, &external, segment(RST, 5002, 0, 0)));
    assert_eq!(nat.state(), vswitch_nat::State::Established);
    nat.back(&tcp(R, &external, segment(RST, 5001, 0, 0)));
    assert_eq!(nat.state(), vswitch_nat::State::Reset);
    nat.wait_s(243);
    assert!(nat.nat.is_empty());
}

#[test]
fn a_fin_out_of_window_does_nothing() {
    let mut nat = Lab::new();
    let external = nat.establish(A1, R).to_string();
    let forged = [
        segment(FIN_ACK, 5001 + 70_000, 1001, 0),
        segment(FIN_ACK, 5001, 1002, 0),
        segment(FIN_ACK, 5001, 1001_u32.wrapping_sub(100_000), 0),
        segment(Flags::FIN, 5001, 0, 0),
    ];
    for forged in forged {
        let sent = nat.send(Realm::External, &tcp(R, &external, forged));
        assert_eq!(sent, Err(NatDrop::OutOfWindow), "{forged:?}");
    }
    assert_eq!(nat.state(), vswitch_nat::State::Established);
}

#[test]
fn data_out_of_window_passes_but_refreshes_nothing() {
    let mut nat = Lab::new();
    let external = nat.establish(A1, R).to_string();
    nat.wait_s(7000);
    nat.back(&tcp(R, &external, segment(ACK, 5001 + 1_000_000, 1001, 10)));
    nat.wait_s(443);
    assert!(nat.nat.is_empty());
}

#[test]
fn a_stranger_who_asks_without_listening_is_never_established() {
    let mut policy = policy();
    policy.published = vec![published(Transport::Tcp, 80..=80, A, 80, 1)];
    let mut nat = Lab::with(policy);
    let to = "192.0.2.1:80";
    nat.back(&tcp(R, to, segment(SYN, 1000, 0, 0)));
    let blind = tcp(R, to, segment(FIN_ACK, 1001, 7, 0));
    assert_eq!(nat.send(Realm::External, &blind), Err(NatDrop::OutOfWindow));
    nat.edit(internal(1), &tcp("10.99.0.2:80", R, segment(SYN_ACK, 3_000_000_000, 1001, 0)));
    nat.back(&tcp(R, to, segment(ACK, 1001, 7, 0)));
    assert_eq!(nat.state(), vswitch_nat::State::SynReceived);
    nat.back(&tcp(R, to, segment(ACK, 1001, 3_000_000_001, 0)));
    assert_eq!(nat.state(), vswitch_nat::State::Established);
}

#[test]
fn a_reset_answers_a_syn_only_if_it_acknowledges_it() {
    let mut nat = Lab::new();
    let external = nat.out(&tcp(A1, R, segment(SYN, 1000, 0, 0))).to_string();
    let forged = tcp(R, &external, segment(RST_ACK, 0, 999, 0));
    assert_eq!(nat.send(Realm::External, &forged), Err(NatDrop::OutOfWindow));
    nat.back(&tcp(R, &external, segment(RST_ACK, 0, 1001, 0)));
    assert_eq!(nat.state(), vswitch_nat::State::Reset);
}

#[test]
fn a_connection_that_is_over_may_begin_again() {
    let mut nat = Lab::new();
    let external = nat.establish(A1, R);
    nat.out(&tcp(A1, R, segment(RST, 1001, 0, 0)));
    assert_eq!(nat.state(), vswitch_nat::State::Reset);
    assert_eq!(nat.out(&tcp(A1, R, segment(SYN, 900_000, 0, 0))), external);
    assert_eq!(nat.state(), vswitch_nat::State::SynSent);
    nat.back(&tcp(R, &external.to_string(), segment(SYN_ACK, 77, 900_001, 0)));
    nat.out(&tcp(A1, R, segment(ACK, 900_001, 78, 0)));
    assert_eq!(nat.state(), vswitch_nat::State::Established);
}

/// A peer that lost its memory sends a SYN into a connection; the other one challenges it.
#[test]
fn a_syn_into_a_connection_passes_and_changes_nothing() {
    let mut nat = Lab::new();
    let external = nat.establish(A1, R).to_string();
    nat.out(&tcp(A1, R, segment(SYN, 700_000, 0, 0)));
    assert_eq!(nat.state(), vswitch_nat::State::Established);
    nat.back(&tcp(R, &external, segment(ACK, 5001, 1001, 0)));
    nat.out(&tcp(A1, R, segment(RST, 1001, 0, 0)));
    assert_eq!(nat.state(), vswitch_nat::State::Reset);
}

#[test]
fn windows_are_scaled_if_both_say_so() {
    let scaled = |flags, seq, ack, scale| {
        let mut segment = segment(flags, seq, ack, 0);
        segment.window_scale = scale;
        segment
    };
    for (theirs, sent) in [(Some(7), Ok(())), (None, Err(NatDrop::OutOfWindow))] {
        let mut nat = Lab::new();
        let external = nat.out(&tcp(A1, R, scaled(SYN, 1000, 0, Some(7)))).to_string();
        nat.back(&tcp(R, &external, scaled(SYN_ACK, 5000, 1001, theirs)));
        nat.out(&tcp(A1, R, segment(ACK, 1001, 5001, 0)));
        // A FIN a megabyte ahead: within the client's window only if that is scaled.
        let fin = tcp(R, &external, segment(FIN_ACK, 1_000_000, 1001, 0));
        let got = nat.send(Realm::External, &fin).map(|_: Translation| ());
        assert_eq!(got, sent, "{theirs:?}");
    }
}

#[test]
fn what_follows_a_fragments_head_passes() {
    let mut nat = Lab::new();
    let external = nat.establish(A1, R).to_string();
    let mut tail = tcp(R, &external, segment(ACK, 1, 1, 0));
    tail.kind = match tail.kind {
        vswitch_nat::Kind::Flow { tuple, is_request, .. } => {
            vswitch_nat::Kind::Flow { tuple, segment: None, is_request }
        }
        other => other,
    };
    assert_eq!(nat.back(&tail), endpoint(A1));
}
