//! The filter of inbound packets (RFC 4787 section 5): address-dependent.
//!
//! # Theory of operation
//!
//! A filter entry is a mapping's external endpoint and a remote address, for any remote port. It lives
//! as long as a connection that the internal endpoint opened or answered. The table holds 44 bits of a
//! keyed hash and a count of connections, in eight bytes, with linear probing as in [`super::index`].
//! Entries with equal 44 bits are one: without the secret, a stranger reaches one mapped port in four
//! million tries.

#[cfg(test)]
mod tests;

/// The filter table.
#[derive(Debug)]
pub(crate) struct FilterTable {
    entries: Vec<u64>,
}

const COUNT_BITS: u32 = 20;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

impl FilterTable {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { entries: vec![0; capacity * 5 / 3 + 8] }
    }

    /// The slots, for prefault.
    pub(crate) fn slots(&mut self) -> &mut [u64] {
        &mut self.entries
    }

    /// Memory in bytes when full.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.len() * size_of::<u64>()
    }

    pub(crate) fn has(&self, hash: u64) -> bool {
        self.entries[self.slot(hash)] != 0
    }

    /// Counts one connection more; the count cannot overflow, since ports are fewer.
    pub(crate) fn add(&mut self, hash: u64) {
        let slot = self.slot(hash);
        self.entries[slot] = ((self.entries[slot] & COUNT) + 1) | (hash & !COUNT);
    }

    /// Counts one connection less.
    pub(crate) fn remove(&mut self, hash: u64) {
        let mut hole = self.slot(hash);
        if self.entries[hole] & COUNT > 1 {
            self.entries[hole] -= 1;
            return;
        }
        if self.entries[hole] == 0 {
            return;
        }
        let mut slot = hole;
        loop {
            slot = self.next(slot);
            let entry = self.entries[slot];
            if entry == 0 {
                break;
            }
            let home = self.home(entry);
            if self.distance(home, slot) >= self.distance(hole, slot) {
                self.entries[hole] = entry;
                hole = slot;
            }
        }
        self.entries[hole] = 0;
    }

    /// The slot of an entry, or the free slot for it.
    fn slot(&self, hash: u64) -> usize {
        let mut slot = self.home(hash);
        while self.entries[slot] != 0 && (self.entries[slot] ^ hash) & !COUNT != 0 {
            slot = self.next(slot);
        }
        slot
    }

    fn home(&self, hash: u64) -> usize {
        (((hash >> 32) * self.entries.len() as u64) >> 32) as usize
    }

    fn next(&self, slot: usize) -> usize {
        if slot + 1 == self.entries.len() { 0 } else { slot + 1 }
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.entries.len() - from }
    }
}
