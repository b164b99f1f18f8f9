//! Free SNAT ports of one transport at one external address.
//!
//! # Theory of operation
//!
//! A port is free, allocated, or at rest: freed while a TCP peer may still remember its connection.
//! A bitmap holds the free ports, one word for each block ([`crate::port_blocks`]). A search visits the
//! blocks that allow new ports. It starts at a random port of them (RFC 6056), and prefers the wanted parity
//! (RFC 4787, REQ-4). One mapping at a time has a port (no overloading, REQ-1). Ports at rest return in
//! order; when no other port is free, the oldest returns early.
//!
//! Allocated ports hold the number of their mapping. When ports are short, connections *share* an allocated port
//! ([`crate::nat`], `share`): it counts them, and stays allocated until the mapping and all of them have ended.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use crate::limits::{PORT_BLOCK, PORT_REUSE_DELAY, SHARED_STEPS_MAX};
use crate::owner::OwnerId;
use crate::port_blocks::PortBlocks;
use crate::state::{CoarseTime, units};
use crate::table::hash::random;

/// The ports.
#[derive(Debug)]
pub(crate) struct PortPool {
    range: RangeInclusive<u16>,
    /// One bit a port, from the range's first, and one word a block; set if free.
    free: Box<[u64]>,
    free_count: u32,
    /// The mapping of each port plus one; zero for none.
    mappings: Box<[u32]>,
    /// Connections that share each port, made when the first one does.
    sharers: Box<[Sharers]>,
    delayed: VecDeque<(u16, CoarseTime)>,
}

/// Connections that share a port.
#[derive(Clone, Copy, Debug, Default)]
struct Sharers {
    count: u32,
    /// The owner that the port counts for, if it has no mapping.
    charged: Option<OwnerId>,
    /// A peer may remember one that has ended.
    is_remembered: bool,
    /// There are some, or were since the port was allocated.
    has_been: bool,
}

/// Bits of every other port: even ones if the first port of a word is even.
const EVERY_OTHER: u64 = 0x5555_5555_5555_5555;

impl PortPool {
    /// A pool with all ports free.
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
            sharers: Box::default(),
            delayed: VecDeque::with_capacity(count),
        }
    }

    /// Ports that can be allocated, with those of blocks that may still be claimed.
    pub(crate) fn available(&self, blocks: &PortBlocks) -> u32 {
        let allocated = self.used() - self.delayed.len() as u32;
        blocks.obtainable_ports().saturating_sub(allocated)
    }

    /// Ports that are allocated or at rest.
    pub(crate) fn used(&self) -> u32 {
        self.range.len() as u32 - self.free_count
    }

    /// Such ports of one block.
    pub(crate) fn used_of_block(&self, block: u16, len: u32) -> u32 {
        len - self.free.get(usize::from(block)).map_or(len, |word| word.count_ones())
    }

    /// The mapping of a port.
    #[inline]
    pub(crate) fn mapping(&self, port: u16) -> Option<u32> {
        let idx = port.checked_sub(*self.range.start())?;
        self.mappings.get(usize::from(idx))?.checked_sub(1)
    }

    /// Allocates a port of the blocks for which `may_be` holds, preferably of the parity of `preferred`.
    pub(crate) fn allocate(
        &mut self,
        blocks: &mut PortBlocks,
        preferred: u16,
        now: CoarseTime,
        state: &mut u64,
        mut may_be: impl FnMut(u16) -> bool,
    ) -> Option<u16> {
        self.release_some_due(now);
        blocks.note_used(self.used());
        let is_other_first = (preferred ^ self.range.start()) & 1 != 0;
        let parity = if is_other_first { !EVERY_OTHER } else { EVERY_OTHER };
        for mask in [parity, u64::MAX] {
            if let Some(port) = self.search(blocks.active(), mask, state, &mut may_be) {
                self.set_free(port, false);
                return Some(port);
            }
        }
        // Try each port once.
        for _ in 0..self.delayed.len() {
            let (port, since) = self.delayed.pop_front()?;
            if may_be(port) {
                return Some(port);
            }
            self.delayed.push_back((port, since));
        }
        None
    }

    /// Allocates this port, if it is free.
    pub(crate) fn claim(&mut self, port: u16) {
        let idx = self.idx(port);
        if self.free[idx / 64] >> (idx % 64) & 1 != 0 {
            self.set_free(port, false);
        }
        self.delayed.retain(|(delayed, _)| *delayed != port);
    }

    /// Sets the mapping of an allocated port.
    pub(crate) fn set_mapping(&mut self, port: u16, mapping: u32) {
        let idx = self.idx(port);
        self.mappings[idx] = mapping + 1;
    }

    /// Frees a port; one that a peer may remember rests first.
    pub(crate) fn release(&mut self, port: u16, is_delayed: bool, now: CoarseTime) {
        let idx = self.idx(port);
        self.mappings[idx] = 0;
        if let Some(sharers) = self.sharers.get_mut(idx) {
            sharers.is_remembered |= is_delayed;
        }
        self.release_unused(port, is_delayed, now);
    }

    /// One more connection shares an allocated port.
    pub(crate) fn share(&mut self, port: u16) {
        let sharers = self.sharers_mut(port);
        sharers.count += 1;
        sharers.has_been = true;
    }

    /// Sets the owner that an allocated port without a mapping counts for. Returns the owner before.
    pub(crate) fn charge(&mut self, port: u16, owner: Option<OwnerId>) -> Option<OwnerId> {
        std::mem::replace(&mut self.sharers_mut(port).charged, owner)
    }

    /// The owner that an allocated port without a mapping counts for.
    pub(crate) fn charged(&self, port: u16) -> Option<OwnerId> {
        self.sharers.get(self.idx(port))?.charged
    }

    fn sharers_mut(&mut self, port: u16) -> &mut Sharers {
        if self.sharers.is_empty() {
            self.sharers = vec![Sharers::default(); self.mappings.len()].into_boxed_slice();
        }
        &mut self.sharers[self.idx(port)]
    }

    /// One less. Returns the owner that the port counts for no longer.
    pub(crate) fn unshare(
        &mut self,
        port: u16,
        is_remembered: bool,
        now: CoarseTime,
    ) -> Option<OwnerId> {
        let sharers = &mut self.sharers[self.idx(port)];
        sharers.count -= 1;
        sharers.is_remembered |= is_remembered;
        self.release_unused(port, false, now)
    }

    /// Connections share the port, or did since it was allocated.
    pub(crate) fn has_been_shared(&self, port: u16) -> bool {
        self.sharers.get(self.idx(port)).is_some_and(|sharers| sharers.has_been)
    }

    /// The port has a mapping or sharers.
    pub(crate) fn is_used(&self, port: u16) -> bool {
        self.mappings[self.idx(port)] != 0 || self.is_shared(port)
    }

    /// Connections share the port.
    pub(crate) fn is_shared(&self, port: u16) -> bool {
        self.sharers.get(self.idx(port)).is_some_and(|sharers| sharers.count > 0)
    }

    /// Frees an allocated port that has neither a mapping nor sharers. Returns the owner that it counts for no longer.
    pub(crate) fn release_unused(
        &mut self,
        port: u16,
        is_delayed: bool,
        now: CoarseTime,
    ) -> Option<OwnerId> {
        if self.is_used(port) {
            return None;
        }
        let idx = self.idx(port);
        let sharers = self.sharers.get_mut(idx).map(std::mem::take).unwrap_or_default();
        if is_delayed || sharers.is_remembered {
            self.delayed.push_back((port, now));
        } else {
            self.set_free(port, true);
        }
        sharers.charged
    }

    /// Ports of these blocks that a further connection may share, once each and in a random order: those with a mapping
    /// or sharers.
    pub(crate) fn shareable(&self, blocks: &[u16], random: u64) -> impl Iterator<Item = u16> {
        let count = blocks.len() * PORT_BLOCK;
        let step = coprime_step((random >> 32) as usize, count);
        let mut at = random as u32 as usize % count.max(1);
        let ports = std::iter::repeat_with(move || {
            at = (at + step) % count;
            usize::from(blocks[at / PORT_BLOCK]) * PORT_BLOCK + at % PORT_BLOCK
        });
        let is_used = |idx: &usize| {
            let has_mapping = self.mappings.get(*idx).is_some_and(|mapping| *mapping != 0);
            has_mapping || self.sharers.get(*idx).is_some_and(|sharers| sharers.count > 0)
        };
        let used = ports.take(count.min(SHARED_STEPS_MAX)).filter(is_used);
        used.map(|idx| self.range.start() + idx as u16)
    }

    /// Frees all ports that have rested long enough.
    pub(crate) fn release_all_due(&mut self, now: CoarseTime) {
        self.release_due(now, self.delayed.len());
    }

    /// The same for few of them.
    pub(crate) fn release_some_due(&mut self, now: CoarseTime) {
        self.release_due(now, RELEASE_MAX);
    }

    /// Frees so many of them at most: more than one call allocates.
    fn release_due(&mut self, now: CoarseTime, max: usize) {
        for _ in 0..max {
            let due = self.delayed.front().filter(|(_, since)| now.since(*since) > REUSE_DELAY);
            let Some(&(port, _)) = due else { return };
            self.delayed.pop_front();
            self.set_free(port, true);
        }
    }

    fn search(
        &self,
        blocks: &[u16],
        mask: u64,
        state: &mut u64,
        may_be: &mut impl FnMut(u16) -> bool,
    ) -> Option<u16> {
        if self.free_count == 0 || blocks.is_empty() {
            return None;
        }
        let start = random(state) % (blocks.len() * PORT_BLOCK) as u64;
        let (first, bit) = ((start / PORT_BLOCK as u64) as usize, start % PORT_BLOCK as u64);
        // The first block is visited twice: above the start, and below it.
        let around = blocks[first..].iter().chain(&blocks[..=first]);
        for (step, &block) in around.enumerate() {
            let mut word = self.free[usize::from(block)] & mask;
            if step == 0 {
                word &= u64::MAX << bit;
            }
            while word != 0 {
                let offset = block * PORT_BLOCK as u16 + word.trailing_zeros() as u16;
                let port = self.range.start() + offset;
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

/// A step by which a walk around `count` ports meets each of them.
fn coprime_step(random: usize, count: usize) -> usize {
    let is_coprime = |step: &usize| {
        let (mut a, mut b) = (count, *step);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a == 1
    };
    (random % count.max(1)..).find(is_coprime).unwrap_or(1)
}

/// Ports that one search frees at most.
const RELEASE_MAX: usize = 16;

const REUSE_DELAY: u32 = units(PORT_REUSE_DELAY);
