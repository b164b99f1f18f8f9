//! Owners: connections and ports count against the container that they belong to.

use crate::limits::OWNERS_MAX;

/// The owner of connections: a container, by the slot of its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerId(pub u32);

/// An owner's index as a connection stores it: below [`OWNERS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnerIdx(u16);

const _: () = assert!(OWNERS_MAX - 1 == u16::MAX as usize, "an owner has 16 bits");

impl OwnerIdx {
    /// The index of an owner below [`OWNERS_MAX`].
    pub(crate) const fn of(owner: OwnerId) -> Self {
        Self(owner.0 as u16)
    }

    /// Its index in a table of owners.
    pub(crate) const fn idx(self) -> usize {
        self.0 as usize
    }

    #[inline]
    pub(crate) const fn id(self) -> OwnerId {
        OwnerId(self.0 as u32)
    }
}
