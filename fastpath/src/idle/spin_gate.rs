//! What workers and control tell each other: spin rounds down, traffic up.

use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};

/// No traffic for a while: control does not look.
const SILENT: u8 = 0;
/// No traffic since the last look.
const QUIET: u8 = 1;
/// Traffic since the last look.
const BUSY: u8 = 2;

/// Shared by all workers and control. Both words are independent of all other memory, hence `Relaxed`.
#[derive(Debug)]
pub struct SpinGate {
    spin_rounds: AtomicU16,
    traffic: AtomicU8,
}

impl SpinGate {
    /// A gate that lets workers spin for so many rounds.
    #[must_use]
    pub const fn new(spin_rounds: u16) -> Self {
        Self { spin_rounds: AtomicU16::new(spin_rounds), traffic: AtomicU8::new(SILENT) }
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

    /// Notes traffic. True after a silence: the caller wakes control.
    #[inline]
    pub fn mark_busy(&self) -> bool {
        let was = self.traffic.load(Ordering::Relaxed);
        was != BUSY && self.traffic.swap(BUSY, Ordering::Relaxed) == SILENT
    }

    /// Whether there was traffic since the last look.
    pub fn take_busy(&self) -> bool {
        let taken =
            self.traffic.compare_exchange(BUSY, QUIET, Ordering::Relaxed, Ordering::Relaxed);
        taken.is_ok()
    }

    /// Begins a silence, in which control does not look. False if traffic came.
    pub fn begin_silence(&self) -> bool {
        let began =
            self.traffic.compare_exchange(QUIET, SILENT, Ordering::Relaxed, Ordering::Relaxed);
        began.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_mark_after_a_silence_wakes_control_once() {
        let gate = SpinGate::new(64);
        assert!(gate.mark_busy());
        assert!(!gate.mark_busy());
        assert!(gate.take_busy());
        assert!(!gate.take_busy(), "nothing came since");
        assert!(!gate.mark_busy(), "control still looks");
        assert!(!gate.begin_silence(), "traffic came");
        assert!(gate.take_busy());
        assert!(gate.begin_silence());
        assert!(!gate.begin_silence(), "it is silent already");
        assert!(gate.mark_busy());
    }

    #[test]
    fn all_workers_load_what_control_set() {
        let gate = SpinGate::new(64);
        gate.set_spin_rounds(0);
        assert_eq!(gate.spin_rounds(), 0);
    }
}
