//! Every limit of the crate.

use std::time::Duration;

/// Connections in one table: their numbers have 31 bits.
pub const FLOWS_MAX: usize = 1 << 30;

/// Mappings in one table.
pub const MAPPINGS_MAX: usize = 1 << 17;

/// Owners in one table.
pub const OWNERS_MAX: usize = 1 << 16;

/// External addresses in use at one time.
pub const EXTERNAL_ADDRS_MAX: usize = 4096;

/// Pinholes in one table.
pub const PINHOLES_MAX: usize = 1_024;

/// SYNs of other connections than the tracked ones that await their answers, in one table.
pub const OTHER_SYNS_MAX: usize = 1_024;

/// An owner's limit, as a multiple of the free connections or ports: one owner gets four fifths
/// at most, two get four ninths each, and a new owner always finds some.
pub const FAIR_SHARE_FACTOR: usize = 4;

/// Closed connections that one search for a port ends at most.
pub const ENDED_VICTIMS_MAX: usize = 256;

/// Unanswered connections that one search for a port visits at most.
pub const PORT_VICTIMS_MAX: usize = 16;

/// Operations of one `Nat::tick`: each touches a connection and its list neighbours.
pub const TICK_OPERATIONS: usize = 64;

/// Operations of one revocation at once; `Nat::tick` does the others.
pub const REVOKE_OPERATIONS: usize = 512;

/// Operations that count for prefaulting one page.
pub const PAGE_OPERATIONS: usize = 16;

/// Timeout of an idle TCP connection: 2 hours and 4 minutes (RFC 5382, REQ-5).
pub const TCP_ESTABLISHED_IDLE: Duration = Duration::from_secs(7440);

/// Timeout of a TCP connection that opens or closes: 4 minutes (RFC 5382, REQ-5).
pub const TCP_TRANSITORY_IDLE: Duration = Duration::from_secs(240);

/// Timeout of UDP without internal packets: 2 minutes (RFC 4787, REQ-5).
pub const UDP_IDLE: Duration = Duration::from_secs(120);

/// Timeout of an echo without internal packets: 60 seconds (RFC 5508, REQ-2).
pub const ECHO_IDLE: Duration = Duration::from_secs(60);

/// Timeout of SCTP without internal packets; heartbeats come every 30 seconds (RFC 9260 section 16).
pub const SCTP_IDLE: Duration = Duration::from_secs(300);

/// How long connections outlive their IPv6 address, which routers take away and put back.
pub const GONE_DELAY: Duration = Duration::from_secs(5);

/// Rest of a freed TCP port, while a peer may remember the connection: twice the maximum segment
/// lifetime (RFC 9293 section 3.4.2). When no other port is free, the longest at rest is reused.
pub const PORT_REUSE_DELAY: Duration = Duration::from_secs(240);

/// Ports of a block, which a worker claims and returns as one.
pub const PORT_BLOCK: usize = 64;

/// Blocks that a worker claims of each transport before it needs them, so that ports are hard to predict.
pub const PORT_BLOCKS_MIN: usize = 16;

/// Free ports below which a worker asks for further blocks: a burst takes these meanwhile.
pub const PORTS_FREE_MIN: u32 = 768;

/// Free ports, beside half of those in use, that it has then.
pub const PORTS_FREE_GOAL: u32 = 1_024;

/// Blocks beyond the goal before a worker returns any.
pub const PORT_BLOCKS_SPARE: usize = 8;

/// TCP connections share ports when less than this part of the claimed ones is free.
pub const PORTS_SHARED_BELOW_PERCENT: u32 = 25;

/// Ports that a connection tries to share before it takes a free one.
pub const SHARED_TRIES_FIRST: usize = 8;

/// Ports that it tries to share when none is free.
pub const SHARED_TRIES_MAX: usize = 128;

/// Ports that such a search looks at, those included that cannot be shared.
pub const SHARED_STEPS_MAX: usize = 1_024;

/// Ports by which an owner's share of a destination is estimated.
pub const SHARED_SAMPLE_MAX: usize = 64;

/// The first of them, which suffice where it has few of these.
pub const SHARED_SAMPLE_MIN: usize = 16;

/// Destinations without a port that an owner is not searched one for again in the same moment, in one table.
pub const SHARED_REFUSALS_MAX: usize = 64;

/// Bytes below the last acknowledgement within which a late segment is still accepted.
pub const LATE_BYTES_MIN: u32 = 66_000;

/// Timeout of a connection that was picked up in its middle, until both peers have spoken.
pub const TCP_PICKED_UP_IDLE: Duration = Duration::from_secs(60);

/// Bytes of data that a SYN may carry (RFC 7413).
pub const SYN_DATA_MAX: u32 = 1500;

// --- Fragments -----------------------------------------------------------------------------------

/// Timeout of a packet's fragments, from the first to arrive, as in Linux (`net.ipv4.ipfrag_time`).
/// IPv4 identifications repeat after 65,536 packets.
pub const FRAGMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Packets with missing fragments, in all.
pub const FRAGMENT_PACKETS_MAX: usize = 1_024;

/// The same for one owner; the uplink is one owner.
pub const FRAGMENT_PACKETS_OWNER_MAX: usize = 256;

/// Frames that wait for their packet's head.
pub const FRAGMENT_FRAMES_MAX: usize = 256;

/// The same for one owner: two packets of 64 KiB at an MTU of 1,500 bytes, in reverse.
pub const FRAGMENT_FRAMES_OWNER_MAX: usize = 96;

/// Disjoint byte ranges of one packet's payload.
pub const FRAGMENT_RANGES_MAX: usize = 16;

/// Packets that one arriving fragment times out at most.
pub const FRAGMENT_EXPIRE_PER_CALL_MAX: usize = 2;
