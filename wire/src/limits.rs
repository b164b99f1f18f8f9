//! The crate's limits, in one place.

/// IPv6 extension headers that are walked before the chain counts as malformed.
///
/// RFC 8200 section 4.1 names each header once and destination options twice, which makes seven
/// with ESP; RFC 9288 lets a router refuse longer chains.
pub const IPV6_EXTENSIONS_MAX: usize = 8;

/// Bytes of the IP packet that carries an ICMPv4 error, at most (RFC 1812 section 4.3.2.3).
pub const ICMPV4_ERROR_PACKET_MAX: usize = 576;

/// Bytes of the IP packet that carries an ICMPv6 error, at most (RFC 4443 section 2.4 c).
pub const ICMPV6_ERROR_PACKET_MAX: usize = 1280;

/// Bytes of a malformed text that its error repeats.
pub const EXCERPT_MAX: usize = 40;
