//! Descriptors of ports and the framing of each.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::datagram;
use crate::limits::{FRAME_MAX, VNET_LEN};
use crate::pool::{Frame, Pool};
use crate::sys;

/// Nonblocking descriptors of a port.
#[derive(Debug)]
pub enum PortQueue {
    /// Queue of a TAP with `IFF_VNET_HDR`: frames begin with a virtio-net header.
    Tap(OwnedFd),
    /// Unconnected UDP sockets: frames begin with a [`datagram::Header`], then the payload.
    Datagrams(UdpSockets),
}

/// UDP sockets of one worker. [`crate::udp::UdpTunnel`] opens them.
#[derive(Debug)]
pub struct UdpSockets {
    /// Socket that receives; with `UDP_GRO`, many datagrams at once.
    pub receive: OwnedFd,
    /// Sockets that send, chosen by [`datagram::Header::socket`]; one at least.
    pub send: Vec<OwnedFd>,
    /// Whether the kernel may segment (`UDP_SEGMENT`); it may not where checksums are off.
    pub segmentation: bool,
}

impl UdpSockets {
    /// Socket that sends datagrams with this header.
    #[inline]
    pub(super) fn sender(&self, header: &datagram::Header) -> usize {
        usize::from(header.socket) % self.send.len().max(1)
    }
}

impl PortQueue {
    /// Framing of the descriptors.
    pub(super) const fn framing(&self) -> Framing {
        match self {
            Self::Tap(_) => Framing::Vnet,
            Self::Datagrams(_) => Framing::Datagram,
        }
    }

    /// Datagrams that the kernel has dropped at the socket that receives.
    pub(super) fn overflow(&self) -> u64 {
        let socket = self.sockets().map(|sockets| sockets.receive.as_fd());
        socket.and_then(|socket| sys::udp::dropped(socket).ok()).map_or(0, u64::from)
    }

    /// Sockets of a port of datagrams.
    pub(super) const fn sockets(&self) -> Option<&UdpSockets> {
        match self {
            Self::Tap(_) => None,
            Self::Datagrams(sockets) => Some(sockets),
        }
    }
}

impl AsFd for PortQueue {
    /// The descriptor that is read.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tap(fd) => fd.as_fd(),
            Self::Datagrams(sockets) => sockets.receive.as_fd(),
        }
    }
}

/// Header in front of the frames of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Framing {
    #[default]
    Vnet,
    Datagram,
}

impl Framing {
    /// Prepares a fresh buffer for a read.
    #[inline]
    pub(super) fn before_read(self, frame: &mut Frame) {
        frame.set_len(FRAME_MAX);
    }

    /// Applies the length of a read, header included. False if it is no frame.
    #[inline]
    pub(super) fn after_read(self, frame: &mut Frame, len: usize) -> bool {
        frame.set_len(len);
        len >= self.header_len()
    }

    /// Length of the header.
    #[inline]
    pub(super) const fn header_len(self) -> usize {
        match self {
            Self::Vnet => VNET_LEN,
            Self::Datagram => datagram::LEN,
        }
    }

    /// Frames that a buffer counts as, and their bytes without the header.
    #[inline]
    pub(super) fn measure(self, pool: &Pool, frame: &Frame) -> (u64, usize) {
        match self {
            Self::Vnet => (1, frame.wire_len()),
            Self::Datagram => datagrams(pool, frame),
        }
    }
}

/// Datagrams in a buffer, and their bytes. Never inlined: the path of TAPs stays short.
#[inline(never)]
fn datagrams(pool: &Pool, frame: &Frame) -> (u64, usize) {
    let len = frame.len().saturating_sub(datagram::LEN);
    let header = datagram::Header::read(pool.bytes(frame));
    (header.map_or(1, |header| header.datagrams(len) as u64), len)
}

/// Whether the kernel refuses to segment a payload that it may take in parts: its way out cannot (`EIO`),
/// or it has too many segments or no checksum (`EINVAL`).
pub(super) const fn is_refused_segmentation(errno: i32) -> bool {
    matches!(errno, libc::EIO | libc::EINVAL)
}
