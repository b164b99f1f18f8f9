//! A port's slot and what its input and output count.

use std::fmt;

use vswitch_counters::PortTraffic;

use crate::limits::PORTS_MAX;

/// Slot of a port: the same number on every worker, below [`PORTS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PortIndex(pub u16);

impl PortIndex {
    /// As an index.
    #[inline]
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }

    /// From an index; `None` from [`PORTS_MAX`] on.
    #[must_use]
    pub fn new(index: usize) -> Option<Self> {
        u16::try_from(index).ok().filter(|_| index < PORTS_MAX).map(Self)
    }
}

impl fmt::Display for PortIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a frame that was meant for a port was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TxDrop {
    /// The port is closed, or its namespace is gone.
    Gone,
    /// The kernel had no room (`EAGAIN`, `ENOBUFS`, `ENOMEM`).
    NoRoom,
    /// The kernel took less than the whole frame.
    Short,
    /// The interface behind the port is down.
    Down,
    /// The kernel refused the frame (`EINVAL`: a bad offload header; anything else).
    Refused,
}

impl TxDrop {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Gone, Self::NoRoom, Self::Short, Self::Down, Self::Refused];
    /// Number of kinds.
    pub const COUNT: usize = Self::ALL.len();

    /// The kind for what `write(2)` said: a positive error number.
    #[must_use]
    pub fn from_errno(errno: i32) -> Self {
        match errno {
            libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM | libc::EINTR => Self::NoRoom,
            // The tun driver answers a write to an interface that is not up with EIO.
            libc::EIO => Self::Down,
            libc::EBADF | libc::EBADFD | libc::ENODEV | libc::ENXIO | libc::ECANCELED => Self::Gone,
            _ => Self::Refused,
        }
    }
}

/// Whether what `read(2)` said of a TAP means that the device is gone: its descriptor is detached
/// (`EBADFD`), or it is being unregistered (`EIO`).
#[must_use]
pub(crate) fn is_gone(errno: i32) -> bool {
    matches!(errno, libc::EBADF | libc::EBADFD | libc::ENODEV | libc::ENXIO | libc::EIO)
}

/// Counters of a port in its engine. Bytes are those of Ethernet frames, without the virtio-net
/// header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PortIoCounters {
    /// Frames and bytes read and written.
    pub traffic: PortTraffic,
    /// Reads that failed for another reason than an empty queue.
    pub rx_errors: u64,
    /// Frames not written, by [`TxDrop`].
    pub tx_drops: [u64; TxDrop::COUNT],
}

impl PortIoCounters {
    /// Counts a frame that was not written.
    #[inline]
    pub fn drop_tx(&mut self, kind: TxDrop) {
        self.tx_drops[kind as usize] += 1;
    }
}
