//! When a worker spins and when it sleeps.
//!
//! Waking a thread on another processor costs about 30 microseconds on a virtual machine, reading an
//! empty TAP less than one. So while traffic flows the worker goes on asking for a short while
//! (`SPIN_ROUNDS`), and sleeps in the kernel when nothing comes. An idle switch uses no processor.

use std::fmt;
use std::str::FromStr;

use crate::engine::Wait;
use crate::limits::SPIN_ROUNDS;

/// What a worker does when nothing comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IdlePolicy {
    /// Spin briefly after traffic, then sleep.
    #[default]
    Adaptive,
    /// Never sleep: a processor of its own is needed.
    Spin,
    /// Sleep at once: least processor time, highest latency.
    Sleep,
}

impl IdlePolicy {
    /// Empty rounds after which a port is polled instead of read. With one processor spinning only
    /// keeps the sender from running.
    #[must_use]
    pub fn spin_rounds(self, processors: usize) -> u16 {
        match self {
            Self::Sleep => 1,
            Self::Adaptive | Self::Spin if processors < 2 => 1,
            Self::Adaptive | Self::Spin => SPIN_ROUNDS,
        }
    }

    /// How long a round may wait that would otherwise wait as `otherwise` says.
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

/// A word that is no idle policy.
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
