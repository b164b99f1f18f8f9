//! Every limit of the crate.

// --- Bytes: what is read, written, and held of packets -------------------------------------------

use std::time::Duration;

/// How long the fragments of a packet are waited for, from the first that came: as long as Linux waits
/// (`net.ipv4.ipfrag_time`). An IPv4 identification comes again after 65,536 packets.
pub const FRAGMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Packets in fragments that are remembered at a time.
pub const FRAGMENT_PACKETS_MAX: usize = 1_024;

/// Of these, one owner's; the outside counts as one.
pub const FRAGMENT_PACKETS_OWNER_MAX: usize = 256;

/// Frames with fragments that wait for the first of their packet.
pub const FRAGMENT_FRAMES_MAX: usize = 256;

/// Of these, one owner's: two packets of 64 KiB over an MTU of 1,500 bytes, backwards.
pub const FRAGMENT_FRAMES_OWNER_MAX: usize = 96;

/// Stretches of a packet's payload that are known apart from each other, as fragments come out of order.
pub const FRAGMENT_RANGES_MAX: usize = 16;

/// Packets that time out in passing, at each fragment that comes.
pub const FRAGMENT_EXPIRED_IN_PASSING_MAX: usize = 2;

/// Smallest MTU of IPv4 (RFC 791 section 3.2): no smaller one is told to a sender.
pub const IPV4_MTU_MIN: u16 = 68;

/// Smallest MTU of IPv6 (RFC 8200 section 5): no smaller one is told to a sender.
pub const IPV6_MTU_MIN: u32 = 1_280;

/// Smallest MSS that a SYN is clamped to: that of the smallest MTU, less both headers and options.
pub const MSS_FLOOR: u16 = 48;

/// Bytes of the longest frame with an ICMP error: Ethernet, a tag, and the longest packet.
pub const ANSWER_FRAME_MAX: usize =
    wire::ethernet::HEADER_LEN + wire::vlan::TAG_LEN + wire::limits::ICMPV6_ERROR_PACKET_MAX;
