//! Loop state of all ports, shared by the workers: one word for each port.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use fastpath::limits::PORTS_MAX;
use fastpath::{Nanos, PortIndex};

use super::probe::{self, PROBE_LEN};
use crate::datapath::limits::{BLOCK_MAX, BLOCK_MIN, LOOP_HISTORY};

/// Bits of a port's word that count its blocks in a row; above them, the millisecond when the last
/// one ends, rounded up.
const STRIKE_BITS: u32 = 8;
const STRIKES: u64 = (1 << STRIKE_BITS) - 1;

/// Which ports are blocked. Every worker may look and block.
///
/// Words are read and written without order between them: nothing but the word itself depends on
/// what it says.
#[derive(Debug)]
pub struct LoopTable {
    key: [u64; 2],
    /// End of the last block of any port. While no port is blocked, this is all that
    /// is looked at.
    latest_ms: AtomicU64,
    ports: Box<[PortState]>,
}

#[derive(Debug, Default)]
struct PortState {
    word: AtomicU64,
    /// How often the slot was given to a port.
    generation: AtomicU32,
}

impl LoopTable {
    /// Nobody is blocked. `key` keeps probes from being forged.
    #[must_use]
    pub fn new(key: [u64; 2]) -> Self {
        let ports = (0..PORTS_MAX).map(|_| PortState::default()).collect();
        Self { key, latest_ms: AtomicU64::new(0), ports }
    }

    /// Whether anybody is blocked.
    #[inline]
    #[must_use]
    pub fn any_blocked(&self, now: Nanos) -> bool {
        ms(now) < self.latest_ms.load(Ordering::Relaxed)
    }

    /// Whether a port is blocked.
    #[inline]
    #[must_use]
    pub fn is_blocked(&self, port: PortIndex, now: Nanos) -> bool {
        self.any_blocked(now) && self.remaining(port, now).is_some()
    }

    /// How long a port is still blocked.
    #[must_use]
    pub fn remaining(&self, port: PortIndex, now: Nanos) -> Option<Duration> {
        let word = self.ports.get(port.get())?.word.load(Ordering::Relaxed);
        let remaining = (word >> STRIKE_BITS).saturating_sub(ms(now));
        (remaining > 0).then(|| Duration::from_millis(remaining))
    }

    /// Blocks a port and says for how long; `None` if it is blocked already.
    pub(super) fn block(&self, port: PortIndex, now: Nanos) -> Option<Duration> {
        let state = self.ports.get(port.get())?;
        let (now_ms, history_ms) = (ms(now), LOOP_HISTORY.as_millis() as u64);
        let mut pause = Duration::ZERO;
        let blocked = |word: u64| {
            let (ended_ms, strikes) = (word >> STRIKE_BITS, word & STRIKES);
            if now_ms < ended_ms {
                return None;
            }
            let is_first = word == 0 || now_ms - ended_ms > history_ms;
            let strikes = if is_first { 0 } else { (strikes + 1).min(STRIKES) };
            pause = pause_after(strikes);
            let until_ms = now_ms + pause.as_millis() as u64;
            Some(until_ms << STRIKE_BITS | strikes)
        };
        let order = Ordering::Relaxed;
        state.word.fetch_update(order, order, blocked).ok()?;
        self.latest_ms.fetch_max(now_ms + pause.as_millis() as u64, order);
        Some(pause)
    }

    /// The slot is given to a port: it begins open.
    pub fn reset(&self, port: PortIndex) {
        if let Some(state) = self.ports.get(port.get()) {
            state.word.store(0, Ordering::Relaxed);
            state.generation.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A probe for a port.
    pub(super) fn probe(&self, port: PortIndex) -> [u8; PROBE_LEN] {
        let generation = self.ports.get(port.get()).map(|it| it.generation.load(Ordering::Relaxed));
        probe::build(self.key, port, generation.unwrap_or_default())
    }

    /// The port that a frame is a probe of ours for, if it still is the same.
    pub(super) fn recognise(&self, bytes: &[u8]) -> Option<PortIndex> {
        let (port, generation) = probe::parse(self.key, bytes)?;
        let state = self.ports.get(port.get())?;
        (state.generation.load(Ordering::Relaxed) == generation).then_some(port)
    }
}

/// Doubling, within its bounds.
fn pause_after(strikes: u64) -> Duration {
    let factor = 1u32.checked_shl(strikes.min(31) as u32).unwrap_or(u32::MAX);
    BLOCK_MIN.saturating_mul(factor).min(BLOCK_MAX)
}

fn ms(now: Nanos) -> u64 {
    now.0 / 1_000_000
}
