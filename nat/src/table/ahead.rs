//! Memory that is touched before it is needed.
//!
//! # Theory of operation
//!
//! What is found by hashing lies anywhere in its table, so the first few thousand connections touch nearly
//! all of its pages, and for each the kernel finds and clears memory: a microsecond, several times a
//! connection, and half a millisecond for a batch. So a table is touched page by page in advance, when there is time,
//! once the first connection has begun: a switch that translates nothing has no use for the memory. What
//! is used from one end to the other, as the connections themselves, needs none of that.

use std::hint::black_box;

/// Places in a page.
const PLACES: usize = 4096 / size_of::<u64>();

/// Touches a page of a table; false behind the last.
pub(crate) fn touch(places: &mut [u64], page: usize) -> bool {
    let Some(place) = places.get_mut(page * PLACES) else { return false };
    // What is only read would be a page of zeros that all share.
    *place = black_box(*place);
    true
}

/// How many pages a table has.
pub(crate) const fn pages(places: &[u64]) -> usize {
    places.len().div_ceil(PLACES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_is_touched_and_nothing_changes() {
        for len in [0, 1, PLACES, PLACES + 1, 5 * PLACES - 1] {
            let mut places: Vec<u64> = (0..len as u64).collect();
            let touched = (0..).take_while(|page| touch(&mut places, *page)).count();
            assert_eq!(touched, pages(&places), "{len}");
            assert!(places.iter().enumerate().all(|(n, place)| *place == n as u64));
        }
    }
}
