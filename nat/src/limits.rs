//! Every limit of the crate.

use std::time::Duration;

/// Connections that one table may hold, whatever it is told: their numbers have 31 bits.
pub const FLOWS_MAX: usize = 1 << 30;

/// Mappings of one table: inner endpoints that appear at a port of ours. There are never more than
/// ports, of each transport and address.
pub const MAPPINGS_MAX: usize = 1 << 17;

/// Owners that one table can tell apart.
pub const OWNERS_MAX: usize = 1 << 16;

/// Addresses of ours that connections may appear from or be published at, at one time.
pub const LOCALS_MAX: usize = 4096;

/// How many times what is left of the table, or of the ports, one owner may have: one takes four fifths
/// at most, two take four ninths each, and so on, and there is always some left for another.
pub const SHARE_OF_WHAT_IS_LEFT: usize = 4;

/// Connections that are looked at to find one whose end frees a port.
pub const PORT_VICTIMS_MAX: usize = 16;

/// Operations that one call of `Nat::tick` is meant to be allowed: each touches a connection and its
/// neighbours in the lists.
pub const TICK_OPERATIONS: usize = 64;

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
pub const PORT_REST: Duration = Duration::from_secs(240);

/// What a segment may lie before the last acknowledgement at least, in bytes, and still be a late
/// one of its connection.
pub const LATE_BYTES_MIN: u32 = 66_000;

/// Bytes that a SYN may carry (RFC 7413): how far its acknowledgement may lie before its end.
pub const SYN_DATA_MAX: u32 = 1500;
