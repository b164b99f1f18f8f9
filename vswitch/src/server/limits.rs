//! Limits of the API server.

use std::time::Duration;

/// Connections that are served at a time; more wait.
pub(crate) const CONNECTIONS_MAX: usize = 64;

/// Those of one process.
pub(crate) const PEER_CONNECTIONS_MAX: usize = 32;

/// Further ones, of processes that have none.
pub(crate) const SPARE_CONNECTIONS: usize = 8;

/// Connections that wait or are served, for each that can be served. Above that the peer that has most loses one.
pub(crate) const HELD_PER_CONNECTION: usize = 4;

/// All connections of the API's socket that wait or are served.
pub(crate) const HELD_CONNECTIONS_MAX: usize = CONNECTIONS_MAX * HELD_PER_CONNECTION;

/// Time without a request after which a connection may be closed, while others wait.
pub(crate) const IDLE_MIN: Duration = Duration::from_secs(1);

/// Interval in which one that waits looks for such a connection.
pub(crate) const ROOM_POLL: Duration = Duration::from_millis(100);

/// Bytes of a request's body.
pub(crate) const BODY_MAX: usize = 64 * 1024;

/// Connections for metrics that are served at a time; more wait.
pub(crate) const METRICS_CONNECTIONS_MAX: usize = 8;

/// Longest life of a connection for metrics: a scrape takes milliseconds.
pub(crate) const METRICS_TIME_MAX: Duration = Duration::from_secs(20);

/// Time for a client to send the head of a request.
pub(crate) const HEADER_READ_MAX: Duration = Duration::from_secs(10);

/// Time for a client to send the body of a request.
pub(crate) const BODY_READ_MAX: Duration = Duration::from_secs(10);

/// Time for a client to read the rest of an answer, once its connection is to be closed for another one.
pub(crate) const ANSWER_READ_MAX: Duration = Duration::from_secs(10);

/// Time for requests in progress once the daemon ends.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(3);

/// Pause after a connection could not be accepted.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Time between two attempts to make the file of the socket again.
pub(crate) const SOCKET_RETRY: Duration = Duration::from_secs(1);

/// Time for another daemon to answer on the socket.
pub(crate) const PROBE_MAX: Duration = Duration::from_secs(1);
