//! Limits of the API server.

use std::time::Duration;

/// Connections at a time; more wait in the socket's queue.
pub(crate) const CONNECTIONS_MAX: usize = 64;

/// Bytes of a request's body.
pub(crate) const BODY_MAX: usize = 64 * 1024;

/// Connections for metrics at a time; more wait in the listener's queue.
pub(crate) const METRICS_CONNECTIONS_MAX: usize = 8;

/// Longest life of a connection for metrics: a scrape takes milliseconds.
pub(crate) const METRICS_TIME_MAX: Duration = Duration::from_secs(20);

/// Time for a client to send the head of a request.
pub(crate) const HEADER_READ_MAX: Duration = Duration::from_secs(10);

/// Time for a client to send the body of a request.
pub(crate) const BODY_READ_MAX: Duration = Duration::from_secs(10);

/// Time for requests in progress once the daemon ends.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(3);

/// Pause after a connection could not be accepted.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Time for another daemon to answer on the socket.
pub(crate) const PROBE_MAX: Duration = Duration::from_secs(1);
