use super::*;

fn has(index: &Index, hash: u64, number: u32) -> bool {
    index.find(hash, |known| known == number) == Some(number)
}

#[test]
fn a_run_that_goes_round_the_end_loses_nothing_whichever_goes_first() {
    // The same home for all: the last slot; and that of the first, behind which they come to lie.
    let hashes: Vec<u64> = (0..6).map(|n| u64::MAX - (n << 32)).chain([0, 0]).collect();
    for first in 0..hashes.len() {
        let mut index = Index::new(16);
        for (number, hash) in (0..).zip(&hashes) {
            index.insert(*hash, number);
        }
        let order = (first..hashes.len()).chain(0..first);
        for (gone, number) in order.clone().enumerate() {
            index.remove(hashes[number], number as u32);
            for (slot, other) in order.clone().enumerate() {
                let expected = slot > gone;
                assert_eq!(has(&index, hashes[other], other as u32), expected, "{other}, {first}");
            }
        }
        assert!(index.entries.iter().all(|entry| *entry == EMPTY));
    }
}

#[test]
fn one_that_is_not_there_is_neither_found_nor_removed() {
    let mut index = Index::new(4);
    assert_eq!(index.find(5 << 32, |_| true), None);
    index.remove(5 << 32, 3);
    index.insert(5 << 32, 3);
    index.remove(5 << 32, 4);
    index.remove(6 << 32, 3);
    assert!(has(&index, 5 << 32, 3));
    assert_eq!(index.find(5 << 32, |_| false), None, "the hash alone proves nothing");
}

#[test]
fn a_full_table_finds_all_and_the_largest_number() {
    let mut index = Index::new(1_000);
    let hash = |n: u32| u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for n in 0..1_000 {
        index.insert(hash(n), u32::MAX - 1 - n);
    }
    for n in 0..1_000 {
        assert!(has(&index, hash(n), u32::MAX - 1 - n));
        index.peek(hash(n));
    }
    assert_eq!(index.peek(u64::MAX), index.find(u64::MAX, |_| true), "at the end of the table");
}
