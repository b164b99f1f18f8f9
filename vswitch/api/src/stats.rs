//! Counters. Directions are the switch's: rx came from the port's owner.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What `vswitch stats` shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stats {
    /// One entry a port, the host's first.
    pub ports: Vec<PortStats>,
    /// One entry a worker.
    pub workers: Vec<WorkerStats>,
    /// Drops of all ports by reason; reasons that never happened are absent.
    pub drops: BTreeMap<String, u64>,
}

/// Counters of a port, summed over the workers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PortStats {
    /// Name of the attachment, or of the bridge for the host's port.
    pub name: String,
    /// Frames received from it.
    pub rx_frames: u64,
    /// Bytes received from it.
    pub rx_bytes: u64,
    /// Frames sent to it.
    pub tx_frames: u64,
    /// Bytes sent to it.
    pub tx_bytes: u64,
    /// Frames of, or for, this port that were dropped.
    pub drops: u64,
    /// The same by reason; reasons that never happened are absent.
    pub drops_by_reason: BTreeMap<String, u64>,
}

/// Counters of a worker. They obey
/// `received + generated + flood_copies + handoff_received == sent + dropped + consumed + in_flight + handed_off`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct WorkerStats {
    /// Number of the worker.
    pub worker: usize,
    /// Rounds of the loop.
    pub rounds: u64,
    /// Rounds that found nothing.
    pub empty_rounds: u64,
    /// Times that it went to sleep.
    pub sleeps: u64,
    /// System calls for packet I/O.
    pub syscalls: u64,
    /// Frames read from ports.
    pub received: u64,
    /// Frames that the switch made itself.
    pub generated: u64,
    /// Frames that were meant for the switch itself, such as questions that it answered.
    pub consumed: u64,
    /// Further holders of a frame that went to several ports.
    pub flood_copies: u64,
    /// Frames written to ports.
    pub sent: u64,
    /// Frames dropped, for any reason.
    pub dropped: u64,
    /// Frames handed over to another worker, which translates them.
    pub handed_off: u64,
    /// Frames taken over from another worker.
    pub handoff_received: u64,
    /// Frames in the switch now.
    pub in_flight: u64,
    /// Times that no buffer was free for a read.
    pub pool_exhausted: u64,
    /// Completions of the kernel that belonged to nothing; always 0.
    pub spurious_completions: u64,
    /// MAC addresses that it knows.
    pub fdb_entries: usize,
    /// MAC addresses that were seen on another port than before.
    pub mac_moves: u64,
    /// MAC addresses not learnt, since the table or the network's share was full.
    pub fdb_full: u64,
    /// Listeners to multicast groups that it knows, each port of each group counted.
    pub mdb_entries: usize,
    /// Listeners not noted, or forgotten, since there was no room.
    pub mdb_full: u64,
    /// MAC addresses not learnt, since their port had as many as it may.
    pub mac_limit: u64,
    /// What it learnt and could not tell another worker, since that one was behind.
    pub fdb_sync_drops: u64,
    /// Connections that are translated.
    pub connections: usize,
    /// Frames that were translated.
    pub translated: u64,
    /// Frames from the uplink that were the host's, and were given back.
    pub returned_to_host: u64,
    /// ICMP errors that the switch sent.
    pub icmp_errors_sent: u64,
    /// ICMP errors that it did not send, since their port had as many as it may have.
    pub icmp_errors_suppressed: u64,
}
