//! Memory of the table, prefaulted ([`pages`]).

use super::Nat;
use crate::limits::PAGE_OPERATIONS;
use crate::table::pages;

impl Nat {
    /// Prefaults as many pages as these operations allow.
    pub(super) fn prefault(&mut self, operations: usize) {
        if !self.awaits_prefault() {
            return;
        }
        for _ in 0..(operations / PAGE_OPERATIONS).min(self.pages - self.prefaulted) {
            let mut page = self.prefaulted;
            self.prefaulted += 1;
            for slots in self.hashed_tables() {
                let pages = pages::count(slots);
                if page < pages {
                    pages::prefault(slots, page);
                    break;
                }
                page -= pages;
            }
        }
    }

    /// Pages are left to prefault, and the table is in use.
    pub(super) fn awaits_prefault(&self) -> bool {
        self.counters.connections_created > 0 && self.prefaulted < self.pages
    }

    /// All hash tables.
    pub(super) fn hashed_tables(&mut self) -> [&mut [u64]; 3] {
        [self.index.slots(), self.filter.slots(), self.mappings.slots()]
    }
}
