//! Segmentation of a GSO frame, as `tcp_gso_segment` and `__udp_gso_segment` of Linux do it.
//!
//! ```text
//! | Ethernet, tags, IP, TCP or UDP | gso_size | gso_size | rest |
//! | headers | gso_size |  | headers | gso_size |  | headers | rest |
//! ```
//!
//! The segments have complete checksums and, but for the last, one length: written one behind the other they are
//! what `UDP_SEGMENT` (udp(7)) sends. Each payload byte is read twice at most: copied, and summed while it is in
//! the first-level cache.
//!
//! TCP: sequence numbers advance, FIN and PSH go with the last segment, CWR with the first. IPv4: the
//! identification counts up. UDP: each segment is a datagram. IPv6 extension headers, fragments, and the legacy
//! fragmentation of UDP (`GSO_UDP`) are refused.

use core::ops::Range;

use crate::bytes::{be16, be32, put16, put32};
use crate::checksum::{add, sum};
use crate::ipv4;
use crate::offload::Headers;
use crate::tcp;
use crate::tcp::Flags;
use crate::vnet::{GsoType, Header};

#[cfg(test)]
mod tests;

/// An obstacle to segmentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentationError {
    /// No GSO, or a kind that cannot be segmented here.
    #[error("frame of GSO type {0:?}: only TCP and UDP_L4 are segmented")]
    Kind(GsoType),
    /// The segment size is 0.
    #[error("GSO frame with a segment size of 0")]
    SegmentSize,
    /// The frame is not the unfragmented packet that the GSO type says, or has IPv6 extension headers.
    #[error("frame of GSO type {0:?}: its headers are of another protocol, broken, or extended")]
    Headers(GsoType),
}

/// A GSO frame as its segments.
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    headers: Headers,
    /// All bytes in front of the payload, as in the GSO frame.
    header: &'a [u8],
    payload: &'a [u8],
    /// Payload bytes of a segment.
    size: usize,
    count: usize,
    /// Sum of the IPv4 header without length, identification and checksum.
    ip_sum: u16,
    /// Sum of pseudo-header and transport header without what changes: lengths, checksum; sequence number and
    /// flags of TCP.
    l4_sum: u16,
}

impl<'a> Segments<'a> {
    /// Reads the headers of `frame`, which begins at the Ethernet header. Its checksum field is not read.
    ///
    /// A sender chooses `gso_size`, so [`count`](Self::count) can be as high as the payload is long: the caller sets
    /// the limit.
    ///
    /// # Errors
    /// [`SegmentationError`].
    pub fn new(vnet: &Header, frame: &'a [u8]) -> Result<Self, SegmentationError> {
        let kind = vnet.gso_type;
        let (tcp, v6) = match kind {
            GsoType::TcpV4 => (true, Some(false)),
            GsoType::TcpV6 => (true, Some(true)),
            GsoType::UdpL4 => (false, None),
            GsoType::None | GsoType::Udp => return Err(SegmentationError::Kind(kind)),
        };
        let size = usize::from(vnet.gso_size);
        if size == 0 {
            return Err(SegmentationError::SegmentSize);
        }
        let headers = Headers::parse(frame).ok_or(SegmentationError::Headers(kind))?;
        if headers.tcp != tcp || v6.is_some_and(|v6| v6 != headers.v6) {
            return Err(SegmentationError::Headers(kind));
        }
        let (header, payload) = frame[..headers.end].split_at(headers.header_len);
        let l4_sum = add(headers.pseudo(frame, 0), constant_l4_sum(&headers, header));
        Ok(Self {
            headers,
            header,
            payload,
            size,
            count: payload.len().div_ceil(size).max(1),
            ip_sum: if headers.v6 { 0 } else { constant_ip_sum(&header[headers.l3..headers.l4]) },
            l4_sum,
        })
    }

    /// Number of segments, at least 1.
    #[inline]
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Bytes in front of each segment's payload: Ethernet, tags, IP and transport header.
    #[inline]
    #[must_use]
    pub fn header_len(&self) -> usize {
        self.header.len()
    }

    /// Bytes of the longest segment's frame. All segments but the last are that long.
    #[inline]
    #[must_use]
    pub fn stride(&self) -> usize {
        self.frame_len(0)
    }

    /// Bytes of segment `index`'s frame; those of the headers beyond the last segment.
    #[inline]
    #[must_use]
    pub fn frame_len(&self, index: usize) -> usize {
        self.header.len() + self.payload_range(index).len()
    }

    /// Bytes that [`write_all`](Self::write_all) writes for `segments` with `prefix` bytes in front of each.
    #[must_use]
    pub fn written_len(&self, segments: Range<usize>, prefix: usize) -> usize {
        let Range { start, end } = segments;
        let end = end.min(self.count);
        let payload = self.payload_range(start).start..self.payload_range(end).start;
        end.saturating_sub(start) * (prefix + self.header.len()) + payload.len()
    }

    /// Writes the frame of segment `index` to the start of `out` and returns its length. `None` beyond the last
    /// segment, or where `out` is too short.
    #[inline]
    pub fn write(&self, index: usize, out: &mut [u8]) -> Option<usize> {
        if index >= self.count {
            return None;
        }
        let payload = &self.payload[self.payload_range(index)];
        let len = self.header.len() + payload.len();
        let frame = out.get_mut(..len)?;
        let (header, body) = frame.split_at_mut(self.header.len());
        header.copy_from_slice(self.header);
        body.copy_from_slice(payload);
        self.headers.set_lengths(header, len);
        if !self.headers.v6 {
            self.finish_ipv4(header, index, len);
        }
        self.finish_transport(header, index, len, sum(body));
        Some(len)
    }

    /// Writes `segments` one behind the other, each behind a copy of `prefix`, and returns their length. `None`
    /// beyond the last segment, or where `out` is too short; `out` may be written in part then.
    ///
    /// `prefix.len() + stride()` is the segment size for `UDP_SEGMENT`.
    pub fn write_all(
        &self,
        segments: Range<usize>,
        prefix: &[u8],
        out: &mut [u8],
    ) -> Option<usize> {
        let mut at = 0;
        for index in segments {
            let (front, frame) = out.get_mut(at..)?.split_at_mut_checked(prefix.len())?;
            front.copy_from_slice(prefix);
            at += prefix.len() + self.write(index, frame)?;
        }
        Some(at)
    }

    /// The payload of segment `index`, in bytes from the start of the payload; empty at its end beyond the last.
    #[inline]
    fn payload_range(&self, index: usize) -> Range<usize> {
        let len = self.payload.len();
        let start = index.saturating_mul(self.size).min(len);
        start..(start + self.size).min(len)
    }

    /// Identification and checksum of IPv4.
    #[inline]
    fn finish_ipv4(&self, header: &mut [u8], index: usize, len: usize) {
        let ip = &mut header[self.headers.l3..];
        let ident = be16(ip, 4..6).wrapping_add(index as u16);
        let total_len = (len - self.headers.l3) as u16;
        put16(ip, 4..6, ident);
        put16(ip, 10..12, !add(self.ip_sum, add(ident, total_len)));
    }

    /// Sequence number and flags of TCP, and the checksum.
    #[inline]
    fn finish_transport(&self, header: &mut [u8], index: usize, len: usize, payload_sum: u16) {
        let l4_len = (len - self.headers.l4) as u16;
        let mut total = add(self.l4_sum, add(payload_sum, l4_len));
        if self.headers.tcp {
            let tcp = &mut header[self.headers.l4..];
            let seq = be32(tcp, 4..8).wrapping_add((index * self.size) as u32);
            put32(tcp, 4..8, seq);
            tcp[13] &= !self.flags_elsewhere(index).0;
            total = add(total, add(tcp[13].into(), add((seq >> 16) as u16, seq as u16)));
        } else {
            // The header's length beside the pseudo-header's.
            total = add(total, l4_len);
        }
        self.headers.set_checksum(header, !total);
    }

    /// The flags of the GSO frame that segment `index` does not have.
    #[inline]
    fn flags_elsewhere(&self, index: usize) -> Flags {
        let not_first = if index == 0 { Flags(0) } else { Flags::CWR };
        let not_last = if index + 1 == self.count { Flags(0) } else { Flags::FIN.with(Flags::PSH) };
        not_first.with(not_last)
    }
}

/// Sum of an IPv4 header without length, identification and checksum.
fn constant_ip_sum(header: &[u8]) -> u16 {
    let mut copy = [0; ipv4::HEADER_LEN_MAX];
    let copy = &mut copy[..header.len()];
    copy.copy_from_slice(header);
    copy[2..6].fill(0);
    copy[10..12].fill(0);
    sum(copy)
}

/// Sum of a transport header without lengths, checksum, and TCP's sequence number and flags.
fn constant_l4_sum(headers: &Headers, header: &[u8]) -> u16 {
    let header = &header[headers.l4..];
    if !headers.tcp {
        return sum(&header[..4]);
    }
    let mut copy = [0; tcp::HEADER_LEN_MAX];
    let copy = &mut copy[..header.len()];
    copy.copy_from_slice(header);
    copy[4..8].fill(0);
    copy[13] = 0;
    copy[16..18].fill(0);
    sum(copy)
}
