//! TCP ports that are used again after both peers lost their connection unseen (RFC 5382 REQ-5, RFC 9293 section 3.6.1).

use crate::common::*;
use vswitch_nat::{NatDrop, Realm, State, Transport};

const A1: &str = "10.99.0.2:80";
const FAMILIES: [[&str; 3]; 2] = [
    ["10.99.0.2:80", "198.51.100.7:4000", "192.0.2.1:8080"],
    ["[fd00::2]:80", "[2001:db8:7::7]:4000", "[2001:db8::1]:8080"],
];

/// A client outside and a server at a published port, or a client inside and a server outside.
struct Pair {
    nat: Lab,
    is_published: bool,
    inside: &'static str,
    outside: &'static str,
    external: String,
}

impl Pair {
    /// An established connection: the client has sent up to 1001, the server up to 5001.
    fn established(is_published: bool, [inside, outside, published_at]: [&'static str; 3]) -> Self {
        let mut policy = policy();
        if is_published {
            let mut ports = published(Transport::Tcp, 8080..=8080, A, 80, 1);
            ports.to_v6 = Some("fd00::2".parse().expect("an address"));
            policy.published = vec![ports];
        }
        let mut nat = Lab::with(policy);
        let external = if is_published {
            published_at.to_owned()
        } else {
            nat.out(&tcp(inside, outside, segment(SYN, 1000, 0, 0))).to_string()
        };
        let mut pair = Self { nat, is_published, inside, outside, external };
        pair.client(segment(SYN, 1000, 0, 0)).expect("the SYN");
        pair.server(segment(SYN_ACK, 5000, 1001, 0)).expect("its answer");
        pair.client(segment(ACK, 1001, 5001, 0)).expect("its acknowledgement");
        assert_eq!(pair.nat.state(), State::Established);
        pair
    }

    fn send(&mut self, from_inside: bool, segment: vswitch_nat::Segment) -> Result<(), NatDrop> {
        let sent = if from_inside {
            self.nat.send(internal(1), &tcp(self.inside, self.outside, segment))
        } else {
            self.nat.send(Realm::External, &tcp(self.outside, &self.external, segment))
        };
        sent.map(|_| ())
    }

    fn client(&mut self, segment: vswitch_nat::Segment) -> Result<(), NatDrop> {
        self.send(!self.is_published, segment)
    }

    fn server(&mut self, segment: vswitch_nat::Segment) -> Result<(), NatDrop> {
        self.send(self.is_published, segment)
    }
}

fn everywhere(mut test: impl FnMut(Pair)) {
    for family in FAMILIES {
        for is_published in [false, true] {
            test(Pair::established(is_published, family));
        }
    }
}

const NEW: u32 = 3_000_000_000;

#[test]
fn a_new_connection_replaces_one_that_both_forgot_and_its_fins_pass() {
    everywhere(|mut pair| {
        pair.nat.wait_s(3600);
        for seq in [NEW, NEW + 1_000_000] {
            pair.client(segment(SYN, seq, 0, 0)).expect("the SYN");
            pair.server(segment(SYN_ACK, seq / 2, seq + 1, 0)).expect("its answer");
            assert_eq!(pair.nat.state(), State::SynReceived);
            pair.client(segment(ACK, seq + 1, seq / 2 + 1, 0)).expect("the acknowledgement");
            assert_eq!(pair.nat.state(), State::Established);
        }
        let (client, server) = (NEW + 1_000_001, (NEW + 1_000_000) / 2 + 1);
        pair.client(segment(FIN_ACK, client, server, 0)).expect("the client's FIN");
        pair.server(segment(FIN_ACK, server, client + 1, 0)).expect("the server's FIN");
        pair.client(segment(ACK, client + 1, server + 1, 0)).expect("the last acknowledgement");
        assert_eq!(pair.nat.state(), State::TimeWait);
    });
}

/// The former server opens, from the same port to the same port, whatever became of the old connection.
#[test]
fn the_other_side_may_open_the_next_one() {
    for is_closed in [false, true] {
        everywhere(|mut pair| {
            if is_closed {
                pair.client(segment(RST, 1001, 0, 0)).expect("a reset");
                assert_eq!(pair.nat.state(), State::Reset);
            }
            pair.server(segment(SYN, NEW, 0, 0)).expect("the SYN");
            pair.client(segment(SYN_ACK, 7, NEW + 1, 0)).expect("its answer");
            pair.server(segment(ACK, NEW + 1, 8, 0)).expect("the acknowledgement");
            assert_eq!(pair.nat.state(), State::Established);
            pair.server(segment(FIN_ACK, NEW + 1, 8, 0)).expect("a FIN");
            assert_eq!(pair.nat.state(), State::HalfClosed);
        });
    }
}

#[test]
fn a_server_that_refuses_the_new_one_is_heard() {
    everywhere(|mut pair| {
        pair.client(segment(SYN, NEW, 0, 0)).expect("the SYN");
        let _ = pair.server(segment(RST_ACK, 0, NEW, 0));
        assert_eq!(pair.nat.state(), State::Established);
        pair.server(segment(RST_ACK, 0, NEW + 1, 0)).expect("a reset");
        assert_eq!(pair.nat.state(), State::Reset);
        pair.client(segment(SYN, NEW + 9, 0, 0)).expect("another SYN");
        assert_eq!(pair.nat.state(), State::SynSent);
    });
}

/// RFC 5961 section 4: a blind attacker's SYN ends no connection, nor does the challenge that it causes.
#[test]
fn a_forged_syn_ends_nothing() {
    everywhere(|mut pair| {
        for seq in [NEW, 1_000_000, 1001_u32.wrapping_sub(1_000_000)] {
            pair.client(segment(SYN, seq, 0, 0)).expect("it passes");
            pair.server(segment(ACK, 5001, 1001, 0)).expect("the challenge");
            for ack in [seq, seq + 2, 1001] {
                let answer = segment(SYN_ACK, 9, ack, 0);
                pair.server(answer).expect("it passes");
            }
        }
        assert_eq!(pair.nat.state(), State::Established);
        pair.client(segment(FIN_ACK, 1001, 5001, 0)).expect("a FIN");
        pair.server(segment(FIN_ACK, 5001, 1002, 0)).expect("a FIN");
        assert_eq!(pair.nat.state(), State::Closing);
    });
}

#[test]
fn late_copies_of_the_handshake_change_nothing() {
    everywhere(|mut pair| {
        pair.client(segment(ACK, 1001, 5001, 60_000)).expect("data");
        pair.client(segment(SYN, 1000, 0, 0)).expect("a copy");
        pair.server(segment(SYN_ACK, 5000, 1001, 0)).expect("a copy");
        assert_eq!(pair.nat.state(), State::Established);
    });
}

/// Its client begins anew before the handshake is through.
#[test]
fn a_client_that_starts_again_within_the_handshake_is_followed() {
    let mut nat = Lab::new();
    let remote = "198.51.100.7:4000";
    let external = nat.out(&tcp(A1, remote, segment(SYN, 1000, 0, 0))).to_string();
    nat.back(&tcp(remote, &external, segment(SYN_ACK, 5000, 1001, 0)));
    nat.out(&tcp(A1, remote, segment(SYN, NEW, 0, 0)));
    nat.back(&tcp(remote, &external, segment(SYN_ACK, 6000, NEW + 1, 0)));
    nat.out(&tcp(A1, remote, segment(ACK, NEW + 1, 6001, 0)));
    assert_eq!(nat.state(), State::Established);
    nat.out(&tcp(A1, remote, segment(FIN_ACK, NEW + 1, 6001, 0)));
    assert_eq!(nat.state(), State::HalfClosed);
}
