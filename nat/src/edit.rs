//! The rewrite of a packet, and where it goes.

use crate::owner::OwnerId;
use crate::tuple::Endpoint;
use crate::zone::Zone;

/// Where a packet comes from, or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Realm {
    /// A container, and the zone of its addresses.
    Internal(OwnerId, Zone),
    /// The uplink.
    External,
}

impl Realm {
    /// The zone of its addresses.
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
    /// The source. Of an ICMP error, and of a fragment's tail, only the address counts.
    pub src: Endpoint,
    /// The destination, likewise.
    pub dst: Endpoint,
    /// Source and destination of the packet that an ICMP error quotes.
    pub quoted: Option<(Endpoint, Endpoint)>,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Translation {
    /// It is changed, and goes there.
    Edit {
        /// The change.
        edit: Edit,
        /// The way.
        to: Realm,
    },
    /// It belongs to no connection, and no rule is about it: not for translation.
    NotOurs,
}
