//! Time: nanoseconds of a monotonic clock, given by the caller.

use std::time::Duration;

/// Nanoseconds since a fixed moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// A later time, saturating.
    #[must_use]
    pub const fn after(self, wait: Duration) -> Self {
        let wait = wait.as_nanos();
        Self(self.0.saturating_add(if wait > u64::MAX as u128 { u64::MAX } else { wait as u64 }))
    }

    /// The time since `earlier`, or zero.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
