//! The rewrite of a packet, and its destination.

use crate::owner::OwnerId;
use crate::tuple::Endpoint;
use crate::zone::Zone;

/// The source or destination of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Realm {
    /// A container, and the zone of its addresses.
    Internal(OwnerId, Zone),
    /// The uplink.
    External,
}

impl Realm {
    /// The zone of the addresses.
    #[inline]
    #[must_use]
    pub const fn zone(self) -> Zone {
        match self {
            Self::Internal(_, zone) => zone,
            Self::External => Zone::EXTERNAL,
        }
    }
}

/// The new addresses and ports of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The source. An ICMP error or a fragment's tail uses only the address.
    pub src: Endpoint,
    /// The destination, likewise.
    pub dst: Endpoint,
    /// Source and destination of the packet that an ICMP error quotes.
    pub quoted: Option<(Endpoint, Endpoint)>,
}

/// The result of a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Translation {
    /// Rewrite the packet and forward it.
    Edit {
        /// The rewrite.
        edit: Edit,
        /// The destination.
        to: Realm,
    },
    /// No connection and no rule matches: left untranslated.
    NotOurs,
}
