//! Every limit of the crate.

use std::time::Duration;

/// Connections that one table may hold, whatever it is told: their numbers have 31 bits.
pub const FLOWS_MAX: usize = 1 << 30;

/// Mappings of one table: internal endpoints that appear at a port of ours. There are never more than
/// ports, of each transport and address.
pub const MAPPINGS_MAX: usize = 1 << 17;

/// Owners that one table can tell apart.
pub const OWNERS_MAX: usize = 1 << 16;

/// Addresses of ours that connections may appear from or be published at, at one time.
pub const EXTERNAL_ADDRS_MAX: usize = 4096;

/// Internal endpoints that are remembered for having spoken in vain to the external endpoint of another.
pub const PINHOLES_MAX: usize = 1_024;

/// How many times what is left of the table, or of the ports, one owner may have: one takes four fifths
/// at most, two take four ninths each, and so on, and there is always some left for another.
pub const FAIR_SHARE_FACTOR: usize = 4;

/// Connections that are over, and are ended to find one whose end frees a port.
pub const ENDED_VICTIMS_MAX: usize = 256;

/// Connections without an answer that are looked at to find one whose end frees a port.
pub const PORT_VICTIMS_MAX: usize = 16;

/// Operations that one call of `Nat::tick` is meant to be allowed: each touches a connection and its
/// neighbours in the lists.
pub const TICK_OPERATIONS: usize = 64;

/// Operations that whoever revokes connections does at once; the rest is done by `Nat::tick`.
pub const REVOKE_OPERATIONS: usize = 512;

/// Operations that prefaulting a page of memory counts as.
pub const PAGE_OPERATIONS: usize = 16;

/// A TCP connection on which nothing is said: 2 hours and 4 minutes (RFC 5382, REQ-5).
pub const TCP_ESTABLISHED_IDLE: Duration = Duration::from_secs(7440);

/// A TCP connection that is being opened or closed: 4 minutes (RFC 5382, REQ-5).
pub const TCP_TRANSITORY_IDLE: Duration = Duration::from_secs(240);

/// A UDP exchange that the inside does not go on with: 2 minutes (RFC 4787, REQ-5).
pub const UDP_IDLE: Duration = Duration::from_secs(120);

/// An echo that the inside does not go on with: 60 seconds (RFC 5508, REQ-2).
pub const ECHO_IDLE: Duration = Duration::from_secs(60);

/// An SCTP association that the inside does not go on with; heartbeats come every 30 seconds
/// (RFC 9260 section 16).
pub const SCTP_IDLE: Duration = Duration::from_secs(300);

/// How long a TCP port rests that was freed while a peer may still remember its connection: twice
/// the maximum segment lifetime (RFC 9293 section 3.4.2). Where no other port is left the one that rested
/// longest is used.
pub const PORT_REUSE_DELAY: Duration = Duration::from_secs(240);

/// What a segment may lie before the last acknowledgement at least, in bytes, and still be a late
/// one of its connection.
pub const LATE_BYTES_MIN: u32 = 66_000;

/// Bytes that a SYN may carry (RFC 7413): how far its acknowledgement may lie before its end.
pub const SYN_DATA_MAX: u32 = 1500;

// --- Bytes: what is read, written, and held of packets -------------------------------------------

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
pub const FRAGMENT_EXPIRE_PER_CALL_MAX: usize = 2;
