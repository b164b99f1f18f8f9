//! Monotonic clock. Only workers read it; all code below gets `now` as a parameter.

use std::ops::Sub;
use std::time::Duration;

/// Monotonic time in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Nanos(pub u64);

impl Nanos {
    /// This time plus `after`, saturating.
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

    /// Difference, at least zero.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Clocks of the kernel.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

impl Clock {
    /// Current time (`clock_gettime(2)`, `CLOCK_MONOTONIC`).
    #[inline]
    #[must_use]
    pub fn now(self) -> Nanos {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
    }

    /// Wall clock in seconds since 1970 (`CLOCK_REALTIME`).
    #[must_use]
    pub fn unix_s(self) -> u64 {
        self.unix_ms() / 1000
    }

    /// Wall clock in milliseconds since 1970.
    #[must_use]
    pub fn unix_ms(self) -> u64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        u64::try_from(time.tv_sec).unwrap_or(0) * 1000 + time.tv_nsec as u64 / 1_000_000
    }
}
