use std::time::Duration;

use super::*;
use crate::edit::Edit;
use crate::limits::{FRAGMENT_FRAMES_OWNER_MAX, FRAGMENT_PACKETS_OWNER_MAX, FRAGMENT_RANGES_MAX};
use crate::tuple::{Endpoint, Tuple};
use crate::view::Fragment;
use crate::zone::Zone;

const A: Realm = Realm::Internal(OwnerId(1), Zone(0));
const B: Realm = Realm::Internal(OwnerId(2), Zone(0));

/// A store whose frames are numbers, with what it gave back.
#[derive(Default)]
struct Store {
    fragments: Fragments<u32>,
    given: Vec<(u32, Verdict)>,
    now: Time,
}

impl Store {
    fn head(&mut self, from: Realm, view: &View, verdict: Verdict) -> Verdict {
        let given = &mut self.given;
        self.fragments
            .head(self.now, from, view, verdict, &mut |frame, got| given.push((frame, got)))
    }

    fn tail(&mut self, from: Realm, view: &View, frame: u32) {
        let given = &mut self.given;
        self.fragments
            .tail(self.now, from, view, frame, &mut |frame, got| given.push((frame, got)));
    }

    fn tick(&mut self, max: usize) {
        let given = &mut self.given;
        self.fragments.tick(self.now, max, &mut |frame, got| given.push((frame, got)));
    }

    /// What was given since the last time.
    fn given(&mut self) -> Vec<(u32, Verdict)> {
        std::mem::take(&mut self.given)
    }
}

fn verdict() -> Verdict {
    let end = Endpoint::new([192, 0, 2, 1].into(), 20_000);
    Ok(Translation::Edit { edit: Edit { src: end, dst: end, quoted: None }, to: Realm::External })
}

/// A fragment of packet `ident`: units of eight bytes from one to another.
fn view(is_v6: bool, ident: u32, units: std::ops::Range<u32>, more: bool) -> View {
    let (src, dst): (IpAddr, IpAddr) = match is_v6 {
        true => ([0xfd00; 8].into(), [0x2001; 8].into()),
        false => ([10, 99, 0, 2].into(), [1, 1, 1, 1].into()),
    };
    let (src_end, dst_end) = (Endpoint::new(src, 40_000), Endpoint::new(dst, 53));
    let tuple = Tuple { transport: Transport::Udp, src: src_end, dst: dst_end };
    let kind = match units.start {
        0 => Kind::Flow { tuple, segment: None, is_request: false },
        _ => Kind::Tail(Transport::Udp),
    };
    let (offset, len) = (units.start * 8, units.len() as u32 * 8);
    View { src, dst, kind, fragment: Some(Fragment { ident, offset, len, more }), len: len + 20 }
}

fn v4(ident: u32, units: std::ops::Range<u32>, more: bool) -> View {
    view(false, ident, units, more)
}

/// RFC 4787 REQ-14: fragments in order follow the first.
#[test]
fn rfc4787_req_14_in_order() {
    let mut store = Store::default();
    assert_eq!(store.head(A, &v4(7, 0..100, true), verdict()), verdict());
    store.tail(A, &v4(7, 100..200, true), 1);
    assert_eq!(store.given(), [(1, verdict())]);
    assert_eq!(store.fragments.len(), 1);
    store.tail(A, &v4(7, 200..250, false), 2);
    assert_eq!(store.given(), [(2, verdict())]);
    assert!(store.fragments.is_empty(), "complete, so its number may come again");
    assert_eq!(
        store.fragments.counters(),
        FragmentCounters { fragments_completed: 1, ..FragmentCounters::default() }
    );
}

/// RFC 4787 REQ-14a: and out of order, they wait for it.
#[test]
fn rfc4787_req_14_out_of_order() {
    let mut store = Store::default();
    store.tail(A, &v4(7, 200..250, false), 1);
    store.tail(A, &v4(7, 100..200, true), 2);
    assert_eq!((store.given(), store.fragments.frames_waiting()), (vec![], 2));
    assert_eq!(store.head(A, &v4(7, 0..100, true), verdict()), verdict());
    assert_eq!(store.given(), [(1, verdict()), (2, verdict())]);
    assert!(store.fragments.is_empty() && store.fragments.frames_waiting() == 0);
    let expected = FragmentCounters {
        fragments_queued: 2,
        fragments_released: 2,
        fragments_completed: 1,
        ..FragmentCounters::default()
    };
    assert_eq!(store.fragments.counters(), expected);
}

/// RFC 791 section 3.2: source, destination, protocol and number make the packet; here also where it
/// comes from, since two containers may have one address.
#[test]
fn rfc791_3_2_packets_are_told_apart() {
    let mut store = Store::default();
    store.head(A, &v4(7, 0..100, true), verdict()).expect("the first");
    let (other, base) = (IpAddr::from([9, 9, 9, 9]), v4(7, 100..200, true));
    let others = [
        (B, base),
        (Realm::External, base),
        (A, v4(8, 100..200, true)),
        (A, View { src: other, ..base }),
        (A, View { dst: other, ..base }),
        (A, View { kind: Kind::Tail(Transport::Tcp), ..base }),
    ];
    for (n, (from, view)) in others.into_iter().enumerate() {
        store.tail(from, &view, n as u32);
    }
    assert_eq!((store.given(), store.fragments.frames_waiting()), (vec![], others.len()));
    store.tail(A, &base, 100);
    assert_eq!(store.given(), [(100, verdict())]);
}

/// An ICMP error and an echo in fragments are both of protocol ICMP.
#[test]
fn the_tail_of_an_error_finds_its_head() {
    let mut store = Store::default();
    let head = v4(7, 0..100, true);
    let Kind::Flow { tuple, .. } = head.kind else { panic!("a flow") };
    let kind = Kind::Error(crate::view::Quoted { tuple, seq: None, mtu: None });
    store.head(A, &View { kind, ..head }, verdict()).expect("the first");
    let tail = View { kind: Kind::Tail(Transport::Echo), ..v4(7, 100..200, false) };
    store.tail(A, &tail, 1);
    assert_eq!(store.given(), [(1, verdict())]);
}

/// What is refused with its head is refused whole.
#[test]
fn tails_share_the_verdict_of_their_head() {
    let mut store = Store::default();
    let no = Err(NatDrop::NotAllowed);
    store.tail(A, &v4(7, 200..250, false), 1);
    assert_eq!(store.head(A, &v4(7, 0..100, true), no), no);
    store.tail(A, &v4(7, 100..150, true), 2);
    assert_eq!(store.given(), [(1, no), (2, no)]);
    assert_eq!(
        store.head(A, &v4(8, 0..100, true), Ok(Translation::NotOurs)),
        Ok(Translation::NotOurs)
    );
    store.tail(A, &v4(8, 100..150, true), 3);
    assert_eq!(store.given(), [(3, Ok(Translation::NotOurs))]);
}

/// RFC 5722 section 4: with one fragment that overlaps, all are dropped, also those still to come.
#[test]
fn rfc5722_4_overlaps_kill_the_packet() {
    let dead = Err(NatDrop::Overlap);
    let mut store = Store::default();
    store.tail(A, &view(true, 7, 10..20, true), 1);
    store.tail(A, &view(true, 7, 30..40, true), 2);
    store.tail(A, &view(true, 7, 15..25, true), 3);
    assert_eq!(store.given(), [(1, dead), (2, dead), (3, dead)]);
    assert_eq!(store.head(A, &view(true, 7, 0..10, true), verdict()), dead);
    store.tail(A, &view(true, 7, 20..30, true), 4);
    assert_eq!(store.given(), [(4, dead)]);
    assert_eq!(store.fragments.counters().fragments_overlapping, 1);
}

/// The head overlaps what waits.
#[test]
fn rfc5722_4_a_head_that_overlaps() {
    let mut store = Store::default();
    store.tail(A, &view(true, 7, 5..20, true), 1);
    let dead = Err(NatDrop::Overlap);
    assert_eq!(store.head(A, &view(true, 7, 0..10, true), verdict()), dead);
    assert_eq!(store.given(), [(1, dead)]);
}

/// Teardrop (CERT CA-1997-28): the second fragment lies within the first, or reaches back into it.
#[test]
fn teardrop() {
    let mut store = Store::default();
    store.head(A, &v4(7, 0..5, true), verdict()).expect("the first");
    let mut within = v4(7, 3..4, false);
    within.fragment = within.fragment.map(|fragment| Fragment { len: 4, ..fragment });
    store.tail(A, &within, 1);
    store.tail(A, &v4(7, 5..9, false), 2);
    let dead = Err(NatDrop::Overlap);
    assert_eq!(store.given(), [(1, dead), (2, dead)]);
    store.head(A, &v4(8, 0..5, true), verdict()).expect("the first");
    store.tail(A, &v4(8, 4..9, true), 3);
    assert_eq!(store.given(), [(3, dead)]);
    assert_eq!(store.fragments.counters().fragments_overlapping, 2);
}

/// RFC 8200 section 4.5: an exact duplicate may be dropped by itself.
#[test]
fn rfc8200_4_5_a_duplicate_is_dropped_by_itself() {
    let mut store = Store::default();
    store.head(A, &view(true, 7, 0..10, true), verdict()).expect("the first");
    store.tail(A, &view(true, 7, 10..20, true), 1);
    store.tail(A, &view(true, 7, 10..20, true), 2);
    let again = store.head(A, &view(true, 7, 0..10, true), verdict());
    store.tail(A, &view(true, 7, 20..30, false), 3);
    let double = Err(NatDrop::Overlap);
    assert_eq!((store.given(), again), (vec![(1, verdict()), (2, double), (3, verdict())], double));
    let expected = FragmentCounters {
        fragments_duplicate: 2,
        fragments_completed: 1,
        ..FragmentCounters::default()
    };
    assert_eq!(store.fragments.counters(), expected);
}

/// RFC 6864 section 1: numbers of IPv4 come again. A second head begins another packet.
#[test]
fn rfc6864_1_a_number_comes_again() {
    let mut store = Store::default();
    let other = Err(NatDrop::NotAllowed);
    store.head(A, &v4(7, 0..10, true), other).expect_err("refused");
    store.tail(A, &v4(7, 10..20, true), 1);
    assert_eq!(store.head(A, &v4(7, 0..10, true), verdict()), verdict());
    store.tail(A, &v4(7, 10..20, true), 2);
    assert_eq!(store.given(), [(1, other), (2, verdict())]);
    // Also where the one before was killed.
    store.tail(A, &v4(7, 15..25, true), 3);
    store.tail(A, &v4(7, 20..30, false), 4);
    assert_eq!(store.given(), [(3, Err(NatDrop::Overlap)), (4, Err(NatDrop::Overlap))]);
    assert_eq!(store.head(A, &v4(7, 0..10, true), verdict()), verdict());
    store.tail(A, &v4(7, 10..20, false), 5);
    assert_eq!(store.given(), [(5, verdict())]);
    assert!(store.fragments.is_empty());
}

/// Two ends, or bytes behind the end: contradictions.
#[test]
fn a_packet_has_one_end() {
    let dead = |views: [View; 2]| {
        let mut store = Store::default();
        store.tail(A, &views[0], 1);
        store.tail(A, &views[1], 2);
        store.given() == [(1, Err(NatDrop::Overlap)), (2, Err(NatDrop::Overlap))]
    };
    assert!(dead([v4(7, 20..30, false), v4(7, 40..50, false)]));
    assert!(dead([v4(7, 20..30, false), v4(7, 40..50, true)]));
    assert!(dead([v4(7, 40..50, true), v4(7, 20..30, false)]));
    assert!(!dead([v4(7, 20..30, false), v4(7, 10..20, true)]));
}

/// RFC 8200 section 4.5: a length that is no multiple of eight, but in the last; beyond 65,535 bytes
/// (ping of death); no bytes at all.
#[test]
fn rfc8200_4_5_impossible_fragments() {
    let mut store = Store::default();
    let with = |offset, len, more| View {
        fragment: Some(Fragment { ident: 7, offset, len, more }),
        ..v4(7, 1..2, true)
    };
    let impossible =
        [with(8, 9, true), with(65_528, 8, false), with(8, 0, true), with(8, u32::MAX, false)];
    for (n, view) in impossible.into_iter().enumerate() {
        store.tail(A, &view, n as u32);
        assert_eq!(store.given(), [(n as u32, Err(NatDrop::Overlap))]);
    }
    let head = View { kind: v4(7, 0..1, true).kind, ..with(0, 9, true) };
    assert_eq!(store.head(A, &head, verdict()), Err(NatDrop::Overlap));
    assert!(store.fragments.is_empty());
    assert_eq!(store.fragments.counters().fragments_impossible, 5);
    store.tail(A, &with(65_528, 7, false), 9);
    assert_eq!(store.fragments.frames_waiting(), 1, "the last seven bytes of the longest packet");
}

/// After 30 seconds nobody waits any longer, and the frames come back.
#[test]
fn times_out() {
    let mut store = Store::default();
    store.tail(A, &v4(1, 10..20, true), 1);
    store.now = store.now.after(Duration::from_secs(10));
    store.tail(A, &v4(2, 10..20, true), 2);
    store.now = store.now.after(Duration::from_secs(20) - Duration::from_nanos(1));
    store.tick(10);
    assert_eq!(store.given(), []);
    store.now = store.now.after(Duration::from_nanos(1));
    store.tick(10);
    assert_eq!(store.given(), [(1, Err(NatDrop::FragmentTimeout))]);
    // What comes after that is of another packet, with or without a tick.
    store.now = store.now.after(FRAGMENT_TIMEOUT);
    assert_eq!(store.head(A, &v4(2, 0..10, true), verdict()), verdict());
    assert_eq!(store.given(), [(2, Err(NatDrop::FragmentTimeout))]);
    assert_eq!(store.fragments.counters().fragments_timed_out, 2);
}

#[test]
fn a_tick_is_bounded() {
    let mut store = Store::default();
    for n in 0..10 {
        store.tail(A, &v4(n, 10..20, true), n);
    }
    store.now = store.now.after(FRAGMENT_TIMEOUT);
    store.tick(4);
    assert_eq!((store.given().len(), store.fragments.len()), (4, 6));
    store.tail(B, &v4(99, 10..20, true), 99);
    assert_eq!(store.given().len(), FRAGMENT_EXPIRE_PER_CALL_MAX);
}

/// Who is at the bound loses its own oldest; who waits goes before who is known.
#[test]
fn an_owner_at_its_bound_loses_its_own() {
    let mut store = Store::default();
    store.tail(B, &v4(0, 10..20, true), 1_000_000);
    store.head(A, &v4(0, 0..10, true), verdict()).expect("a packet");
    for n in 1..FRAGMENT_FRAMES_OWNER_MAX as u32 + 10 {
        store.tail(A, &v4(n, 10..20, true), n);
    }
    let full = Err(NatDrop::FragmentsFull);
    let expected: Vec<_> = (1..10).map(|n| (n, full)).collect();
    assert_eq!(store.given(), expected, "frames");
    for n in 1001..1000 + FRAGMENT_PACKETS_OWNER_MAX as u32 {
        store.head(A, &v4(n, 0..10, true), verdict()).expect("a packet");
    }
    assert_eq!(store.fragments.len(), FRAGMENT_PACKETS_OWNER_MAX + 1);
    assert_eq!(store.given().len(), FRAGMENT_FRAMES_OWNER_MAX, "those that waited went first");
    assert_eq!(store.fragments.frames_waiting(), 1, "another's stays");
    store.tail(A, &v4(0, 10..20, true), 5);
    assert_eq!(store.given(), [(5, verdict())], "the oldest known one is still there");
    store.head(A, &v4(9999, 0..10, true), verdict()).expect("a packet");
    store.tail(A, &v4(1001, 10..20, true), 6);
    assert_eq!(store.given(), [(6, verdict())]);
    store.tail(A, &v4(0, 20..30, true), 7);
    assert_eq!(store.given(), [], "it made room, so this one waits");
}

/// One packet cannot take more than its owner may: what does not fit is dropped, what waits stays.
#[test]
fn one_packet_at_the_bound() {
    let mut store = Store::default();
    let max = FRAGMENT_FRAMES_OWNER_MAX as u32;
    for n in 1..=max + 1 {
        store.tail(A, &v4(7, n..n + 1, true), n);
    }
    assert_eq!(store.given(), [(max + 1, Err(NatDrop::FragmentsFull))]);
    assert_eq!(store.fragments.frames_waiting(), max as usize);
    assert_eq!(store.fragments.counters().fragments_full, 1);
}

/// Many flood; who has little still finds room, and those who have most make it.
#[test]
fn a_flood_makes_room_for_others() {
    let mut store = Store::default();
    let mut frame = 0;
    for owner in 0..20 {
        for ident in 0..FRAGMENT_PACKETS_OWNER_MAX as u32 {
            frame += 1;
            store.tail(Realm::Internal(OwnerId(owner), Zone(0)), &v4(ident, 10..20, true), frame);
        }
    }
    assert_eq!(store.fragments.frames_waiting(), FRAGMENT_FRAMES_MAX);
    store.given();
    let few = Realm::Internal(OwnerId(100), Zone(0));
    for n in 0..5 {
        store.tail(few, &v4(n, 10..20, true), 1_000_000 + n);
    }
    assert!(store.given().iter().all(|(frame, _)| *frame < 1_000_000));
    for n in 0..5 {
        store.head(few, &v4(n, 0..10, true), verdict()).expect("a packet");
    }
    let expected: Vec<_> = (0..5).map(|n| (1_000_000 + n, verdict())).collect();
    assert_eq!(store.given(), expected);
}

/// The table of packets is full: the same.
#[test]
fn a_full_table_makes_room_for_others() {
    let mut store = Store::default();
    for owner in 0..5 {
        for ident in 0..FRAGMENT_PACKETS_OWNER_MAX as u32 {
            let from = Realm::Internal(OwnerId(owner), Zone(0));
            store.head(from, &v4(ident, 0..10, true), verdict()).expect("a packet");
        }
    }
    assert_eq!(store.fragments.len(), FRAGMENT_PACKETS_MAX);
    let few = Realm::Internal(OwnerId(100), Zone(0));
    for n in 0..5 {
        store.head(few, &v4(n, 0..10, true), verdict()).expect("a packet");
    }
    for n in 0..5 {
        store.tail(few, &v4(n, 10..20, false), n);
    }
    assert_eq!(store.given(), (0..5).map(|n| (n, verdict())).collect::<Vec<_>>());
}

/// A packet in more pieces than are remembered apart: the piece is dropped, the packet goes on.
#[test]
fn too_many_stretches() {
    let mut store = Store::default();
    store.head(A, &v4(7, 0..1, true), verdict()).expect("the first");
    for n in 1..=FRAGMENT_RANGES_MAX as u32 {
        store.tail(A, &v4(7, 2 * n..2 * n + 1, true), n);
    }
    let given = store.given();
    assert_eq!(given.last(), Some(&(FRAGMENT_RANGES_MAX as u32, Err(NatDrop::FragmentsFull))));
    assert!(given[..given.len() - 1].iter().all(|(_, got)| *got == verdict()));
    store.tail(A, &v4(7, 1..2, true), 99);
    assert_eq!(store.given(), [(99, verdict())]);
}

/// With a container goes what came from it, and what would go to it.
#[test]
fn an_owner_that_is_gone() {
    let mut store = Store::default();
    let inward = match verdict() {
        Ok(Translation::Edit { edit, .. }) => Ok(Translation::Edit { edit, to: A }),
        other => other,
    };
    store.tail(A, &v4(1, 10..20, true), 1);
    store.tail(B, &v4(1, 10..20, true), 2);
    store.head(Realm::External, &v4(1, 0..10, true), inward).expect("the first");
    store.head(Realm::External, &v4(2, 0..10, true), verdict()).expect("the first");
    let given = &mut store.given;
    store.fragments.remove_owner(OwnerId(1), &mut |frame, got| given.push((frame, got)));
    assert_eq!(store.given(), [(1, Err(NatDrop::NoConnection))]);
    assert_eq!((store.fragments.len(), store.fragments.frames_waiting()), (2, 1));
    store.tail(Realm::External, &v4(1, 10..20, true), 3);
    assert_eq!(store.given(), [], "it waits: nobody knows its head any longer");
}

#[test]
fn what_is_no_fragment_is_left_alone() {
    let mut store = Store::default();
    let whole = View { fragment: None, ..v4(7, 0..10, false) };
    assert_eq!(store.head(A, &whole, verdict()), verdict());
    store.tail(A, &whole, 1);
    let other = View { kind: Kind::Other, ..v4(7, 10..20, false) };
    store.tail(A, &other, 2);
    let no = Err(NatDrop::Protocol);
    assert_eq!((store.given(), store.fragments.len()), (vec![(1, no), (2, no)], 0));
}
