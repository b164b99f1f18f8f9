//! Decides from samples whether workers may spin. Theory of operation: [`super`].

use std::fmt;
use std::time::Duration;

use crate::limits::{
    HOLD_SAMPLES_MAX, HOLD_SAMPLES_MIN, PROBATION_SAMPLES, SAMPLE_EVERY, SPARE_TOLERANCE,
};

/// Use of processors over one interval.
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
    /// Mean of the last samples; none before the first.
    pub mean: Option<Sample>,
}

/// The decision about all workers of a switch.
#[derive(Debug)]
pub struct Governor {
    workers: f64,
    spins: bool,
    /// Mean of the last samples, newer ones weigh more.
    spare: f64,
    /// Samples since the last change, up to [`PROBATION_SAMPLES`].
    since_change: u32,
    /// Samples in a row that left enough.
    enough: u32,
    /// Samples in a row that must leave enough before workers spin again.
    hold: u32,
    mean: Option<Sample>,
}

impl Governor {
    /// A governor that lets workers spin until samples say otherwise.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            workers: workers as f64,
            spins: true,
            spare: 0.0,
            since_change: PROBATION_SAMPLES,
            enough: 0,
            hold: HOLD_SAMPLES_MIN,
            mean: None,
        }
    }

    /// Begins after a time without samples. It counts as time since the last change, and as one that
    /// left enough. Former samples say nothing of the machine of today.
    pub fn begin(&mut self, dormant: Duration) -> Verdict {
        let samples = (dormant.as_secs_f64() / SAMPLE_EVERY.as_secs_f64()) as u32;
        self.since_change = PROBATION_SAMPLES.min(self.since_change.saturating_add(samples));
        if !self.spins && samples >= self.hold {
            self.change(true);
        }
        // So that the first sample alone decides nothing.
        self.spare = 2.0 * self.workers;
        self.enough = 0;
        self.verdict()
    }

    /// Takes a sample with traffic into account.
    pub fn observe(&mut self, sample: Sample) -> Verdict {
        self.spare = f64::midpoint(self.spare, sample.spare);
        let shown = self.spare.min(sample.processors as f64);
        self.mean = Some(Sample { spare: shown, ..sample });
        self.since_change = PROBATION_SAMPLES.min(self.since_change + 1);
        let is_enough = self.spare >= self.workers - SPARE_TOLERANCE;
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
        Verdict { spins: self.spins, mean: self.mean }
    }

    fn while_spinning(&mut self, is_enough: bool) {
        if self.since_change == PROBATION_SAMPLES {
            self.hold = HOLD_SAMPLES_MIN;
        }
        if is_enough {
            return;
        }
        if self.since_change < PROBATION_SAMPLES {
            self.hold = HOLD_SAMPLES_MAX.min(self.hold * 2);
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
        let Some(Sample { spare, processors }) = self.mean else {
            return f.write_str("no traffic yet");
        };
        let only = if self.spins { "" } else { "only " };
        write!(f, "other processes leave {only}{spare:.1} of {processors} processors")
    }
}

#[cfg(test)]
mod tests;
