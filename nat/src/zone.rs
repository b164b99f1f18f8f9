//! Zones: internal addresses are unique within one, so the subnets of two networks may overlap.

use crate::address::Address;

/// The zone of an internal address: its network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zone(pub u16);

impl Zone {
    /// External addresses have no zone of their own.
    pub const EXTERNAL: Self = Self(0);
}

/// A container's address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct InternalEndpoint {
    pub(crate) zone: Zone,
    pub(crate) address: Address,
    pub(crate) port: u16,
}
