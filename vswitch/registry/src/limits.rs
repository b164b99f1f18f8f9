//! Limits and times of the registry's clients.

use std::time::Duration;

/// Most operations of one transaction, as Consul bounds it (etcd's default is 128).
pub const OPERATIONS_MAX: usize = 64;

/// Longest value: a record has a few hundred bytes; Consul takes 512 KiB, ZooKeeper 1 MiB a packet.
pub const VALUE_BYTES_MAX: usize = 8 << 10;

/// Longest key, without the URL's prefix.
pub const KEY_BYTES_MAX: usize = 512;

/// Longest answer: 200,000 entries of 400 bytes, in base64.
pub(crate) const RESPONSE_BYTES_MAX: usize = 128 << 20;

/// Entries of one page of a listing.
pub(crate) const PAGE_ENTRIES: usize = 2_000;

/// Requests that a listing of ZooKeeper has in flight.
pub(crate) const READS_IN_FLIGHT: usize = 512;

/// Connections that wait for the next request, to all endpoints together.
pub(crate) const IDLE_CONNECTIONS_MAX: usize = 4;

/// Events that a watcher may be behind; then the watch waits.
pub(crate) const WATCH_EVENTS_MAX: usize = 64;

/// How often an operation that lost a race of the client's own making is tried again (ZooKeeper).
pub(crate) const RACE_TRIES: usize = 16;

/// TCP and TLS handshake together.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A request without its listing takes some milliseconds.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// A listing of 100,000 entries takes about a second.
pub(crate) const LIST_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause between two checks of a watch's link.
pub(crate) const PROBE_PERIOD: Duration = Duration::from_secs(2);

/// A check of a link that stays without an answer for this long has failed.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Pauses before another try double from the first to the last.
pub(crate) const RETRY_PAUSE: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(2));

/// Longest blocking query of Consul.
pub(crate) const CONSUL_WAIT: Duration = Duration::from_secs(120);

/// Least pause between two listings of one watch of Consul, which sends the whole prefix after each change.
pub(crate) const CONSUL_LIST_PAUSE: Duration = Duration::from_millis(100);

/// Pause between two looks at a `file://` registry.
pub(crate) const FILE_PERIOD: Duration = Duration::from_millis(500);

/// Longest `file://` registry.
pub(crate) const FILE_BYTES_MAX: u64 = 16 << 20;

/// Longest file of a secret.
pub(crate) const SECRET_BYTES_MAX: u64 = 4 << 10;
