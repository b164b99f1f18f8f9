//! How much of a round each port gets.
//!
//! A round takes [`ROUND_FRAMES_MAX`] frames and, as far as can be known before they are read,
//! [`ROUND_BYTES_MAX`] bytes from all ports together. Its length is what a frame waits that comes to
//! a port with little to say, so nobody may fill it alone:
//!
//! - *Frames*: every active port may read its part, one frame at least. What the quiet ones leave is
//!   there for the busy ones, in turns. With more active ports than frames in a round, those that
//!   had no turn come first in the next one.
//! - *Bytes*: every active port earns its part each round (deficit round robin; Shreedhar and
//!   Varghese 1995) and pays for what it has read. A frame's length is known only when it has been
//!   read: who has read more than it earned sits out until that is paid, two rounds at most, so that
//!   a burst after small frames costs its sender and nobody else.
//!
//! One port alone, or two, get all that they could get without this.

use crate::limits::{
    FRAME_MAX, READ_DEPTH_MAX, ROUND_BYTES_MAX, ROUND_BYTES_PER_PORT, ROUND_FRAMES_MAX,
};

/// One port's part of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quantum {
    /// Frames that are its own; more where others leave theirs.
    pub(crate) frames: usize,
    /// Bytes that it earns.
    pub(crate) bytes: usize,
    /// Nobody else reads: there is nobody to be fair to.
    uncontended: bool,
}

impl Quantum {
    /// The part of each of so many ports.
    pub(crate) fn of(active: usize) -> Self {
        let active = active.max(1);
        Self {
            frames: (ROUND_FRAMES_MAX / active).clamp(1, READ_DEPTH_MAX),
            bytes: (ROUND_BYTES_MAX / active).clamp(FRAME_MAX, ROUND_BYTES_PER_PORT),
            uncontended: active <= 2,
        }
    }

    /// Reads that bring about what the port earns, at so many bytes a frame.
    pub(crate) fn depth(self, bytes_per_frame: usize) -> u16 {
        (self.bytes / bytes_per_frame.max(1)).clamp(1, READ_DEPTH_MAX) as u16
    }
}

/// Bytes that a port has read beyond what it has earned.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Deficit(usize);

impl Deficit {
    /// A round begins: the port earns its part. Whether it may read.
    pub(crate) fn replenish(&mut self, quantum: Quantum) -> bool {
        if quantum.uncontended {
            self.0 = 0;
        }
        let may_read = self.0 == 0;
        self.0 = self.0.saturating_sub(quantum.bytes);
        may_read
    }

    /// The port has read so many bytes in this round.
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
