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

/// Highest rate of a port, in bytes a second (400 Gbit/s): the sum of all that has passed then fits
/// a word for eleven years of uptime. A higher one is refused.
pub const RATE_BYTES_MAX: u64 = 50_000_000_000;

/// Lowest rate of a port, in bytes a second (8 kbit/s). A lower one is refused.
pub const RATE_BYTES_MIN: u64 = 1_000;

/// Highest rate of storm control, in frames a second. A higher one is refused.
pub const RATE_FRAMES_MAX: u64 = 1_000_000_000;

/// Time within whose bytes a port may send at once. TCP needs about this to keep a policed rate: it
/// overshoots by what it has in flight.
pub const BURST_TIME: std::time::Duration = std::time::Duration::from_millis(50);

/// Least burst in bytes: the longest GSO frame, with the headers of all its segments.
pub const BURST_BYTES_MIN: u64 = 256 * 1024;

/// Least burst in frames.
pub const BURST_FRAMES_MIN: u64 = 64;

/// Broadcast frames a second that a container may send unless told otherwise; beyond it they are
/// dropped as `storm-broadcast`. A container that talks to a thousand neighbours asks for each once
/// in a minute.
pub const STORM_BROADCAST: u64 = 1_000;

/// Multicast frames a second that a container may send unless told otherwise: a stream of 100 Mbit/s
/// in full frames. Beyond it they are dropped as `storm-multicast`.
pub const STORM_MULTICAST: u64 = 10_000;

/// Frames a second to addresses that nobody knows that a container may send unless told otherwise;
/// beyond it they are dropped as `storm-unknown`.
pub const STORM_UNKNOWN: u64 = 1_000;
