//! A network by its number.

/// Slot of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NetworkIndex(pub u16);

impl NetworkIndex {
    /// The network of ports that have none.
    pub const NONE: Self = Self(u16::MAX);
}
