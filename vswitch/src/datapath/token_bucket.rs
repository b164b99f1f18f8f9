//! Token buckets, shared by all workers without a lock.
//!
//! # Theory of operation
//!
//! A bucket fills at a steady rate and holds `burst` units at most, bytes or frames. A frame takes its
//! units out; the caller drops a frame that finds too few (policing, no queue).
//!
//! Instead of a level and the time of the last filling, which would be two words, a bucket keeps one:
//! `spent`, all units ever taken. What has flowed in since the clock began is a function of the time
//! alone, `rate * now`; so is what has run over, which counts as spent. Then
//!
//! `available = burst + floor(rate * now) - max(spent, ceil(rate * now))`
//!
//! in whole numbers without an error that grows, and taking is one compare-and-swap of one word, for
//! a whole run of frames. Rounding is against the taker: within any time `t` no more than
//! `burst + rate * t` passes, and at most one unit less than that is there to be had. A worker
//! whose clock is a moment behind sees less, never more.
//!
//! A bucket is full when it is made. Its rate never changes: who wants another makes another.
//!
//! Limits: [`BitRate::MAX`] and [`FrameRate::MAX`], so that the sum fits a word for eleven years of
//! uptime; [`BURST_BYTES_MIN`], so that the longest frame passes through every bucket.

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastpath::Nanos;
use vswitch_api::port_settings::limits::{BitRate, FrameRate};

use super::limits::{BURST_BYTES_MIN, BURST_FRAMES_MIN, BURST_TIME};

/// Nanoseconds in a second.
const SECOND: u128 = Duration::from_secs(1).as_nanos();

/// Bits in a byte.
const BYTE: u64 = 8;

/// A rate, which a bucket can count, with the burst that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    per_s: u64,
    burst: u64,
}

impl Rate {
    /// Bits a second, counted in bytes on the wire.
    #[must_use]
    pub fn bits(rate: BitRate) -> Self {
        let per_s = rate.get() / BYTE;
        Self { per_s, burst: within(per_s, BURST_TIME).max(BURST_BYTES_MIN) }
    }

    /// Frames a second, of which those of one second may come at once.
    #[must_use]
    pub fn frames(rate: FrameRate) -> Self {
        Self { per_s: rate.get(), burst: rate.get().max(BURST_FRAMES_MIN) }
    }

    /// Units a second: bytes or frames.
    #[must_use]
    pub const fn per_s(self) -> u64 {
        self.per_s
    }

    /// Units that may pass at once.
    #[must_use]
    pub const fn burst(self) -> u64 {
        self.burst
    }
}

/// Tokens that flow in within a time.
fn within(per_s: u64, time: Duration) -> u64 {
    (u128::from(per_s) * time.as_nanos() / SECOND) as u64
}

/// A bucket. Every worker may take from it.
#[derive(Debug)]
pub struct TokenBucket {
    rate: Rate,
    spent: AtomicU64,
}

impl TokenBucket {
    /// A full one.
    #[must_use]
    pub const fn new(rate: Rate) -> Self {
        Self { rate, spent: AtomicU64::new(0) }
    }

    /// Its rate.
    #[must_use]
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes out what `spend` makes of what is available, which must not be more than that; gives
    /// what was available. `spend` is asked again when another worker was faster, so it may depend
    /// on its argument only.
    #[inline]
    pub fn take(&self, now: Nanos, spend: impl Fn(u64) -> u64) -> u64 {
        let inflow = u128::from(self.rate.per_s) * u128::from(now.0);
        let whole = (inflow / SECOND) as u64;
        let overflown = whole + u64::from(!inflow.is_multiple_of(SECOND));
        let full = whole.saturating_add(self.rate.burst);
        // The word guards nothing but itself, so no order is asked for.
        let mut spent = self.spent.load(Ordering::Relaxed);
        loop {
            let from = spent.max(overflown);
            let available = full.saturating_sub(from);
            let cost = spend(available);
            debug_assert!(cost <= available, "{cost} of {available}");
            if cost == 0 {
                return available;
            }
            let to = from + cost;
            match self.spent.compare_exchange_weak(spent, to, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return available,
                Err(seen) => spent = seen,
            }
        }
    }

    /// Takes `cost` out, or nothing.
    #[inline]
    pub fn pass(&self, now: Nanos, cost: u64) -> bool {
        self.take(now, |available| if cost <= available { cost } else { 0 }) >= cost
    }
}
