//! What the command waits for, and how much it takes in.

use std::time::Duration;

/// How long `up --detach` waits for the daemon to be ready.
pub(crate) const UP_TIMEOUT: Duration = Duration::from_secs(30);

/// A longer log is put aside when a daemon is started in the background.
pub(crate) const LOG_BYTES_MAX: u64 = 4 << 20;

/// How long `down` waits for a daemon that closes no port any more to restore the host and end.
pub(crate) const DOWN_TIMEOUT: Duration = Duration::from_secs(30);

/// How often it looks how the daemon gets on.
pub(crate) const DOWN_LOOK: Duration = Duration::from_millis(500);

/// How often it says so.
pub(crate) const DOWN_SAY_EVERY: Duration = Duration::from_secs(5);

/// How often `down` looks whether the socket is gone.
pub(crate) const DOWN_POLL: Duration = Duration::from_millis(20);

/// Longest name of an attachment.
pub(crate) const NAME_BYTES_MAX: usize = 128;
