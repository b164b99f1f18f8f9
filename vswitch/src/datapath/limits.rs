//! Every limit of the datapath, by name.

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

/// Rows of news that one worker may have for another; beyond it the other floods until it learns by
/// itself.
pub const NEWS_ROWS: usize = 4096;

/// Rows of the multicast table of one worker: listeners, each port of each group counted (26 bytes
/// each). Beyond it a row goes of the port that has most, counted as `groups_full`.
pub const GROUP_ROWS_MAX: usize = 4096;

/// Groups that one port may listen to. Beyond it nothing is noted, counted as `groups_full`.
pub const GROUPS_PER_PORT_MAX: usize = 256;

/// Seconds between two questions who listens to which group (RFC 3376 section 8.2).
pub const QUERY_INTERVAL_S: u32 = 125;

/// Seconds for which a report, or a router's question, holds (RFC 3376 section 8.4).
pub const MEMBERSHIP_S: u32 = 260;
