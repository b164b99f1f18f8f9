//! Every limit of control, by name.

use std::time::Duration;

/// Static entries of the forwarding database that one network may have.
pub(crate) const STATICS_MAX: usize = 4096;

/// Publications that one attachment may have; a range is one.
pub(crate) const PUBLICATIONS_MAX: usize = 256;

/// Prefixes that one publication may be open to.
pub(crate) const ALLOW_FROM_MAX: usize = 64;

/// Aliases that one endpoint may have.
pub(crate) const ALIASES_MAX: usize = 64;

/// Labels that one endpoint may have.
pub(crate) const LABELS_MAX: usize = 128;

/// Bytes that keys and values of an endpoint's labels may have together.
pub(crate) const LABELS_BYTES_MAX: usize = 16 << 10;

/// Connections that one container may have, of all that are translated.
pub(crate) const CONNECTIONS_PER_CONTAINER: u32 = 1 << 18;

/// Places that are tried for ports that nobody named.
pub(crate) const PORT_ALLOC_TRIES_MAX: usize = 256;

/// Time between two attempts to open what was published before a restart, while somebody else has its ports.
pub(crate) const REPUBLISH_INTERVAL: Duration = Duration::from_secs(10);

/// Publications that are tried in one such attempt.
pub(crate) const REPUBLISH_BATCH: usize = 4;

/// Attachments that are replayed at the same time.
pub(crate) const REPLAY_CONCURRENCY: usize = 4;

/// How long an attach may wait for the end of a detach that has the same name: closing the interface
/// and writing the document take tens of milliseconds.
pub(crate) const DETACH_WAIT_MAX: Duration = Duration::from_secs(5);

/// How long `down` after a crash waits for the kernel to take the bridge away.
pub(crate) const DEVICE_REMOVAL_MAX: Duration = Duration::from_secs(5);

/// How long the workers may take to end, beside what they need for their ports.
pub(crate) const SHUTDOWN_MAX: Duration = Duration::from_secs(30);

/// How long they may take to close one port: the kernel takes 10 to 20 ms.
pub(crate) const PORT_CLOSE_MAX: Duration = Duration::from_millis(100);
