//! Offload work of a frame that came without a virtio-net header: out of a tunnel.
//!
//! A NIC delivers complete checksums. A kernel VXLAN peer behind a veth hands over *partial* inner checksums
//! instead, and frames above any MTU, since nothing on the path did the work. [`received`] recognises both: the
//! transport checksum field holds the pseudo-header's sum, which a complete one does by chance only (1 in 65,536;
//! completing it again is harmless then).
//!
//! `Headers` are the offsets that segmentation and coalescing share.

use crate::bytes::{be16, put16};
use crate::checksum::{self, udp_nonzero};
use crate::limits::UDP_SEGMENTS_MAX;
use crate::protocol::Protocol;
use crate::vnet::{Flags, GsoType, Header};
use crate::{L3, L4, Meta, ipv6, tcp, udp};

#[cfg(test)]
mod tests;

/// Offsets of an unfragmented TCP or UDP packet over IPv4, or over IPv6 without extension headers.
///
/// All lie within the frame: `l3 < l4 < header_len <= end <= frame.len()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Headers {
    /// Bytes of Ethernet header and tags.
    pub(crate) l3: usize,
    /// Offset of the transport header.
    pub(crate) l4: usize,
    /// Offset of the payload.
    pub(crate) header_len: usize,
    /// End of the IP packet; padding may follow.
    pub(crate) end: usize,
    /// IPv6, not IPv4.
    pub(crate) v6: bool,
    /// TCP, not UDP.
    pub(crate) tcp: bool,
}

impl Headers {
    /// The offsets of `frame`; `None` for all other packets, and for UDP whose length is not the IP packet's.
    #[inline]
    pub(crate) fn parse(frame: &[u8]) -> Option<Self> {
        Self::of(&Meta::parse(frame).ok()?, frame)
    }

    /// The offsets of `frame`, whose metadata is `meta`.
    #[inline]
    fn of(meta: &Meta, frame: &[u8]) -> Option<Self> {
        let (l3, l4, end) = (meta.l3_offset.into(), meta.l4_offset.into(), meta.l3_end());
        let v6 = match meta.l3 {
            _ if meta.fragment => None,
            L3::Ipv4 => Some(false),
            L3::Ipv6 => (l4 == l3 + ipv6::HEADER_LEN).then_some(true),
            _ => None,
        }?;
        let tcp = match meta.l4 {
            L4::Tcp => Some(true),
            L4::Udp => (usize::from(be16(frame, l4 + 4..l4 + 6)) == end - l4).then_some(false),
            _ => None,
        }?;
        let transport_len =
            if tcp { usize::from(frame[l4 + 12] >> 4) * 4 } else { udp::HEADER_LEN };
        Some(Self { l3, l4, header_len: l4 + transport_len, end, v6, tcp })
    }

    /// Sum of the pseudo-header for a transport of `len` bytes. `frame` is the frame that was parsed, or one
    /// with the same headers.
    #[inline]
    pub(crate) fn pseudo(&self, frame: &[u8], len: u16) -> u16 {
        let protocol = if self.tcp { Protocol::TCP } else { Protocol::UDP };
        let addresses = match self.v6 {
            true => &frame[self.l3 + 8..self.l3 + 40],
            false => &frame[self.l3 + 12..self.l3 + 20],
        };
        let rest = checksum::add(u16::from(protocol.0), len);
        checksum::add(checksum::sum(addresses), rest)
    }

    /// Where the transport's checksum lies.
    #[inline]
    pub(crate) fn checksum_at(&self) -> usize {
        self.l4 + usize::from(self.checksum_offset())
    }

    /// The transport's checksum field.
    #[inline]
    pub(crate) fn checksum(&self, frame: &[u8]) -> u16 {
        be16(frame, self.checksum_at()..self.checksum_at() + 2)
    }

    /// Sets the transport's checksum field; UDP's is never 0.
    #[inline]
    pub(crate) fn set_checksum(&self, frame: &mut [u8], field: u16) {
        let field = if self.tcp { field } else { udp_nonzero(field) };
        put16(frame, self.checksum_at()..self.checksum_at() + 2, field);
    }

    /// The checksum field of `frame` is partial: it holds the sum of the pseudo-header alone.
    #[inline]
    pub(crate) fn is_partial(&self, frame: &[u8]) -> bool {
        // The sum is never 0: the protocol is in it.
        self.checksum(frame) == self.pseudo(frame, (self.end - self.l4) as u16)
    }

    /// The virtio-net header of a frame with these headers and a partial checksum; `gso_size` of 0: one packet.
    pub(crate) fn vnet(&self, gso_size: u16) -> Header {
        let gso_type = match (self.tcp, self.v6) {
            _ if gso_size == 0 => GsoType::None,
            (true, false) => GsoType::TcpV4,
            (true, true) => GsoType::TcpV6,
            (false, _) => GsoType::UdpL4,
        };
        Header {
            flags: Flags::NEEDS_CSUM,
            gso_type,
            // As a TAP gives it.
            hdr_len: if gso_size == 0 { 0 } else { self.header_len as u16 },
            gso_size,
            csum_start: self.l4 as u16,
            csum_offset: self.checksum_offset(),
            ..Header::default()
        }
    }

    /// Writes the lengths for an IP packet that ends at `end`, in bytes from the start of the frame: IPv4's total
    /// or IPv6's payload length, and UDP's. Checksums are left to the caller.
    #[inline]
    pub(crate) fn set_lengths(&self, frame: &mut [u8], end: usize) {
        match self.v6 {
            true => {
                put16(frame, self.l3 + 4..self.l3 + 6, (end - self.l3 - ipv6::HEADER_LEN) as u16)
            }
            false => put16(frame, self.l3 + 2..self.l3 + 4, (end - self.l3) as u16),
        }
        if !self.tcp {
            put16(frame, self.l4 + 4..self.l4 + 6, (end - self.l4) as u16);
        }
    }

    #[inline]
    fn checksum_offset(&self) -> u16 {
        if self.tcp { tcp::CHECKSUM_OFFSET } else { udp::CHECKSUM_OFFSET }
    }
}

/// The virtio-net header of a frame out of a tunnel, which has none.
///
/// A partial TCP or UDP checksum is recognised. A TCP packet that has one and is longer than `mtu`, in bytes of IP
/// packet, was never segmented: it gets the segment size that fills `mtu`. A UDP packet stays one packet: the kernel
/// tells the segments of one that was never segmented, for which there is [`unsegmented_udp`]. All other frames are
/// one packet with a complete checksum.
#[inline]
#[must_use]
pub fn received(frame: &[u8], mtu: u32) -> Header {
    Meta::parse(frame).map_or_else(|_| Header::default(), |meta| received_as(&meta, frame, mtu))
}

/// [`received`] of a frame that has been parsed.
#[inline]
#[must_use]
pub fn received_as(meta: &Meta, frame: &[u8], mtu: u32) -> Header {
    match Headers::of(meta, frame) {
        Some(headers) if headers.is_partial(frame) => of_partial(&headers, frame, mtu),
        _ => Header::default(),
    }
}

/// The virtio-net header of a UDP packet out of a tunnel that its sender wants in datagrams of `gso_size` payload bytes
/// (`UDP_SEGMENT`, udp(7)). `None` for all but a whole frame without padding, with a partial checksum, and with 2 to
/// [`UDP_SEGMENTS_MAX`] datagrams.
#[must_use]
pub fn unsegmented_udp(meta: &Meta, frame: &[u8], gso_size: u16) -> Option<Header> {
    let headers = Headers::of(meta, frame).filter(|headers| !headers.tcp)?;
    let payload = headers.end - headers.header_len;
    let segments = payload.div_ceil(usize::from(gso_size).max(1));
    let is_whole = headers.end == frame.len() && gso_size != 0;
    let fits = is_whole && (2..=UDP_SEGMENTS_MAX).contains(&segments) && headers.is_partial(frame);
    fits.then(|| headers.vnet(gso_size))
}

/// The virtio-net header of a frame with a partial checksum.
fn of_partial(headers: &Headers, frame: &[u8], mtu: u32) -> Header {
    let room = (mtu as usize).saturating_sub(headers.header_len - headers.l3);
    let payload = headers.end - headers.header_len;
    if !headers.tcp || payload <= room || room == 0 {
        return headers.vnet(0);
    }
    let gso_ecn = tcp::Flags(frame[headers.l4 + 13]).contains(tcp::Flags::CWR);
    // Below the payload, which fits 16 bits.
    Header { gso_ecn, ..headers.vnet(room as u16) }
}
