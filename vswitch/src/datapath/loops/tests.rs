use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;
use crate::datapath::limits::{BLOCK_MAX, BLOCK_MIN, LOOP_HISTORY};

const A: PortIndex = PortIndex(5);

fn at(ms: u64) -> Nanos {
    Nanos(ms * 1_000_000)
}

/// Behind an offload header, as a frame comes in.
fn received(frame: &[u8]) -> Vec<u8> {
    [&[0; fastpath::limits::VNET_LEN], frame].concat()
}

#[test]
fn a_probe_is_recognised_by_the_daemon_that_sent_it_only() {
    let table = LoopTable::new([1, 2]);
    let probe = received(&table.probe(A));
    assert_eq!(table.recognise(&probe), Some(A));
    assert_eq!(LoopTable::new([1, 3]).recognise(&probe), None);
    assert_eq!(probe.len(), 72);
}

#[test]
fn a_bridge_that_tags_it_does_not_hide_it() {
    let table = LoopTable::new([1, 2]);
    let probe = received(&table.probe(A));
    let (before, after) = probe.split_at(24);
    let tagged = [before, &[0x81, 0, 0, 10], after].concat();
    assert_eq!(table.recognise(&tagged), Some(A));
    let twice = [before, &[0x88, 0xa8, 0, 20, 0x81, 0, 0, 10], after].concat();
    assert_eq!(table.recognise(&twice), Some(A));
    let thrice = [&twice[..24], &[0x81, 0, 0, 10], &twice[24..]].concat();
    assert_eq!(table.recognise(&thrice), None);
    assert_eq!(table.recognise(&twice[..26]), None);
}

proptest! {
    #[test]
    fn no_bytes_are_taken_for_a_probe(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(LoopTable::new([1, 2]).recognise(&bytes), None);
    }

    /// Against the rule in words: doubling while signs keep coming, forgiven after a while, bounded.
    #[test]
    fn pauses_follow_the_rule(gaps in prop::collection::vec(0u64..1_500_000, 1..40)) {
        let table = LoopTable::new([1, 2]);
        let (mut now, mut until, mut expected) = (5_000u64, None::<u64>, BLOCK_MIN);
        for gap in gaps {
            now += gap;
            let blocked = until.is_some_and(|until| now < until);
            prop_assert_eq!(table.is_blocked(A, at(now)), blocked);
            let pause = table.block(A, at(now));
            if blocked {
                prop_assert_eq!(pause, None);
                continue;
            }
            expected = match until {
                Some(until) if now - until <= LOOP_HISTORY.as_millis() as u64 => {
                    (expected * 2).min(BLOCK_MAX)
                }
                _ => BLOCK_MIN,
            };
            prop_assert_eq!(pause, Some(expected));
            until = Some(now + expected.as_millis() as u64);
            prop_assert_eq!(table.remaining(A, at(now)), Some(expected));
            prop_assert!(table.any_blocked(at(now)));
        }
    }
}

#[test]
fn a_port_that_takes_the_slot_begins_open() {
    let table = LoopTable::new([1, 2]);
    table.block(A, at(1));
    let probe = received(&table.probe(A));
    table.reset(A);
    assert!(!table.is_blocked(A, at(1)));
    assert_eq!(table.recognise(&probe), None);
    assert_eq!(table.block(A, at(1)), Some(BLOCK_MIN));
}

#[test]
fn of_many_workers_one_blocks() {
    let (table, blocks) = (LoopTable::new([1, 2]), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..50 {
                    if table.block(A, at(round * 400_000)).is_some() {
                        blocks.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert!(blocks.into_inner() <= 50, "two workers blocked the same port at once");
}
