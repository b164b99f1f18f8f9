//! Drop reasons of NAT.

/// A reason to drop a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NatDrop {
    /// The table is full, and the owner has no connection to evict.
    #[error("connection table full")]
    TableFull,
    /// The owner has reached its quota of connections.
    #[error("quota of the container reached")]
    Quota,
    /// No SNAT port is free.
    #[error("no port left")]
    PortsExhausted,
    /// No SNAT port is free, but further ones are being claimed.
    #[error("port awaited")]
    PortAwaited,
    /// The uplink has no address of the packet's family.
    #[error("no outside address")]
    NoAddress,
    /// The protocol cannot be translated.
    #[error("protocol cannot be translated")]
    Protocol,
    /// The published port refuses this sender.
    #[error("sender not allowed")]
    NotAllowed,
    /// The filter refuses a sender that the internal endpoint did not contact.
    #[error("sender not spoken to")]
    Unsolicited,
    /// The segment neither opens a connection nor belongs to one.
    #[error("no such connection")]
    NoConnection,
    /// The segment lies outside the window, or contradicts the state.
    #[error("segment out of window")]
    OutOfWindow,
    /// Source and destination are equal (land attack), or one is invalid.
    #[error("impossible address")]
    Address,
    /// The ICMP error quotes a packet that was never sent.
    #[error("error about no connection")]
    ForgedError,
    /// Fragments overlap or contradict each other.
    #[error("fragments overlap")]
    Overlap,
    /// The fragment table is full.
    #[error("too many fragments")]
    FragmentsFull,
    /// The packet's other fragments timed out.
    #[error("fragment timed out")]
    FragmentTimeout,
}
