//! Idle policy of a worker: spin or sleep.
//!
//! # Theory of operation
//!
//! A wake-up on another processor costs 5 to 30 us on a virtual machine, a read of an empty TAP less than
//! one: a worker that spins answers a single message in two thirds of the time. But it takes a processor.
//! Where others want that processor the endpoints wait for the very worker that waits for them
//! (docs/performance/experiments/idle-policy.md).
//!
//! So an [`IdlePolicy::Adaptive`] worker spins while the machine has a processor to spare:
//!
//! 1. A worker with traffic marks the [`SpinControl`]. The first mark wakes a dormant control.
//! 2. Control takes a sample every [`SAMPLE_EVERY`](crate::limits::SAMPLE_EVERY) ([`CpuSampler`]): the idle
//!    time of the workers' processors, and the processor time of this process. Their sum is what all others
//!    *leave*. A worker that shares by the usual rules ([`scheduling`](crate::scheduling)) hardly changes it
//!    by spinning, so the policy does not chase itself. One that outranks the others would: a real-time
//!    worker does not spin under this policy.
//! 3. The [`Governor`] compares the mean of the samples with the number of workers, and decides.
//! 4. [`SpinControl`] holds the decision in one word, the spin rounds, which a worker loads each round.
//!
//! ```text
//!            others leave less than the workers need
//! Spinning ------------------------------------------> Sleeping
//!          <------------------------------------------
//!            others left enough for `hold` samples in a row,
//!            or as long a time passed without traffic
//! ```
//!
//! A stop soon after a resume doubles `hold`, a long time of spinning resets it: beside neighbours that come
//! and go the policy changes its mind less and less often. Samples without traffic decide nothing. After
//! [`QUIET_SAMPLES_MAX`](crate::limits::QUIET_SAMPLES_MAX) of them control is dormant, so an idle switch
//! takes no samples.

pub mod cpu_sampler;
pub mod governor;
mod spin_control;

use std::fmt;
use std::str::FromStr;

pub use cpu_sampler::CpuSampler;
pub use governor::Governor;
pub use spin_control::SpinControl;

use crate::engine::Wait;

/// Behaviour of a worker without traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IdlePolicy {
    /// Spin briefly after traffic while the machine has a processor to spare, else sleep at once.
    #[default]
    Adaptive,
    /// Never sleep: needs a processor of its own.
    Spin,
    /// Sleep at once: least processor time.
    Sleep,
}

impl IdlePolicy {
    /// How long a round may block: `otherwise`, or not at all.
    #[must_use]
    pub fn wait(self, otherwise: Wait) -> Wait {
        if self == Self::Spin { Wait::No } else { otherwise }
    }
}

impl fmt::Display for IdlePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Adaptive => "adaptive",
            Self::Spin => "spin",
            Self::Sleep => "sleep",
        })
    }
}

/// Unknown name of an idle policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown idle policy {0:?}: choose adaptive, spin or sleep")]
pub struct UnknownIdlePolicy(pub String);

impl FromStr for IdlePolicy {
    type Err = UnknownIdlePolicy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Adaptive, Self::Spin, Self::Sleep]
            .into_iter()
            .find(|policy| policy.to_string() == text)
            .ok_or_else(|| UnknownIdlePolicy(text.to_owned()))
    }
}
