//! Header in front of a datagram in the pool, as the virtio-net header is in front of a TAP's frame.
//!
//! The engine writes it for datagrams that it receives; the datapath writes it for those to send.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

#[cfg(test)]
mod tests;

/// Bytes of the header: address 16 (IPv4 as `::ffff:a.b.c.d`), port 2, segment 2, socket 2, type of service 1,
/// reserved 1.
pub const LEN: usize = 24;

const PORT: std::ops::Range<usize> = 16..18;
const SEGMENT: std::ops::Range<usize> = 18..20;
const SOCKET: std::ops::Range<usize> = 20..22;
const TOS: usize = 22;

/// Where a datagram comes from or goes to, and how it is segmented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Source of a received datagram, destination of one to send.
    pub peer: SocketAddr,
    /// Payload bytes of each datagram where the buffer has several of one size, the last one maybe shorter
    /// (`UDP_GRO`, `UDP_SEGMENT`, udp(7)); 0: it is one datagram.
    pub segment: u16,
    /// Which socket of the port sends it, modulo their number; 0 when received.
    pub socket: u16,
    /// Type of service or traffic class of the outer IP header: DSCP and ECN.
    pub tos: u8,
}

/// Payload of one send: a part of a frame behind its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// First byte behind the header.
    pub start: u32,
    /// Bytes.
    pub len: u32,
    /// Bytes of each datagram, the last one maybe shorter; 0: the part is one datagram.
    pub segment: u16,
}

/// Datagrams that could not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsent {
    /// Whom they were for.
    pub peer: SocketAddr,
    /// Their number.
    pub datagrams: u64,
    /// Bytes of their payload.
    pub bytes: u64,
}

impl Part {
    /// Number of datagrams.
    #[inline]
    #[must_use]
    pub fn datagrams(self) -> u64 {
        match u32::from(self.segment) {
            0 => 1,
            segment => self.len.div_ceil(segment).into(),
        }
    }

    /// Number of datagrams, and their bytes.
    #[inline]
    #[must_use]
    pub fn size(self) -> (u64, usize) {
        (self.datagrams(), self.len as usize)
    }

    /// Its bytes in a frame.
    #[inline]
    #[must_use]
    pub fn of(self, frame: &[u8]) -> Option<&[u8]> {
        frame.get(LEN + self.start as usize..)?.get(..self.len as usize)
    }
}

impl Header {
    /// Reads the header at the start of `bytes`; `None` below [`LEN`] bytes.
    #[inline]
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LEN] = bytes.first_chunk()?;
        let word =
            |at: std::ops::Range<usize>| u16::from_ne_bytes([bytes[at.start], bytes[at.start + 1]]);
        let (address, _) = bytes.split_first_chunk::<16>()?;
        let address = IpAddr::V6(Ipv6Addr::from(*address)).to_canonical();
        Some(Self {
            peer: (address, word(PORT)).into(),
            segment: word(SEGMENT),
            socket: word(SOCKET),
            tos: bytes[TOS],
        })
    }

    /// Number of datagrams in a payload of `len` bytes.
    #[inline]
    #[must_use]
    pub fn datagrams(&self, len: usize) -> usize {
        match usize::from(self.segment) {
            0 => 1,
            segment => len.div_ceil(segment).max(1),
        }
    }

    /// Splits a payload of `len` bytes into parts, one for each send. With `segmentation` the kernel cuts
    /// it (`UDP_SEGMENT`), so that one part has all datagrams.
    pub fn parts(&self, len: usize, segmentation: bool) -> impl Iterator<Item = Part> + use<> {
        let cut = usize::from(self.segment);
        let is_cut = cut != 0 && cut < len;
        let step = if is_cut && !segmentation { cut } else { len.max(1) };
        let segment = if is_cut && segmentation { self.segment } else { 0 };
        (0..len.max(1)).step_by(step).map(move |start| Part {
            start: start as u32,
            len: (len - start).min(step) as u32,
            segment,
        })
    }

    /// Writes the header to the start of `bytes`; false below [`LEN`] bytes, and then nothing is written.
    #[inline]
    #[must_use]
    pub fn write(&self, bytes: &mut [u8]) -> bool {
        let Some(bytes) = bytes.first_chunk_mut::<LEN>() else { return false };
        let address = match self.peer.ip() {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        *bytes = [0; LEN];
        bytes[..16].copy_from_slice(&address.octets());
        bytes[PORT].copy_from_slice(&self.peer.port().to_ne_bytes());
        bytes[SEGMENT].copy_from_slice(&self.segment.to_ne_bytes());
        bytes[SOCKET].copy_from_slice(&self.socket.to_ne_bytes());
        bytes[TOS] = self.tos;
        true
    }
}
