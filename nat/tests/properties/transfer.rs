//! Export and import: the imported table translates the same packets in the same way.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use vswitch_nat::{
    Endpoint, ImportError, Kind, Nat, OwnerId, Realm, Segment, Time, Translation, Transport, Tuple,
    View, Zone,
};
use wire::tcp::Flags;

mod check;

use check::{NOW, check, table};

/// A packet that may begin a connection, and how far that gets.
#[derive(Clone, Debug)]
struct Opening {
    from: Realm,
    tuple: Tuple,
    /// Packets in turn, the first of the opener.
    packets: usize,
    pause_s: u64,
}

fn container(n: u8, is_v6: bool) -> std::net::IpAddr {
    match is_v6 {
        false => [10, 99, 0, n].into(),
        true => [0xfd00, 0, 0, 0, 0, 0, 0, n.into()].into(),
    }
}

fn host(is_v6: bool) -> std::net::IpAddr {
    if is_v6 { [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into() } else { [192, 0, 2, 1].into() }
}

fn remote(n: u8, is_v6: bool) -> std::net::IpAddr {
    match is_v6 {
        false => [198, 51, 100, n].into(),
        true => [0x2001, 0xdb8, 7, 0, 0, 0, 0, n.into()].into(),
    }
}

fn opening() -> impl Strategy<Value = Opening> {
    let transport = prop::sample::select(vec![
        Transport::Tcp,
        Transport::Udp,
        Transport::Echo,
        Transport::Sctp,
    ]);
    let ends = (1..4_u8, 0..3_u16, 1..4_u8, 0..4_u16, any::<bool>());
    (transport, ends, 0..3_u8, 1..6_usize, 0..3_u64).prop_map(
        |(transport, (owner, port, peer, peer_port, is_v6), kind, packets, pause_s)| {
            let zone = Zone(u16::from(owner % 2));
            // Owners 1 and 3 differ in their address, owner 2 has that of owner 1 in another zone.
            let address = container(if owner == 2 { 2 } else { owner + 1 }, is_v6);
            let inside = Endpoint::new(address, 70 + port);
            let outside = Endpoint::new(remote(peer, is_v6), 50 + peer_port);
            let published = Endpoint::new(host(is_v6), 700 + peer_port);
            let (from, src, mut dst) = match kind {
                0 => (Realm::Internal(OwnerId(owner.into()), zone), inside, outside),
                1 => (Realm::Internal(OwnerId(owner.into()), zone), inside, published),
                _ => (Realm::External, outside, published),
            };
            if transport == Transport::Echo {
                dst.port = src.port;
            }
            Opening { from, tuple: Tuple { transport, src, dst }, packets, pause_s }
        },
    )
}

/// The `n`th packet of a connection; even ones are the opener's.
fn packet(tuple: Tuple, n: usize) -> View {
    let (flags, seq, ack) = match n {
        0 => (Flags::SYN, 1_000, 0),
        1 => (Flags(0x12), 5_000, 1_001),
        3 => (Flags(0x11), 5_001, 1_001),
        n if n % 2 == 0 => (Flags::ACK, 1_001, 5_001),
        _ => (Flags::ACK, 5_002, 1_001),
    };
    let len = u32::from(flags.0 & 3 != 0);
    let segment = Segment { flags, seq, ack, window: 64_000, len, window_scale: None };
    let segment = (tuple.transport == Transport::Tcp).then_some(segment);
    let kind = Kind::Flow { tuple, segment, is_request: n.is_multiple_of(2) };
    View { src: tuple.src.address, dst: tuple.dst.address, kind, fragment: None, len: 100 }
}

/// The other direction of a connection: who answers, and the tuple of the answers.
fn reply(tuple: Tuple, translation: &Translation) -> Option<(Realm, Tuple)> {
    let Translation::Edit { edit, to } = translation else { return None };
    Some((*to, Tuple { src: edit.dst, dst: edit.src, ..tuple }))
}

/// A table with connections, the packets that both sides would send next, and its clock.
fn filled(openings: &[Opening]) -> (Nat, Vec<(Realm, View)>, Time) {
    let (mut nat, mut now, mut packets) = (table(7), NOW, Vec::new());
    for opening in openings {
        now = now.after(Duration::from_secs(opening.pause_s));
        let first = packet(opening.tuple, 0);
        let Ok(translated) = nat.translate(now, opening.from, &first) else { continue };
        let Some((from, back)) = reply(opening.tuple, &translated) else { continue };
        let both = [(opening.from, opening.tuple), (from, back)];
        for n in 1..opening.packets {
            let (from, tuple) = both[n % 2];
            let _ = nat.translate(now, from, &packet(tuple, n));
        }
        for n in [opening.packets, opening.packets + 1] {
            let (from, tuple) = both[n % 2];
            packets.push((from, packet(tuple, n)));
        }
    }
    (nat, packets, now)
}

fn rows(nat: &Nat) -> Vec<String> {
    let mut rows: Vec<_> = nat.rows().map(|row| format!("{row:?}")).collect();
    rows.sort();
    rows
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn an_imported_table_translates_alike(openings in vec(opening(), 0..40), pause_s in 0..60_u64) {
        let (mut nat, packets, now) = filled(&openings);
        let now = now.after(Duration::from_secs(pause_s));
        nat.tick(now, usize::MAX);
        let bytes = nat.export();
        let mut other = table(99);
        // Another clock; idle times are what counts.
        let other_now = now.after(Duration::from_secs(1_000_000));
        let imported = other.import(other_now, &bytes).expect("an export");
        prop_assert_eq!((imported.kept, imported.skipped), (nat.rows().count(), 0));
        prop_assert_eq!(rows(&other), rows(&nat));
        prop_assert_eq!(other.export().len(), bytes.len());
        let created = nat.counters().connections_created;
        for (from, view) in &packets {
            let expected = nat.translate(now, *from, view);
            if nat.counters().connections_created > created {
                // Its connection had expired, and the new one may get any free port.
                break;
            }
            prop_assert_eq!(other.translate(other_now, *from, view), expected, "{:?}", view);
        }
        let wait = Duration::from_secs(8_000);
        other.tick(other_now.after(wait), usize::MAX);
        prop_assert_eq!((other.len(), other.mappings()), (0, 0), "all expires");
    }

    #[test]
    fn a_changed_export_is_refused_or_sound(
        openings in vec(opening(), 1..10),
        changes in vec((any::<Index>(), any::<u8>()), 1..4),
        cut in any::<Index>(),
    ) {
        let mut bytes = filled(&openings).0.export();
        check(&bytes);
        check(&bytes[..cut.index(bytes.len())]);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        check(&bytes);
    }

    #[test]
    fn any_bytes_are_refused(bytes in vec(any::<u8>(), 0..400)) {
        check(&bytes);
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let from = Realm::Internal(OwnerId(1), Zone(1));
    let (src, dst) = (Endpoint::new(container(2, false), 9), Endpoint::new(remote(1, false), 53));
    let mut nat = table(3);
    nat.translate(NOW, from, &packet(Tuple { transport: Transport::Udp, src, dst }, 0)).unwrap();
    let bytes = nat.export();
    assert_eq!(nat.import(NOW, &bytes), Err(ImportError::InUse(1)));
    let refused = |bytes: &[u8]| table(4).import(NOW, bytes).unwrap_err().to_string();
    assert_eq!(refused(b"vswitch"), "not an export of a NAT table");
    let changed = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        refused(&bytes)
    };
    assert_eq!(changed(7, 9), "export of version 9, not 1");
    assert_eq!(changed(8, 2), "export of 153 bytes, not 294");
    assert_eq!(changed(12 + 80, 9), "connection 0: unknown transport");
    assert_eq!(changed(12 + 80, 0), "connection 0: state of another transport");
    let twice = [&bytes[..8], &[2, 0, 0, 0], &bytes[12..], &bytes[12..]].concat();
    assert_eq!(refused(&twice), "connection 1: addresses and ports of another connection");
}

/// The policy and the slice of ports may have changed between export and import.
#[test]
fn connections_that_are_no_longer_allowed_are_skipped() {
    let (src, dst) = (Endpoint::new(container(2, false), 9), Endpoint::new(remote(1, false), 53));
    let published = Endpoint::new(host(false), 700);
    let mut nat = table(3);
    let udp = |src, dst| packet(Tuple { transport: Transport::Udp, src, dst }, 0);
    nat.translate(NOW, Realm::Internal(OwnerId(1), Zone(1)), &udp(src, dst)).unwrap();
    nat.translate(NOW, Realm::External, &udp(dst, published)).unwrap();
    let kept = |change: fn(&mut vswitch_nat::Policy)| {
        let mut policy = check::policy().source().clone();
        change(&mut policy);
        let mut other = Nat::new(vswitch_nat::NatConfig { capacity: 16, seed: 5 });
        other.revalidate(&vswitch_nat::CompiledPolicy::compile(policy, None));
        let imported = other.import(NOW, &nat.export()).unwrap();
        assert_eq!(imported.kept + imported.skipped, 2);
        assert_eq!(imported.kept, other.len());
        imported.kept
    };
    assert_eq!(kept(|_| {}), 2);
    assert_eq!(kept(|policy| policy.ports = 30_000..=30_999), 1);
    assert_eq!(kept(|policy| policy.published.clear()), 1);
    assert_eq!(kept(|policy| (policy.external_v4, policy.host_addrs) = (None, Vec::new())), 0);
}
