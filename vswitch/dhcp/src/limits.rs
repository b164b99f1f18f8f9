//! Times that hosts are told.

use std::time::Duration;

/// Lease time, and the valid lifetime of IPv6 addresses. The address stays with the port, so a client that does
/// not renew does no harm.
pub const LEASE: Duration = Duration::from_secs(3600);

/// Part of the lease after which a client renews, and after which it asks any server (RFC 2131 section 4.4.5).
pub(crate) const RENEW: Duration = Duration::from_secs(1800);
pub(crate) const REBIND: Duration = Duration::from_secs(3150);

/// Length of the search list, whose further domains are left out: an answer that carries it fits into what each
/// client of DHCPv4 takes, 576 bytes (RFC 2131 section 2).
pub const SEARCH_BYTES_MAX: usize = 160;

/// Interval of unsolicited router advertisements (RFC 4861 section 6.2.1: 4 to 1800 seconds).
pub const ADVERT_INTERVAL: Duration = Duration::from_secs(300);

/// Interval of the first advertisements after the start, and their number (RFC 4861 section 6.2.4).
pub const ADVERT_INITIAL_INTERVAL: Duration = Duration::from_secs(16);
/// Number of the advertisements that such a pause follows.
pub const ADVERTS_INITIAL: usize = 3;

/// Lifetime of the router and of the DNS server in an advertisement: three advertisements may be lost
/// (RFC 8106 section 5.1).
pub(crate) const ROUTER_LIFETIME: Duration = Duration::from_secs(1200);

/// Lifetimes of the prefix, after which it is not on the link any more (RFC 4861 section 6.2.1).
pub(crate) const PREFIX_VALID: Duration = Duration::from_secs(30 * 24 * 3600);
pub(crate) const PREFIX_PREFERRED: Duration = Duration::from_secs(7 * 24 * 3600);

/// A lifetime in the seconds of a message.
pub(crate) fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}
