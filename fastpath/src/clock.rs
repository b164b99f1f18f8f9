//! The one place where the clock is read.

use std::ops::Sub;
use std::time::Duration;

/// A moment of the monotonic clock, in nanoseconds. It is handed down as a parameter: nothing below
/// a worker reads the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The moment `after` this one.
    #[must_use]
    pub fn after(self, after: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Whole seconds.
    #[inline]
    #[must_use]
    pub const fn seconds(self) -> u32 {
        (self.0 / 1_000_000_000) as u32
    }
}

impl Sub for Nanos {
    type Output = Duration;

    /// Zero where `earlier` is later.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

impl Clock {
    /// Now (`clock_gettime(2)`, `CLOCK_MONOTONIC`).
    #[inline]
    #[must_use]
    pub fn now(self) -> Nanos {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
    }

    /// Seconds since 1970 of the wall clock (`CLOCK_REALTIME`), for people.
    #[must_use]
    pub fn unix_s(self) -> u64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        u64::try_from(time.tv_sec).unwrap_or(0)
    }
}
