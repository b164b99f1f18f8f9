//! Prefetch of the connections of a batch.
//!
//! # Theory of operation
//!
//! A packet whose connection is not in the cache waits for memory twice: index, then connection. Packets
//! of a batch are independent, so the CPU overlaps the misses: first a prefetch of all index slots,
//! then of all connections. A few hundred nanoseconds a packet become a few dozen.

use std::hint::black_box;

use super::Nat;
use crate::table::hash::Key;
use crate::view::{Kind, View};
use crate::zone::Zone;

/// Packets of one prefetch.
const PREFETCH_BATCH: usize = 64;

impl Nat {
    /// Prefetches the connections of a batch. Only a hint, useful when the table exceeds the cache.
    pub fn prefetch<'a>(&self, views: impl IntoIterator<Item = (Zone, &'a View)>) {
        let mut hashes = [0; PREFETCH_BATCH];
        let mut views = views.into_iter();
        loop {
            let mut count = 0;
            for (zone, view) in views.by_ref().take(PREFETCH_BATCH) {
                if let Kind::Flow { tuple, .. } = &view.kind {
                    hashes[count] = self.secrets.hash(&Key::new(tuple, zone));
                    count += 1;
                }
            }
            if count == 0 {
                return;
            }
            let mut found = [0; PREFETCH_BATCH];
            for (found, hash) in found.iter_mut().zip(&hashes[..count]) {
                *found = self.index.peek(*hash).unwrap_or(0);
            }
            let loaded = found[..count].iter().filter_map(|entry| self.flows.peek(entry >> 1));
            black_box(loaded.fold(0, |sum, seen| sum ^ seen));
        }
    }
}
