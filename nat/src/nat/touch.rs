//! Memory of the table, touched ahead of its use ([`ahead`]).

use super::Nat;
use crate::limits::PAGE_OPERATIONS;
use crate::table::ahead;

impl Nat {
    /// Touches pages, as many as these operations are worth.
    pub(super) fn touch_ahead(&mut self, operations: usize) {
        if !self.awaits_touch() {
            return;
        }
        for _ in 0..(operations / PAGE_OPERATIONS).min(self.pages - self.touched) {
            let mut page = self.touched;
            self.touched += 1;
            for places in self.hashed() {
                let pages = ahead::pages(places);
                if page < pages {
                    ahead::touch(places, page);
                    break;
                }
                page -= pages;
            }
        }
    }

    /// Whether there are pages left to touch, and a use for them.
    pub(super) fn awaits_touch(&self) -> bool {
        self.counters.begun > 0 && self.touched < self.pages
    }

    /// All that is found by hashing.
    pub(super) fn hashed(&mut self) -> [&mut [u64]; 3] {
        [self.index.places(), self.contacts.places(), self.mappings.places()]
    }
}
