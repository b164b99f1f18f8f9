//! Drop reasons of NAT.

/// A reason to drop a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NatDrop {
    /// The table is full, and nothing of the same owner can go.
    #[error("connection table full")]
    TableFull,
    /// The owner has as many connections as it may have.
    #[error("quota of the container reached")]
    Quota,
    /// No port is left to appear from.
    #[error("no port left")]
    PortsExhausted,
    /// The uplink has no address of the packet's family.
    #[error("no outside address")]
    NoAddress,
    /// Not a protocol that can be translated.
    #[error("protocol cannot be translated")]
    Protocol,
    /// A published port that this sender may not connect to.
    #[error("sender not allowed")]
    NotAllowed,
    /// From an address that the inside endpoint did not speak to.
    #[error("sender not spoken to")]
    Unsolicited,
    /// A segment that neither begins a connection nor belongs to one.
    #[error("no such connection")]
    NoConnection,
    /// A segment outside the window, or of a state in which it cannot be.
    #[error("segment out of window")]
    OutOfWindow,
    /// Source and destination are one (land attack), or one of them cannot be.
    #[error("impossible address")]
    Address,
    /// An ICMP error about a packet that was never sent.
    #[error("error about no connection")]
    ForgedError,
    /// Fragments that overlap, or contradict each other.
    #[error("fragments overlap")]
    Overlap,
    /// No room for another packet's fragments.
    #[error("too many fragments")]
    FragmentsFull,
    /// The rest of a packet did not come in time.
    #[error("fragment timed out")]
    FragmentTimeout,
}
