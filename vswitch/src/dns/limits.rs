//! Limits of the DNS service.

use std::time::Duration;

/// TTL in seconds of a record of a container: how long a client may hold on to a name that is gone.
pub(crate) const NAME_TTL_S: u32 = 5;

/// TTL in seconds of an answer that a name or a type does not exist.
pub(crate) const NEGATIVE_TTL_S: u32 = 1;

/// Seconds in the SOA record that only secondary servers read, and there are none.
pub(crate) const SECONDARY_S: u32 = 3600;

/// Longest query in bytes; by UDP a longer one is malformed, by TCP its connection ends.
pub(crate) const QUERY_BYTES_MAX: usize = 4096;

/// Longest answer by UDP in bytes, so that answers are not fragmented (RFC 9715). Longer ones are truncated.
pub(crate) const UDP_ANSWER_MAX: u16 = 1232;

/// Longest answer by UDP to a query without EDNS (RFC 1035, 4.2.1).
pub(crate) const PLAIN_UDP_ANSWER_MAX: u16 = 512;

/// Addresses of an answer. More than this do not fit a message of 65,535 bytes (RFC 1035, 4.2.2): a record has 16.
pub(crate) const ADDRESSES_MAX: usize = 4096;

/// Queries of one client that wait for an upstream server. More are refused.
pub(crate) const QUERIES_PER_CLIENT_MAX: usize = 128;

/// TCP connections of one client. More are closed.
pub(crate) const CONNECTIONS_PER_CLIENT_MAX: usize = 16;

/// TCP connections of all clients. More are closed.
pub(crate) const DNS_CONNECTIONS_MAX: usize = 1024;

/// Time for a TCP client to send a query; then its connection is closed.
pub(crate) const TCP_READ_MAX: Duration = Duration::from_secs(10);

/// Time for a TCP client to take an answer; then its connection is closed.
pub(crate) const TCP_WRITE_MAX: Duration = Duration::from_secs(5);

/// Pause after a socket failed.
pub(crate) const SOCKET_PAUSE: Duration = Duration::from_millis(100);

/// Questions that wait for upstream servers. More fail.
pub(crate) const FORWARDS_MAX: usize = 2048;

/// Upstream servers that are used.
pub(crate) const UPSTREAMS_MAX: usize = 8;

/// Time for all upstream servers together; then the answer is SERVFAIL.
pub(crate) const UPSTREAM_TIME_MAX: Duration = Duration::from_millis(1800);

/// Time until the next upstream server is asked, too.
pub(crate) const HEDGE_AFTER: Duration = Duration::from_millis(150);

/// Time until a query by UDP is sent again to the same server.
pub(crate) const RETRY_AFTER_MS: u64 = 600;

/// Time between two looks at `resolv.conf`.
pub(crate) const RESOLV_CONF_CHECK: Duration = Duration::from_secs(1);

/// Bytes of a `resolv.conf` that are read.
pub(crate) const RESOLV_CONF_BYTES_MAX: u64 = 64 << 10;

/// Answers of upstream servers in the cache.
pub(crate) const CACHE_ANSWERS_MAX: usize = 4096;

/// Bytes of the messages of these answers.
pub(crate) const CACHE_BYTES_MAX: usize = 4 << 20;

/// Longest stay in the cache.
pub(crate) const CACHE_TIME_MAX: Duration = Duration::from_secs(300);
