//! The time that translation is told.

use std::time::Duration;

/// Nanoseconds since some moment that does not change while a table lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// This much later; the end of time at most.
    #[must_use]
    pub const fn after(self, wait: Duration) -> Self {
        let wait = wait.as_nanos();
        Self(self.0.saturating_add(if wait > u64::MAX as u128 { u64::MAX } else { wait as u64 }))
    }

    /// How much later this is than `earlier`; nothing if it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
