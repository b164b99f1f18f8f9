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

/// Smallest MTU of IPv4 (RFC 791 section 3.2), and in errors to senders.
pub const IPV4_MTU_MIN: u16 = 68;

/// Smallest MTU of IPv6 (RFC 8200 section 5), and in errors to senders.
pub const IPV6_MTU_MIN: u32 = 1_280;

/// Smallest clamped MSS: the smallest MTU less both headers and options.
pub const MSS_FLOOR: u16 = 48;

/// Bytes of the longest frame with an ICMP error: Ethernet (14), a tag (4), and the longest packet.
pub const ICMP_ERROR_FRAME_MAX: usize = 14 + 4 + ICMPV6_ERROR_PACKET_MAX;

/// Bytes of malformed text in its error.
pub const EXCERPT_MAX: usize = 40;

/// Datagrams in one UDP GSO frame that coalescing makes: Linux' `UDP_GRO_CNT_MAX`.
pub const UDP_COALESCED_MAX: usize = 64;

/// Datagrams that a kernel makes of one UDP GSO frame: `UDP_MAX_SEGMENTS` since Linux 6.9.
pub const UDP_SEGMENTS_MAX: usize = 128;
