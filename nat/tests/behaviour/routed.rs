//! Containers of two networks: tracked, not translated; one network may open connections, the other answers.

use crate::common::*;
use vswitch_nat::{
    NatDrop, OwnerId, Realm, RoutedTarget, ShardSpec, Translation, Transport, View, Zone,
};

const CLIENT: &str = "10.1.0.2:4000";
const SERVER: &str = "10.2.0.2:80";
const FAMILIES: [[&str; 2]; 2] = [[CLIENT, SERVER], ["[fd00:1::2]:4000", "[fd00:2::2]:80"]];

const FROM: Realm = Realm::Internal(OwnerId(1), Zone(3));
const TO: Realm = Realm::Internal(OwnerId(2), Zone(4));

/// A peer to which connections may be opened, or only answered.
fn peer(realm: Realm, may_open: bool) -> RoutedTarget {
    let Realm::Internal(owner, zone) = realm else { panic!("{realm:?} is no container") };
    RoutedTarget { owner, zone, may_open }
}

fn there(nat: &mut Lab, view: &View) -> Result<Translation, NatDrop> {
    nat.nat.track_routed(nat.now, FROM, peer(TO, true), view)
}

fn back(nat: &mut Lab, view: &View) -> Result<Translation, NatDrop> {
    nat.nat.track_routed(nat.now, TO, peer(FROM, false), view)
}

/// The packet passes as it is.
#[track_caller]
fn assert_passes(result: Result<Translation, NatDrop>, [src, dst]: [&str; 2], to: Realm) {
    match result {
        Ok(Translation::Edit { edit, to: realm }) => {
            assert_eq!((edit.src, edit.dst, realm), (endpoint(src), endpoint(dst), to));
        }
        other => panic!("{src} to {dst}: {other:?}"),
    }
}

#[test]
fn a_connection_keeps_its_addresses_and_only_one_side_opens_it() {
    for [client, server] in FAMILIES {
        let mut nat = Lab::new();
        assert_eq!(back(&mut nat, &udp(server, client)), Err(NatDrop::NotAllowed));
        assert_eq!(
            back(&mut nat, &tcp(server, client, segment(SYN, 1, 0, 0))),
            Err(NatDrop::NotAllowed)
        );
        assert!(nat.nat.is_empty());
        assert_passes(there(&mut nat, &udp(client, server)), [client, server], TO);
        assert_passes(back(&mut nat, &udp(server, client)), [server, client], FROM);
        let other = server.replace(":80", ":81");
        assert_eq!(back(&mut nat, &udp(&other, client)), Err(NatDrop::NotAllowed));

        let syn = tcp(client, server, segment(SYN, 1000, 0, 0));
        assert_passes(there(&mut nat, &syn), [client, server], TO);
        let syn_ack = tcp(server, client, segment(SYN_ACK, 5000, 1001, 0));
        assert_passes(back(&mut nat, &syn_ack), [server, client], FROM);
        assert_eq!((nat.nat.len(), nat.nat.mappings()), (2, 0));
    }
}

#[test]
fn tcp_opens_with_a_syn_and_an_echo_with_a_request() {
    let mut nat = Lab::new();
    let stray = tcp(CLIENT, SERVER, segment(SYN_ACK, 1000, 1, 0));
    assert_eq!(there(&mut nat, &stray), Err(NatDrop::NoConnection));
    let [from, to] = ["10.1.0.2", "10.2.0.2"];
    assert_eq!(there(&mut nat, &echo(from, to, 7, false)), Err(NatDrop::NoConnection));
    assert_passes(there(&mut nat, &echo(from, to, 7, true)), ["10.1.0.2:7", "10.2.0.2:7"], TO);
    assert_eq!(back(&mut nat, &echo(to, from, 7, true)), Err(NatDrop::NoConnection));
    assert_passes(back(&mut nat, &echo(to, from, 7, false)), ["10.2.0.2:7", "10.1.0.2:7"], FROM);
}

/// An error passes if it is about a packet of the connection, and goes to the peer that sent it.
#[test]
fn an_error_goes_to_the_sender_of_its_packet() {
    let mut nat = Lab::new();
    let about = tuple(Transport::Udp, CLIENT, SERVER);
    let refused = error("10.2.0.2", ip("10.1.0.2"), about, None);
    assert_eq!(back(&mut nat, &refused), Err(NatDrop::ForgedError));
    there(&mut nat, &udp(CLIENT, SERVER)).expect("it opens");
    let elsewhere = RoutedTarget { owner: OwnerId(9), zone: Zone(3), may_open: false };
    let elsewhere = nat.nat.track_routed(nat.now, TO, elsewhere, &refused);
    assert_eq!(elsewhere, Err(NatDrop::ForgedError));
    assert_eq!(nat.nat.counters().icmp_errors_translated, 0, "none has passed");
    assert_passes(back(&mut nat, &refused), ["10.2.0.2:0", "10.1.0.2:0"], FROM);
    assert_eq!(nat.nat.counters().icmp_errors_translated, 1);
}

/// A row names both containers.
#[test]
fn a_row_has_the_server_too() {
    let mut nat = Lab::new();
    there(&mut nat, &udp(CLIENT, SERVER)).expect("it opens");
    let row = nat.nat.rows().next().expect("a row");
    assert_eq!((row.owner, row.zone), (OwnerId(1), Zone(3)));
    assert_eq!(row.server, Some((OwnerId(2), Zone(4))));
    assert_eq!(row.original, row.reply.reversed(), "it is not translated");
}

/// A container that leaves takes its connections with it, whichever side it was; a spoofed sender has none.
#[test]
fn connections_end_with_either_container() {
    for owner in [1, 2] {
        let mut nat = Lab::new();
        there(&mut nat, &udp(CLIENT, SERVER)).expect("it opens");
        let spoofer = Realm::Internal(OwnerId(5), Zone(3));
        let spoofed = nat.nat.track_routed(nat.now, spoofer, peer(TO, true), &udp(CLIENT, SERVER));
        assert_eq!(spoofed, Err(NatDrop::Address));
        nat.nat.remove_owner(OwnerId(owner));
        assert!(nat.nat.is_empty());
        assert_eq!(back(&mut nat, &udp(SERVER, CLIENT)), Err(NatDrop::NotAllowed));
    }
}

/// A new container with the address of the former peer gets no packet of its connection.
#[test]
fn another_peer_gets_a_connection_of_its_own() {
    let mut nat = Lab::new();
    there(&mut nat, &udp(CLIENT, SERVER)).expect("it opens");
    let next = Realm::Internal(OwnerId(7), Zone(4));
    let sent = nat.nat.track_routed(nat.now, FROM, peer(next, true), &udp(CLIENT, SERVER));
    assert_passes(sent, [CLIENT, SERVER], next);
    assert_eq!(nat.nat.len(), 1);
    assert_eq!(back(&mut nat, &udp(SERVER, CLIENT)), Err(NatDrop::Address));
}

#[test]
fn a_connection_survives_export_and_import() {
    let mut nat = Lab::new();
    there(&mut nat, &udp(CLIENT, SERVER)).expect("it opens");
    let bytes = nat.nat.export();
    let mut next = Lab::new();
    let imported = next.nat.import(next.now, &bytes).expect("an import");
    assert_eq!((imported.kept, imported.skipped), (1, 0));
    assert_passes(back(&mut next, &udp(SERVER, CLIENT)), [SERVER, CLIENT], FROM);
}

#[test]
fn the_quota_is_that_of_the_sender() {
    let mut policy = policy();
    policy.quota = 3;
    let mut nat = Lab::with(policy);
    for port in 1..=3 {
        let (src, dst) = (format!("10.1.0.2:{port}"), SERVER);
        there(&mut nat, &udp(&src, dst)).expect("it opens");
        back(&mut nat, &udp(dst, &src)).expect("an answer");
        there(&mut nat, &udp(&src, dst)).expect("in use");
    }
    assert_eq!(there(&mut nat, &udp("10.1.0.2:4", SERVER)), Err(NatDrop::Quota));
}

/// Both directions have the same worker.
#[test]
fn a_pair_has_one_worker() {
    let spec = ShardSpec::new(0, 3);
    for (one, other) in [(1, 2), (5, 4), (3, 3)].map(|(a, b)| (OwnerId(a), OwnerId(b))) {
        assert_eq!(spec.worker_of_pair(one, other), spec.worker_of_pair(other, one));
    }
}

/// What ended is not opened again from the other side, and a SYN does not pass as a part of what is.
#[test]
fn who_may_only_answer_opens_nothing_by_an_old_connection() {
    let mut nat = Lab::new();
    let opens = |seq| tcp(SERVER, CLIENT, segment(SYN, seq, 0, 0));
    there(&mut nat, &tcp(CLIENT, SERVER, segment(SYN, 1000, 0, 0))).expect("it opens");
    back(&mut nat, &tcp(SERVER, CLIENT, segment(SYN_ACK, 5000, 1001, 0))).expect("an answer");
    there(&mut nat, &tcp(CLIENT, SERVER, segment(ACK, 1001, 5001, 0))).expect("established");
    assert_eq!(back(&mut nat, &opens(5001)), Err(NatDrop::NotAllowed));
    there(&mut nat, &tcp(CLIENT, SERVER, segment(RST_ACK, 1001, 5001, 0))).expect("it ends");
    assert_eq!(back(&mut nat, &opens(9000)), Err(NatDrop::NotAllowed));
    let again = tcp(CLIENT, SERVER, segment(SYN, 70_000, 0, 0));
    assert_passes(there(&mut nat, &again), [CLIENT, SERVER], TO);
}

/// Answers alone keep no connection of datagrams alive; the client's packets do.
#[test]
fn answers_keep_no_way_back() {
    let mut nat = Lab::new();
    there(&mut nat, &udp(CLIENT, SERVER)).expect("it opens");
    for _ in 0..40 {
        nat.wait_s(10);
        let _ = back(&mut nat, &udp(SERVER, CLIENT));
    }
    assert_eq!(back(&mut nat, &udp(SERVER, CLIENT)), Err(NatDrop::NotAllowed));
    for _ in 0..40 {
        there(&mut nat, &udp(CLIENT, SERVER)).expect("the client's");
        nat.wait_s(10);
        assert_passes(back(&mut nat, &udp(SERVER, CLIENT)), [SERVER, CLIENT], FROM);
    }
}

/// A connection that the server had with the client's address beyond the uplink, before the other network came,
/// blocks neither direction.
#[test]
fn what_went_beyond_the_uplink_before_yields() {
    let mut nat = Lab::new();
    nat.edit(TO, &udp(SERVER, CLIENT));
    assert_passes(there(&mut nat, &udp(CLIENT, SERVER)), [CLIENT, SERVER], TO);
    assert_passes(back(&mut nat, &udp(SERVER, CLIENT)), [SERVER, CLIENT], FROM);
    let mut nat = Lab::new();
    nat.edit(FROM, &udp(CLIENT, SERVER));
    assert_passes(there(&mut nat, &udp(CLIENT, SERVER)), [CLIENT, SERVER], TO);
    assert_eq!(nat.nat.len(), 1);
}
