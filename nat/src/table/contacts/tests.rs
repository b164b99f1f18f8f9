use super::*;

/// Contacts whose home is the last place, and the first, so that the run goes round the end.
fn hashes() -> Vec<u64> {
    (0..6).map(|n| u64::MAX - (n << COUNT_BITS)).chain([1 << COUNT_BITS, 2 << COUNT_BITS]).collect()
}

#[test]
fn a_contact_is_there_as_long_as_one_of_its_connections() {
    let mut contacts = Contacts::new(4);
    let hash = 0x1234_5678_9abc_def0;
    for _ in 0..70_000 {
        contacts.add(hash);
    }
    for _ in 0..70_000 {
        assert!(contacts.has(hash));
        contacts.remove(hash);
    }
    assert!(!contacts.has(hash));
    contacts.remove(hash);
    assert!(contacts.entries.iter().all(|entry| *entry == 0));
}

#[test]
fn a_run_that_goes_round_the_end_loses_nothing_whichever_goes_first() {
    let hashes = hashes();
    for first in 0..hashes.len() {
        let mut contacts = Contacts::new(16);
        for hash in &hashes {
            contacts.add(*hash);
        }
        let order: Vec<u64> = hashes[first..].iter().chain(&hashes[..first]).copied().collect();
        for (gone, hash) in order.iter().enumerate() {
            contacts.remove(*hash);
            let left: Vec<bool> = order.iter().map(|other| contacts.has(*other)).collect();
            let expected: Vec<bool> = (0..order.len()).map(|place| place > gone).collect();
            assert_eq!(left, expected, "{first}");
        }
    }
}
