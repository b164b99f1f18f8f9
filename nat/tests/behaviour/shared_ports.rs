//! Ports that connections to different destinations share, when ports are short.

use std::ops::RangeInclusive;

use crate::common::*;
use vswitch_nat::{Endpoint, NatDrop, Realm, Time, Translation, Transport, Tuple, View};

const WEB: &str = "198.51.100.7:80";
const OTHER: &str = "198.51.100.8:443";
const DNS: &str = "198.51.100.9:53";

/// Below a quarter with the seventh, which is the last that one owner may have.
const PORTS: RangeInclusive<u16> = 20_000..=20_007;
const SHARE: u16 = 7;

fn from(port: u16) -> String {
    format!("{A}:{port}")
}

fn lab_of(ports: RangeInclusive<u16>) -> Lab {
    let mut policy = policy();
    policy.ports = ports;
    Lab::with(policy)
}

/// A translator whose ports are short: owner 1 has all it may have, all to [`WEB`]. The container's endpoints, and where
/// they appear from.
fn short() -> (Lab, Vec<(String, Endpoint)>) {
    let mut nat = lab_of(PORTS);
    let ends = (1..=SHARE).map(|port| (from(port), nat.establish(&from(port), WEB)));
    let ends = ends.collect();
    (nat, ends)
}

fn syn(src: &str, dst: &str) -> View {
    tcp(src, dst, segment(SYN, 1000, 0, 0))
}

/// An established connection of an owner; where it appears from.
#[track_caller]
fn establish_of(nat: &mut Lab, owner: u32, src: &str, dst: &str) -> Endpoint {
    let external = nat.edit(internal(owner), &syn(src, dst)).0.src;
    let answer = tcp(dst, &external.to_string(), segment(SYN_ACK, 5000, 1001, 0));
    let (edit, to) = nat.edit(Realm::External, &answer);
    assert_eq!((edit.dst, to), (endpoint(src), internal(owner)), "the answer");
    nat.edit(internal(owner), &tcp(src, dst, segment(ACK, 1001, 5001, 0)));
    external
}

fn reset(nat: &mut Lab, external: Endpoint, server: &str) {
    let segment = segment(RST, 5001, 0, 0);
    nat.edit(Realm::External, &tcp(server, &external.to_string(), segment));
}

#[test]
fn no_port_is_shared_while_a_quarter_is_free() {
    let mut nat = lab_of(PORTS);
    let mut ports: Vec<u16> = (1..=3).map(|port| nat.establish(&from(port), WEB).port).collect();
    for port in 1..=3 {
        let seen = establish_of(&mut nat, 2, &format!("{B}:{port}"), OTHER);
        ports.push(seen.port);
        assert_eq!(establish_of(&mut nat, 2, &format!("{B}:{port}"), DNS), seen, "one mapping");
    }
    ports.sort_unstable();
    ports.dedup();
    assert_eq!((ports.len(), nat.nat.mappings(), nat.nat.shared()), (6, 6, 0));
}

#[test]
fn connections_to_other_destinations_share_ports_and_get_their_own_answers() {
    for (a, b, web, other) in [
        (A, B, WEB, OTHER),
        ("[fd00:99::2]", "[fd00:99::3]", "[2001:db8:f::7]:80", "[2001:db8:f::8]:443"),
    ] {
        let mut nat = lab_of(PORTS);
        let used: Vec<_> =
            (1..=SHARE).map(|port| nat.establish(&format!("{a}:{port}"), web)).collect();
        for port in 1..=5 {
            let seen = establish_of(&mut nat, 2, &format!("{b}:{port}"), other);
            assert!(used.contains(&seen), "{seen} of {used:?}");
        }
        assert_eq!((nat.nat.mappings(), nat.nat.shared()), (SHARE.into(), 5));
        assert_eq!(nat.nat.counters().connections_shared, 5);
        // What the mapped endpoints say and hear stays as it was.
        for (port, seen) in (1..).zip(used) {
            let data = tcp(web, &seen.to_string(), segment(ACK, 5001, 1001, 10));
            assert_eq!(nat.back(&data), endpoint(&format!("{a}:{port}")));
        }
    }
}

/// A destination that all ports in use have gets the free ones, up to the owner's share.
#[test]
fn no_two_connections_to_one_destination_share_a_port() {
    let (mut nat, used) = short();
    let seen = establish_of(&mut nat, 2, &format!("{B}:1"), WEB);
    assert!(!used.iter().any(|(_, used)| *used == seen), "{seen} is of two connections");
    let refused = nat.send(internal(2), &syn(&format!("{B}:2"), WEB));
    assert_eq!(refused, Err(NatDrop::PortsExhausted));
    assert_eq!(nat.nat.counters().connections_no_port, 1);
}

#[test]
fn an_owner_leaves_others_ports_towards_a_destination() {
    let mut nat = lab_of(20_000..=20_019);
    for port in 1..=8 {
        establish_of(&mut nat, 2, &format!("{B}:{port}"), OTHER);
        establish_of(&mut nat, 3, &format!("10.99.0.4:{port}"), DNS);
    }
    let open = |nat: &mut Lab, port| {
        let is_open = nat.send(internal(1), &syn(&from(port), WEB)).is_ok();
        if is_open {
            nat.establish(&from(port), WEB);
        }
        is_open
    };
    let opened = (1..=40).filter(|port| open(&mut nat, *port)).count();
    assert!((14..=17).contains(&opened), "{opened} of 20");
    establish_of(&mut nat, 2, &format!("{B}:99"), WEB);
}

#[test]
fn the_endpoint_of_a_mapping_goes_around_who_shares_its_port() {
    let (mut nat, used) = short();
    let taken = establish_of(&mut nat, 2, &format!("{B}:1"), OTHER);
    let (client, _) = used.iter().find(|(_, seen)| *seen == taken).expect("a port in use");
    let seen = nat.establish(client, OTHER);
    assert_ne!(seen, taken, "both to {OTHER}");
    assert_eq!(nat.establish(client, DNS), taken, "its mapping");
    let data = tcp(OTHER, &seen.to_string(), segment(ACK, 5001, 1001, 10));
    assert_eq!(nat.back(&data), endpoint(client));
}

#[test]
fn from_outside_only_answers_reach_a_shared_port() {
    let (mut nat, used) = short();
    let seen = establish_of(&mut nat, 2, &format!("{B}:1"), OTHER).to_string();
    // By the mapping, whose endpoint has not spoken to that address.
    let stranger = syn("198.51.100.8:444", &seen);
    assert_eq!(nat.send(Realm::External, &stranger), Err(NatDrop::Unsolicited));
    // Without a mapping the port is nobody's.
    nat.nat.remove_owner(vswitch_nat::OwnerId(1));
    assert_eq!(nat.send(Realm::External, &stranger), Ok(Translation::NotOurs));
    let midstream = tcp("198.51.100.8:444", &seen, segment(ACK, 7, 7, 1));
    assert_eq!(nat.send(Realm::External, &midstream), Ok(Translation::NotOurs));
    let data = tcp(OTHER, &seen, segment(ACK, 5001, 1001, 10));
    let (edit, to) = nat.edit(Realm::External, &data);
    assert_eq!((edit.dst, to), (endpoint(&format!("{B}:1")), internal(2)));
    assert_eq!((nat.nat.mappings(), nat.nat.shared(), used.len()), (0, 1, SHARE.into()));
}

#[test]
fn an_icmp_error_about_a_shared_port_goes_to_the_connection_that_it_quotes() {
    let (mut nat, _) = short();
    let seen = establish_of(&mut nat, 2, &format!("{B}:1"), OTHER);
    let data = tcp(&format!("{B}:1"), OTHER, segment(ACK, 1001, 5001, 100));
    nat.edit(internal(2), &data);
    let about = |dst| Tuple { transport: Transport::Tcp, src: seen, dst: endpoint(dst) };
    let unreachable = error("203.0.113.1", seen.address, about(OTHER), Some(1001));
    let (edit, to) = nat.edit(Realm::External, &unreachable);
    assert_eq!((edit.dst.address, to), (ip(B), internal(2)));
    assert_eq!(edit.quoted.map(|(src, _)| src), Some(endpoint(&format!("{B}:1"))));
    let nobody = error("203.0.113.1", seen.address, about(DNS), Some(1001));
    assert_eq!(nat.send(Realm::External, &nobody), Err(NatDrop::ForgedError));
}

/// A port stays allocated until its mapping and all sharers have ended, then rests, and returns whole.
#[test]
fn ports_return_once_all_have_ended() {
    let (mut nat, used) = short();
    let shared: Vec<_> =
        (1..=3).map(|port| establish_of(&mut nat, 2, &format!("{B}:{port}"), OTHER)).collect();
    for (_, seen) in &used {
        reset(&mut nat, *seen, WEB);
    }
    nat.wait_s(300);
    assert_eq!((nat.nat.mappings(), nat.nat.len(), nat.nat.shared()), (0, 3, 3));
    for seen in shared {
        reset(&mut nat, seen, OTHER);
    }
    nat.wait_s(300);
    assert!(nat.nat.is_empty());
    nat.wait_s(300);
    for (owner, port) in (10..).zip(PORTS) {
        nat.edit(internal(owner), &syn(&format!("10.99.0.{owner}:{port}"), WEB));
    }
    assert_eq!((nat.nat.mappings(), nat.nat.shared()), (8, 0), "all to one destination");
}

/// Towards one destination the owner's own closed connection gives its port, not a living one.
#[test]
fn a_closed_connection_to_the_same_destination_gives_its_shared_port() {
    let (mut nat, _) = short();
    let mut seen = Vec::new();
    for port in 1..=20 {
        let external = establish_of(&mut nat, 2, &format!("{B}:{port}"), OTHER);
        reset(&mut nat, external, OTHER);
        seen.push(external);
    }
    assert!(nat.nat.counters().connections_evicted >= 10, "{:?}", nat.nat.counters());
    assert_eq!(nat.nat.counters().connections_no_port, 0);
    assert_eq!(nat.nat.rows().filter(|row| row.owner.0 == 1).count(), SHARE.into());
}

/// Its endpoint reuses the ports of a closed shared connection to the same destination: the same external port.
#[test]
fn a_shared_connection_opens_again_after_time_wait() {
    let (mut nat, _) = short();
    let client = format!("{B}:1");
    let seen = establish_of(&mut nat, 2, &client, OTHER);
    reset(&mut nat, seen, OTHER);
    let again = nat.edit(internal(2), &tcp(&client, OTHER, segment(SYN, 90_000, 0, 0))).0.src;
    assert_eq!((again, nat.nat.shared()), (seen, 1));
}

#[test]
fn datagrams_share_a_port_only_when_none_is_left() {
    let mut nat = lab_of(PORTS);
    for port in 1..=SHARE {
        let seen = nat.out(&udp(&from(port), DNS)).to_string();
        nat.back(&udp(DNS, &seen));
        assert_eq!(nat.out(&udp(&from(port), DNS)).to_string(), seen);
    }
    assert_eq!((nat.nat.mappings(), nat.nat.shared()), (SHARE.into(), 0));
    let b = |port| format!("{B}:{port}");
    let alone = nat.edit(internal(2), &udp(&b(1), OTHER)).0.src;
    nat.edit(Realm::External, &udp(OTHER, &alone.to_string()));
    nat.edit(internal(2), &udp(&b(1), OTHER));
    assert_eq!((nat.nat.mappings(), nat.nat.shared()), (8, 0), "the last one is unshared");
    let seen = nat.edit(internal(2), &udp(&b(2), WEB)).0.src.to_string();
    assert_eq!((nat.nat.mappings(), nat.nat.shared()), (8, 1));
    let (edit, to) = nat.edit(Realm::External, &udp(WEB, &seen));
    assert_eq!((edit.dst, to), (endpoint(&b(2)), internal(2)));
    assert!(!matches!(
        nat.send(Realm::External, &udp("198.51.100.7:81", &seen)),
        Ok(Translation::Edit { to, .. }) if to == internal(2)
    ));
}

#[test]
fn a_published_port_is_not_shared() {
    let mut nat = lab_of(PORTS);
    for port in 1..=6 {
        nat.establish(&from(port), WEB);
    }
    let published_port = nat.out(&syn(&from(1), WEB)).port;
    nat.policy.published =
        vec![published(Transport::Tcp, published_port..=published_port, A, 1, 1)];
    for port in 1..=10 {
        let sent = nat.send(internal(2), &syn(&format!("{B}:{port}"), OTHER));
        let Ok(Translation::Edit { edit, .. }) = sent else { continue };
        assert_ne!(edit.src.port, published_port);
    }
}

#[test]
fn a_hairpin_connection_shares_too() {
    let mut nat = lab_of(PORTS);
    nat.policy.published = vec![published(Transport::Tcp, 80..=80, A, 80, 1)];
    for port in 1..=SHARE {
        nat.establish(&from(port), WEB);
    }
    let (client, server) = (format!("{B}:1"), format!("{EXTERNAL}:80"));
    let (edit, to) = nat.edit(internal(2), &syn(&client, &server));
    assert_eq!((edit.dst, to, nat.nat.shared()), (endpoint(&from(80)), internal(1), 1));
    let answer = tcp(&from(80), &edit.src.to_string(), segment(SYN_ACK, 5000, 1001, 0));
    let (edit, to) = nat.edit(internal(1), &answer);
    assert_eq!((edit.src, edit.dst, to), (endpoint(&server), endpoint(&client), internal(2)));
    // Unpublished, it ends.
    nat.policy.published.clear();
    nat.wait_s(1);
    assert_eq!(nat.nat.shared(), 0);
}

#[test]
fn ports_are_not_shared_while_further_blocks_may_be_had_and_their_block_stays() {
    let mut policy = policy();
    policy.quota = u32::MAX;
    let mut nat = Lab::claiming(policy);
    nat.nat.claim_blocks(Transport::Tcp, &[20_000], 200);
    let open = |nat: &mut Lab, port: u16, dst: &str| {
        nat.send(internal(1 + u32::from(port) % 5), &syn(&from(port), dst))
    };
    for port in 1..=64 {
        assert!(open(&mut nat, port, WEB).is_ok());
    }
    assert_eq!(open(&mut nat, 65, OTHER), Err(NatDrop::PortAwaited));
    assert_eq!(nat.nat.shared(), 0);
    // No further ones.
    nat.nat.claim_blocks(Transport::Tcp, &[], 1);
    assert!(open(&mut nat, 65, OTHER).is_ok());
    assert_eq!(nat.nat.shared(), 1);
    let shared = nat.nat.rows().find(|row| row.original.dst == endpoint(OTHER)).expect("it");
    nat.nat.flush(|row| row.original.dst == endpoint(WEB));
    let others: Vec<u16> = (1..100).map(|block| 20_000 + 64 * block).collect();
    nat.nat.claim_blocks(Transport::Tcp, &others, 200);
    nat.nat.collect_empty_blocks(Transport::Tcp);
    let returned = nat.nat.collect_empty_blocks(Transport::Tcp);
    assert!(returned.len() > 50 && !returned.contains(&20_000), "{:?}: {returned:?}", shared.reply);
}

#[test]
fn an_import_keeps_shared_ports() {
    let (mut nat, _) = short();
    for port in 1..=3 {
        establish_of(&mut nat, 2, &format!("{B}:{port}"), OTHER);
    }
    let bytes = nat.nat.export();
    let mut other = lab_of(PORTS);
    other.now = Time(1 << 50);
    let imported = other.nat.import(other.now, &bytes).expect("an export");
    assert_eq!((imported.kept, imported.skipped), (10, 0));
    assert_eq!((other.nat.mappings(), other.nat.shared()), (SHARE.into(), 3));
    for row in nat.nat.rows() {
        let answer = view_of(row.reply, Some(segment(ACK, 5001, 1001, 10)), false);
        let (edit, to) = other.edit(Realm::External, &answer);
        assert_eq!((edit.dst, to), (row.original.src, internal(row.owner.0)));
    }
    other.nat.flush(|_| true);
    assert_eq!((other.nat.mappings(), other.nat.shared()), (0, 0));
}
