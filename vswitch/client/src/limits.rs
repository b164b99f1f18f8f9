//! Bounds of a request.

use std::time::Duration;

/// Longest response body: 65,536 FDB entries of 128 bytes are 8 MiB; eight times that.
pub(crate) const RESPONSE_BYTES_MAX: usize = 64 << 20;

/// Connecting to a Unix socket blocks only while the daemon's backlog is full.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An attach takes below 50 ms; a machine under load gets six hundred times that.
pub(crate) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest line of the stream of events.
pub(crate) const EVENT_BYTES_MAX: usize = 64 << 10;
