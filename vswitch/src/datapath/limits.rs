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
