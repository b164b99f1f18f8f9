//! The virtio-net header in front of a frame on a TAP opened with `IFF_VNET_HDR`.
//!
//! Twelve bytes, little-endian (`virtio_net_hdr_v1`, VIRTIO 1.2 section 5.1.6; `TUNSETVNETHDRSZ` 12
//! and `TUNSETVNETLE` 1 select it). The sender leaves checksum and segmentation work to the receiver; a
//! switch that forwards the header to another TAP passes that work on.

use crate::bytes::{array, flag};
use crate::checksum::ChecksumState;
use crate::error::{Error, check_len, check_space};

#[cfg(test)]
mod tests;

/// Bytes of the header.
pub const LEN: usize = 12;

mod field {
    use crate::bytes::Field;

    pub(super) const FLAGS: usize = 0;
    pub(super) const GSO_TYPE: usize = 1;
    pub(super) const HDR_LEN: Field = 2..4;
    pub(super) const GSO_SIZE: Field = 4..6;
    pub(super) const CSUM_START: Field = 6..8;
    pub(super) const CSUM_OFFSET: Field = 8..10;
    pub(super) const NUM_BUFFERS: Field = 10..12;
}

/// `VIRTIO_NET_HDR_F_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// The checksum at `csum_start + csum_offset` is partial: see [`ChecksumState::Partial`].
    pub const NEEDS_CSUM: Self = Self(1);
    /// The checksum has been verified.
    pub const DATA_VALID: Self = Self(2);

    /// All bits of `other` are set.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Bit of `gso_type`: the TCP flow negotiated ECN, and the first segment alone carries CWR.
const GSO_ECN: u8 = 0x80;

/// `VIRTIO_NET_HDR_GSO_*`: the segmentation into `gso_size` bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum GsoType {
    /// None: one packet.
    #[default]
    None = 0,
    /// TCP over IPv4.
    TcpV4 = 1,
    /// UDP fragmentation (IP fragments of one datagram), either family. Legacy.
    Udp = 3,
    /// TCP over IPv6.
    TcpV6 = 4,
    /// UDP segmentation (one datagram a segment), either family: `UDP_SEGMENT`, udp(7).
    UdpL4 = 5,
}

impl GsoType {
    fn from_bits(bits: u8) -> Result<Self, Error> {
        Ok(match bits {
            0 => Self::None,
            1 => Self::TcpV4,
            3 => Self::Udp,
            4 => Self::TcpV6,
            5 => Self::UdpL4,
            value => return Err(bad("gso_type", value.into())),
        })
    }
}

/// The virtio-net header. `Header::default()` is one packet with a complete checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// State of the checksum.
    pub flags: Flags,
    /// Kind of segmentation.
    pub gso_type: GsoType,
    /// The ECN bit of the segmentation type (TCP only).
    pub gso_ecn: bool,
    /// Bytes of Ethernet, IP and transport header. A hint; may be 0.
    pub hdr_len: u16,
    /// Payload bytes in a segment; 0 without segmentation.
    pub gso_size: u16,
    /// Start of the checksummed bytes, from the start of the frame.
    pub csum_start: u16,
    /// Offset of the checksum field from `csum_start`.
    pub csum_offset: u16,
    /// Merged receive buffers. A TAP ignores it: a read leaves the former bytes.
    pub num_buffers: u16,
}

impl Header {
    /// Parses the first 12 bytes of `buffer`; the frame follows.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 12 bytes; [`Error::Field`] for a `gso_type` that this crate does
    /// not know, or segmentation into segments of 0 bytes.
    #[inline]
    pub fn parse(buffer: &[u8]) -> Result<Self, Error> {
        check_len("vnet", LEN, buffer.len())?;
        let le16 = |field| u16::from_le_bytes(array(buffer, field));
        let bits = buffer[field::GSO_TYPE];
        let header = Self {
            flags: Flags(buffer[field::FLAGS]),
            gso_type: GsoType::from_bits(bits & !GSO_ECN)?,
            gso_ecn: bits & GSO_ECN != 0,
            hdr_len: le16(field::HDR_LEN),
            gso_size: le16(field::GSO_SIZE),
            csum_start: le16(field::CSUM_START),
            csum_offset: le16(field::CSUM_OFFSET),
            num_buffers: le16(field::NUM_BUFFERS),
        };
        match header.is_gso() && header.gso_size == 0 {
            true => Err(bad("gso_size", 0)),
            false => Ok(header),
        }
    }

    /// Writes the header to the start of `buffer` and returns its length, 12.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] below 12 bytes.
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        check_space("vnet", LEN, buffer.len())?;
        buffer[..LEN].copy_from_slice(&self.to_bytes());
        Ok(LEN)
    }

    /// The header as bytes.
    #[inline]
    pub fn to_bytes(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[field::FLAGS] = self.flags.0;
        bytes[field::GSO_TYPE] = self.gso_type as u8 | flag(self.gso_ecn, GSO_ECN);
        bytes[field::HDR_LEN].copy_from_slice(&self.hdr_len.to_le_bytes());
        bytes[field::GSO_SIZE].copy_from_slice(&self.gso_size.to_le_bytes());
        bytes[field::CSUM_START].copy_from_slice(&self.csum_start.to_le_bytes());
        bytes[field::CSUM_OFFSET].copy_from_slice(&self.csum_offset.to_le_bytes());
        bytes[field::NUM_BUFFERS].copy_from_slice(&self.num_buffers.to_le_bytes());
        bytes
    }

    /// The frame is to be segmented.
    #[inline]
    pub fn is_gso(&self) -> bool {
        self.gso_type != GsoType::None
    }

    /// State of the transport checksum. An absent UDP checksum is not the header's to know: see
    /// [`ChecksumState::of_udp`].
    #[inline]
    pub fn checksum_state(&self) -> ChecksumState {
        match self.flags.contains(Flags::NEEDS_CSUM) {
            true => ChecksumState::Partial,
            false => ChecksumState::Complete,
        }
    }

    /// The header after the layers in front of the checksummed part grew (a tag inserted, an outer
    /// header removed: negative) by `by` bytes.
    ///
    /// # Errors
    /// [`Error::Field`] where `csum_start` or `hdr_len` would leave 16 bits.
    pub fn shifted(mut self, by: i16) -> Result<Self, Error> {
        let shift =
            |field, value: u16| value.checked_add_signed(by).ok_or(bad(field, value.into()));
        if self.flags.contains(Flags::NEEDS_CSUM) {
            self.csum_start = shift("csum_start", self.csum_start)?;
        }
        if self.hdr_len != 0 {
            self.hdr_len = shift("hdr_len", self.hdr_len)?;
        }
        Ok(self)
    }

    /// The header of a frame whose checksum is now complete: no checksum fields, the rest as is.
    /// Segmentation demands a partial checksum, so only a frame without it may be treated so.
    #[inline]
    #[must_use]
    pub fn checksum_completed(mut self) -> Self {
        self.flags = Flags(self.flags.0 & !Flags::NEEDS_CSUM.0);
        (self.csum_start, self.csum_offset) = (0, 0);
        self
    }
}

fn bad(field: &'static str, value: u32) -> Error {
    Error::Field { header: "vnet", field, value }
}
