//! Links of the lists that run through the slab of connections.

/// No number.
pub(crate) const NIL: u32 = u32::MAX;

/// Marks a number that is a list's, not a connection's.
pub(crate) const HEAD: u32 = 1 << 31;

/// Neighbours in a list. That before the first is the list itself, with [`HEAD`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) next: u32,
    pub(crate) prev: u32,
}

impl Link {
    /// In no list.
    pub(crate) const NONE: Self = Self { next: NIL, prev: NIL };
}
