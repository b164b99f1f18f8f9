//! Every way that a packet may take through the translator.

use std::net::IpAddr;

use crate::common::*;
use vswitch_nat::{Endpoint, Kind, NatDrop, Realm, Translation, Transport, View};

#[test]
fn a_packet_out_and_its_answer_in() {
    let mut nat = Lab::new();
    let (edit, to) = nat.edit(internal(1), &udp("10.99.0.2:4000", "198.51.100.7:53"));
    assert_eq!((edit.src.address, to), (ip(EXTERNAL), Realm::External));
    assert!((20_000..=29_999).contains(&edit.src.port));
    assert_eq!(edit.dst, endpoint("198.51.100.7:53"));
    let (answer, to) = nat.edit(Realm::External, &udp("198.51.100.7:53", &edit.src.to_string()));
    assert_eq!((answer.src, answer.dst), (edit.dst, endpoint("10.99.0.2:4000")));
    assert_eq!(to, internal(1));
    let row = nat.nat.rows().next().expect("a row");
    assert_eq!((row.bytes, row.frames), ([100, 100], [1, 1]));
    assert_eq!(row.original, tuple(Transport::Udp, "10.99.0.2:4000", "198.51.100.7:53"));
    assert_eq!((row.reply.src, row.reply.dst), (edit.dst, edit.src));
}

#[test]
fn ipv6_takes_the_same_paths() {
    let mut nat = Lab::new();
    let (edit, _) = nat.edit(internal(1), &udp("[fd00:99::2]:4000", "[2001:db8:7::7]:53"));
    assert_eq!(edit.src.address, ip(EXTERNAL6));
    let (answer, to) = nat.edit(Realm::External, &udp("[2001:db8:7::7]:53", &edit.src.to_string()));
    assert_eq!((answer.dst, to), (endpoint("[fd00:99::2]:4000"), internal(1)));
}

#[test]
fn a_tcp_connection_opens_and_closes() {
    let mut nat = Lab::new();
    let (a, r) = ("10.99.0.2:4000", "198.51.100.7:80");
    let external = nat.establish(a, r).to_string();
    assert_eq!(nat.state(), vswitch_nat::State::Established);
    nat.out(&tcp(a, r, segment(FIN_ACK, 1001, 5001, 0)));
    assert_eq!(nat.state(), vswitch_nat::State::HalfClosed);
    nat.back(&tcp(r, &external, segment(ACK, 5001, 1002, 1000)));
    nat.back(&tcp(r, &external, segment(FIN_ACK, 6001, 1002, 0)));
    assert_eq!(nat.state(), vswitch_nat::State::Closing);
    nat.out(&tcp(a, r, segment(ACK, 1002, 6002, 0)));
    assert_eq!(nat.state(), vswitch_nat::State::TimeWait);
}

#[test]
fn an_echo_keeps_one_identifier() {
    let mut nat = Lab::new();
    let (edit, _) = nat.edit(internal(1), &echo(A, "198.51.100.7", 17, true));
    assert_eq!(edit.src.port, edit.dst.port);
    let id = edit.src.port;
    let (answer, to) = nat.edit(Realm::External, &echo("198.51.100.7", EXTERNAL, id, false));
    assert_eq!((answer.dst, answer.src.port), (Endpoint::new(ip(A), 17), 17));
    assert_eq!(to, internal(1));
}

#[test]
fn a_published_range_leads_to_its_container() {
    let mut policy = policy();
    policy.published = vec![published(Transport::Tcp, 8000..=8999, B, 80, 2)];
    let mut nat = Lab::with(policy);
    let syn = tcp("198.51.100.7:999", "192.0.2.1:8010", segment(SYN, 1, 0, 0));
    let (edit, to) = nat.edit(Realm::External, &syn);
    assert_eq!((edit.src, edit.dst), (endpoint("198.51.100.7:999"), endpoint("10.99.0.3:90")));
    assert_eq!(to, internal(2));
    let answer = tcp("10.99.0.3:90", "198.51.100.7:999", segment(SYN_ACK, 1, 2, 0));
    let (edit, to) = nat.edit(internal(2), &answer);
    assert_eq!((edit.src, to), (endpoint("192.0.2.1:8010"), Realm::External));
    for port in ["192.0.2.1:7999", "192.0.2.1:9000"] {
        let view = tcp("198.51.100.7:999", port, segment(SYN, 1, 0, 0));
        assert_eq!(nat.send(Realm::External, &view), Ok(Translation::NotOurs));
    }
}

#[test]
fn a_published_endpoint_appears_from_where_it_is_published() {
    let mut policy = policy();
    policy.published = vec![published(Transport::Udp, 5000..=5009, A, 500, 1)];
    let mut nat = Lab::with(policy);
    assert_eq!(nat.out(&udp("10.99.0.2:505", "198.51.100.7:9")), endpoint("192.0.2.1:5005"));
    assert_eq!(nat.back(&udp("198.51.100.7:9", "192.0.2.1:5005")), endpoint("10.99.0.2:505"));
    assert_eq!(nat.nat.len(), 1, "both ways are one connection");
}

#[test]
fn who_may_connect_is_asked() {
    let mut policy = policy();
    let mut entry = published(Transport::Udp, 53..=53, A, 53, 1);
    entry.allow_from = vec![(ip("198.51.100.0"), 24), (ip("2001:db8:7::"), 48)];
    policy.published = vec![entry];
    let mut nat = Lab::with(policy);
    nat.back(&udp("198.51.100.255:9", "192.0.2.1:53"));
    let (edit, _) = nat.edit(Realm::External, &udp("[2001:db8:7::9]:9", "[2001:db8::1]:53"));
    assert_eq!(edit.dst, endpoint("[fd00:99::2]:53"));
    let strangers = [("198.51.101.0:9", "192.0.2.1:53"), ("[2001:db8:8::9]:9", "[2001:db8::1]:53")];
    for (stranger, to) in strangers {
        let refused = nat.send(Realm::External, &udp(stranger, to));
        assert_eq!(refused, Err(NatDrop::NotAllowed), "{stranger}");
    }
}

#[test]
fn a_published_port_of_one_address_is_not_that_of_another() {
    let mut policy = policy();
    let mut entry = published(Transport::Udp, 53..=53, A, 53, 1);
    entry.address = Some(ip(EXTERNAL));
    policy.published = vec![entry];
    let mut nat = Lab::with(policy);
    nat.back(&udp("198.51.100.1:9", "192.0.2.1:53"));
    let other = nat.send(Realm::External, &udp("198.51.100.1:9", "10.99.0.1:53"));
    assert_eq!(other, Ok(Translation::NotOurs));
}

#[test]
fn what_is_nobodys_is_not_ours() {
    let mut nat = Lab::new();
    nat.out(&udp("10.99.0.2:4000", "198.51.100.7:53"));
    for view in [
        udp("198.51.100.7:53", "192.0.2.1:4000"),
        tcp("198.51.100.7:53", "192.0.2.1:22", segment(SYN, 1, 0, 0)),
        tcp("198.51.100.7:53", "192.0.2.1:22", segment(ACK, 1, 0, 0)),
        echo("198.51.100.7", EXTERNAL, 7, true),
        echo("198.51.100.7", EXTERNAL, 7, false),
        udp("198.51.100.7:53", "203.0.113.9:4000"),
    ] {
        assert_eq!(nat.send(Realm::External, &view), Ok(Translation::NotOurs), "{view:?}");
    }
    let to_host = nat.send(internal(1), &udp("10.99.0.2:4000", "10.99.0.1:53"));
    assert_eq!(to_host, Ok(Translation::NotOurs));
}

#[test]
fn impossible_addresses_are_refused() {
    let mut policy = policy();
    policy.published = vec![published(Transport::Udp, 53..=53, A, 53, 1)];
    let mut nat = Lab::with(policy);
    let internal_views = [
        udp("10.99.0.2:53", "10.99.0.2:53"),
        udp("10.99.0.2:1", "127.0.0.1:53"),
        udp("10.99.0.2:1", "224.0.0.1:53"),
        udp("10.99.0.2:1", "255.255.255.255:53"),
        udp("10.99.0.2:1", "0.0.0.0:53"),
        udp("[fd00:99::2]:1", "[::1]:53"),
        udp("[fd00:99::2]:1", "[::ffff:198.51.100.7]:53"),
        udp("10.99.0.2:0", "198.51.100.7:53"),
        udp("10.99.0.2:1", "198.51.100.7:0"),
    ];
    for view in internal_views {
        assert_eq!(nat.send(internal(1), &view), Err(NatDrop::Address), "{view:?}");
    }
    for src in ["127.0.0.1:9", "0.0.0.0:9", "224.0.0.1:9", "255.255.255.255:9", "192.0.2.1:53"] {
        let refused = nat.send(Realm::External, &udp(src, "192.0.2.1:53"));
        assert_eq!(refused, Err(NatDrop::Address), "{src}");
    }
    assert!(nat.nat.is_empty());
}

#[test]
fn external_hosts_cannot_spoof_internal_ones() {
    let mut nat = Lab::new();
    nat.out(&udp("10.99.0.2:4000", "198.51.100.7:53"));
    let forged = udp("10.99.0.2:4000", "198.51.100.7:53");
    assert_eq!(nat.send(Realm::External, &forged), Err(NatDrop::Address));
    assert_eq!(nat.send(internal(2), &forged), Err(NatDrop::Address));
    let row = nat.nat.rows().next().expect("a row");
    assert_eq!(row.frames, [1, 0]);
}

#[test]
fn without_an_external_address_nothing_leaves() {
    let mut policy = policy();
    policy.external_v4 = None;
    let mut nat = Lab::with(policy);
    let refused = nat.send(internal(1), &udp("10.99.0.2:4000", "198.51.100.7:53"));
    assert_eq!(refused, Err(NatDrop::NoAddress));
}

#[test]
fn other_protocols_do_not_pass() {
    let mut nat = Lab::new();
    let address: IpAddr = ip(A);
    let view =
        View { src: address, dst: ip("198.51.100.7"), kind: Kind::Other, fragment: None, len: 9 };
    assert_eq!(nat.send(internal(1), &view), Err(NatDrop::Protocol));
    assert_eq!(nat.send(Realm::External, &view), Ok(Translation::NotOurs));
}

#[test]
fn a_segment_of_no_connection_is_refused() {
    let mut policy = policy();
    policy.published = vec![published(Transport::Tcp, 80..=80, A, 80, 1)];
    let mut nat = Lab::with(policy);
    for flags in [SYN_ACK, RST, RST_ACK, FIN] {
        let out = tcp("10.99.0.2:4000", "198.51.100.7:80", segment(flags, 1, 1, 0));
        assert_eq!(nat.send(internal(1), &out), Err(NatDrop::NoConnection));
        let back = tcp("198.51.100.7:80", "192.0.2.1:80", segment(flags, 1, 1, 0));
        assert_eq!(nat.send(Realm::External, &back), Err(NatDrop::NoConnection));
    }
}

/// The first connection of all, by another address of ours than the one that it appears from: each keeps
/// its number, and nothing is left of it.
#[test]
fn a_hairpin_by_another_address_of_ours_as_the_first_connection() {
    let mut policy = policy();
    policy.published = vec![published(Transport::Tcp, 8080..=8080, B, 80, 2)];
    let mut nat = Lab::with(policy);
    let (edit, to) =
        nat.edit(internal(1), &tcp("10.99.0.2:4000", "10.99.0.1:8080", segment(SYN, 1, 0, 0)));
    assert_eq!(
        (edit.src.address, edit.dst, to),
        (ip(EXTERNAL), endpoint("10.99.0.3:80"), internal(2))
    );
    nat.nat.flush(|_| true);
    assert_eq!((nat.nat.len(), nat.nat.mappings()), (0, 0));
}

/// What a published endpoint says of its own accord leaves by the port that it is published at, at
/// whichever address of ours.
#[test]
fn an_endpoint_that_is_published_at_several_addresses_speaks_from_its_port() {
    for first in [EXTERNAL, "10.99.0.1"] {
        let mut policy = policy();
        let second = if first == EXTERNAL { "10.99.0.1" } else { EXTERNAL };
        policy.published = [first, second]
            .map(|address| {
                let one = published(Transport::Udp, 51_820..=51_820, A, 51_820, 1);
                vswitch_nat::Published { address: Some(ip(address)), to_v6: None, ..one }
            })
            .to_vec();
        let mut nat = Lab::with(policy);
        let (edit, _) = nat.edit(internal(1), &udp("10.99.0.2:51820", "198.51.100.7:9"));
        assert_eq!(edit.src, endpoint("192.0.2.1:51820"));
        let (_, to) = nat.edit(Realm::External, &udp("198.51.100.7:9", "192.0.2.1:51820"));
        assert_eq!(to, internal(1));
    }
}
