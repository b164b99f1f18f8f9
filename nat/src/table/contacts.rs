//! Whom an inner endpoint speaks to: the filter of RFC 4787 section 5 (address-dependent filtering).
//!
//! # Theory of operation
//!
//! A contact is a mapping's outer endpoint and a remote address, whatever the remote port; it is there
//! as long as a connection that the inside began, or answered, is. Kept are 44 bits of a keyed hash
//! and how many connections there are, in eight bytes; linear probing as in [`super::index`]. Two
//! contacts that share the 44 bits are taken for one: a stranger who cannot know the secret gets a
//! packet through to one mapped port in four million tries.

#[cfg(test)]
mod tests;

/// The contacts of a table.
#[derive(Debug)]
pub(crate) struct Contacts {
    entries: Vec<u64>,
}

const COUNT_BITS: u32 = 20;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

impl Contacts {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { entries: vec![0; capacity * 5 / 3 + 8] }
    }

    /// Its places, to be touched.
    pub(crate) fn places(&mut self) -> &mut [u64] {
        &mut self.entries
    }

    /// Memory in bytes when full.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.len() * size_of::<u64>()
    }

    pub(crate) fn has(&self, hash: u64) -> bool {
        self.entries[self.place(hash)] != 0
    }

    /// One more connection. A contact has fewer than there are ports, so the count has room.
    pub(crate) fn add(&mut self, hash: u64) {
        let place = self.place(hash);
        self.entries[place] = ((self.entries[place] & COUNT) + 1) | (hash & !COUNT);
    }

    /// One connection less.
    pub(crate) fn remove(&mut self, hash: u64) {
        let mut hole = self.place(hash);
        if self.entries[hole] & COUNT > 1 {
            self.entries[hole] -= 1;
            return;
        }
        if self.entries[hole] == 0 {
            return;
        }
        let mut place = hole;
        loop {
            place = self.next(place);
            let entry = self.entries[place];
            if entry == 0 {
                break;
            }
            let home = self.home(entry);
            if self.distance(home, place) >= self.distance(hole, place) {
                self.entries[hole] = entry;
                hole = place;
            }
        }
        self.entries[hole] = 0;
    }

    /// Where a contact is, or would be.
    fn place(&self, hash: u64) -> usize {
        let mut place = self.home(hash);
        while self.entries[place] != 0 && (self.entries[place] ^ hash) & !COUNT != 0 {
            place = self.next(place);
        }
        place
    }

    fn home(&self, hash: u64) -> usize {
        (((hash >> 32) * self.entries.len() as u64) >> 32) as usize
    }

    fn next(&self, place: usize) -> usize {
        if place + 1 == self.entries.len() { 0 } else { place + 1 }
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.entries.len() - from }
    }
}
