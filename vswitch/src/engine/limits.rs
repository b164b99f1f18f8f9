//! Limits of requests to container engines.

use std::time::Duration;

/// Longest answer of an engine: a container takes about 10 KiB in `docker inspect`, 1,000 of them 1 MiB in a list.
pub(crate) const ENGINE_BYTES_MAX: usize = 16 << 20;

/// Longest event of an engine, which has all labels of the container.
pub(crate) const ENGINE_EVENT_BYTES_MAX: usize = 256 << 10;

/// Time of an engine to answer. Docker answers for a container that starts when it has started. An attach asks twice,
/// and its client waits 30 seconds.
pub(crate) const ENGINE_TIME_MAX: Duration = Duration::from_secs(10);
