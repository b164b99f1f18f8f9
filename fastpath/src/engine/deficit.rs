//! Deficit round robin over the active ports of a round (Shreedhar and Varghese 1995).
//!
//! A round reads [`ROUND_FRAMES_MAX`] frames and about [`ROUND_BYTES_MAX`] bytes from all ports. A frame
//! of a quiet port waits for the whole round, so no port may fill it alone:
//!
//! - *Frames*: every active port may read its quantum, one frame at least. Busy ports take turns at the
//!   rest. Ports without a turn come first in the next round.
//! - *Bytes*: every active port earns its quantum each round and pays for its reads. A length is known
//!   only after the read: a port in deficit skips rounds until it has paid, two at most.
//!
//! One or two active ports are not limited.

use crate::limits::{
    FRAME_MAX, READ_DEPTH_MAX, ROUND_BYTES_MAX, ROUND_BYTES_PER_PORT, ROUND_FRAMES_MAX,
};

/// Quantum of a port in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quantum {
    /// Guaranteed frames; idle quanta of other ports add to them.
    pub(crate) frames: usize,
    /// Bytes earned per round.
    pub(crate) bytes: usize,
    /// At most two ports read: no limit.
    uncontended: bool,
}

impl Quantum {
    /// Quantum of each of `active` ports.
    pub(crate) fn of(active: usize) -> Self {
        let active = active.max(1);
        Self {
            frames: (ROUND_FRAMES_MAX / active).clamp(1, READ_DEPTH_MAX),
            bytes: (ROUND_BYTES_MAX / active).clamp(FRAME_MAX, ROUND_BYTES_PER_PORT),
            uncontended: active <= 2,
        }
    }

    /// Reads that bring about one quantum of bytes.
    pub(crate) fn depth(self, bytes_per_frame: usize) -> u16 {
        (self.bytes / bytes_per_frame.max(1)).clamp(1, READ_DEPTH_MAX) as u16
    }
}

/// Bytes that a read is charged. One with several datagrams brings as many frames, and a round has
/// [`ROUND_FRAMES_MAX`]: small ones cost as much as if they filled the bytes of a round with so many.
pub(crate) const fn charged(len: usize, frames: u64) -> usize {
    let least = frames as usize * (ROUND_BYTES_PER_PORT / ROUND_FRAMES_MAX);
    if frames > 1 && least > len { least } else { len }
}

/// Bytes read in excess of the quantum.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Deficit(usize);

impl Deficit {
    /// Adds the quantum of a new round. True if the port may read.
    pub(crate) fn replenish(&mut self, quantum: Quantum) -> bool {
        if quantum.uncontended {
            self.0 = 0;
        }
        let may_read = self.0 == 0;
        self.0 = self.0.saturating_sub(quantum.bytes);
        may_read
    }

    /// Charges the bytes read in this round.
    pub(crate) fn charge(&mut self, bytes: usize, quantum: Quantum) {
        self.0 = bytes.saturating_sub(quantum.bytes).min(2 * quantum.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_ports_get_what_they_ask_for() {
        for active in [0, 1, 2, 4] {
            let quantum = Quantum::of(active);
            assert_eq!((quantum.frames, quantum.bytes), (READ_DEPTH_MAX, ROUND_BYTES_PER_PORT));
        }
    }

    #[test]
    fn reads_of_many_small_datagrams_bring_no_more_frames_than_a_round_has() {
        let quantum = Quantum::of(1);
        assert_eq!(charged(114, 1), 114, "a frame of a TAP costs its bytes");
        assert_eq!(charged(45 * 1450, 45), 45 * 1450);
        for frames in [2, 16, 64] {
            let reads = quantum.depth(charged(frames * 114, frames as u64));
            assert!(usize::from(reads) * frames <= ROUND_FRAMES_MAX, "{reads} reads of {frames}");
        }
    }

    #[test]
    fn big_frames_cut_the_depth() {
        let quantum = Quantum::of(1);
        assert_eq!(quantum.depth(64), READ_DEPTH_MAX as u16);
        assert_eq!(quantum.depth(65_536), (ROUND_BYTES_PER_PORT / 65_536) as u16);
        assert_eq!(quantum.depth(usize::MAX), 1);
        assert_eq!(Quantum::of(100).depth(65_536), 1);
    }

    #[test]
    fn all_parts_together_fit_into_a_round() {
        for active in 1..=ROUND_FRAMES_MAX {
            let quantum = Quantum::of(active);
            assert!(quantum.frames * active <= ROUND_FRAMES_MAX, "{active} ports");
            let bytes = quantum.bytes * active;
            assert!(bytes <= ROUND_BYTES_MAX || quantum.bytes == FRAME_MAX, "{active} ports");
        }
        assert_eq!(Quantum::of(100_000).frames, 1);
    }

    #[test]
    fn who_read_too_much_sits_out_until_it_is_paid() {
        let quantum = Quantum::of(10);
        let mut deficit = Deficit::default();
        for (read, rounds_out) in [
            (0, 0),
            (quantum.bytes, 0),
            (quantum.bytes + 1, 1),
            (2 * quantum.bytes, 1),
            (usize::MAX, 2),
        ] {
            assert!(deficit.replenish(quantum));
            deficit.charge(read, quantum);
            let out = (0..9).take_while(|_| !deficit.replenish(quantum)).count();
            assert_eq!(out, rounds_out, "after {read} bytes");
            deficit = Deficit::default();
        }
    }

    #[test]
    fn alone_nobody_sits_out() {
        let mut deficit = Deficit::default();
        deficit.charge(usize::MAX, Quantum::of(2));
        assert!(deficit.replenish(Quantum::of(2)));
    }
}
