use super::*;

const RANGE: RangeInclusive<u16> = 20_000..=29_999;

fn firsts(blocks: RangeInclusive<u16>) -> Vec<u16> {
    blocks.map(|block| 20_000 + 64 * block).collect()
}

#[test]
fn further_blocks_are_asked_for_once_and_ahead_of_need() {
    let mut blocks = PortBlocks::none(RANGE);
    blocks.claim(&firsts(0..=15), 157);
    blocks.note_used(256);
    assert!(!blocks.has_request(), "three quarters are free");
    blocks.note_used(257);
    // 257 * 3 / 2 + 1024 ports are the goal, of which 1,024 are there.
    assert_eq!((blocks.poll_request(), blocks.poll_request()), (Some(7), None));
    blocks.note_used(300);
    assert!(!blocks.has_request(), "asked for already");
    blocks.claim(&firsts(16..=22), 157);
    assert_eq!(blocks.active().len(), 23);
    blocks.note_used(1_400);
    assert!(blocks.has_request());
    // Control has no more: the worker asks no longer.
    blocks.claim(&[], 23);
    blocks.note_used(1_470);
    assert!(!blocks.has_request() && !blocks.may_grow());
    assert_eq!(blocks.obtainable_ports(), 23 * 64);
}

#[test]
fn a_short_slice_asks_for_no_more_than_it_has() {
    let mut blocks = PortBlocks::none(30_000..=30_099);
    blocks.note_used(0);
    assert_eq!(blocks.poll_request(), Some(2));
    blocks.claim(&[30_064, 30_064, 29_999, 30_100], 1);
    assert_eq!((blocks.active(), blocks.active_ports), (&[1_u16][..], 36));
    assert!(blocks.has(30_064) && blocks.has(30_099) && !blocks.has(30_063));
    assert!(!blocks.has(30_100) && !blocks.has(29_999) && !blocks.has(0));
}

#[test]
fn blocks_that_stay_empty_are_returned_the_fullest_kept() {
    let mut blocks = PortBlocks::none(RANGE);
    blocks.claim(&firsts(0..=39), 157);
    let used_of = |block: u16, _| if block >= 30 { 3 } else { 0 };
    assert!(blocks.collect_empty(30, used_of).is_empty(), "they must be empty twice");
    let active: Vec<u16> = blocks.active().to_vec();
    assert_eq!(active.len(), 17);
    assert!((30..40).all(|block| active.contains(&block)), "{active:?}");
    // One was taken into use meanwhile: it stays.
    let used_of = |block: u16, _| u32::from(block >= 29 || !active.contains(&block) && block == 28);
    let returned = blocks.collect_empty(30, used_of);
    assert!(!returned.is_empty() && returned.iter().all(|port| !blocks.has(*port)));
    while !blocks.collect_empty(30, used_of).is_empty() {}
    assert!((28..40).all(|block| blocks.has(20_000 + 64 * block)));
    assert!(blocks.claimed.len() <= 17 + PORT_BLOCKS_SPARE);
    assert!(blocks.may_grow());
}

#[test]
fn closed_blocks_open_again_before_others_are_claimed() {
    let mut blocks = PortBlocks::none(RANGE);
    blocks.claim(&firsts(0..=39), 157);
    blocks.collect_empty(0, |_, _| 1);
    assert_eq!(blocks.active().len(), 16);
    blocks.note_used(300);
    assert_eq!((blocks.active().len(), blocks.has_request()), (40, false));
}

#[test]
fn without_control_all_are_there() {
    let mut blocks = PortBlocks::whole(20_000..=29_999);
    assert_eq!((blocks.obtainable_ports(), blocks.may_grow()), (10_000, false));
    blocks.note_used(10_000);
    assert!(!blocks.has_request());
    let nothing = PortBlocks::whole(RangeInclusive::new(1, 0));
    assert_eq!((nothing.obtainable_ports(), nothing.active()), (0, &[][..]));
}

#[test]
fn a_new_number_of_obtainable_blocks_opens_none_and_answers_no_request() {
    let mut blocks = PortBlocks::none(RANGE);
    blocks.claim(&firsts(0..=39), 157);
    let used_of = |_, _| 0;
    assert!(blocks.collect_empty(0, used_of).is_empty());
    blocks.set_obtainable(156);
    assert_eq!(blocks.active().len(), 16);
    assert_eq!(blocks.collect_empty(0, used_of).len(), 24);
    blocks.note_used(1_000);
    assert!(blocks.poll_request().is_some());
    blocks.set_obtainable(155);
    blocks.note_used(1_001);
    assert!(!blocks.has_request(), "asked for already");
}

#[test]
fn a_request_that_is_lost_is_repeated() {
    let mut blocks = PortBlocks::none(RANGE);
    blocks.note_used(0);
    let wanted = blocks.poll_request().expect("a request");
    blocks.put_back_request(wanted);
    assert_eq!(blocks.poll_request(), Some(wanted));
    // The answer got lost.
    for is_lost in [false, true] {
        blocks.collect_empty(0, |_, _| 0);
        blocks.note_used(0);
        assert_eq!(blocks.has_request(), is_lost);
    }
}

#[test]
fn ports_are_short_below_a_quarter_where_no_more_may_be_had() {
    let mut blocks = PortBlocks::none(RANGE);
    assert!(!blocks.are_short(0), "none may be had at all");
    blocks.claim(&firsts(0..=15), 17);
    assert!(!blocks.are_short(1_024), "another one may be had");
    blocks.claim(&[], 16);
    assert!(!blocks.are_short(768) && blocks.are_short(769) && blocks.are_short(2_000));
}
