//! Words that workers and control share: spin rounds down, traffic up.

use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};

/// No traffic for a while: control takes no samples.
const DORMANT: u8 = 0;
/// No traffic since the last sample.
const QUIET: u8 = 1;
/// Traffic since the last sample.
const BUSY: u8 = 2;

/// Shared by all workers and control. Both words are independent of all other memory, hence `Relaxed`.
#[derive(Debug)]
pub struct SpinControl {
    spin_rounds: AtomicU16,
    traffic: AtomicU8,
}

impl SpinControl {
    /// Lets workers spin for so many rounds; dormant.
    #[must_use]
    pub const fn new(spin_rounds: u16) -> Self {
        Self { spin_rounds: AtomicU16::new(spin_rounds), traffic: AtomicU8::new(DORMANT) }
    }

    /// Empty rounds after which a worker sleeps.
    #[inline]
    #[must_use]
    pub fn spin_rounds(&self) -> u16 {
        self.spin_rounds.load(Ordering::Relaxed)
    }

    /// Sets the spin rounds of all workers.
    pub fn set_spin_rounds(&self, rounds: u16) {
        self.spin_rounds.store(rounds, Ordering::Relaxed);
    }

    /// Notes traffic. True if control was dormant: the caller wakes it.
    #[inline]
    pub fn mark_busy(&self) -> bool {
        let was = self.traffic.load(Ordering::Relaxed);
        was != BUSY && self.traffic.swap(BUSY, Ordering::Relaxed) == DORMANT
    }

    /// Whether there was traffic since the last call.
    pub fn take_busy(&self) -> bool {
        self.replace(BUSY, QUIET)
    }

    /// Makes control dormant. False if traffic came.
    pub fn make_dormant(&self) -> bool {
        self.replace(QUIET, DORMANT)
    }

    fn replace(&self, from: u8, to: u8) -> bool {
        self.traffic.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_mark_wakes_a_dormant_control_once() {
        let spin = SpinControl::new(64);
        assert!(spin.mark_busy());
        assert!(!spin.mark_busy());
        assert!(spin.take_busy());
        assert!(!spin.take_busy(), "nothing came since");
        assert!(!spin.mark_busy(), "control is awake");
        assert!(!spin.make_dormant(), "traffic came");
        assert!(spin.take_busy());
        assert!(spin.make_dormant());
        assert!(!spin.make_dormant(), "it is dormant already");
        assert!(spin.mark_busy());
    }

    #[test]
    fn all_workers_load_the_word_of_control() {
        let spin = SpinControl::new(64);
        spin.set_spin_rounds(0);
        assert_eq!(spin.spin_rounds(), 0);
    }
}
