//! RFC 4787: UDP.

use std::collections::HashSet;
use std::time::Duration;

use crate::common::*;
use vswitch_nat::{NatDrop, Realm, Translation, Transport};

const R1: &str = "198.51.100.7:53";
const R2: &str = "203.0.113.9:443";

#[test]
fn req_1_mapping_is_endpoint_independent() {
    let mut nat = Lab::new();
    let first = nat.out(&udp("10.99.0.2:4000", R1));
    assert_eq!(nat.out(&udp("10.99.0.2:4000", R2)), first);
    assert_ne!(nat.out(&udp("10.99.0.2:4001", R1)), first);
    assert_eq!(nat.nat.mappings(), 2);
}

#[test]
fn req_2_addresses_are_paired() {
    let mut nat = Lab::new();
    for port in 1..200 {
        let external = nat.out(&udp(&format!("10.99.0.2:{port}"), R1));
        assert_eq!(external.address, ip(EXTERNAL));
    }
}

#[test]
fn req_3_ports_are_not_overloaded() {
    let mut policy = policy();
    policy.ports = 20_000..=20_063;
    let mut nat = Lab::with(policy);
    let external: HashSet<_> = (1..=50)
        .map(|port| nat.out(&udp(&format!("10.99.0.2:{port}"), &format!("198.51.100.{port}:53"))))
        .collect();
    assert_eq!(external.len(), 50);
    assert!(external.iter().all(|external| (20_000..=20_063).contains(&external.port)));
}

#[test]
fn req_3_a_published_port_is_nobody_elses() {
    let mut policy = policy();
    policy.ports = 20_000..=20_007;
    policy.published = vec![published(Transport::Udp, 20_000..=20_003, B, 9, 2)];
    let mut nat = Lab::with(policy);
    for port in 1..=3 {
        assert!(nat.out(&udp(&format!("10.99.0.2:{port}"), R1)).port >= 20_004);
    }
}

#[test]
fn req_4_parity_is_kept_while_such_a_port_is_free() {
    let mut policy = policy();
    policy.ports = 20_001..=20_032;
    let mut nat = Lab::with(policy);
    for port in (2..=32).step_by(2) {
        assert_eq!(nat.out(&udp(&format!("10.99.0.2:{port}"), R1)).port % 2, 0, "{port}");
    }
    assert_eq!(nat.out(&udp("10.99.0.2:100", R1)).port % 2, 1, "all even ones are taken");
}

#[test]
fn req_5_a_mapping_lasts_two_minutes_and_not_for_ever() {
    let mut nat = Lab::new();
    let external = nat.out(&udp("10.99.0.2:4000", R1)).to_string();
    nat.wait(Duration::from_secs(120));
    nat.back(&udp(R1, &external));
    nat.wait_s(3);
    assert!(nat.nat.is_empty(), "only the inside keeps it alive");
    assert_eq!(nat.send(Realm::External, &udp(R1, &external)), Ok(Translation::NotOurs));
    assert_eq!((nat.nat.counters().connections_expired, nat.nat.mappings()), (1, 0));
}

#[test]
fn req_5_what_the_timer_did_not_get_to_is_as_good_as_gone() {
    let mut nat = Lab::new();
    let external = nat.out(&udp("10.99.0.2:4000", R1)).to_string();
    nat.now = nat.now.after(Duration::from_secs(123));
    assert_eq!(nat.nat.len(), 1);
    assert_eq!(nat.send(Realm::External, &udp(R1, &external)), Ok(Translation::NotOurs));
    assert_eq!(nat.nat.len(), 0);
}

#[test]
fn req_6_internal_packets_refresh_and_external_ones_do_not() {
    let mut nat = Lab::new();
    let external = nat.out(&udp("10.99.0.2:4000", R1));
    for _ in 0..5 {
        nat.wait_s(100);
        assert_eq!(nat.out(&udp("10.99.0.2:4000", R1)), external);
    }
    for _ in 0..2 {
        nat.wait_s(50);
        nat.back(&udp(R1, &external.to_string()));
    }
    nat.wait_s(50);
    assert!(nat.nat.is_empty());
}

#[test]
fn req_6_a_stranger_cannot_keep_a_mapping_by_ever_new_ports() {
    let mut nat = Lab::new();
    let external = nat.out(&udp("10.99.0.2:4000", R1)).to_string();
    let mut got_in = 0;
    for port in 1000..1010 {
        nat.wait_s(60);
        let sent = nat.send(Realm::External, &udp(&format!("198.51.100.7:{port}"), &external));
        got_in += u32::from(matches!(sent, Ok(Translation::Edit { .. })));
    }
    assert_eq!(got_in, 2);
    assert_eq!(nat.nat.mappings(), 0);
}

#[test]
fn req_8_filtering_is_address_dependent() {
    let mut nat = Lab::new();
    let external = nat.out(&udp("10.99.0.2:4000", R1)).to_string();
    assert_eq!(nat.back(&udp("198.51.100.7:999", &external)), endpoint("10.99.0.2:4000"));
    let stranger = udp("198.51.100.8:53", &external);
    assert_eq!(nat.send(Realm::External, &stranger), Err(NatDrop::Unsolicited));
    nat.out(&udp("10.99.0.2:4000", "198.51.100.8:1"));
    nat.back(&stranger);
}

#[test]
fn req_8_a_reply_opens_the_filter() {
    let mut nat = Lab::new();
    let external = nat.out(&udp("10.99.0.2:4000", R1)).to_string();
    nat.back(&udp("198.51.100.7:999", &external));
    for _ in 0..4 {
        nat.wait_s(90);
        assert_eq!(nat.out(&udp("10.99.0.2:4000", "198.51.100.7:999")).to_string(), external);
    }
    nat.back(&udp("198.51.100.7:1000", &external));
}

#[test]
fn req_9_hairpinning_from_the_external_address_and_port() {
    let mut nat = Lab::new();
    let a = nat.out(&udp("10.99.0.2:4000", "192.0.2.99:1"));
    let (edit, _) = nat.edit(internal(2), &udp("10.99.0.3:5000", "192.0.2.99:1"));
    let b = edit.src;
    // Each speaks to the other's external endpoint, as after an introduction by a server.
    let first = nat.send(internal(1), &udp("10.99.0.2:4000", &b.to_string()));
    assert_eq!(first, Err(NatDrop::Unsolicited), "b has not spoken to our address yet");
    let mut policy = nat.policy.clone();
    policy.published = vec![published(Transport::Udp, 700..=700, B, 70, 2)];
    nat.policy = policy;
    nat.revalidate();
    let (edit, to) = nat.edit(internal(1), &udp("10.99.0.2:4000", "192.0.2.1:700"));
    assert_eq!((edit.src, edit.dst, to), (a, endpoint("10.99.0.3:70"), internal(2)));
    let (edit, to) = nat.edit(internal(2), &udp("10.99.0.3:70", &a.to_string()));
    assert_eq!((edit.src, edit.dst), (endpoint("192.0.2.1:700"), endpoint("10.99.0.2:4000")));
    assert_eq!(to, internal(1));
    // Now a has spoken to that address: another endpoint of b that appears from it gets in.
    let (edit, to) = nat.edit(internal(2), &udp("10.99.0.3:5000", &a.to_string()));
    assert_eq!((edit.src, edit.dst, to), (b, endpoint("10.99.0.2:4000"), internal(1)));
}

#[test]
fn req_9_two_that_speak_to_each_others_external_endpoint_meet() {
    let mut nat = Lab::new();
    let (one, other) = ("10.99.0.2:4000", "10.99.0.3:5000");
    let a = nat.out(&udp(one, R1)).to_string();
    let b = nat.edit(internal(2), &udp(other, R1)).0.src.to_string();
    assert_eq!(nat.send(internal(1), &udp(one, &b)), Err(NatDrop::Unsolicited));
    // A third endpoint has nothing of it, nor has a stranger outside.
    nat.edit(internal(3), &udp("10.99.0.4:1", R1));
    assert_eq!(nat.send(internal(3), &udp("10.99.0.4:1", &b)), Err(NatDrop::Unsolicited));
    let stranger = nat.send(Realm::External, &udp("198.51.100.8:53", &a));
    assert_eq!(stranger, Err(NatDrop::Unsolicited));
    for _ in 0..2 {
        let (edit, to) = nat.edit(internal(2), &udp(other, &a));
        assert_eq!((edit.src, edit.dst, to), (endpoint(&b), endpoint(one), internal(1)));
        let (edit, to) = nat.edit(internal(1), &udp(one, &b));
        assert_eq!((edit.src, edit.dst, to), (endpoint(&a), endpoint(other), internal(2)));
    }
}

#[test]
fn req_9_a_pinhole_lasts_two_minutes() {
    let mut nat = Lab::new();
    let (one, other) = ("10.99.0.2:4000", "10.99.0.3:5000");
    let a = nat.out(&udp(one, R1)).to_string();
    let b = nat.edit(internal(2), &udp(other, R1)).0.src.to_string();
    assert_eq!(nat.send(internal(1), &udp(one, &b)), Err(NatDrop::Unsolicited));
    for _ in 0..2 {
        nat.wait_s(61);
        assert_eq!(nat.out(&udp(one, R1)).to_string(), a);
        nat.edit(internal(2), &udp(other, R1));
    }
    assert_eq!(nat.send(internal(2), &udp(other, &a)), Err(NatDrop::Unsolicited));
}

#[test]
fn req_9_a_container_reaches_itself_by_its_published_port() {
    let mut policy = policy();
    policy.published = vec![published(Transport::Udp, 700..=700, A, 70, 1)];
    let mut nat = Lab::with(policy);
    let (edit, to) = nat.edit(internal(1), &udp("10.99.0.2:4000", "192.0.2.1:700"));
    assert_eq!((edit.dst, to), (endpoint("10.99.0.2:70"), internal(1)));
    assert_eq!(edit.src.address, ip(EXTERNAL));
    let itself = nat.send(internal(1), &udp("10.99.0.2:70", "192.0.2.1:700"));
    assert_eq!(itself, Err(NatDrop::Address));
}

#[test]
fn req_11_behaviour_does_not_change_under_load() {
    let mut nat = Lab::new();
    let external = nat.out(&udp("10.99.0.2:4000", R1));
    for port in 1..=3000 {
        nat.out(&udp(&format!("10.99.0.2:{}", 10_000 + port), R2));
    }
    assert_eq!(nat.out(&udp("10.99.0.2:4000", R2)), external);
}

#[test]
fn rfc_6056_ports_are_not_foreseen() {
    let ports = |seed| {
        let mut nat = Lab::seeded(policy(), 4096, seed);
        (1..40).map(|n| nat.out(&udp(&format!("10.99.0.2:{n}"), R1)).port).collect::<Vec<_>>()
    };
    let (one, other) = (ports(1), ports(2));
    assert_ne!(one, other);
    let steps: HashSet<_> = one.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    assert!(steps.len() > 30, "{one:?}");
}
