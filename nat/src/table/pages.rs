//! Prefault of the hash tables' pages.
//!
//! # Theory of operation
//!
//! Hashing spreads entries over a whole table, so the first few thousand connections touch nearly all
//! pages. Each page fault costs a microsecond, several a connection, half a millisecond a batch.
//! Idle moments therefore touch a table page by page, once the first connection exists: an idle
//! NAT needs no memory. Slabs fill from one end and need no prefault.

use std::hint::black_box;

/// Slots in a page.
const SLOTS_PER_PAGE: usize = 4096 / size_of::<u64>();

/// Prefaults a page of a table; false after the last.
pub(crate) fn prefault(slots: &mut [u64], page: usize) -> bool {
    let Some(slot) = slots.get_mut(page * SLOTS_PER_PAGE) else { return false };
    // A write, since pages that are only read share one zero page.
    *slot = black_box(*slot);
    true
}

/// Pages of a table.
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
