//! Hash -> number: open addressing with linear probing.
//!
//! # Theory of operation
//!
//! An entry is eight bytes: 32 bits of the hash, and a number below `u32::MAX`. The 32 bits give the
//! entry's home slot, so that a removal moves later entries back: no tombstones, and no decay with use.
//! At most six tenths of the slots are in use.
//!
//! The 32 bits do not prove a match: the caller compares the key of the numbered connection.

#[cfg(test)]
mod tests;

/// A table of fixed capacity.
#[derive(Debug)]
pub(crate) struct Index {
    entries: Vec<u64>,
}

/// An empty slot; no entry is zero, since no number is `u32::MAX`.
const EMPTY: u64 = 0;

impl Index {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { entries: vec![EMPTY; capacity * 5 / 3 + 8] }
    }

    /// The slots, for prefault.
    pub(crate) fn slots(&mut self) -> &mut [u64] {
        &mut self.entries
    }

    /// Memory in bytes when full.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.len() * size_of::<u64>()
    }

    /// The number with this hash for which `is_it` holds.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let tag = (hash >> 32) as u32;
        let mut slot = self.home(tag);
        loop {
            let entry = self.entries[slot];
            if entry == EMPTY {
                return None;
            }
            if (entry >> 32) as u32 == tag && is_it(number(entry)) {
                return Some(number(entry));
            }
            slot = self.next(slot);
        }
    }

    /// The first number with this hash, or its neighbour: the read prefetches the slot.
    #[inline]
    pub(crate) fn peek(&self, hash: u64) -> Option<u32> {
        let tag = (hash >> 32) as u32;
        let home = self.home(tag);
        let near = &self.entries[home..(home + 4).min(self.entries.len())];
        let same = near.iter().find(|entry| (**entry >> 32) as u32 == tag && **entry != EMPTY);
        same.map(|entry| number(*entry))
    }

    /// Adds a number, within the capacity.
    pub(crate) fn insert(&mut self, hash: u64, number: u32) {
        let tag = (hash >> 32) as u32;
        let mut slot = self.home(tag);
        while self.entries[slot] != EMPTY {
            slot = self.next(slot);
        }
        self.entries[slot] = u64::from(tag) << 32 | u64::from(number + 1);
    }

    /// Removes a number under its hash.
    pub(crate) fn remove(&mut self, hash: u64, number: u32) {
        let wanted = (hash >> 32) << 32 | u64::from(number + 1);
        let mut hole = self.home((hash >> 32) as u32);
        while self.entries[hole] != wanted {
            if self.entries[hole] == EMPTY {
                return;
            }
            hole = self.next(hole);
        }
        let mut slot = hole;
        loop {
            slot = self.next(slot);
            let entry = self.entries[slot];
            if entry == EMPTY {
                break;
            }
            // An entry moves if the hole is not before its home.
            let home = self.home((entry >> 32) as u32);
            if self.distance(home, slot) >= self.distance(hole, slot) {
                self.entries[hole] = entry;
                hole = slot;
            }
        }
        self.entries[hole] = EMPTY;
    }

    #[inline]
    fn home(&self, tag: u32) -> usize {
        ((u64::from(tag) * self.entries.len() as u64) >> 32) as usize
    }

    #[inline]
    fn next(&self, slot: usize) -> usize {
        if slot + 1 == self.entries.len() { 0 } else { slot + 1 }
    }

    /// The distance between two slots.
    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.entries.len() - from }
    }
}

#[inline]
fn number(entry: u64) -> u32 {
    entry as u32 - 1
}
