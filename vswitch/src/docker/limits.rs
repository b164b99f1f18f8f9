//! Limits of the Docker plugin.

use std::time::Duration;

/// Connections at a time; more wait in the socket's queue. Docker opens one for each request in progress.
pub(crate) const DOCKER_CONNECTIONS_MAX: usize = 256;

/// Bytes of a request's body: each published port has about 200 of them.
pub(crate) const DOCKER_BODY_MAX: usize = 16 << 20;

/// Time to send the body.
pub(super) const BODY_TIME_MAX: Duration = Duration::from_secs(10);
