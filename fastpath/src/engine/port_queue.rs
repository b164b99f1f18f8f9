//! Descriptors of ports and the framing of each.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::limits::{FRAME_MAX, VNET_LEN};
use crate::pool::{Frame, Pool};

/// Nonblocking descriptor of a port.
#[derive(Debug)]
pub enum PortQueue {
    /// Queue of a TAP with `IFF_VNET_HDR`: frames carry a virtio-net header.
    Tap(OwnedFd),
    /// Connected UDP socket: each datagram is an Ethernet frame without that header. The sender completes
    /// checksums and segments GSO frames first.
    Udp(OwnedFd),
}

impl PortQueue {
    /// Framing of the descriptor.
    pub(super) const fn framing(&self) -> Framing {
        match self {
            Self::Tap(_) => Framing::Vnet,
            Self::Udp(_) => Framing::Bare,
        }
    }

    /// The descriptor.
    pub(super) fn into_fd(self) -> OwnedFd {
        match self {
            Self::Tap(fd) | Self::Udp(fd) => fd,
        }
    }
}

impl AsFd for PortQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tap(fd) | Self::Udp(fd) => fd.as_fd(),
        }
    }
}

/// Whether a descriptor's frames carry a virtio-net header. Frames in the pool always do: the engine adds
/// a zeroed one on read and skips it on write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Framing {
    #[default]
    Vnet,
    Bare,
}

impl Framing {
    /// Prepares a fresh buffer for a read.
    #[inline]
    pub(super) fn before_read(self, frame: &mut Frame) {
        frame.set_len(FRAME_MAX);
        self.before_write(frame);
    }

    /// Applies the length of a read. False if it is no frame.
    #[inline]
    pub(super) fn after_read(self, pool: &mut Pool, frame: &mut Frame, len: usize) -> bool {
        frame.set_len(len);
        match self {
            Self::Vnet => len >= VNET_LEN,
            Self::Bare => {
                self.after_write(frame);
                let header = pool.bytes_mut(frame).and_then(|bytes| bytes.get_mut(..VNET_LEN));
                header.map(|header| header.fill(0)).is_some()
            }
        }
    }

    /// Skips the header. Each holder of a buffer has its own start.
    #[inline]
    pub(super) fn before_write(self, frame: &mut Frame) {
        if self == Self::Bare {
            let is_long_enough = frame.shrink_front(VNET_LEN);
            debug_assert!(is_long_enough, "a frame begins with its offload header");
        }
    }

    /// Restores the header, for the counters.
    #[inline]
    pub(super) fn after_write(self, frame: &mut Frame) {
        if self == Self::Bare {
            let has_headroom = frame.grow_front(VNET_LEN);
            debug_assert!(has_headroom, "the header was there before");
        }
    }
}
