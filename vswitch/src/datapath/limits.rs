//! Every limit of the datapath, by name.

use std::time::Duration;

use vswitch_api::port_settings::limits::FrameRate;

/// Slots of the forwarding database of one worker, over all networks (16 bytes each).
pub const FDB_SLOTS: usize = 65_536;

/// MAC addresses that a network may learn unless told otherwise. Beyond it they are flooded, and
/// counted as `fdb_full`.
pub const FDB_ENTRIES_PER_NETWORK: usize = 16_384;

/// Seconds after which a MAC address that was not seen is forgotten unless told otherwise
/// (IEEE 802.1Q-2018, table 8-6).
pub const AGEING_S: u64 = 300;

/// Networks of a switch.
pub const NETWORKS_MAX: usize = 1024;

/// Buckets that one step of the sweep looks at: the table is swept in 16 steps.
pub const SWEEP_BUCKETS: usize = FDB_SLOTS / 4 / 16;

/// Rows of FDB sync that one worker may have for another, and from one batch; beyond it the other floods
/// until it learns by itself.
pub const FDB_SYNC_ROWS: usize = 4096;

/// Rows of the multicast table of one worker: listeners, each port of each group counted (26 bytes
/// each). Beyond it a row goes of the port that has most, counted as `groups_full`.
pub const GROUP_ROWS_MAX: usize = 4096;

/// Groups that one port may listen to, and that are read of one report. Beyond it nothing is noted,
/// counted as `groups_full`.
pub const GROUPS_PER_PORT_MAX: usize = 256;

/// Seconds between two questions who listens to which group (RFC 3376 section 8.2).
pub const QUERY_INTERVAL_S: u32 = 125;

/// Seconds for which a report, or a router's question, holds (RFC 3376 section 8.4).
pub const MEMBERSHIP_S: u32 = 260;

/// Seconds within which a port on which somebody has left a group answers who still listens
/// (RFC 3376 section 8.8).
pub const LAST_MEMBER_S: u32 = 1;

/// How often such a port is asked (RFC 3376 section 8.9).
pub const LAST_MEMBER_QUERIES: u32 = 2;

/// Ports that one worker asks at a time, each VLAN and family for itself. Beyond it nobody is asked and
/// the row ages, counted as `groups_full`.
pub const LEAVES_MAX: usize = 256;

/// Time within whose bytes a port may send at once. Between containers the round trip is so short that
/// TCP loses all that it has in flight when the bucket is empty, and goes on after its least
/// retransmission timeout of 200 ms: a bucket that holds less than what that time brings runs over meanwhile.
pub const BURST_TIME: Duration = Duration::from_millis(250);

/// Least burst in bytes: the longest GSO frame, with the headers of all its segments.
pub const BURST_BYTES_MIN: u64 = 256 * 1024;

/// Least burst in frames: the datagrams that one send may be cut into (`UDP_MAX_SEGMENTS` of Linux, 128
/// since 6.9, 64 before), so that a frame of all of them passes through every bucket; and one by which a
/// bucket may round.
pub const BURST_FRAMES_MIN: u64 = 128 + 1;

/// Broadcast frames a second that a container may send unless told otherwise; beyond it they are
/// dropped as `storm-broadcast`. A container that talks to a thousand neighbours asks for each once
/// in a minute.
pub const STORM_BROADCAST: FrameRate = FrameRate::of(1_000);

/// Multicast frames a second that a container may send unless told otherwise: a stream of 100 Mbit/s
/// in full frames. Beyond it they are dropped as `storm-multicast`.
pub const STORM_MULTICAST: FrameRate = FrameRate::of(10_000);

/// Frames a second to addresses that nobody knows that a container may send unless told otherwise;
/// beyond it they are dropped as `storm-unknown`.
pub const STORM_UNKNOWN: FrameRate = FrameRate::of(1_000);

/// MAC addresses that may be learnt on a container's port unless told otherwise. Beyond it they are
/// flooded, and counted as `mac_limit`.
pub const MACS_PER_PORT: usize = 1024;

/// Time between two probes for loops to one port.
pub const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Moves of one MAC address within [`FLAP_WINDOW`] beyond which it flaps.
pub const FLAP_MOVES_MAX: u32 = 10;

/// Time within which moves of a MAC address are counted.
pub const FLAP_WINDOW: Duration = Duration::from_secs(1);

/// MAC addresses whose moves one worker follows at a time; one more displaces another, whose count
/// begins anew.
pub const FLAPS: usize = 1024;

/// How long a port is blocked when a loop is seen for the first time; each further time doubles it.
pub const BLOCK_MIN: Duration = Duration::from_secs(10);

/// How long a port is blocked at most.
pub const BLOCK_MAX: Duration = Duration::from_secs(300);

/// Time without a sign of a loop after which former ones do not count.
pub const LOOP_HISTORY: Duration = Duration::from_secs(600);

/// Events of loop protection that one worker may have waiting for the end of a round. The port is
/// blocked all the same.
pub const LOOP_EVENTS_MAX: usize = 64;

/// Connections that a worker translates. Beyond it one of the same container goes, or the packet is dropped as
/// `nat-table-full`.
pub const NAT_CONNECTIONS: usize = 1 << 20;

/// Steps that the connection table may take in a round without frames, in which nobody waits; in others
/// it is [`nat::limits::TICK_OPERATIONS`].
pub const NAT_OPERATIONS_IDLE: usize = 1024;

/// Connections that a command to end some looks at in one round.
pub const CONNTRACK_FLUSHED_MAX: usize = 1024;

/// Connections that are listed at a time.
pub const CONNTRACK_ROWS_MAX: usize = 65_536;

/// Frames that may wait in one worker until the MAC address of their next hop is known.
pub const NEIGHBOUR_QUEUE_MAX: usize = 128;

/// The same of one port. Beyond either they are dropped as `neighbour-queue-full`.
pub const NEIGHBOUR_QUEUE_PER_PORT_MAX: usize = 32;

/// How long a frame waits for its next hop; then it is dropped as `no-neighbour` (Linux gives up after
/// three questions, a second each: `ucast_solicit`, `retrans_time`).
pub const NEIGHBOUR_QUEUE_TIMEOUT: Duration = Duration::from_secs(3);

/// Time between two questions for the MAC address of the same next hop.
pub const RESOLVE_EVERY: Duration = Duration::from_secs(1);

/// Next hops that one worker asks for within that time.
pub const RESOLVES_MAX: usize = 256;

/// The same on behalf of one port.
pub const RESOLVES_PER_PORT_MAX: usize = 64;

/// ICMP errors a second that the switch sends to one port, after a burst of [`BURST_FRAMES_MIN`].
pub const ICMP_ERROR_RATE: FrameRate = FrameRate::of(100);

/// How long a worker sleeps at most while frames wait for their next hop.
pub const NEIGHBOUR_QUEUE_WAKE: Duration = Duration::from_millis(500);

/// The same while connections expire one after the other: 100,000 a second at most.
pub const EXPIRY_WAKE: Duration = Duration::from_millis(10);

/// The same while there are connections: so much later than its time an idle one may end.
pub const EXPIRY_REST: Duration = Duration::from_secs(5);

/// Packets in fragments that a round lets go, which were not complete in time.
pub const FRAGMENT_OPERATIONS: usize = 16;

/// Frames whose connections are asked for together, so that memory is waited for once.
pub const PREFETCH_FRAMES: usize = 64;

/// Connections from which on that is done: fewer are in cache.
pub const PREFETCH_CONNECTIONS_MIN: usize = 16_384;
