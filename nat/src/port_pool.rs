//! Free SNAT ports of one transport at one external address.
//!
//! # Theory of operation
//!
//! A port is free, taken, or at rest: freed while a TCP peer may still remember its connection. Free ports
//! are a bitmap, so that finding one looks at a few words, also when nearly all are taken.
//! The search begins at a random place (RFC 6056), for a port of the wanted parity first (RFC 4787, REQ-4),
//! then for any. A port is taken by one mapping at a time (no overloading, REQ-1). Those at rest come back in
//! the order in which they went; where nothing else is left, the first of them before its time.
//!
//! For a taken port the mapping is kept, so that it is found by its port.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use crate::limits::PORT_REUSE_DELAY;
use crate::state::{CoarseTime, units};
use crate::table::hash::random;

/// The ports.
#[derive(Debug)]
pub(crate) struct PortPool {
    range: RangeInclusive<u16>,
    /// A bit for each port, from the range's first on; set if it is free.
    free: Box<[u64]>,
    free_count: u32,
    /// The mapping of each port, plus one; zero if it has none.
    mappings: Box<[u32]>,
    delayed: VecDeque<(u16, CoarseTime)>,
}

/// Bits of every other port: even ones if the first port of a word is even.
const EVERY_OTHER: u64 = 0x5555_5555_5555_5555;

impl PortPool {
    /// All free.
    pub(crate) fn new(range: RangeInclusive<u16>) -> Self {
        let count = range.len();
        let mut free = vec![u64::MAX; count.div_ceil(64)].into_boxed_slice();
        if let Some(last) = free.last_mut().filter(|_| !count.is_multiple_of(64)) {
            *last = (1 << (count % 64)) - 1;
        }
        Self {
            range,
            free,
            free_count: count as u32,
            mappings: vec![0; count].into_boxed_slice(),
            delayed: VecDeque::with_capacity(count),
        }
    }

    /// How many can be had.
    pub(crate) fn available(&self) -> u32 {
        self.free_count + self.delayed.len() as u32
    }

    /// The mapping that has a port.
    #[inline]
    pub(crate) fn mapping(&self, port: u16) -> Option<u32> {
        let idx = port.checked_sub(*self.range.start())?;
        self.mappings.get(usize::from(idx))?.checked_sub(1)
    }

    /// Takes a port of the parity of `like` if there is one, else any, for which `may_be` holds.
    pub(crate) fn allocate(
        &mut self,
        like: u16,
        now: CoarseTime,
        state: &mut u64,
        mut may_be: impl FnMut(u16) -> bool,
    ) -> Option<u16> {
        self.release_due(now);
        let is_other_first = (like ^ self.range.start()) & 1 != 0;
        let parity = if is_other_first { !EVERY_OTHER } else { EVERY_OTHER };
        for mask in [parity, u64::MAX] {
            if let Some(port) = self.search(mask, state, &mut may_be) {
                self.set_free(port, false);
                return Some(port);
            }
        }
        // Each is tried once.
        for _ in 0..self.delayed.len() {
            let (port, since) = self.delayed.pop_front()?;
            if may_be(port) {
                return Some(port);
            }
            self.delayed.push_back((port, since));
        }
        None
    }

    /// Takes a port of the range, if it is free.
    pub(crate) fn claim(&mut self, port: u16) {
        let idx = self.idx(port);
        if self.free[idx / 64] >> (idx % 64) & 1 != 0 {
            self.set_free(port, false);
        }
        self.delayed.retain(|(delayed, _)| *delayed != port);
    }

    /// Says which mapping has a port that was taken.
    pub(crate) fn set_mapping(&mut self, port: u16, mapping: u32) {
        let idx = self.idx(port);
        self.mappings[idx] = mapping + 1;
    }

    /// Gives a port back; one that a peer may remember rests first.
    pub(crate) fn release(&mut self, port: u16, is_delayed: bool, now: CoarseTime) {
        let idx = self.idx(port);
        self.mappings[idx] = 0;
        if is_delayed {
            self.delayed.push_back((port, now));
        } else {
            self.set_free(port, true);
        }
    }

    /// Frees some of those that have rested long enough: more than are taken at a time.
    fn release_due(&mut self, now: CoarseTime) {
        for _ in 0..RELEASE_MAX {
            let due = self.delayed.front().filter(|(_, since)| now.since(*since) > REUSE_DELAY);
            let Some(&(port, _)) = due else { return };
            self.delayed.pop_front();
            self.set_free(port, true);
        }
    }

    fn search(
        &self,
        mask: u64,
        state: &mut u64,
        may_be: &mut impl FnMut(u16) -> bool,
    ) -> Option<u16> {
        if self.free_count == 0 {
            return None;
        }
        let start = random(state) % self.range.len() as u64;
        let (first, bit) = ((start / 64) as usize, start % 64);
        let words = self.free.len();
        // The first word is looked at twice: what is behind the start, and what is before it.
        for step in 0..=words {
            let idx = (first + step) % words;
            let mut word = self.free[idx] & mask;
            if step == 0 {
                word &= u64::MAX << bit;
            }
            while word != 0 {
                let port = self.range.start() + (idx as u16) * 64 + word.trailing_zeros() as u16;
                if may_be(port) {
                    return Some(port);
                }
                word &= word - 1;
            }
        }
        None
    }

    fn set_free(&mut self, port: u16, is_free: bool) {
        let idx = self.idx(port);
        let bit = 1 << (idx % 64);
        if is_free {
            self.free[idx / 64] |= bit;
            self.free_count += 1;
        } else {
            self.free[idx / 64] &= !bit;
            self.free_count -= 1;
        }
    }

    fn idx(&self, port: u16) -> usize {
        usize::from(port - self.range.start())
    }
}

/// Ports that one search frees at most.
const RELEASE_MAX: usize = 16;

const REUSE_DELAY: u32 = units(PORT_REUSE_DELAY);
