//! Idle policy of a worker: spin or sleep.
//!
//! # Theory of operation
//!
//! A wake-up on another processor costs 5 to 30 us on a virtual machine, a read of an empty TAP less than
//! one: a worker that spins answers a single message in two thirds of the time. But it takes a processor.
//! Where others want that processor the endpoints wait for the very worker that waits for them, and a worker
//! that sleeps at once moves up to three times as much (docs/performance/experiments/idle-policy.md).
//!
//! So an [`IdlePolicy::Adaptive`] worker spins while the machine has a processor to spare:
//!
//! 1. A worker with traffic marks the [`SpinGate`]. The first mark after a silence wakes control.
//! 2. Control looks at the machine every [`LOOK_EVERY`](crate::limits::LOOK_EVERY) ([`machine`]): the idle
//!    time of the workers' processors, and the processor time of this process. Their sum is what all others
//!    *leave*. It hardly depends on whether the workers spin, so the policy does not chase itself.
//! 3. The [`Governor`] compares that with the number of workers, and decides.
//! 4. The gate holds the decision in one word, the spin rounds, which a worker loads each round.
//!
//! ```text
//!            others leave less than the workers need
//! Spinning ------------------------------------------> Sleeping
//!          <------------------------------------------
//!            others left enough for `hold` looks in a row
//! ```
//!
//! A stop soon after a resume doubles `hold`; a long time of spinning resets it: two neighbours that take
//! turns at a processor make the policy change its mind less and less often. Looks without traffic decide
//! nothing, and after a silence control looks no more, so an idle switch costs nothing.

pub mod governor;
pub mod machine;
mod spin_gate;

use std::fmt;
use std::str::FromStr;

pub use governor::Governor;
pub use machine::Machine;
pub use spin_gate::SpinGate;

use crate::engine::Wait;
use crate::limits::SPIN_ROUNDS;

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
    /// Empty rounds after which a port is polled instead of read, until a governor decides otherwise. Where
    /// no processor is left for others a spinning worker would only delay them.
    #[must_use]
    pub const fn spin_rounds(self, workers: usize, processors: usize) -> u16 {
        match self {
            Self::Sleep => 0,
            Self::Adaptive | Self::Spin if processors <= workers => 0,
            Self::Adaptive | Self::Spin => SPIN_ROUNDS,
        }
    }

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
