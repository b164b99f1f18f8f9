use std::collections::BTreeSet;

use super::two_of;

#[test]
fn a_pair_is_of_two_ports_that_are_there() {
    for count in [2, 3, 1000] {
        for lot in (0..2_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
            let (from, to) = two_of(count, lot);
            assert!(from < count && to < count && from != to, "{from} and {to} of {count}");
        }
    }
}

#[test]
fn every_pair_can_be_drawn() {
    let lots = (0..1_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let drawn: BTreeSet<_> = lots.map(|lot| two_of(4, lot)).collect();
    assert_eq!(drawn.len(), 12);
}
