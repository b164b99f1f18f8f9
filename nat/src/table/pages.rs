//! Prefault of the hash tables' pages.
//!
//! # Theory of operation
//!
//! What is found by hashing lies anywhere in its table, so the first few thousand connections touch nearly
//! all of its pages, and for each the kernel finds and clears memory: a microsecond, several times a
//! connection, and half a millisecond for a batch. So a table is touched page by page in advance, when there is time,
//! once the first connection has begun: a switch that translates nothing has no use for the memory. What
//! is used from one end to the other, as the connections themselves, needs none of that.

use std::hint::black_box;

/// Slots in a page.
const SLOTS_PER_PAGE: usize = 4096 / size_of::<u64>();

/// Prefaults a page of a table; false behind the last.
pub(crate) fn prefault(slots: &mut [u64], page: usize) -> bool {
    let Some(slot) = slots.get_mut(page * SLOTS_PER_PAGE) else { return false };
    // What is only read would be a page of zeros that all share.
    *slot = black_box(*slot);
    true
}

/// How many pages a table has.
pub(crate) const fn count(slots: &[u64]) -> usize {
    slots.len().div_ceil(SLOTS_PER_PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_is_prefaulted_and_nothing_changes() {
        for len in [0, 1, SLOTS_PER_PAGE, SLOTS_PER_PAGE + 1, 5 * SLOTS_PER_PAGE - 1] {
            let mut slots: Vec<u64> = (0..len as u64).collect();
            let prefaulted = (0..).take_while(|page| prefault(&mut slots, *page)).count();
            assert_eq!(prefaulted, count(&slots), "{len}");
            assert!(slots.iter().enumerate().all(|(n, slot)| *slot == n as u64));
        }
    }
}
