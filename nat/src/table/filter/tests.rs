use super::*;

/// Filter entries whose home is the last slot, and the first, so that the run goes round the end.
fn hashes() -> Vec<u64> {
    (0..6).map(|n| u64::MAX - (n << COUNT_BITS)).chain([1 << COUNT_BITS, 2 << COUNT_BITS]).collect()
}

#[test]
fn a_filter_entry_is_there_as_long_as_one_of_its_connections() {
    let mut filter = FilterTable::new(4);
    let hash = 0x1234_5678_9abc_def0;
    for _ in 0..70_000 {
        filter.add(hash);
    }
    for _ in 0..70_000 {
        assert!(filter.has(hash));
        filter.remove(hash);
    }
    assert!(!filter.has(hash));
    filter.remove(hash);
    assert!(filter.entries.iter().all(|entry| *entry == 0));
}

#[test]
fn a_run_that_goes_round_the_end_loses_nothing_whichever_goes_first() {
    let hashes = hashes();
    for first in 0..hashes.len() {
        let mut filter = FilterTable::new(16);
        for hash in &hashes {
            filter.add(*hash);
        }
        let order: Vec<u64> = hashes[first..].iter().chain(&hashes[..first]).copied().collect();
        for (gone, hash) in order.iter().enumerate() {
            filter.remove(*hash);
            let left: Vec<bool> = order.iter().map(|other| filter.has(*other)).collect();
            let expected: Vec<bool> = (0..order.len()).map(|slot| slot > gone).collect();
            assert_eq!(left, expected, "{first}");
        }
    }
}
