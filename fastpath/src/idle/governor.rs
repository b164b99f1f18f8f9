//! Decides from looks at the machine whether workers may spin. Theory of operation: [`super`].

use std::fmt;

use crate::limits::{HOLD_LOOKS_MAX, HOLD_LOOKS_MIN, PROBATION_LOOKS, SPARE_TOLERANCE};

/// What a look saw, since the one before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Processors that others left: idle, or used by this process.
    pub spare: f64,
    /// Processors that the workers may run on.
    pub processors: usize,
}

/// Whether workers spin, and why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// Spin after traffic; else sleep at once.
    pub spins: bool,
    /// The look that it rests on; none before the first.
    pub sample: Option<Sample>,
}

/// The decision about all workers of a switch.
#[derive(Debug)]
pub struct Governor {
    workers: f64,
    spins: bool,
    /// Mean of the last looks, newer ones weigh more.
    spare: Option<f64>,
    /// Looks since the last change, up to [`PROBATION_LOOKS`].
    since_change: u32,
    /// Looks in a row that left enough.
    enough: u32,
    /// Looks in a row that must leave enough before workers spin again.
    hold: u32,
    sample: Option<Sample>,
}

impl Governor {
    /// A governor that lets workers spin until a look says otherwise.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            workers: workers as f64,
            spins: true,
            spare: None,
            since_change: PROBATION_LOOKS,
            enough: 0,
            hold: HOLD_LOOKS_MIN,
            sample: None,
        }
    }

    /// Begins to look after a silence: former looks count no more.
    pub fn begin(&mut self) {
        (self.spare, self.enough) = (None, 0);
    }

    /// Takes a look with traffic into account.
    pub fn look(&mut self, sample: Sample) -> Verdict {
        let spare = self.spare.map_or(sample.spare, |mean| f64::midpoint(mean, sample.spare));
        self.spare = Some(spare);
        self.sample = Some(Sample { spare, ..sample });
        self.since_change = PROBATION_LOOKS.min(self.since_change + 1);
        let is_enough = spare >= self.workers - SPARE_TOLERANCE;
        if self.spins {
            self.while_spinning(is_enough);
        } else {
            self.while_sleeping(is_enough);
        }
        self.verdict()
    }

    /// The decision that stands.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict { spins: self.spins, sample: self.sample }
    }

    fn while_spinning(&mut self, is_enough: bool) {
        if self.since_change == PROBATION_LOOKS {
            self.hold = HOLD_LOOKS_MIN;
        }
        if is_enough {
            return;
        }
        if self.since_change < PROBATION_LOOKS {
            self.hold = HOLD_LOOKS_MAX.min(self.hold * 2);
        }
        self.change(false);
    }

    fn while_sleeping(&mut self, is_enough: bool) {
        self.enough = if is_enough { self.enough + 1 } else { 0 };
        if self.enough >= self.hold {
            self.change(true);
        }
    }

    fn change(&mut self, spins: bool) {
        (self.spins, self.since_change, self.enough) = (spins, 0, 0);
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Sample { spare, processors }) = self.sample else {
            return f.write_str("no traffic yet");
        };
        let only = if self.spins { "" } else { "only " };
        write!(f, "other processes leave {only}{spare:.1} of {processors} processors")
    }
}

#[cfg(test)]
mod tests;
