//! Idle policy of a worker: spin or sleep.
//!
//! A thread wake-up on another processor costs about 30 us on a virtual machine, a read of an empty TAP
//! less than one. So a worker spins for `SPIN_ROUNDS` after traffic, then sleeps in the kernel.

use std::fmt;
use std::str::FromStr;

use crate::engine::Wait;
use crate::limits::SPIN_ROUNDS;

/// Behaviour of a worker without traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IdlePolicy {
    /// Spin briefly after traffic, then sleep.
    #[default]
    Adaptive,
    /// Never sleep: needs a processor of its own.
    Spin,
    /// Sleep at once: least processor time, highest latency.
    Sleep,
}

impl IdlePolicy {
    /// Empty rounds after which a port is polled instead of read. On one processor a spinning worker
    /// would only delay the sender.
    #[must_use]
    pub fn spin_rounds(self, processors: usize) -> u16 {
        match self {
            Self::Sleep => 1,
            Self::Adaptive | Self::Spin if processors < 2 => 1,
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
