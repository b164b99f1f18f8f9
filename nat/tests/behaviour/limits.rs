//! Quotas, exhaustion, eviction, and what ends with an owner, a policy or a command.

use crate::common::*;
use vswitch_nat::{NatDrop, OwnerId, Realm, Translation, Transport};

const R: &str = "198.51.100.7:53";

fn from(port: u32) -> String {
    format!("10.99.0.2:{port}")
}

#[test]
fn a_quota_is_kept_and_the_oldest_unanswered_goes_first() {
    let mut policy = policy();
    policy.quota = 3;
    let mut nat = Lab::with(policy);
    let external: Vec<_> = (1..=3).map(|port| nat.out(&udp(&from(port), R))).collect();
    // The first is a stream, so the second is the oldest that nobody would miss.
    nat.back(&udp(R, &external[0].to_string()));
    nat.out(&udp(&from(1), R));
    nat.out(&udp(&from(4), R));
    assert_eq!(nat.nat.len(), 3);
    assert_eq!(
        nat.send(Realm::External, &udp(R, &external[1].to_string())),
        Ok(Translation::NotOurs)
    );
    nat.back(&udp(R, &external[0].to_string()));
    nat.back(&udp(R, &external[2].to_string()));
    assert_eq!(nat.nat.counters().connections_evicted, 1);
}

#[test]
fn what_is_over_goes_before_what_is_not_answered_yet() {
    let mut policy = policy();
    policy.quota = 2;
    let mut nat = Lab::with(policy);
    let waiting = nat.out(&udp(&from(1), R)).to_string();
    let over = nat.establish(&from(2), "198.51.100.7:80").to_string();
    nat.out(&tcp(&from(2), "198.51.100.7:80", segment(RST, 1001, 0, 0)));
    nat.out(&udp(&from(3), R));
    nat.back(&udp(R, &waiting));
    let gone = tcp("198.51.100.7:80", &over, segment(ACK, 5001, 1001, 0));
    assert_eq!(nat.send(Realm::External, &gone), Ok(Translation::NotOurs));
}

#[test]
fn what_is_in_use_never_goes() {
    let mut policy = policy();
    policy.quota = 2;
    let mut nat = Lab::with(policy);
    nat.establish(&from(1), "198.51.100.7:80");
    nat.establish(&from(2), "198.51.100.7:80");
    assert_eq!(nat.send(internal(1), &udp(&from(3), R)), Err(NatDrop::Quota));
    let (_, to) = nat.edit(internal(2), &udp("10.99.0.3:3", R));
    assert_eq!(to, Realm::External, "another has its own quota");
    assert_eq!(nat.nat.counters().connections_over_quota, 1);
}

#[test]
fn a_full_table_takes_from_nobody_else() {
    let mut nat = Lab::sized(policy(), 100);
    let mut external = Vec::new();
    for port in 1..=500 {
        if let Ok(Translation::Edit { edit, .. }) = nat.send(internal(1), &udp(&from(port), R)) {
            external.push(edit.src);
        }
    }
    assert_eq!(nat.nat.len(), 80, "one owner has four times what is left");
    let (edit, _) = nat.edit(internal(2), &udp("10.99.0.3:1", R));
    for port in 501..=1000 {
        nat.out(&udp(&from(port), R));
    }
    let (_, to) = nat.edit(Realm::External, &udp(R, &edit.src.to_string()));
    assert_eq!(to, internal(2), "a flood evicts itself");
    let mut others = 0;
    for owner in 4..40 {
        let view = udp(&format!("10.99.0.{owner}:1"), R);
        others += u32::from(nat.send(internal(owner), &view).is_ok());
    }
    assert_eq!((nat.nat.len(), others), (100, 19), "then it is full");
    assert_eq!(nat.send(internal(50), &udp("10.99.0.50:1", R)), Err(NatDrop::TableFull));
    assert_eq!(nat.nat.counters().connections_table_full, 18);
}

#[test]
fn established_connections_fill_the_table_and_the_next_is_refused() {
    let mut nat = Lab::sized(policy(), 10);
    for port in 1..=8 {
        nat.establish(&from(port), "198.51.100.7:80");
    }
    assert_eq!(nat.send(internal(1), &udp(&from(9), R)), Err(NatDrop::TableFull));
    nat.edit(internal(2), &udp("10.99.0.3:1", R));
}

#[test]
fn a_port_rests_after_tcp() {
    let mut policy = policy();
    policy.ports = 20_000..=20_009;
    let mut nat = Lab::with(policy);
    let external = nat.establish(&from(2), "198.51.100.7:80");
    nat.nat.remove_owner(OwnerId(1));
    assert!(nat.nat.is_empty());
    let mut taken = Vec::new();
    for port in 1..=7 {
        taken.push(nat.out(&tcp(&from(port), R, segment(SYN, 1, 0, 0))));
    }
    assert!(!taken.contains(&external), "another port is free");
    nat.nat.remove_owner(OwnerId(1));
    nat.wait_s(243);
    let all: Vec<_> = (1..=8)
        .filter_map(|owner| {
            let view = tcp(&format!("10.99.1.{owner}:2"), R, segment(SYN, 1, 0, 0));
            match nat.send(internal(owner), &view) {
                Ok(Translation::Edit { edit, .. }) => Some(edit.src),
                _ => None,
            }
        })
        .collect();
    assert_eq!(all.len(), 8, "it has rested");
}

#[test]
fn with_its_owner_all_goes() {
    let mut policy = policy();
    policy.published = vec![published(Transport::Udp, 700..=700, B, 70, 2)];
    let mut nat = Lab::with(policy);
    nat.out(&udp(&from(1), R));
    nat.edit(internal(1), &udp(&from(1), "192.0.2.1:700"));
    nat.edit(Realm::External, &udp(R, "192.0.2.1:700"));
    nat.edit(internal(2), &udp("10.99.0.3:9", R));
    nat.nat.remove_owner(OwnerId(2));
    let rows: Vec<_> = nat.nat.rows().collect();
    assert_eq!(rows.len(), 1, "those to it, too: {rows:?}");
    assert_eq!(rows[0].original, tuple(Transport::Udp, &from(1), R));
    assert_eq!((nat.nat.mappings(), nat.nat.counters().connections_ended), (1, 3));
    nat.nat.remove_owner(OwnerId(77));
}

#[test]
fn what_is_no_longer_published_ends() {
    let mut policy = policy();
    let mut narrowed = published(Transport::Udp, 800..=800, A, 80, 1);
    policy.published = vec![
        published(Transport::Udp, 700..=700, A, 70, 1),
        narrowed.clone(),
        published(Transport::Udp, 900..=900, B, 90, 2),
    ];
    let mut nat = Lab::with(policy);
    for port in [700, 800, 900] {
        nat.edit(Realm::External, &udp(R, &format!("192.0.2.1:{port}")));
    }
    nat.edit(Realm::External, &udp("203.0.113.1:1", "192.0.2.1:800"));
    nat.edit(internal(2), &udp("10.99.0.3:1", "192.0.2.1:700"));
    nat.out(&udp(&from(1), R));
    narrowed.allow_from = vec![(ip("198.51.100.0"), 24)];
    nat.policy.published = vec![narrowed, published(Transport::Udp, 900..=900, B, 90, 2)];
    nat.revalidate();
    let mut left: Vec<_> = nat.nat.rows().map(|row| row.original.dst.port).collect();
    left.sort_unstable();
    assert_eq!(left, [53, 800, 900]);
}

#[test]
fn with_an_ipv4_address_its_connections_go_and_new_ones_use_the_next() {
    let mut nat = Lab::new();
    let external = nat.out(&udp(&from(1), R));
    let outer6 = nat.out(&udp("[fd00:99::2]:1", "[2001:db8:7::7]:53"));
    let mut policy = policy();
    policy.external_v4 = Some("192.0.2.2".parse().expect("an address"));
    policy.external_v6 = Some("2001:db8::2".parse().expect("an address"));
    policy.host_addrs = vec![ip("192.0.2.2"), ip("2001:db8::1"), ip("2001:db8::2")];
    nat.policy = policy;
    assert_eq!(nat.send(Realm::External, &udp(R, &external.to_string())), Ok(Translation::NotOurs));
    assert_eq!(nat.out(&udp(&from(1), R)).address, ip("192.0.2.2"));
    // The host has the IPv6 address still, but its route has another.
    assert_ne!(nat.out(&udp("[fd00:99::2]:1", "[2001:db8:7::7]:53")), outer6);
    let next = nat.out(&udp("[fd00:99::2]:1", "[2001:db8:7::8]:53"));
    assert_eq!(next.address, ip("2001:db8::2"));
}

#[test]
fn another_range_of_ports_begins_anew() {
    let mut nat = Lab::new();
    nat.out(&udp(&from(1), R));
    nat.policy.ports = 40_000..=40_100;
    nat.revalidate();
    assert!(nat.nat.is_empty());
    assert!((40_000..=40_100).contains(&nat.out(&udp(&from(1), R)).port));
    nat.policy.ports = std::ops::RangeInclusive::new(2, 1);
    nat.revalidate();
    assert_eq!(nat.send(internal(1), &udp(&from(1), R)), Err(NatDrop::PortsExhausted));
}

#[test]
fn a_flush_ends_what_it_names() {
    let mut nat = Lab::new();
    nat.out(&udp(&from(1), R));
    nat.out(&udp(&from(2), R));
    nat.establish(&from(1), "198.51.100.7:80");
    assert_eq!(nat.nat.flush(|row| row.transport == Transport::Udp), 2);
    assert_eq!(nat.state(), vswitch_nat::State::Established);
    assert_eq!(nat.nat.flush(|_| true), 1);
    assert_eq!((nat.nat.len(), nat.nat.mappings()), (0, 0));
}

#[test]
fn a_tick_does_no_more_than_it_may() {
    let mut nat = Lab::new();
    for port in 1..=100 {
        nat.out(&udp(&from(port), R));
    }
    nat.now = vswitch_nat::Time(nat.now.0 + 130_000_000_000);
    let mut calls = 0;
    while !nat.nat.is_empty() {
        let before = nat.nat.len();
        nat.nat.tick(nat.now, 8);
        assert!(before - nat.nat.len() <= 8);
        calls += 1;
        assert!(calls < 100, "it makes no headway");
    }
    // A slot that is empty is an operation, too: 130 s are 121 of them.
    assert!(calls >= (100 + 100) / 8, "{calls}");
}

#[test]
fn a_flood_of_external_syns_does_not_hurt_the_published() {
    let mut policy = policy();
    policy.quota = 50;
    policy.published = vec![published(Transport::Tcp, 80..=80, A, 80, 1)];
    let mut nat = Lab::with(policy);
    let (client, to) = ("198.51.100.7:999", "192.0.2.1:80");
    nat.back(&tcp(client, to, segment(SYN, 1000, 0, 0)));
    nat.edit(internal(1), &tcp("10.99.0.2:80", client, segment(SYN_ACK, 5000, 1001, 0)));
    nat.back(&tcp(client, to, segment(ACK, 1001, 5001, 0)));
    for port in 1..=1000 {
        nat.back(&tcp(&format!("203.0.113.5:{port}"), to, segment(SYN, 1, 0, 0)));
    }
    assert_eq!(nat.nat.len(), 50);
    nat.back(&tcp(client, to, segment(ACK, 1001, 5001, 10)));
}

#[test]
fn ten_thousand_published_ports_are_one_entry() {
    let mut policy = policy();
    policy.published = vec![published(Transport::Tcp, 40_000..=49_999, A, 40_000, 1)];
    let mut nat = Lab::with(policy);
    for port in [40_000, 44_444, 49_999] {
        let syn = tcp("198.51.100.7:9", &format!("192.0.2.1:{port}"), segment(SYN, 1, 0, 0));
        assert_eq!(nat.back(&syn).port, port);
    }
}

/// The size of a connection with all that finds it (issue: at most 192 bytes).
#[test]
fn a_connection_takes_192_bytes_at_most() {
    let nat = Lab::sized(policy(), 1_000_000);
    let each = nat.nat.bytes().div_ceil(1_000_000);
    assert!(each <= 192, "{each}");
}

/// Short connections one after another, more than there are ports: each gets one.
#[test]
fn short_connections_never_run_out_of_ports() {
    for reset in [false, true] {
        let mut policy = policy();
        policy.published = vec![published(Transport::Tcp, 8080..=8080, A, 80, 1)];
        let mut nat = Lab::sized(policy, 1 << 20);
        // Before them connections to a published port have ended, which keep none of these ports.
        for port in 1000..1200 {
            let (client, host) = (format!("198.51.100.7:{port}"), "192.0.2.1:8080");
            nat.edit(Realm::External, &tcp(&client, host, segment(SYN, 1, 0, 0)));
            nat.edit(internal(1), &tcp("10.99.0.2:80", &client, segment(SYN_ACK, 7, 2, 0)));
            nat.edit(Realm::External, &tcp(&client, host, segment(ACK, 2, 8, 0)));
            nat.edit(Realm::External, &tcp(&client, host, segment(RST_ACK, 2, 8, 0)));
        }
        let mut ports = (32_768..=60_999).cycle();
        for number in 0..60_000u32 {
            let (a, r) = (format!("10.99.0.2:{}", ports.next().unwrap()), "198.51.100.7:80");
            let isn = number.wrapping_mul(100_003) % 0x7000_0000 + 1;
            let (edit, _) = nat.edit(internal(1), &tcp(&a, r, segment(SYN, isn, 0, 0)));
            let external = edit.src.to_string();
            nat.back(&tcp(r, &external, segment(SYN_ACK, 5000, isn + 1, 0)));
            nat.out(&tcp(&a, r, segment(ACK, isn + 1, 5001, 0)));
            if reset {
                nat.out(&tcp(&a, r, segment(RST_ACK, isn + 1, 5001, 0)));
            } else {
                nat.out(&tcp(&a, r, segment(FIN_ACK, isn + 1, 5001, 0)));
                nat.back(&tcp(r, &external, segment(FIN_ACK, 5001, isn + 2, 0)));
                nat.out(&tcp(&a, r, segment(ACK, isn + 2, 5002, 0)));
            }
            nat.wait(std::time::Duration::from_micros(60));
        }
    }
}
