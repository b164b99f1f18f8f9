//! The two directions of a connection.

/// A packet's direction within its connection, in conntrack's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Direction {
    /// From the client, which opened the connection.
    Original = 0,
    /// From the server.
    Reply = 1,
}

impl Direction {
    #[inline]
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Original => Self::Reply,
            Self::Reply => Self::Original,
        }
    }

    #[inline]
    pub(crate) const fn of(number: u32) -> Self {
        if number & 1 == 0 { Self::Original } else { Self::Reply }
    }
}
