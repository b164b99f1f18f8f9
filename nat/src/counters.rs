//! What happened to connections.

/// Counts since the table was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that began.
    pub created: u64,
    /// Of these, between two containers by way of an address of ours.
    pub hairpins: u64,
    /// Connections that expired.
    pub expired: u64,
    /// Connections that made room for another one of their owner.
    pub evicted: u64,
    /// Connections that ended with their owner, with what was published, or by command.
    pub ended: u64,
    /// ICMP errors that were translated.
    pub errors: u64,
    /// Connections refused since their owner had its quota.
    pub quota_hits: u64,
    /// Connections refused since the table had no room for their owner.
    pub full_hits: u64,
    /// Connections refused since no port was left for their owner.
    pub port_hits: u64,
}
