//! What begins where another connection is in the way: a port that is published after its container spoke from it.

use crate::common::*;
use vswitch_nat::{Policy, Realm, Translation, Transport};

/// A database that replicates from its own port, and is published afterwards.
fn published_afterwards(transport: Transport) -> Policy {
    let mut later = policy();
    later.published = vec![published(transport, 5432..=5432, A, 5432, 1)];
    later
}

#[test]
fn who_is_published_afterwards_is_reached_by_a_former_peer() {
    let (own, host, peer) = ("10.99.0.2:5432", "192.0.2.1:5432", "198.51.100.7:777");
    let mut nat = Lab::new();
    let external = nat.out(&udp(own, peer)).to_string();
    nat.policy = published_afterwards(Transport::Udp);
    nat.back(&udp(peer, &external));
    assert_eq!(nat.back(&udp(peer, host)), endpoint(own));
    assert_eq!(nat.out(&udp(own, peer)), endpoint(host), "answers come from where it asked");
    assert_eq!(nat.send(Realm::External, &udp(peer, &external)), Ok(Translation::NotOurs));
    assert_eq!((nat.nat.len(), nat.nat.mappings()), (1, 0));

    let mut nat = Lab::new();
    nat.establish(own, peer);
    nat.policy = published_afterwards(Transport::Tcp);
    nat.back(&tcp(peer, host, segment(SYN, 1, 0, 0)));
    assert_eq!(nat.out(&tcp(own, peer, segment(SYN_ACK, 9, 2, 0))), endpoint(host));
    assert_eq!(nat.state(), vswitch_nat::State::SynReceived);
}

/// Other connections of the container stay, as does its own to others by the same port.
#[test]
fn who_is_published_afterwards_keeps_its_other_connections() {
    let own = "10.99.0.2:5432";
    let mut nat = Lab::new();
    let external = nat.out(&udp(own, "198.51.100.7:777"));
    assert_eq!(nat.out(&udp(own, "198.51.100.8:777")), external);
    nat.policy = published_afterwards(Transport::Udp);
    nat.back(&udp("198.51.100.7:777", "192.0.2.1:5432"));
    assert_eq!(nat.back(&udp("198.51.100.8:777", &external.to_string())), endpoint(own));
    assert_eq!(nat.out(&udp(own, "198.51.100.8:777")), external);
}

/// A connection that has expired, but is still in the table, is in nobody's way.
#[test]
fn what_has_expired_yields() {
    let (own, host, peer) = ("10.99.0.2:5432", "192.0.2.1:5432", "198.51.100.7:777");
    let mut policy = policy();
    policy.published = vec![published(Transport::Udp, 9000..=9000, B, 9000, 2)];
    let mut nat = Lab::with(policy);
    nat.out(&udp(own, peer));
    nat.now = nat.now.after(std::time::Duration::from_secs(200));
    nat.policy = published_afterwards(Transport::Udp);
    nat.back(&udp(peer, host));
    assert_eq!(nat.nat.counters().connections_expired, 1);
    assert_eq!(nat.out(&udp(own, peer)), endpoint(host));
}
