//! Slot and I/O counters of a port.

use std::fmt;

use vswitch_counters::PortTraffic;

use crate::limits::PORTS_MAX;

/// Slot of a port, below [`PORTS_MAX`] and equal on every worker.
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

/// Reason of a failed write to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TxDrop {
    /// The port is closed, or its device vanished.
    Gone,
    /// The queue of the device is full (`EAGAIN`, `ENOBUFS`, `ENOMEM`).
    NoRoom,
    /// The kernel wrote a part of the frame only.
    Short,
    /// The interface behind the port is down.
    Down,
    /// The datagram is longer than the path's MTU (`EMSGSIZE`).
    TooBig,
    /// No route to the datagram's peer, or an ICMP error from it.
    Unreachable,
    /// The kernel refused the frame (`EINVAL`: a bad offload header; anything else).
    Refused,
}

impl TxDrop {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Gone,
        Self::NoRoom,
        Self::Short,
        Self::Down,
        Self::TooBig,
        Self::Unreachable,
        Self::Refused,
    ];
    /// Number of kinds.
    pub const COUNT: usize = Self::ALL.len();

    /// Kind by the positive error number of `write(2)`.
    #[must_use]
    pub fn from_errno(errno: i32) -> Self {
        match errno {
            libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM | libc::EINTR => Self::NoRoom,
            // The tun driver answers a write to an interface that is not up with EIO.
            libc::EIO | libc::ENETDOWN => Self::Down,
            libc::EMSGSIZE => Self::TooBig,
            libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EHOSTDOWN | libc::ECONNREFUSED => {
                Self::Unreachable
            }
            libc::EBADF | libc::EBADFD | libc::ENODEV | libc::ENXIO | libc::ECANCELED => Self::Gone,
            _ => Self::Refused,
        }
    }
}

/// Whether an error of `read(2)` means a vanished TAP: `EBADFD` for a detached queue, `EIO` during
/// unregistration.
#[must_use]
pub(crate) fn is_gone(errno: i32) -> bool {
    matches!(errno, libc::EBADF | libc::EBADFD | libc::ENODEV | libc::ENXIO | libc::EIO)
}

/// I/O counters of a port. Bytes count Ethernet frames without the virtio-net header. A port of datagrams
/// counts each datagram as a frame, with the bytes of its payload, also where one system call moved many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PortIoCounters {
    /// Frames and bytes read and written.
    pub traffic: PortTraffic,
    /// Failed reads, empty queues aside.
    pub rx_errors: u64,
    /// Datagrams that the kernel dropped at a full socket, or for their checksum. No part of `traffic`.
    pub rx_overflow: u64,
    /// Failed writes by [`TxDrop`].
    pub tx_drops: [u64; TxDrop::COUNT],
}

impl PortIoCounters {
    /// Counts a failed write.
    #[inline]
    pub fn drop_tx(&mut self, kind: TxDrop) {
        self.drop_tx_frames(kind, 1);
    }

    /// Counts a failed write of several frames.
    #[inline]
    pub fn drop_tx_frames(&mut self, kind: TxDrop, frames: u64) {
        self.tx_drops[kind as usize] += frames;
    }
}
