//! How entries lie in memory: four to a cache line.

use super::{Destination, Key, NetworkIndex};

/// An entry as the table hands it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) destination: Destination,
    /// The second in which it was last seen; [`Entry::STATIC`] for one that was set by hand.
    pub(super) seen_s: u32,
}

impl Entry {
    pub(super) const STATIC: u32 = u32::MAX;

    pub(super) const fn is_static(&self) -> bool {
        self.seen_s == Self::STATIC
    }

    #[inline]
    pub(super) const fn age_s(&self, now_s: u32) -> u32 {
        if self.is_static() { 0 } else { now_s.saturating_sub(self.seen_s) }
    }

    #[inline]
    pub(super) const fn is_fresh(&self, now_s: u32, ageing_s: u32) -> bool {
        self.age_s(now_s) <= ageing_s
    }
}

/// Sixteen bytes; an address of zero, which no frame can come from, is an empty slot.
#[derive(Debug, Clone, Copy, Default)]
struct Packed {
    address: u64,
    network: u16,
    destination: u16,
    seen_s: u32,
}

/// One cache line.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
pub(super) struct Bucket([Packed; Bucket::SLOTS]);

impl Packed {
    #[inline]
    const fn is(&self, key: Key) -> bool {
        self.address == key.address && self.network == key.network.0
    }

    const fn unpack(&self) -> Option<Entry> {
        if self.address == 0 {
            return None;
        }
        let key = Key { address: self.address, network: NetworkIndex(self.network) };
        Some(Entry {
            key,
            destination: Destination::from_bits(self.destination),
            seen_s: self.seen_s,
        })
    }
}

impl Bucket {
    pub(super) const SLOTS: usize = 4;

    #[inline]
    pub(super) fn find(&self, key: Key) -> Option<Entry> {
        self.0.iter().find(|packed| packed.is(key)).and_then(Packed::unpack)
    }

    /// Changes where and when a key that is here was seen.
    #[inline]
    pub(super) fn update(&mut self, key: Key, destination: Destination, seen_s: u32) {
        if let Some(packed) = self.0.iter_mut().find(|packed| packed.is(key)) {
            (packed.destination, packed.seen_s) = (destination.to_bits(), seen_s);
        }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.0.iter().filter_map(Packed::unpack)
    }

    pub(super) fn at(&self, slot: usize) -> Option<Entry> {
        self.0[slot].unpack()
    }

    pub(super) fn free_slot(&self) -> Option<usize> {
        self.0.iter().position(|packed| packed.address == 0)
    }

    pub(super) fn take(&mut self, slot: usize) -> Option<Entry> {
        std::mem::take(&mut self.0[slot]).unpack()
    }

    pub(super) fn put(&mut self, slot: usize, entry: Entry) {
        self.0[slot] = Packed {
            address: entry.key.address,
            network: entry.key.network.0,
            destination: entry.destination.to_bits(),
            seen_s: entry.seen_s,
        };
    }
}
