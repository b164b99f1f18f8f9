//! Limits of the datapath by name.

use std::time::Duration;

use vswitch_api::port_settings::limits::FrameRate;

/// FDB slots of one worker over all networks, 16 bytes each.
pub const FDB_SLOTS: usize = 65_536;

/// Default of learnt FDB entries per network. Frames to further addresses are flooded and counted as
/// `fdb_full`.
pub const FDB_ENTRIES_PER_NETWORK: usize = 16_384;

/// Default ageing time of FDB entries in seconds (IEEE 802.1Q-2018, table 8-6).
pub const AGEING_S: u64 = 300;

/// Longest answer of DNS that a worker writes itself, in bytes.
pub const DIRECT_ANSWER_MAX: usize = 1232;

/// Uplinks of a switch, each with a TAP.
pub const UPLINKS_MAX: usize = 16;

/// Networks of a switch.
pub const NETWORKS_MAX: usize = 4096;

/// FDB buckets per step of the sweep, which takes 16 steps.
pub const SWEEP_BUCKETS: usize = FDB_SLOTS / 4 / 16;

/// Rows of FDB sync per ring and per batch. Surplus rows are dropped; the receiver floods until it
/// learns.
pub const FDB_SYNC_ROWS: usize = 4096;

/// Listeners in the multicast table of one worker, 26 bytes each. A full table evicts a row of the port
/// with most rows and counts `mdb_full`.
pub const GROUP_ROWS_MAX: usize = 4096;

/// Groups of one port, and groups read of one report. Surplus groups are ignored and counted as
/// `mdb_full`.
pub const GROUPS_PER_PORT_MAX: usize = 256;

/// Datagrams of one buffer for a tunnel, which the kernel makes of one send: `UDP_MAX_SEGMENTS` before Linux 6.9.
pub const TUNNEL_SEND_SEGMENTS_MAX: usize = 64;

/// Bytes of them: UDP's payload over IPv4.
pub const TUNNEL_SEND_BYTES_MAX: usize = 65_507;

/// Segments of one GSO frame for a tunnel: more than TCP makes at its least MSS (48, `TCP_MIN_SND_MSS`). A frame with
/// more is dropped as `tunnel-bad-offload`.
pub const TUNNEL_FRAME_SEGMENTS_MAX: usize = 2048;

/// Groups of other nodes, in all networks. Those of surplus groups get none of it, counted as `mdb_full`.
pub const TUNNEL_GROUPS_MAX: usize = GROUP_ROWS_MAX / 2;

/// Query interval in seconds (RFC 3376 section 8.2).
pub const QUERY_INTERVAL_S: u32 = 125;

/// Group membership interval in seconds (RFC 3376 section 8.4).
pub const MEMBERSHIP_S: u32 = 260;

/// Neighbours behind unguarded ports that one worker remembers, 80 bytes each.
pub const INSIDE_NEIGHBOURS_MAX: usize = 1024;

/// Answers of such neighbours that a worker tells the others in a round.
pub const INSIDE_TOLD_MAX: usize = 16;

/// Time after which such a neighbour that was not heard is asked for.
pub const INSIDE_ASK_AFTER: Duration = Duration::from_secs(30);

/// Time between two such questions.
pub const INSIDE_ASK_EVERY: Duration = Duration::from_secs(1);

/// Slots for hosts on the uplink's link that are in use.
pub const ON_LINK_USES: usize = 64;

/// Seconds in which each of them is told to control once.
pub const ON_LINK_USE_S: u32 = 16;

/// Flows of protocols without ports (GRE, ESP, IPIP, 6in4) of one worker.
pub const PORTLESS_FLOWS_MAX: usize = 1024;

/// The same of one port.
pub const PORTLESS_FLOWS_PER_PORT_MAX: usize = 64;

/// Idle time of such a flow, as in Linux (`nf_conntrack_generic_timeout`).
pub const PORTLESS_IDLE: Duration = Duration::from_secs(600);

/// Time after which a claim of such a flow is told to control again, with a packet that waits for it.
pub const PORTLESS_CLAIM_AGAIN: Duration = Duration::from_secs(1);

/// Such flows that the host itself uses, of which one worker knows.
pub const PORTLESS_HOST_MAX: usize = 1024;

/// How long a worker knows it since control has told it last.
pub const PORTLESS_HOST: Duration = Duration::from_secs(60);

/// Time between two reports of these flows to control.
pub const PORTLESS_TELL: Duration = Duration::from_secs(20);

/// Last member query interval in seconds (RFC 3376 section 8.8).
pub const LAST_MEMBER_S: u32 = 1;

/// Last member query count (RFC 3376 section 8.9).
pub const LAST_MEMBER_QUERIES: u32 = 2;

/// Pending leaves of one worker, by port, VLAN and family. Rows of surplus leaves age, counted as
/// `mdb_full`.
pub const LEAVES_MAX: usize = 256;

/// DHCP requests and router solicitations of one port a second, on one worker. Surplus drops as `dhcp-limit`.
pub const DHCP_REQUESTS_PER_PORT: u32 = 10;

/// DHCP requests and router solicitations in one round of a worker. Surplus drops as `dhcp-limit`.
pub const DHCP_ROUND_REQUESTS: usize = 64;

/// Their bytes in one round.
pub const DHCP_ROUND_BYTES: usize = DHCP_ROUND_REQUESTS * 1536;

/// TCP handshakes of one round of a worker that may be cut through; those of surplus stay on the normal path.
pub const HANDSHAKES_PER_ROUND: usize = 64;

/// Burst of a token bucket as a time at its rate. It exceeds TCP's least retransmission timeout of
/// 200 ms, so that tokens of a stall are not lost.
pub const BURST_TIME: Duration = Duration::from_millis(250);

/// Least burst in bytes: the longest GSO frame with the headers of all segments.
pub const BURST_BYTES_MIN: u64 = 256 * 1024;

/// Least burst in frames: the segments of one UDP GSO frame (`UDP_MAX_SEGMENTS`, 128 since Linux 6.9)
/// and one for rounding.
pub const BURST_FRAMES_MIN: u64 = 128 + 1;

/// Default limit of broadcast frames per second and container; surplus drops as `storm-broadcast`.
pub const STORM_BROADCAST: FrameRate = FrameRate::of(1_000);

/// Default limit of multicast frames per second and container: 100 Mbit/s in full frames. Surplus drops
/// as `storm-multicast`.
pub const STORM_MULTICAST: FrameRate = FrameRate::of(10_000);

/// Default limit of unknown unicast frames per second and container; surplus drops as `storm-unknown`.
pub const STORM_UNKNOWN: FrameRate = FrameRate::of(1_000);

/// Copies of a broadcast or unknown unicast frame for other nodes that cost a token of its limit: with the default,
/// 100,000 copies a second. In a network of 1,000 nodes that are 100 floods a second, 25 of them at once.
pub const STORM_COPIES: usize = 100;

/// The same of a multicast frame, whose default limit is ten times as high.
pub const STORM_MULTICAST_COPIES: usize = 10;

/// Default of learnt MAC addresses per container. Frames to further addresses are flooded and counted as
/// `mac_limit`.
pub const MACS_PER_PORT: usize = 1024;

/// Interval of loop probes per port.
pub const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Moves of a MAC address within [`FLAP_WINDOW`]; more are a flap.
pub const FLAP_MOVES_MAX: u32 = 10;

/// Window that counts moves of a MAC address.
pub const FLAP_WINDOW: Duration = Duration::from_secs(1);

/// MAC addresses with a move counter per worker. A further address evicts one.
pub const FLAPS: usize = 1024;

/// First block of a port with a loop; each further block doubles it.
pub const BLOCK_MIN: Duration = Duration::from_secs(10);

/// Longest block of a port.
pub const BLOCK_MAX: Duration = Duration::from_secs(300);

/// Time without a loop that resets the block time.
pub const LOOP_HISTORY: Duration = Duration::from_secs(600);

/// Loop events per round and worker. Surplus events are lost; the port is blocked anyway.
pub const LOOP_EVENTS_MAX: usize = 64;

/// Connections of one worker. A full table evicts one of the same container, or drops the packet as
/// `nat-table-full`.
pub const NAT_CONNECTIONS: usize = 1 << 20;

/// Steps of the connection table in an idle round; other rounds take
/// [`nat::limits::TICK_OPERATIONS`].
pub const NAT_OPERATIONS_IDLE: usize = 1024;

/// Connections visited by one flush command.
pub const CONNTRACK_FLUSHED_MAX: usize = 1024;

/// Connections in a list of one worker.
pub const CONNTRACK_ROWS_MAX: usize = 65_536;

/// Frames of one worker in the neighbour queue.
pub const NEIGHBOUR_QUEUE_MAX: usize = 128;

/// Frames of one port in the neighbour queue. Surplus drops as `neighbour-queue-full`.
pub const NEIGHBOUR_QUEUE_PER_PORT_MAX: usize = 32;

/// Time in the neighbour queue until a drop as `no-neighbour`: three solicits of a second each, as in
/// Linux (`ucast_solicit`, `retrans_time`).
pub const NEIGHBOUR_QUEUE_TIMEOUT: Duration = Duration::from_secs(3);

/// Interval of resolve requests for one next hop.
pub const RESOLVE_EVERY: Duration = Duration::from_secs(1);

/// Next hops that one worker resolves per [`RESOLVE_EVERY`].
pub const RESOLVES_MAX: usize = 256;

/// Next hops resolved per [`RESOLVE_EVERY`] for one port.
pub const RESOLVES_PER_PORT_MAX: usize = 64;

/// ICMP errors per second to one port, after a burst of [`BURST_FRAMES_MIN`].
pub const ICMP_ERROR_RATE: FrameRate = FrameRate::of(100);

/// TCP resets of the switch per second to one port, likewise.
pub const RESET_RATE: FrameRate = FrameRate::of(1_000);

/// Longest sleep with frames in the neighbour queue.
pub const NEIGHBOUR_QUEUE_WAKE: Duration = Duration::from_millis(500);

/// Longest sleep while connections expire: 100,000 a second at most.
pub const EXPIRY_WAKE: Duration = Duration::from_millis(10);

/// Longest sleep with connections, which may expire by that much late.
pub const EXPIRY_REST: Duration = Duration::from_secs(5);

/// Incomplete fragmented packets expired per round.
pub const FRAGMENT_OPERATIONS: usize = 16;

/// Frames whose connections are prefetched together.
pub const PREFETCH_FRAMES: usize = 64;

/// Connections needed for a prefetch: fewer fit into cache.
pub const PREFETCH_CONNECTIONS_MIN: usize = 16_384;

/// Addresses of a network's gateway at which the service answers.
pub const SERVICE_GATEWAYS_MAX: usize = 16;

/// Addresses of a port from which it may ask the service.
pub const SERVICE_OWN_MAX: usize = 16;

/// Connections that one container may have, translated or tracked.
pub const CONNECTIONS_PER_CONTAINER: u32 = 1 << 18;
