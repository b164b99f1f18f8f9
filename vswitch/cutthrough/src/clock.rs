//! The clock of the programs, and the one of a thread.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_MONOTONIC`, which `bpf_ktime_get_ns` reads.
pub(crate) fn monotonic() -> Duration {
    read(ClockId::Monotonic)
}

/// The processor time of this thread.
pub(crate) fn worked() -> Duration {
    read(ClockId::ThreadCPUTime)
}

fn read(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}
